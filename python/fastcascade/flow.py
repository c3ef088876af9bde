"""The way of one request, from top to bottom. No I/O: it yields what it wants done and is sent what came of it.

look         the same was asked a moment ago, or is being asked now
let in       within the limit of requests at once, or turned away
enter        by what is visible
climb        until the policy is content or the budget is spent
fall back    what the chain has: a region, a stale answer, a person, at last a text that always works
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fastcascade.answers import Answer, Entrance
from fastcascade.ascent import Ascent
from fastcascade.effects import Check, Effect, Emit, Outcome, Sleep, Spawn, recalled
from fastcascade.errors import ConfigError, NoAnswer
from fastcascade.fallbacks.review import Review
from fastcascade.fallbacks.stale import Flight, Found, Kept, Stale
from fastcascade.ledger import Ledger
from fastcascade.messages import Request
from fastcascade.notices import NoticeKind, notify
from fastcascade.records import dump
from fastcascade.streaming import pieces

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.stores.reviews import Why

__all__ = ["Run", "started"]

TRIES: Final = 5
"""How often a stale answer is asked for again behind its caller."""
# Labels of what the chain did, in the trace: a replay finds it there.
FOUND: Final = "chain/found"
STALE: Final = "chain/stale"
AWAITED: Final = "chain/awaited"
LATE: Final = "chain/late"
TURNED_AWAY: Final = "chain/turned away"
WAITED: Final = "chain/waited"
REVIEW: Final = "chain/review"
LAST: Final = -1_000_000
"""A priority below all others."""
HANDING_OVER: Final = 5.0
"""Seconds a store has to keep a review."""
ITS_OWN: Final = frozenset({"deadline", "money", "attempts", "incomplete"})
"""In what an answer falls short because of one caller's own bounds, or reading: another may do better."""
UNSURE: Final = frozenset({"below threshold", "a better tier failed", "deadline", "money", "attempts", "refused"})


