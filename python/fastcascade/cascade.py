"""The cascade: each request on the cheapest tier that is good enough.

`flow()` is the whole of it, from top to bottom, and does no I/O: it yields what it wants done and is sent what
came of it. `drive.py` does the doing; `recording.py` answers from what was recorded instead.
"""

import asyncio
import copy
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from fastcascade import drive
from fastcascade.answer_stream import AnswerStream
from fastcascade.answers import Answer, Entrance
from fastcascade.backends.backend import Backend
from fastcascade.climb import Best, Climb, Hedge
from fastcascade.effects import Effect, Emit, Outcome
from fastcascade.errors import ConfigError, NoAnswer, RequestError
from fastcascade.gates.gate import Gate
from fastcascade.lanes import Lanes, Sessions
from fastcascade.ledger import Ledger
from fastcascade.messages import Ask, Budget, Reply, Request
from fastcascade.policies import Everything, Ladder, Policy, Standing, Threshold
from fastcascade.prices import PriceSheet
from fastcascade.streaming import pieces
from fastcascade.tiers import CHARACTERS_PER_TOKEN, Tier, positions

__all__ = ["Cascade"]

LAST_RESORT: Final = "This cannot be answered right now. Please try again in a moment."
NO_LANES: Final = Lanes()
STAND_IN: Final = Threshold()


