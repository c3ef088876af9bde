"""Where a request enters the ladder, by what is visible before any model has run.

Precedence: the caller's own `min_tier` and `max_tier` bound everything. Within them whoever must go large does
(their task, their plan, a regenerated answer); then the first lane that fits; then the session's tier, if that is
higher; else the first tier.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fastcascade._core import Cache, Clock
from fastcascade._core import Key as CacheKey
from fastcascade.answers import Entrance
from fastcascade.effects import Check, Effect, Outcome
from fastcascade.errors import ConfigError, RequestError
from fastcascade.ledger import Ledger
from fastcascade.messages import Request
from fastcascade.records import dump

if TYPE_CHECKING:
    from fastcascade.semantic import SemanticRoutes

__all__ = ["Lane", "Lanes", "Sessions"]

WHEN: Final = ("route", "task", "customer", "feature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A kind of request, and the tiers it may use. All that is given must hold; texts compare as they stand.

    `start` is the tier it enters at, `end` the highest it may reach. `longer_than` and `shorter_than` count the
    characters sent; `match` is any function of the request, and one that raises does not take it.
    """

    start: str = ""
    end: str = ""
    route: str | Collection[str] | None = None
    task: str | Collection[str] | None = None
    customer: str | Collection[str] | None = None
    feature: str | Collection[str] | None = None
    longer_than: int | None = None
    shorter_than: int | None = None
    match: Callable[[Request], bool] | None = None

    def __post_init__(self) -> None:
        """Refuse a lane that leads nowhere."""
        if not self.start and not self.end:
            raise ConfigError("a lane needs a tier to start at or to end at: Lane(start='small', task='summary')")

    def takes(self, request: Request) -> bool:
        """Whether it is for this request."""
        for name in WHEN:
            wanted = getattr(self, name)
            if wanted is not None:
                held = getattr(request, name)
                if held != wanted if isinstance(wanted, str) else held not in wanted:
                    return False
        if self.longer_than is not None and request.characters <= self.longer_than:
            return False
        if self.shorter_than is not None and request.characters >= self.shorter_than:
            return False
        if self.match is None:
            return True
        try:
            return bool(self.match(request))
        except Exception:  # noqa: BLE001 - a user's function may raise anything; the lane is then not for this request
            return False

    def __str__(self) -> str:
        """What it is for, in a few words."""
        held = [
            f"{name} {getattr(self, name)}"
            for name in (*WHEN, "longer_than", "shorter_than")
            if getattr(self, name) is not None
        ]
        return ", ".join(held) or "a rule"


