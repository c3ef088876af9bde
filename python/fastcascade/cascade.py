"""The cascade: each request on the cheapest tier that is good enough.

Here are its settings. The way of a request, from top to bottom, is in flow.py: a generator that does no I/O, but yields
what it wants done and is sent what came of it. `drive.py` does the doing; `recording.py` answers from what was
recorded instead.
"""

import asyncio
import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from fastcascade import drive, heard
from fastcascade.answer_stream import AnswerStream
from fastcascade.answers import Answer, Entrance
from fastcascade.backends.backend import Backend
from fastcascade.effects import Effect, Outcome
from fastcascade.errors import ConfigError, RequestError
from fastcascade.fallbacks.bulkhead import Bulkhead
from fastcascade.fallbacks.chain import Chain
from fastcascade.fallbacks.hedge import Hedge
from fastcascade.fallbacks.latencies import Latencies
from fastcascade.fallbacks.static import LAST_RESORT, Static
from fastcascade.flow import started
from fastcascade.gates.gate import Gate
from fastcascade.lanes import Lanes, Sessions
from fastcascade.messages import Ask, Budget, Request
from fastcascade.policies import Ladder, Policy, Threshold
from fastcascade.prices import PriceSheet
from fastcascade.telemetry.events import HUB
from fastcascade.tiers import Tier, positions

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache

__all__ = ["Cascade"]

NO_LANES: Final = Lanes()


