"""One request on the ladder: where it enters, how far it climbs, and what is made of that. The rest is in flow.py."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fastcascade.answers import Answer, Entrance
from fastcascade.climb import Best, Climb
from fastcascade.effects import Effect, Outcome
from fastcascade.ledger import Ledger
from fastcascade.messages import Request
from fastcascade.policies import Everything, Ladder, Standing, Threshold
from fastcascade.tiers import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Ascent"]

STAND_IN: Final = Threshold()


@dataclass(slots=True)
class Ascent:
    """The state of one run."""

    cascade: "Cascade"
    request: Request
    ledger: Ledger
    streaming: bool = False
    replaying: bool = False
    entrance: Entrance | None = None
    climb: Climb | None = None

    @property
    def seen(self) -> bool:
        """Whether the client has something of a stream."""
        return self.climb is not None and self.climb.piped.seen

    def _climbed(self) -> Generator[Effect, Outcome, Answer]:
        cascade, ledger = self.cascade, self.ledger
        if self.entrance is not None:
            ledger.now = max(ledger.now, ledger.started + self.entrance.after)
        elif not self._enters_anywhere():
            yield from self._enter()
        entrance = self.entrance or cascade.everywhere
        first, last = min(entrance.first, cascade.top), min(entrance.last, cascade.top)
        climb = self.climb = Climb(
            cascade.rungs,
            self.request,
            ledger,
            last,
            streaming=self.streaming,
            trusting=cascade.abstain == "accept",
            weighing=cascade.weighs,
            recording=isinstance(cascade.policy, Everything),
            hedge=cascade.hedge,
            spares=None if self.replaying else cascade.spares,
            standing_by=cascade.refusals == "accept",
        )
        ladder = cascade.estimates(self.request) if cascade.weighs else cascade.ladder
        position: int | None = cascade.policy.first(first, last, ladder)
        standing: Standing | None = None
        while position is not None and position <= last and not ledger.spent:
            standing = yield from climb.attempt(position)
            if climb.piped.seen:
                break  # what the client has seen stands
            if climb.maybe_done:
                break  # nor is what may have been carried out, carried out again
            position = self._next(standing, ladder)
        if climb.ahead:
            yield from climb.finish()
        return self._judged(climb, entrance, standing)

    def _next(self, standing: Standing, ladder: Ladder) -> int | None:
        """What the policy says; one that breaks must not lose the request, and is stood in for by the threshold."""
        try:
            return self.cascade.policy.after(standing, ladder)
        except Exception:  # noqa: BLE001 - a user's policy may raise anything
            return STAND_IN.after(standing, ladder)

    def _enters_anywhere(self) -> bool:
        """Whether nothing is said of where it may enter."""
        cascade, request = self.cascade, self.request
        if cascade.plain and not (request.min_tier or request.max_tier or request.regenerate):
            self.entrance = cascade.everywhere
            return True
        return False

    def _enter(self) -> Generator[Effect, Outcome, None]:
        cascade, request, ledger = self.cascade, self.request, self.ledger
        self.request = request = yield from cascade.lanes.find_route(request, ledger)
        sticky = cascade.sessions.place(request) if cascade.sessions and not self.replaying else 0
        entrance = cascade.lanes.choose(request, cascade.places, sticky, remember=not self.replaying)
        took = ledger.now - ledger.started
        self.entrance = replace(entrance, after=took) if took else entrance

    def _judged(self, climb: Climb, entrance: Entrance, standing: Standing | None) -> Answer:
        """The best there is, and in what it falls short."""
        best, ledger, cascade = climb.best, self.ledger, self.cascade
        if best is None:
            waits = [each.error.retry_after for each in climb.attempts if each.error is not None]
            wait = min((each for each in waits if each is not None), default=None)
            degraded = ledger.spent or ledger.ran_out or "no tier answered"
            answer = Answer(None, self.request, degraded=degraded, entrance=entrance, retry_after=wait)
            return self._made(replace(answer, attempts=tuple(climb.attempts)))
        lost, reply, tier = 0, best.reply, cascade.rungs[best.position].name
        if cascade.sessions is not None and not self.replaying and best.position <= cascade.top:
            tokens = reply.usage.input if reply.usage else self.request.size // CHARACTERS_PER_TOKEN
            lost = cascade.sessions.keep(self.request, best.position, reply.model or tier, tokens)
        return Answer(
            reply,
            self.request,
            tier,
            best.score,
            ledger.now - ledger.started,
            self._shortfall(climb, best, standing),
            tuple(climb.attempts),
            entrance,
            lost,
            outcomes=ledger.outcomes,
        )

    def _shortfall(self, climb: Climb, best: Best, standing: Standing | None) -> str:
        """In what the answer falls short. A policy that weighs gain against cost may be content with any score."""
        weighs = self.cascade.weighs
        if climb.piped.seen:
            ended = climb.attempts[-1].verdict
            return ended if ended in ("incomplete", "empty") else _refused(best)
        wanted_more = standing is not None and standing.failed
        if best.accepted and not (weighs and wanted_more):
            return _refused(best)
        if short := climb.ledger.ran_out or climb.ledger.spent:
            return short
        if wanted_more:
            return "a better tier failed"
        return "" if weighs else "below threshold"

    def _made(self, answer: Answer) -> Answer:
        """An answer with what is known of the run by now."""
        ledger = self.ledger
        return replace(answer, latency=ledger.now - ledger.started, outcomes=ledger.outcomes)


def _refused(best: Best) -> str:
    """A refusal may be all there is; it is no answer to what was asked, and says so."""
    return "refused" if best.reply.stop == "refusal" else ""