@dataclass(slots=True)
class Run(Ascent):
    """One request on its way, with what is done before the ladder and after it."""

    def flow(self) -> Generator[Effect, Outcome, Answer]:
        """All of it."""
        stale = self.cascade.chain.stale
        key = self._key(stale) if stale is not None else None
        if stale is None or key is None:
            answer = yield from (self._let_in() if self.cascade.slots is not None else self._answered())
        else:
            answer = yield from self._looked(stale, key)
        if answer.reply is None:
            tried = "; ".join(
                f"{each.tier}: {each.error.message if each.error else each.reason}" for each in answer.attempts
            )
            msg = f"no tier answered ({tried or answer.degraded})"
            raise NoAnswer(msg, answer)
        if self.streaming and not self.seen:
            yield Emit(pieces(answer.reply))
        return answer

    # Let in.

    def _let_in(self) -> Generator[Effect, Outcome, Answer]:
        """Wait for a place, where there is a limit; those who are turned away get what costs nothing."""
        slots, ledger = self.cascade.slots, self.ledger
        if slots is None:
            return (yield from self._answered())
        if self.replaying:
            for label in (WAITED, TURNED_AWAY):
                outcome = yield recalled(label)
                ledger.tick(outcome)
                if outcome.failure is None and label == TURNED_AWAY:
                    return (yield from self._turned_away(outcome.value))
            return (yield from self._answered())
        ticket = slots.enter(ledger.now, self.request.priority, ledger.time_left(None))
        try:
            if ticket.state == "waiting":
                began = ledger.now
                ledger.tick((yield Sleep(max(0.0, ticket.until - began), ticket.signal)))
                self._note(WAITED, None, began)
            if ticket.state != "in":
                slots.give_up(ticket, ledger.now)
                return (yield from self._turned_away(slots.hint(ledger.now)))
            began = ledger.now
            answer = yield from self._answered()
            late = answer.degraded == "deadline"
            slots.leave(ticket, ledger.now, ledger.now - began, failed=late)
        finally:
            slots.give_up(ticket, ledger.now)  # nothing, where it has left
        return answer

    def _turned_away(self, wait: float) -> Generator[Effect, Outcome, Answer]:
        notify("overloaded", "the cascade", "requests are turned away: its slots are taken, and its queue is full")
        self._note(TURNED_AWAY, wait)
        answer = self._made(Answer(None, self.request, degraded="overloaded", retry_after=wait))
        return (yield from self._fallen(answer, turned_away=True))

    # Look.

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

    def _kept(self, found: Found) -> Answer:
        """The answer that was found, which no call was made for."""
        self._note(STALE if found.via == "stale" else FOUND, found)
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

    def _refresh(self, stale: Stale, key: str, *, pause: float) -> Generator[Effect, Outcome, None]:
        """Ask again behind the caller, once for all who were given the kept answer.

        Beside a call that has failed, that is one more: it is paid for, as a retry is.
        """
        if (pause == 0.0 or stale.again.withdraw(self.ledger.now)) and stale.shelf.begin_refresh(key):
            cascade, request = self.cascade, self.request
            yield Spawn(lambda now: _refreshing(cascade, request, stale, key, pause, now))

    # Enter, climb.

    def _answered(self) -> Generator[Effect, Outcome, Answer]:
        """Ask the tiers, and the chain where they have no answer, or none that is good enough."""
        if self.cascade.chain.stale is not None and not self.replaying:
            self.cascade.chain.stale.again.deposit(self.ledger.now)
        answer = yield from self._climbed()
        if answer.reply is None or answer.degraded or self.cascade.chain.review is not None:
            answer = yield from self._fallen(answer)
        return answer

    # Fall back.

    def _fallen(self, answer: Answer, *, turned_away: bool = False) -> Generator[Effect, Outcome, Answer]:
        """What the chain has to offer, link by link. Those who were turned away cost no call."""
        chain, ledger = self.cascade.chain, self.ledger
        ledger.reserve = 0.0  # it was kept back for this
        for link in chain.order:
            if isinstance(link, Review):
                answer = yield from self._handed_over(link, answer, turned_away=turned_away)
            elif answer.reply is not None:
                continue
            elif isinstance(link, Stale):
                answer = yield from self._aged(link, answer, turned_away=turned_away)
            elif not turned_away:
                answer = yield from self._elsewhere(answer)
        if answer.reply is None and chain.static is not None:
            answer = self._made(replace(answer, reply=chain.static.reply(self.request), via="static"))
        if answer.via in ("region", "stale", "static") and not self.replaying:
            notify("degraded", "the cascade", f"an answer came from {answer.via}: {answer.degraded or 'it is whole'}")
        return answer

    def _elsewhere(self, answer: Answer) -> Generator[Effect, Outcome, Answer]:
        """Ask the tiers of the region behind the ladder, until one has an answer."""
        climb, standing = self.climb, None
        if climb is None or climb.maybe_done:
            return answer
        for position in range(self.cascade.top + 1, len(self.cascade.rungs)):
            if climb.best is not None or self.ledger.spent:
                break
            standing = yield from climb.attempt(position)
        judged = self._judged(climb, self.entrance or self.cascade.everywhere, standing)
        return replace(judged, via="region") if judged.reply is not None else judged

    def _aged(self, stale: Stale, answer: Answer, *, turned_away: bool) -> Generator[Effect, Outcome, Answer]:
        """The last good answer, if it is not too old; it is asked for again behind the caller."""
        if self.replaying:
            outcome = yield recalled(STALE)
            found = outcome.value if isinstance(outcome.value, Found) else None
        else:
            key = self._key(stale) or ""
            held = stale.shelf.find(key, self.ledger.now) if key else None
            found = None
            if held is not None and held[1] <= stale.stale_for:
                found = Found(held[0], "stale", held[1])
                if not turned_away and not (self.climb is not None and self.climb.maybe_done):
                    yield from self._refresh(stale, key, pause=stale.refresh)
        if found is None:
            return answer
        kept = self._kept(found)
        return replace(kept, attempts=answer.attempts, entrance=answer.entrance, retry_after=answer.retry_after)

    def _handed_over(self, review: Review, answer: Answer, *, turned_away: bool) -> Generator[Effect, Outcome, Answer]:
        """Have a person answer what no tier could, or not well enough; and some that are drawn, to be checked."""
        why = "failed" if answer.reply is None else "unsure"
        wanted = answer.reply is None or (answer.degraded in UNSURE and answer.via in ("", "region"))
        if turned_away or self.seen:
            return answer
        if not wanted or why not in review.when:
            if not self.replaying and not answer.degraded and not answer.via and _is_drawn(review):
                yield Spawn(lambda _now: _sampled(review, answer))
            return answer
        given = (review, answer, why)
        patience = self.ledger.time_left(HANDING_OVER)
        outcome = yield Check(_submitted, given, "review", patience, label=REVIEW)
        self.ledger.outcomes[REVIEW] = Outcome(outcome.value, outcome.failure, outcome.started, outcome.ended)
        self.ledger.tick(outcome)
        if outcome.failure is not None:
            if not self.replaying:
                kind: NoticeKind = "review" if outcome.failure.kind == "bad_request" else "store off"
                notify(kind, "reviews", f"a review could not be kept ({outcome.failure.kind}); it has no ticket")
            return self._made(answer)
        return self._made(replace(answer, ticket=str(outcome.value)))