class Lanes:
    """The rules by which requests enter.

    Args:
        lanes: tried in order; the first that takes the request decides.
        large_tasks: tasks that always go to the large tier.
        large_customers: kinds of customer that always do.
        large: the name of that tier; the last one by default.
        regenerated_within: seconds in which the same request of the same user or session counts as a regenerated
            answer, which goes large; `request.regenerate` always does.
        semantic: finds the route of a request that has none, by what it means.
        semantic_timeout: seconds after which it is done without.
        clock: what `regenerated_within` goes by; for tests.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        lanes: Sequence[Lane] = (),
        *,
        large_tasks: Collection[str] = (),
        large_customers: Collection[str] = (),
        large: str = "",
        regenerated_within: float | None = None,
        semantic: "SemanticRoutes | None" = None,
        semantic_timeout: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        """Keep the rules."""
        self.lanes = tuple(lanes)
        self.large_tasks = frozenset({large_tasks} if isinstance(large_tasks, str) else large_tasks)
        self.large_customers = frozenset({large_customers} if isinstance(large_customers, str) else large_customers)
        self.large = large
        self.semantic = semantic
        self.semantic_timeout = semantic_timeout
        self._seen: Cache[bool] | None = None
        if regenerated_within is not None:
            self._seen = Cache(max_items=100_000, ttl=regenerated_within, clock=clock)

    def check(self, places: Mapping[str, int]) -> None:
        """Refuse rules that name tiers which are not there."""
        for lane in self.lanes:
            for name in (lane.start, lane.end):
                if name and name not in places:
                    msg = f"lane ({lane}) names the tier {name!r}; there are: {', '.join(places)}"
                    raise ConfigError(msg)
            if lane.start and lane.end and places[lane.start] > places[lane.end]:
                msg = f"lane ({lane}) starts at {lane.start!r}, above its end {lane.end!r}"
                raise ConfigError(msg)
        if self.large and self.large not in places:
            msg = f"large names the tier {self.large!r}; there are: {', '.join(places)}"
            raise ConfigError(msg)

    def find_route(self, request: Request, ledger: Ledger) -> Generator[Effect, Outcome, Request]:
        """Give a request without a route the one it is about. An embedder that fails finds none."""
        if self.semantic is None or request.route or not request.text:
            return request
        label = ledger.label("lanes", "embed")
        patience = ledger.time_left(self.semantic_timeout)
        outcome = yield Check(self.semantic.embed, (request.text,), "embed", patience, label=label)
        ledger.outcomes[label] = outcome
        ledger.tick(outcome)
        if outcome.failure is not None:
            return request
        try:
            route, _score = self.semantic.match(outcome.value)
        except ValueError:  # a vector of another model than the table's
            return request
        return replace(request, route=route) if route else request

    def choose(
        self, request: Request, places: Mapping[str, int], sticky: int = 0, *, remember: bool = True
    ) -> Entrance:
        """Say where it enters; `sticky` is the tier its session has reached."""
        bounded = self._bounds(request, places)
        large = places[self.large] if self.large else len(places) - 1
        chosen = Entrance(sticky, bounded.last, "its session is here" if sticky else "")
        if why := self._must_go_large(request, remember=remember):
            chosen = Entrance(max(large, sticky), bounded.last, why)
        else:
            lane = next((lane for lane in self.lanes if lane.takes(request)), None)
            if lane is not None:
                start = places[lane.start] if lane.start else 0
                end = places[lane.end] if lane.end else bounded.last
                chosen = Entrance(min(max(start, sticky), end), end, str(lane))
        last = max(bounded.first, min(chosen.last, bounded.last))
        return Entrance(min(max(chosen.first, bounded.first), last), last, chosen.why or bounded.why)

    def _bounds(self, request: Request, places: Mapping[str, int]) -> Entrance:
        if not request.min_tier and not request.max_tier:
            return Entrance(0, len(places) - 1)
        ends = []
        for field, default in (("min_tier", 0), ("max_tier", len(places) - 1)):
            name = getattr(request, field)
            if name and name not in places:
                msg = f"{field} names the tier {name!r}; there are: {', '.join(places)}"
                raise RequestError(msg)
            ends.append(places[name] if name else default)
        if ends[0] > ends[1]:
            msg = f"min_tier {request.min_tier!r} is above max_tier {request.max_tier!r}"
            raise RequestError(msg)
        return Entrance(ends[0], ends[1], "as the caller asked")

    def _must_go_large(self, request: Request, *, remember: bool) -> str:
        again = self.note(request) if remember else False
        if request.regenerate:
            return "a regenerated answer"
        if request.task and request.task in self.large_tasks:
            return f"task {request.task} always goes large"
        if request.customer and request.customer in self.large_customers:
            return f"customer {request.customer} always goes large"
        return "asked again" if again else ""

    def asked_before(self, request: Request) -> bool:
        """Whether the same user or session has asked this a moment ago; it is not noted."""
        key = self._asked(request)
        return key is not None and self._seen is not None and self._seen.get(key) is not None

    def note(self, request: Request) -> bool:
        """Note that it was asked; whether it was before."""
        key = self._asked(request)
        if key is None or self._seen is None:
            return False
        before = self._seen.get(key) is not None
        self._seen.put(key, True)  # noqa: FBT003 - it is what is kept
        return before

    def _asked(self, request: Request) -> CacheKey | None:
        """Two users may well ask the same; only one who is known can be asking again."""
        if self._seen is None or not (request.user or request.session):
            return None
        asked: Any = {"messages": dump(request.messages), "system": dump(request.system), "tools": dump(request.tools)}
        return CacheKey(request.user, request.session, asked)


class Sessions:
    """Keeps a conversation on the tier it has reached, and remembers what the provider has in its prompt cache.

    Args:
        ttl: seconds after its last turn that a session is remembered.
        max_items: sessions remembered at once.
        clock: what `ttl` goes by; for tests.
    """

    def __init__(self, *, ttl: float = 1800.0, max_items: int = 100_000, clock: Clock | None = None) -> None:
        """Remember nothing yet."""
        self._kept: Cache[tuple[int, str, int]] = Cache(max_items=max_items, ttl=ttl, clock=clock)

    def place(self, request: Request) -> int:
        """The tier its conversation has reached."""
        kept = self._kept.get((request.user, request.session)) if request.session else None
        return kept[0] if kept else 0

    def keep(self, request: Request, place: int, model: str, tokens: int) -> int:
        """Remember where this turn was answered; the tokens that a change of model leaves behind in a prompt cache."""
        if not request.session:
            return 0
        key = (request.user, request.session)
        before = self._kept.get(key)
        # One turn that was held low by its own bounds does not bring the conversation down.
        self._kept.put(key, (max(place, before[0]) if before else place, model, tokens))
        return before[2] if before and before[1] != model else 0
