"""Answers a flow from what was recorded: the same code as in service, with another driver and no network.

A recording holds the outcome of every call of a run by its label. Replaying it under other thresholds or another
policy gives the answer that these would have given, as long as they ask for nothing that was not recorded.
`record` runs all tiers, all samples and all judges, so that any threshold can be tried afterwards.

Time is the recorded time: a call takes as long as it did, so timeouts, hedges and deadlines fall as they would have.
"""

import asyncio
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastcascade.answers import Answer
from fastcascade.drive import Driver
from fastcascade.effects import (
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
    Start,
    Wait,
)
from fastcascade.errors import ConfigError, Failure
from fastcascade.messages import Budget, Reply, Request
from fastcascade.policies import Everything
from fastcascade.records import dump, load
from fastcascade.streaming import pieces

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Recording", "Replayer", "record", "replay"]

NO_BOUNDS = Budget(deadline=None)


@dataclass(frozen=True, slots=True)
class Recording:
    """One request, and what came of each call that was made for it."""

    request: Request
    outcomes: Mapping[str, Outcome]

    @classmethod
    def of(cls, answer: Answer | Mapping[str, Any]) -> Self:
        """Take it from an answer, or from the trace of one."""
        if isinstance(answer, Answer):
            return cls(answer.request, answer.outcomes)
        try:
            held = {label: load(outcome) for label, outcome in answer["outcomes"].items()}
            return cls(load(answer["request"]), held)
        except (KeyError, AttributeError) as error:
            msg = f"this is no trace of an answer: it lacks {error}"
            raise ConfigError(msg) from None

    @staticmethod
    def save(recordings: "Iterable[Recording]", path: str | Path) -> None:
        """Write recordings as JSON, one to a line."""
        lines = (
            json.dumps({"request": dump(each.request), "outcomes": dump(each.outcomes)}, ensure_ascii=False)
            for each in recordings
        )
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "list[Recording]":
        """Read them back."""
        found = []
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                try:
                    found.append(cls.of(json.loads(line)))
                except ValueError as error:
                    msg = f"{path}, line {number}: {error}"
                    raise ConfigError(msg) from None
        return found


def replay(
    cascade: "Cascade", recorded: Answer | Mapping[str, Any] | Recording, /, *, streaming: bool = False
) -> Answer:
    """The answer that this cascade would have given. A call that was not recorded comes to a failure, kind missing."""
    recording = recorded if isinstance(recorded, Recording) else Recording.of(recorded)
    return Replayer(recording.outcomes).run(cascade.flow(recording.request, 0.0, streaming=streaming, replaying=True))


async def record(cascade: "Cascade", request: Request, /) -> Recording:
    """Ask every tier, take every sample and every judge's word, whatever the first of them says."""
    unbound = replace(request, budget=NO_BOUNDS)
    driver = Driver(full=True, clock=asyncio.get_running_loop().time)
    flow = cascade.adjusted(policy=Everything()).flow(unbound, driver.clock(), replaying=True)
    answer = await driver.run(flow)
    # The route that was found for it is kept: finding it anew would need the embedder.
    return Recording(replace(answer.request, budget=request.budget), answer.outcomes)


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
                return self._at(self._lasting(label, timeout))
            case Gather(calls, enough):
                return self._gathered(calls, enough)
            case Start(call):
                self._recorded(call.label)
                return self._plain(Handle(call, self.now))
            case Wait(handles, timeout):
                return self._waited(handles, timeout)
            case Cancel(handle):
                handle.outcome = Outcome(None, Failure("cancelled", "not wanted any more"), handle.task, self.now)
                return self._plain(None)
            case Open(call):
                return self._plain(Handle(call, self._stream(call.label)))
            case Next(handle):
                following: Outcome = next(handle.task)
                return following
            case Emit(deltas):
                self.emitted.extend(deltas)
                return self._plain(None)
            case Close():
                return self._plain(None)

    def _plain(self, value: Any) -> Outcome:
        return Outcome(value, None, self.now, self.now)

    def _recorded(self, label: str) -> Outcome:
        self.asked.append(label)
        return self._find(label)

    def _find(self, label: str) -> Outcome:
        missing = Failure("missing", f"nothing was recorded for {label}; record all tiers first")
        return self.outcomes.get(label) or Outcome(None, missing)

    def _lasting(self, label: str, timeout: float | None, began: float | None = None) -> Outcome:
        """The outcome, moved to the replayer's time; a timeout where it would have taken longer than it may."""
        held = self._recorded(label) if began is None else self._find(label)
        began = self.now if began is None else began
        took = held.ended - held.started
        if timeout is not None and took > timeout:
            return Outcome(None, Failure("timeout", f"no answer within {timeout:g} s"), began, began + timeout)
        return Outcome(held.value, held.failure, began, began + took)

    def _at(self, outcome: Outcome) -> Outcome:
        self.now = max(self.now, outcome.ended)
        return outcome

    def _gathered(self, calls: tuple[Call, ...], enough: Any) -> Outcome:
        """The outcomes in the order in which they came, until there were enough."""
        began = self.now
        coming = [self._lasting(call.label, call.timeout) for call in calls]
        outcomes: list[Outcome | None] = [None] * len(calls)
        order = sorted(range(len(calls)), key=lambda place: coming[place].ended)
        for count, place in enumerate(order, 1):
            outcomes[place] = self._at(coming[place])
            together = count < len(calls) and coming[order[count]].ended <= self.now
            if count < len(calls) and not together and enough is not None and enough(outcomes):
                break
        cancelled = Outcome(None, Failure("cancelled", "not wanted any more"), began, self.now)
        return Outcome([each or cancelled for each in outcomes], None, began, self.now)

    def _waited(self, handles: tuple[Handle, ...], timeout: float | None) -> Outcome:
        began = self.now
        due = [(self._lasting(handle.call.label, handle.call.timeout, handle.task), handle) for handle in handles]
        first = min(outcome.ended for outcome, _ in due)
        self.now = max(self.now, first if timeout is None else min(first, self.now + timeout))
        for outcome, handle in due:
            if outcome.ended <= self.now:
                handle.outcome = outcome
        return Outcome(None, None, began, self.now)

    def _stream(self, label: str) -> Iterator[Outcome]:
        """A recorded reply as a stream: all of it came at its end, as far as was recorded."""
        outcome = self._at(self._lasting(label, None))
        if isinstance(outcome.value, Reply):
            for delta in pieces(outcome.value):
                yield Outcome(delta, None, self.now, self.now)
        yield outcome
