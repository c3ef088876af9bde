"""A run that can be told of though it was given up: what it has asked by then, and what that cost."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastcascade.answers import Answer, Attempt
from fastcascade.effects import NOT_WANTED, Call, Effect, Emit, Gather, Handle, Next, Open, Outcome, Relay, Start
from fastcascade.errors import RequestError
from fastcascade.flow import Run, started
from fastcascade.ledger import Ledger
from fastcascade.messages import Delta, Reply, Request
from fastcascade.streaming import assemble

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Watched"]


class Watched:
    """The flows of a cascade, one of which is watched: what it has under way, and whether it streams live.

    A flow that is closed has no answer to give. This one has, from what was seen of it: see `given_up`.
    """

    __slots__ = ("_hedged", "_last", "_since", "_under_way", "by", "cascade", "live", "run", "tier")

    def __init__(self, cascade: "Cascade") -> None:
        """Watch nothing yet."""
        self.cascade = cascade
        self._under_way: tuple[Call, ...] = ()
        self._since = 0.0  # when those under way were asked
        self._hedged: list[Handle] = []
        self._last: Any = None
        self.run: Run | None = None
        self.live = False  # what it emits comes from a model as it speaks; else its answer is whole already
        self.tier = ""  # whose stream it is
        self.by = ""  # the instance of a pool that it comes from

    def flows(self, request: Request, now: float, /, *, streaming: bool = False) -> Generator[Effect, Outcome, Answer]:
        """As `Cascade.flow`."""
        cascade = self.cascade
        if request.budget is not None and request.budget.usd is not None:
            cascade._check_priced(RequestError)  # noqa: SLF001 - as its own `flow` does
        self.run = started(cascade, request, now, streaming=streaming)
        return self._watched(self.run.flow())

    def _watched(self, flow: Generator[Effect, Outcome, Answer]) -> Generator[Effect, Outcome, Answer]:
        try:
            effect = next(flow)
            while True:
                kind = type(effect)
                if kind is Emit:
                    self.live = self.live or type(self._last) is Delta
                elif kind is not Next and kind is not Relay:
                    self._asked(effect)
                outcome = yield effect
                if kind is Start:
                    self._hedged.append(outcome.value)
                elif kind is Open:
                    tries = getattr(outcome.value, "tries", None)  # of a pool
                    self.by = tries.instance.name if tries is not None and tries.instance is not None else ""
                elif kind is Next:
                    self._last = outcome.value
                elif kind is Call or kind is Gather:
                    self._under_way = ()
                effect = flow.send(outcome)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            flow.close()

    def _asked(self, effect: Any) -> None:
        kind = type(effect)
        self._since, self._last = self.run.ledger.now if self.run is not None else 0.0, None
        if kind is Call:
            self._under_way = (effect,)
        elif kind is Open:
            self._under_way = (effect.call,)
            self.tier = self._tier_of(effect.call.label)
        elif kind is Gather:
            self._under_way = effect.calls

    def given_up(self, said: Sequence[Delta], now: float, why: str) -> Answer | None:
        """What there is of an answer that nobody waits for any more; None if nothing was begun."""
        run = self.run
        if run is None:
            return None
        ledger = run.ledger
        ledger.now = max(ledger.now, now)
        for call in self._under_way:
            self._charge(ledger, call, None, sum(len(delta.text) for delta in said))
        for handle in self._hedged:
            if isinstance(handle.call, Call):
                self._charge(ledger, handle.call, handle.outcome)
        attempts = tuple(run.climb.attempts) if run.climb is not None else ()
        page = ledger.close()
        tier = self._tier_of(page[-1].label) if page else ""
        if page:
            began = page[0].started
            took = ledger.now - ledger.started - began
            last = Attempt(tier, "cancelled", reason=why, model=page[-1].model, started=began, latency=took, calls=page)
            attempts = (*attempts, last)
        reply = Reply(assemble(list(said)), page[-1].model if page else "", "other", raw_stop="cancelled")
        answer = Answer(reply if said else None, run.request, tier, degraded="incomplete", attempts=attempts)
        return replace(answer, latency=ledger.now - ledger.started, outcomes=ledger.outcomes, entrance=run.entrance)

    def _charge(self, ledger: Ledger, call: Call, outcome: Outcome | None, written: int = 0) -> None:
        """Write down a call that is not in the book yet."""
        if not call.label or call.label in ledger.outcomes:
            return
        name = self._tier_of(call.label)
        tier = next((each for each in self.cascade.rungs if each.name == name), None)
        if tier is not None:
            ledger.charge(tier, call, outcome or Outcome(None, NOT_WANTED, self._since, ledger.now), written)

    def _tier_of(self, label: str) -> str:
        """Whose call this is: names of tiers may hold slashes, as labels do."""
        names = (each.name for each in self.cascade.rungs if label.startswith(f"{each.name}/"))
        return max(names, key=len, default="")