def started(
    cascade: "Cascade",
    request: Request,
    now: float,
    *,
    streaming: bool = False,
    replaying: bool = False,
    entrance: Entrance | None = None,
) -> Run:
    """A run that begins now."""
    budget = request.budget or cascade.budget
    ledger = Ledger(budget, cascade.prices, now, now, counting=not replaying)
    if cascade.chain.reserve and budget.deadline is not None:
        ledger.reserve = min(cascade.chain.reserve, budget.deadline / 4)
    return Run(cascade, request, ledger, streaming, replaying, entrance)


def _refreshing(
    cascade: "Cascade", request: Request, stale: Stale, key: str, pause: float, now: float
) -> Generator[Effect, Outcome, None]:
    """Ask for an answer anew, a few times, until there is a good one; as one of the requests, after all others."""
    try:
        for number in range(TRIES):
            if pause > 0.0:
                now = (yield Sleep(pause)).ended
            if number and not stale.again.withdraw(now):
                return
            slots = cascade.slots
            ticket = slots.enter(now, LAST, 0.0) if slots is not None else None
            try:
                if ticket is None or ticket.state == "in":
                    run = started(cascade, request, now)
                    answer = yield from run.refreshed(stale, key)
                    now = run.ledger.now
                    if not answer.degraded:
                        return
            finally:
                if slots is not None and ticket is not None:
                    slots.give_up(ticket, now)
            pause = 2.0 * (pause or stale.refresh)
    finally:
        stale.shelf.end_refresh(key)


def _sampled(review: Review, answer: Answer) -> Generator[Effect, Outcome, None]:
    """Hand over an answer to be checked. Nobody waits for it."""
    outcome = yield Check(_submitted, (review, answer, "sampled"), "review", HANDING_OVER, label=REVIEW)
    if outcome.failure is not None:
        notify("store off", "reviews", f"a sample could not be kept for review ({outcome.failure.kind})")


async def _submitted(review: Review, answer: Answer, why: "Why") -> str:
    return await review.submit(answer.request, why, answer.reply, dump(answer))


def _is_drawn(review: Review) -> bool:
    try:
        return review.desk.sampled()
    except Exception:  # noqa: BLE001 - what draws may be a user's own
        return False


def _nothing() -> None:
    """Never called: a replay looks for what was recorded under the label."""
