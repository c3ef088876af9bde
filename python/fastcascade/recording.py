"""Answers a flow from what was recorded: the same code as in service, with another driver and no network.

A recording holds the outcome of every call of a run by its label. Replaying it under other thresholds or another
policy gives the answer that these would have given, as long as they ask for nothing that was not recorded.
`record` runs all tiers, all samples and all judges, so that any threshold can be tried afterwards. A call is known
by its name alone (tier, purpose, number): what it is asked in a replay is taken to be what it was asked then.

Time is the recorded time: a call takes as long as it did, so timeouts, hedges and deadlines fall as they would have.
When the pieces of a stream came is not recorded, but for the last of them: in a replay they all come with it. So a
stream that took longer in all than a tier's timeout is in a replay a timeout, though its first piece was in time.
"""

import asyncio
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from fastcascade.answers import Answer, Entrance
from fastcascade.asking import is_enough
from fastcascade.drive import Driver
from fastcascade.effects import (
    NOT_WANTED,
    Call,
    Cancel,
    Check,
    Close,
    Effect,
    Emit,
    Gather,
    Handle,
    Next,
    Open,
    Outcome,
    Relay,
    Sleep,
    Spawn,
    Start,
    Try,
    Wait,
)
from fastcascade.errors import ConfigError, Failure, NoAnswer
from fastcascade.fallbacks.chain import Chain
from fastcascade.messages import Budget, Delta, Reply, Request
from fastcascade.patience import GRACE
from fastcascade.policies import Everything
from fastcascade.records import load, read_lines, write_line
from fastcascade.streaming import pieces

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Recording", "Replayer", "everything", "record", "replay"]

NO_BOUNDS: Final = Budget(deadline=None)
ROUNDING: Final = 1e-6
"""Seconds that differences of clock readings may be off by."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One request, what came of each call that was made for it, and where it entered the ladder.

    Without an entrance (`dataclasses.replace(recording, entrance=None)`) a replay asks the lanes anew.
    """

    request: Request
    outcomes: Mapping[str, Outcome]
    entrance: Entrance | None = None

    @classmethod
    def of(cls, answer: Answer | Mapping[str, Any]) -> Self:
        """Take it from an answer, or from the trace of one."""
        if isinstance(answer, Answer):
            return cls(answer.request, answer.outcomes, answer.entrance)
        try:
            outcomes = {label: load(outcome) for label, outcome in answer["outcomes"].items()}
            request, entrance = load(answer["request"]), load(answer.get("entrance"))
        except (KeyError, AttributeError, TypeError) as error:
            msg = f"this is no trace of an answer: it lacks {error}"
            raise ConfigError(msg) from None
        if not isinstance(request, Request) or not isinstance(entrance, Entrance | None):
            raise ConfigError("this is no trace of an answer: its request or its entrance is something else")
        return cls(request, outcomes, entrance)

    @staticmethod
    def save(recordings: "Iterable[Recording]", path: str | Path) -> None:
        """Write recordings as JSON, one to a line."""
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            for each in recordings:
                held = {"request": each.request, "entrance": each.entrance, "outcomes": each.outcomes}
                file.write(write_line(held))

    @classmethod
    def load(cls, path: str | Path) -> "list[Recording]":
        """Read them back."""
        found = []
        for number, held in read_lines(path):
            try:
                found.append(cls.of(held))
            except ValueError as error:
                msg = f"{path}, line {number}: {error}"
                raise ConfigError(msg) from None
        return found


def replay(
    cascade: "Cascade", recorded: Answer | Mapping[str, Any] | Recording, /, *, streaming: bool = False
) -> Answer:
    """The answer that this cascade would have given. A call that was not recorded comes to a failure, kind missing.

    The request enters where it did: lanes and sessions are not asked.
    """
    recording = recorded if isinstance(recorded, Recording) else Recording.of(recorded)
    flow = cascade.flow(recording.request, streaming=streaming, replaying=True, entrance=recording.entrance)
    replayer = Replayer(recording.outcomes)
    replayer.now = recording.entrance.after if recording.entrance else 0.0
    return replayer.run(flow)