class Cascade:
    """Tiers, cheapest first, and how a request goes from one to the next.

    Args:
        tiers: `Tier`s; a backend or a function is taken for a tier without a gate.
        policy: decides after each try: stop, escalate, skip. `Threshold()` by default.
        budget: of requests that bring none of their own.
        lanes: where requests enter, by what is visible beforehand.
        sessions: keeps conversations on the tier they have reached.
        hedge: starts the next tier before this one has replied.
        fallbacks: what is done when a call fails, and when no tier has an answer, in this order:
            `[Retry(), Region(...), Stale(), Review(desk), Static("...")]`; each is optional.
        cache: answers that are kept, and given again where the same is asked.
        bulkhead: how many requests at once, and how many may wait; those beyond get what costs nothing, at once.
        refusals: whether a model's refusal goes up to the next tier (the default) or is the answer.
        prices: what models cost; the dated sheet of genai-prices, where it is installed, by default.
        abstain: whether a reply whose gate cannot judge it is escalated (the default) or accepted.
        last_resort: the text for when nothing else has answered; None raises `NoAnswer` instead. `Static` in
            `fallbacks` says it with more choice.
        name: what it is called where several are told of: in metrics, traces and the console.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        *tiers: Tier | Backend | Callable[[Request], Any],
        policy: Policy | None = None,
        budget: Budget | None = None,
        lanes: Lanes | None = None,
        sessions: Sessions | None = None,
        hedge: Hedge | None = None,
        fallbacks: Sequence[Any] = (),
        cache: "AnswerCache | None" = None,
        bulkhead: Bulkhead | None = None,
        refusals: Literal["escalate", "accept"] = "escalate",
        prices: PriceSheet | None = None,
        abstain: Literal["escalate", "accept"] = "escalate",
        last_resort: str | None = LAST_RESORT,
        name: str = "",
    ) -> None:
        """Check that the parts go together."""
        self.name = name
        self.chain = Chain.of(fallbacks)
        if self.chain.static is None and last_resort is not None:
            self.chain.static = Static(last_resort)
        review, stale = self.chain.review, self.chain.stale
        if review is not None and stale is not None and hasattr(review.desk, "listen"):
            review.desk.listen(stale.learn)  # what a person has answered is not asked again
        self.tiers = self._made_tiers(tiers)
        if not self.tiers:
            raise ConfigError("a cascade needs at least one tier: Cascade(Tier(backend))")
        self.rungs = self.tiers + self._made_tiers(self.chain.region.backups if self.chain.region else ())
        positions(self.rungs)
        self.places = positions(self.tiers)
        self.policy = policy or Threshold()
        self.budget = budget or Budget()
        self.lanes = lanes or NO_LANES
        self.lanes.check(self.places)
        self.top = len(self.tiers) - 1
        self.everywhere = Entrance(0, self.top)
        self.sessions = sessions
        self.plain = self.lanes is NO_LANES and sessions is None
        self.hedge = hedge
        self.spares = hedge.allowance() if hedge is not None else None
        if hedge is not None and hedge.percentile is not None:
            for tier in self.tiers:
                tier.latencies = tier.latencies or Latencies()
        self.cache = cache
        self.bulkhead = bulkhead
        self.slots = bulkhead.slots("the cascade") if bulkhead is not None else None
        self.refusals = refusals
        self.prices = prices or PriceSheet()
        if not all(tier.price or tier.free for tier in self.rungs):
            self.prices.warm()  # reading the sheet takes a fifth of a second: not at the first request
        self.abstain = abstain
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

        `now` is the driver's clock, in seconds. With `replaying`, whatever is remembered (quotas, sessions, what is
        kept) is left alone; with an `entrance`, lanes are not asked.
        """
        if request.budget is not None and request.budget.usd is not None:
            self._check_priced(RequestError)
        run = started(self, request, now, streaming=streaming, replaying=replaying, entrance=entrance)
        return run.flow()

    # Settings.

    def _made_tiers(self, given: Sequence[Any]) -> tuple[Tier, ...]:
        tiers = tuple(tier if isinstance(tier, Tier) else Tier(tier) for tier in given)
        retry, breaker = self.chain.retry, self.chain.breaker
        if retry is None and breaker is None:
            return tiers
        return tuple(tier.through(retry, breaker) for tier in tiers)

    def estimates(self, request: Request | None) -> Ladder:
        """What is known of the tiers for a request, beforehand."""
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
        self.weighs = check is not None
        if check is not None and self.hedge is not None:
            raise ConfigError("a hedge starts the next tier, and a policy that weighs costs may skip it: choose one")
        self.ladder = self.estimates(None)
        if check is not None:
            check(self.estimates(Request.of("?")))

    def _check_priced(self, error: type[ConfigError | RequestError]) -> None:
        unpriced = [tier.name for tier in self.rungs if tier.rate(self.prices) is None]
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
        other.rungs = other.tiers + self.rungs[len(self.tiers) :]
        other._plan_by(policy or self.policy)  # noqa: SLF001 - it is one of us
        return other

    # Running.

    async def run(self, asked: Ask, /, **fields: Any) -> Answer:
        """Answer a text, a conversation or a `Request`; `fields` are those of `Request`: `task="code"`."""
        request = Request.of(asked, **fields)
        return await (heard.run(self, request) if HUB.listeners else drive.run(self.flow, request))

    def run_sync(self, asked: Ask, /, **fields: Any) -> Answer:
        """As `run`, from plain code; inside a running event loop too, which stands still meanwhile."""
        request = Request.of(asked, **fields)
        return heard.run_sync(self, request) if HUB.listeners else drive.run_sync(self.flow, request)

    def stream(self, asked: Ask, /, **fields: Any) -> AnswerStream:
        """Answer piece by piece: `async for delta in cascade.stream(...)`.

        Nothing that was given out is taken back. A stream that breaks after its beginning was given out ends with
        `IncompleteAnswer`, never as if it were whole.
        """
        request = Request.of(asked, **fields)
        return heard.stream(self, request) if HUB.listeners else AnswerStream(self.flow, request)

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
        """Whoever has something to close: backends, those that gates ask, embedders, the cache."""
        found: dict[int, Any] = {}
        seen: list[Any] = [self.lanes.semantic, self.cache]
        seen += [part for tier in self.rungs for part in (tier.backend, tier.gate)]
        for thing in seen:
            if hasattr(thing, "aclose"):
                found[id(thing)] = thing
            elif isinstance(thing, Gate | list | tuple):
                seen += vars(thing).values() if isinstance(thing, Gate) else thing
        return list(found.values())

    def __repr__(self) -> str:
        """Show the ladder."""
        return f"Cascade({', '.join(map(repr, self.tiers))}, policy={self.policy!r})"