class Cascade:
    """Tiers, cheapest first, and how a request goes from one to the next.

    Args:
        tiers: `Tier`s; a backend or a function is taken for a tier without a gate.
        policy: decides after each try: stop, escalate, skip. `Threshold()` by default.
        budget: of requests that bring none of their own.
        lanes: where requests enter, by what is visible beforehand.
        sessions: keeps conversations on the tier they have reached.
        hedge: starts the next tier before this one has replied.
        prices: what models cost; the dated sheet of genai-prices, where it is installed, by default.
        abstain: whether a reply whose gate cannot judge it is escalated (the default) or accepted.
        last_resort: the text for when no tier has answered; None raises `NoAnswer` instead.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        *tiers: Tier | Backend | Callable[[Request], Any],
        policy: Policy | None = None,
        budget: Budget | None = None,
        lanes: Lanes | None = None,
        sessions: Sessions | None = None,
        hedge: Hedge | None = None,
        prices: PriceSheet | None = None,
        abstain: Literal["escalate", "accept"] = "escalate",
        last_resort: str | None = LAST_RESORT,
    ) -> None:
        """Check that the parts go together."""
        self.tiers = tuple(tier if isinstance(tier, Tier) else Tier(tier) for tier in tiers)
        if not self.tiers:
            raise ConfigError("a cascade needs at least one tier: Cascade(Tier(backend))")
        self.places = positions(self.tiers)
        self.policy = policy or Threshold()
        self.budget = budget or Budget()
        self.lanes = lanes or NO_LANES
        self.lanes.check(self.places)
        self._top = len(self.tiers) - 1
        self._everywhere = Entrance(0, self._top)
        self.sessions = sessions
        self.hedge = hedge
        self.prices = prices or PriceSheet()
        if not all(tier.price or tier.free for tier in self.tiers):
            self.prices.warm()  # reading the sheet takes a fifth of a second: not at the first request
        self.abstain = abstain
        self.last_resort = last_resort
        self._plan_by(self.policy)
        if self.budget.usd is not None:
            self._check_priced(ConfigError)

    def flow(
        self,
        request: Request,
        now: float = 0.0,
        *,
        streaming: bool = False,
        replaying: bool = False,
        entrance: Entrance | None = None,
    ) -> Generator[Effect, Outcome, Answer]:
        """Answer one request: yields effects, is sent their outcomes, returns the answer with its trace.

        `now` is the driver's clock, in seconds. With `replaying`, quotas and sessions are left alone; with an
        `entrance`, lanes are not asked.
        """
        budget = request.budget or self.budget
        if request.budget is not None and budget.usd is not None:
            self._check_priced(RequestError)
        ledger = Ledger(budget, self.prices, now, now, counting=not replaying)

        # Enter, by what is visible.
        if entrance is None:
            request, entrance = yield from self._enter(request, ledger, replaying=replaying)
        else:
            ledger.now = now + entrance.after
        first, last = min(entrance.first, self._top), min(entrance.last, self._top)

        # Climb, until the policy is content or the budget is spent.
        climb = Climb(
            self.tiers,
            request,
            ledger,
            last,
            streaming=streaming,
            trusting=self.abstain == "accept",
            weighing=self._weighs,
            recording=isinstance(self.policy, Everything),
            hedge=self.hedge,
        )
        ladder = self._estimates(request) if self._weighs else self._ladder
        position: int | None = self.policy.first(first, last, ladder)
        standing: Standing | None = None
        while position is not None and position <= last and not ledger.spent:
            standing = yield from climb.attempt(position)
            if climb.piped.seen:
                break  # what the client has seen stands
            position = self._next(standing, ladder)
        if climb.ahead:
            yield from climb.finish()

        # Answer, with the best there is.
        answer = self._answer(climb, entrance, standing, replaying=replaying)
        if streaming and answer.reply is not None and not climb.piped.seen:
            yield Emit(pieces(answer.reply))
        return answer

    def _next(self, standing: Standing, ladder: Ladder) -> int | None:
        """What the policy says; one that breaks must not lose the request, and is stood in for by the threshold."""
        try:
            return self.policy.after(standing, ladder)
        except Exception:  # noqa: BLE001 - a user's policy may raise anything
            return STAND_IN.after(standing, ladder)

    def _enter(
        self, request: Request, ledger: Ledger, *, replaying: bool
    ) -> Generator[Effect, Outcome, tuple[Request, Entrance]]:
        plain = self.lanes is NO_LANES and self.sessions is None
        if plain and not (request.min_tier or request.max_tier or request.regenerate):
            return request, self._everywhere
        request = yield from self.lanes.find_route(request, ledger)
        sticky = self.sessions.place(request) if self.sessions and not replaying else 0
        entrance = self.lanes.choose(request, self.places, sticky, remember=not replaying)
        took = ledger.now - ledger.started
        return request, replace(entrance, after=took) if took else entrance

    def _answer(self, climb: Climb, entrance: Entrance, standing: Standing | None, *, replaying: bool) -> Answer:
        best, ledger = climb.best, climb.ledger
        lost = 0
        if best is None:
            reply = None if self.last_resort is None else Reply(self.last_resort, cost_usd=0.0)
            tier, confidence = "", None
            degraded = ledger.spent or ledger.ran_out or "no tier answered"
        else:
            reply, tier, confidence = best.reply, self.tiers[best.position].name, best.score
            degraded = self._shortfall(climb, best, standing)
            if self.sessions is not None and not replaying:
                tokens = reply.usage.input if reply.usage else climb.request.size // CHARACTERS_PER_TOKEN
                lost = self.sessions.keep(climb.request, best.position, reply.model or tier, tokens)
        answer = Answer(
            reply,
            climb.request,
            tier,
            confidence,
            ledger.now - ledger.started,
            degraded,
            tuple(climb.attempts),
            entrance,
            lost,
            ledger.outcomes,
        )
        if reply is None:
            tried = "; ".join(
                f"{each.tier}: {each.error.message if each.error else each.reason}" for each in climb.attempts
            )
            msg = f"no tier answered ({tried or degraded})"
            raise NoAnswer(msg, answer)
        return answer

    def _shortfall(self, climb: Climb, best: Best, standing: Standing | None) -> str:
        """In what the answer falls short. A policy that weighs gain against cost may be content with any score."""
        if climb.piped.seen:
            ended = climb.attempts[-1].verdict
            return ended if ended in ("incomplete", "empty") else _refused(best)
        wanted_more = standing is not None and standing.failed
        if best.accepted and not (self._weighs and wanted_more):
            return _refused(best)
        return climb.ledger.ran_out or climb.ledger.spent or self._disappointed(wanted_more=wanted_more)

    def _disappointed(self, *, wanted_more: bool) -> str:
        if wanted_more:
            return "a better tier failed"
        return "" if self._weighs else "below threshold"

    # Settings.

    def _estimates(self, request: Request | None) -> Ladder:
        tiers = self.tiers
        return Ladder(
            tuple(tier.name for tier in tiers),
            tuple(tier.quality for tier in tiers),
            tuple(tier.estimate(request, self.prices) if request else None for tier in tiers),
            tuple(tier.accept for tier in tiers),
        )

    def _plan_by(self, policy: Policy) -> None:
        """Follow a policy; one that weighs cost has a `check`, and is told what each request is expected to cost."""
        check = getattr(policy, "check", None)
        self.policy = policy
        self._weighs = check is not None
        if check is not None and self.hedge is not None:
            raise ConfigError("a hedge starts the next tier, and a policy that weighs costs may skip it: choose one")
        self._ladder = self._estimates(None)
        if check is not None:
            check(self._estimates(Request.of("?")))

    def _check_priced(self, error: type[ConfigError | RequestError]) -> None:
        unpriced = [tier.name for tier in self.tiers if tier.rate(self.prices) is None]
        if unpriced:
            msg = (
                f"a budget in money needs the price of every tier, and that of {unpriced[0]!r} is not known; "
                "give it: Tier(..., price=Price(input=1.0, output=5.0)), or install 'fastcascade[prices]'"
            )
            raise error(msg)

    def adjusted(self, *, accept: Mapping[str, float] | None = None, policy: Policy | None = None) -> "Cascade":
        """The same cascade with other thresholds, by tier name, or another policy: to replay what was recorded."""
        other = copy.copy(self)
        if unknown := (accept or {}).keys() - self.places.keys():
            msg = f"there is no tier {min(unknown)!r}; there are: {', '.join(self.places)}"
            raise ConfigError(msg)
        other.tiers = tuple(tier.accepting((accept or {}).get(tier.name, tier.accept)) for tier in self.tiers)
        other._plan_by(policy or self.policy)  # noqa: SLF001 - it is one of us
        return other

    # Running.

    async def run(self, asked: Ask, /, **fields: Any) -> Answer:
        """Answer a text, a conversation or a `Request`; `fields` are those of `Request`: `task="code"`."""
        return await drive.run(self.flow, Request.of(asked, **fields))

    def run_sync(self, asked: Ask, /, **fields: Any) -> Answer:
        """As `run`, from plain code; inside a running event loop too, which stands still meanwhile."""
        return drive.run_sync(self.flow, Request.of(asked, **fields))

    def stream(self, asked: Ask, /, **fields: Any) -> AnswerStream:
        """Answer piece by piece: `async for delta in cascade.stream(...)`.

        Nothing that was given out is taken back. A stream that breaks after its beginning was given out ends with
        `IncompleteAnswer`, never as if it were whole.
        """
        return AnswerStream(self.flow, Request.of(asked, **fields))

    async def aclose(self) -> None:
        """Close what backends and gates hold open in this event loop; the first error is raised when all are done."""
        closed = await asyncio.gather(*(each.aclose() for each in self._holders()), return_exceptions=True)
        for error in closed:
            if isinstance(error, BaseException):
                raise error

    def close(self) -> None:
        """Close what `run_sync` has opened."""
        drive.close_sync(self.aclose)

    def _holders(self) -> list[Any]:
        """Whoever has something to close: backends, those that gates ask, embedders."""
        found: dict[int, Any] = {}
        seen: list[Any] = [self.lanes.semantic]
        seen += [part for tier in self.tiers for part in (tier.backend, tier.gate)]
        for thing in seen:
            if hasattr(thing, "aclose"):
                found[id(thing)] = thing
            elif isinstance(thing, Gate | list | tuple):
                seen += vars(thing).values() if isinstance(thing, Gate) else thing
        return list(found.values())

    def __repr__(self) -> str:
        """Show the ladder."""
        return f"Cascade({', '.join(map(repr, self.tiers))}, policy={self.policy!r})"


def _refused(best: Best) -> str:
    """A refusal may be all there is; it is no answer to what was asked, and says so."""
    return "refused" if best.reply.stop == "refusal" else ""