def everything(cascade: "Cascade") -> "Cascade":
    """The cascade as it is recorded: every tier, every sample, every judge, and nothing behind the ladder."""
    every = cascade.adjusted(policy=Everything())
    every.hedge = None  # a race would end before the slower of two has replied
    every.chain, every.slots, every.cache = Chain(), None, None
    every.sessions = None  # recordings know nothing of one another
    return every


async def record(cascade: "Cascade", request: Request, /) -> Recording:
    """Ask every tier that it may use, take every sample and every judge's word, whatever the first of them says."""
    driver = Driver(full=True, clock=asyncio.get_running_loop().time)
    flow = everything(cascade).flow(replace(request, budget=NO_BOUNDS), driver.clock(), replaying=True)
    try:
        answer = await driver.run(flow)
    except NoAnswer as error:
        answer = error.answer
    # The route that was found for it is kept: finding it anew would need the embedder.
    return Recording(replace(answer.request, budget=request.budget), answer.outcomes, answer.entrance)


class Replayer:
    """A driver that answers from recorded outcomes, on a clock of its own that goes as they went.

    `asked` holds the labels of the calls that were asked for, in order: what the flow could know when it decided.
    """

    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        """Begin at nought."""
        self.outcomes = outcomes
        self.now = 0.0
        self.asked: list[str] = []
        self.emitted: list[Any] = []

    def run(self, flow: Generator[Effect, Outcome, Answer]) -> Answer:
        """Answer the flow's effects until it returns."""
        try:
            effect = next(flow)
            while True:
                effect = flow.send(self.perform(effect))
        except StopIteration as done:
            answer: Answer = done.value
            return answer

    def perform(self, effect: Effect) -> Outcome:  # noqa: PLR0911 - one for each effect
        """What came of an effect."""
        match effect:
            case Call(label=label, timeout=timeout) | Check(label=label, timeout=timeout):
                self.asked.append(label)
                return self._at(self._lasting(label, timeout, self.now))
            case Gather(calls, enough):
                return self._gathered(calls, enough)
            case Start(call):
                self.asked.append(call.label)
                return self._instant(Handle(call, started=self.now))
            case Wait(handles, timeout):
                return self._waited(handles, timeout)
            case Cancel(handle):
                return self._stopped(handle)
            case Open(call):
                self.asked.append(call.label)
                return self._instant(Handle(call, self._stream(call.label, self.now), self.now))
            case Next(handle, timeout):
                return self._next(handle.task, timeout)
            case Relay():
                return self._relayed(effect)
            case Sleep() | Spawn() | Emit() | Close():
                return self._passed(effect)

    def _relayed(self, relay: Relay) -> Outcome:
        while type((outcome := self.perform(relay.following(self.now))).value) is Delta:
            relay.deltas.append(outcome.value)
            self.emitted.append(outcome.value)
        return outcome

    def _passed(self, effect: Sleep | Spawn | Emit | Close) -> Outcome:
        """What needs no record."""
        if isinstance(effect, Sleep):
            self.now += effect.seconds or 0.0
        elif isinstance(effect, Emit):
            self.emitted.extend(effect.deltas)
        return self._instant(None)

    def _stopped(self, handle: Handle) -> Outcome:
        coming = self._coming(handle.call, handle.started)
        late = coming.ended > self.now
        handle.outcome = Outcome(None, NOT_WANTED, handle.started, self.now) if late else coming
        return self._instant(None)

    def _instant(self, value: Any) -> Outcome:
        return Outcome(value, None, self.now, self.now)

    def _at(self, outcome: Outcome) -> Outcome:
        self.now = max(self.now, outcome.ended)
        return outcome

    def _found(self, label: str) -> Outcome:
        return self.outcomes.get(label) or Outcome(None, _missing(f"nothing was recorded for {label}"))

    def _lasting(self, label: str, timeout: float | None, began: float) -> Outcome:
        """The outcome, moved to the replayer's time: a timeout where it took longer than it may."""
        held = self._found(label)
        took = held.ended - held.started
        tries = _moved(held, began)
        as_it_was = held.failure is not None and held.failure.kind == "timeout" and took <= (timeout or inf) + GRACE
        if timeout is not None and took > timeout + ROUNDING and not as_it_was:
            return _timed_out(began, timeout)
        if held.failure is None:
            return Outcome(held.value, None, began, began + took, held.by, tries)
        return Outcome(None, _unknown(label, held) or held.failure, began, began + took, held.by, tries)

    def _coming(self, call: Call, began: float) -> Outcome:
        """As `_lasting`; but one that was cancelled when it was recorded was still under way, and comes last."""
        coming = self._lasting(call.label, call.timeout, began)
        if self._found(call.label).failure == NOT_WANTED:
            coming.ended = inf
        return coming

    def _gathered(self, calls: tuple[Call, ...], enough: Any) -> Outcome:
        """The outcomes in the order in which they came, until there were enough."""
        began = self.now
        self.asked.extend(call.label for call in calls)
        coming = [self._coming(call, began) for call in calls]
        outcomes: list[Outcome | None] = [None] * len(calls)
        order = sorted(range(len(calls)), key=lambda place: coming[place].ended)
        for count, place in enumerate(order, 1):
            outcomes[place] = self._at(self._finite(coming[place], calls[place]))
            together = count < len(calls) and coming[order[count]].ended <= self.now
            if count < len(calls) and not together and enough is not None and is_enough(enough, outcomes):
                break
        cancelled = Outcome(None, NOT_WANTED, began, self.now)
        return Outcome([each or cancelled for each in outcomes], None, began, self.now)

    def _waited(self, handles: tuple[Handle, ...], timeout: float | None) -> Outcome:
        began = self.now
        due = [(self._coming(handle.call, handle.started), handle) for handle in handles]
        first = min(outcome.ended for outcome, _ in due)
        if timeout is None and not isfinite(first):
            due = [(self._finite(outcome, handle.call), handle) for outcome, handle in due]
            first = min(outcome.ended for outcome, _ in due)
        self.now = max(began, first if timeout is None else min(first, began + timeout))
        for outcome, handle in due:
            if outcome.ended <= self.now:
                handle.outcome = outcome
        return Outcome(None, None, began, self.now)

    def _finite(self, coming: Outcome, call: Call) -> Outcome:
        """What would be waited for without end, ends where the record of it does."""
        return coming if isfinite(coming.ended) else self._lasting(call.label, call.timeout, coming.started)

    def _stream(self, label: str, began: float) -> Iterator[Outcome]:
        """A recorded reply as a stream: all of it comes at its end, as far as was recorded."""
        held = self._found(label)
        ended = began + (held.ended - held.started)
        failure = held.failure and (_unknown(label, held) or held.failure)
        if isinstance(held.value, Reply):
            for delta in pieces(held.value):
                yield Outcome(delta, failure, began, ended)
        yield Outcome(None if failure else held.value, failure, began, ended, held.by, _moved(held, began))

    def _next(self, stream: Iterator[Outcome], timeout: float | None) -> Outcome:
        following, began = next(stream), self.now
        until = inf if timeout is None else began + timeout
        # The pieces of a stream that broke off came before it did: in time, if there was time for any.
        piece = following.value if following.failure is not None else None
        late = following.failure is not None and following.failure.kind == "timeout" and piece is None
        if following.ended <= until + (GRACE if late else ROUNDING):
            failure = None if piece else following.failure
            found = Outcome(following.value, failure, began, following.ended, following.by, following.tries)
        else:
            found = Outcome(piece, None, began, until) if piece else _timed_out(began, timeout or 0.0)
        return self._at(found)


def _unknown(label: str, held: Outcome) -> Failure | None:
    """What was given up before it ended cannot be told, where it is now waited for."""
    if held.failure is None or held.failure.kind != "cancelled":
        return None
    return _missing(f"{label} was given up when it was recorded")


def _moved(held: Outcome, began: float) -> tuple[Try, ...]:
    """The tries before an outcome, moved with it to the replayer's time."""
    by = began - held.started
    return tuple(replace(each, started=each.started + by, ended=each.ended + by) for each in held.tries)


def _missing(why: str) -> Failure:
    return Failure("missing", f"{why}; record all tiers first")


def _timed_out(began: float, timeout: float) -> Outcome:
    return Outcome(None, Failure("timeout", f"no answer within {timeout:g} s"), began, began + timeout)
