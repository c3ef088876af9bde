"""What one request need not ask for: an answer that is kept, or that somebody else waits for. The rest is in flow.py.

look in the cache     the same was answered; or, where a semantic cache is wanted, something that means the same
look on the shelf     the same was answered a moment ago, or is being asked now (`Stale`)
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fastcascade.answers import Answer
from fastcascade.ascent import Ascent
from fastcascade.effects import Check, Effect, Outcome, Spawn, recalled
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.stale import Flight, Found, Kept, Stale

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache, Sought

__all__ = ["FOUND", "STALE", "Recall"]

# Labels of what was found, in the trace: a replay finds it there.
FOUND: Final = "chain/found"
STALE: Final = "chain/stale"
AWAITED: Final = "chain/awaited"
LATE: Final = "chain/late"
CACHED: Final = "chain/cached"
KEEPING: Final = "chain/keeping"
ITS_OWN: Final = frozenset({"deadline", "money", "attempts", "incomplete"})
"""In what an answer falls short because of one caller's own bounds, or reading: another may do better."""


@dataclass(slots=True)
class Recall(Ascent):
    """The state of one run, with what is looked for before anybody is asked."""

    def _let_in(self) -> Generator[Effect, Outcome, Answer]:
        """Ask, and fall back."""
        raise NotImplementedError

    def _fallen(self, answer: Answer, *, turned_away: bool = False) -> Generator[Effect, Outcome, Answer]:
        """What the chain has to offer."""
        raise NotImplementedError

    def _refresh(self, stale: Stale, key: str, *, pause: float) -> Generator[Effect, Outcome, None]:
        """Ask again behind the caller."""
        raise NotImplementedError

    # The cache.

    def _through(self, cache: "AnswerCache") -> Generator[Effect, Outcome, Answer]:
        """An answer that the cache has; else go and ask, for it too."""
        if self.replaying:
            outcome = yield recalled(CACHED)
            self.ledger.tick(outcome)
            if isinstance(outcome.value, Found):
                return self._kept(outcome.value, CACHED)
            return (yield from self._unkept())
        sought = cache.sought(self.request, self.cascade, self._floor)
        if sought is None:
            return (yield from self._unkept())
        try:
            if self.request.regenerate:
                if sought.levels is None:  # in plain code, which has no loop yet
                    yield Check(cache.begin, (sought,), "cache", cache.keeping, label=CACHED)
            elif (found := (yield from self._cached(cache, sought))) is not None:
                self.cascade.lanes.note(self.request)
                return self._kept(found, CACHED)
            answer = yield from self._unkept()
            if not self._unjudged() and sought.made(answer):
                yield Spawn(lambda _now: _keeping(cache, sought))
        finally:
            sought.end()
        return answer

    def _cached(self, cache: "AnswerCache", sought: "Sought") -> Generator[Effect, Outcome, Found | None]:
        """What is in memory; else what is further away, for which it takes waiting."""
        ledger = self.ledger
        alone = self.streaming or bool(self.request.callback)  # goes as fast as its own client reads
        found = cache.peek(sought)
        if found is not None or not cache.waits(alone=alone):
            return found
        began = ledger.now
        outcome = yield Check(cache.seek, (sought, alone), "cache", ledger.time_left(None), label=CACHED)
        ledger.tick(outcome)
        if outcome.value is None:
            self._note(CACHED, None, began)
        return outcome.value if isinstance(outcome.value, Found) else None

    def _floor(self, route: str) -> int:
        """The lowest tier that this request may be answered by, if it is about `route`."""
        cascade, request = self.cascade, self.request
        if self._enters_anywhere():
            return 0
        if route and not request.route:
            request = replace(request, route=route)
        sticky = cascade.sessions.place(request) if cascade.sessions is not None else 0
        if cascade.lanes.asked_before(request):
            request = replace(request, regenerate=True)
        return cascade.lanes.choose(request, cascade.places, sticky, remember=False).first

    def _unjudged(self) -> bool:
        """Whether it went out past its gate, as a stream of the last tier that a request may use does."""
        climb = self.climb
        if not self.streaming or climb is None or climb.best is None:
            return False
        return climb.best.position == climb.last and climb.tiers[climb.last].gate is not None

    def _unkept(self) -> Generator[Effect, Outcome, Answer]:
        """Look on the shelf, where there is one, and ask."""
        stale = self.cascade.chain.stale
        key = self._key(stale) if stale is not None else None
        if stale is None or key is None:
            return (yield from self._let_in())
        return (yield from self._looked(stale, key))

    # The shelf.

    def _key(self, stale: Stale) -> str | None:
        """What the answer is filed under; None for a request that holds what has no written form."""
        try:
            return stale.key(self.request)
        except ConfigError:
            return None

    def _looked(self, stale: Stale, key: str) -> Generator[Effect, Outcome, Answer]:
        """An answer that is kept, or that somebody else is waiting for; else go and ask."""
        if self.replaying:
            return (yield from self._looked_up())
        request, ledger = self.request, self.ledger
        held = None if request.regenerate else stale.shelf.find(key, ledger.now)
        if held is not None and held[1] < stale.fresh_for + stale.while_refreshing:
            if held[1] >= stale.fresh_for:
                yield from self._refresh(stale, key, pause=0.0)
            return self._kept(Found(held[0], "cache", held[1]))
        # A stream goes as fast as its own client reads, and a callback is one caller's: these ask for themselves.
        if request.regenerate or self.streaming or request.callback:
            answer = yield from self._let_in()
            self._keep(stale, key, answer)
            return answer
        flight, mine, now = yield from stale.joined(key, ledger.now, ledger.time_left(None))
        if now > ledger.now:
            began, ledger.now = ledger.now, now
            self._note(AWAITED, None, began)
        if mine:
            return (yield from self._flown(stale, key, flight))
        if flight.landed and isinstance(flight.result, Answer):
            return self._joined(flight.result)
        self._note(LATE, None)
        return (yield from self._fallen(self._made(Answer(None, request, degraded="deadline"))))

    def _joined(self, theirs: Answer) -> Answer:
        """What the one who asked has got, which may be no answer."""
        if theirs.reply is None:
            return self._made(replace(theirs, request=self.request, attempts=(), entrance=None))
        kept = Kept(theirs.reply, self.ledger.now, theirs.tier, theirs.confidence)
        return self._kept(Found(kept, "joined", None, theirs.degraded, theirs.ticket))

    def _looked_up(self) -> Generator[Effect, Outcome, Answer]:
        """What was found when it was recorded."""
        self.ledger.tick((yield recalled(AWAITED)))
        outcome = yield recalled(FOUND)
        if isinstance(outcome.value, Found):
            return self._kept(outcome.value)
        outcome = yield recalled(LATE)
        if outcome.failure is not None:
            return (yield from self._let_in())
        return (yield from self._fallen(self._made(Answer(None, self.request, degraded="deadline"))))

    def _flown(self, stale: Stale, key: str, flight: Flight[Answer]) -> Generator[Effect, Outcome, Answer]:
        """Ask, for all who ask the same meanwhile. If this run is given up, or short of what they have, they ask."""
        try:
            answer = yield from self._let_in()
        except BaseException:
            stale.shelf.land(key, flight)
            raise
        self._keep(stale, key, answer)
        stale.shelf.land(key, flight, answer, shared=answer.degraded not in ITS_OWN)
        return answer

    def _kept(self, found: Found, label: str = "") -> Answer:
        """The answer that was found, which no call was made for."""
        self._note(label or (STALE if found.via == "stale" else FOUND), found)
        kept, degraded = found.kept, "stale" if found.via == "stale" else found.degraded
        answer = Answer(kept.reply, self.request, kept.tier, kept.confidence, degraded=degraded, ticket=found.ticket)
        return self._made(replace(answer, via=found.via, age=found.age))

    def _note(self, label: str, value: Any, since: float | None = None) -> None:
        """Write down what the chain found, and since when it looked, for a replay to find it too and take as long."""
        began = self.ledger.now if since is None else since
        self.ledger.outcomes[label] = Outcome(value, None, began, self.ledger.now)

    def _keep(self, stale: Stale, key: str, answer: Answer) -> None:
        """Keep an answer that was accepted, and nothing less."""
        if not self.replaying and answer.reply is not None and not answer.degraded and answer.via in ("", "region"):
            kept = Kept(answer.reply, self.ledger.now, answer.tier, answer.confidence)
            stale.shelf.keep(key, kept, self.ledger.now)

    def refreshed(self, stale: Stale, key: str) -> Generator[Effect, Outcome, Answer]:
        """Ask the tiers, for the shelf alone."""
        answer = yield from self._climbed()
        self._keep(stale, key, answer)
        return answer


def _keeping(cache: "AnswerCache", sought: "Sought") -> Generator[Effect, Outcome, None]:
    """Keep an answer for others too. Nobody waits for it."""
    yield Check(cache.keep, (sought,), "cache", cache.keeping, label=KEEPING)
