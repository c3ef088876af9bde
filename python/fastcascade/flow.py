"""The way of one request, from top to bottom. No I/O: it yields what it wants done and is sent what came of it.

look         the same was answered before, or is being asked now (recall.py)
let in       within the limit of requests at once, or turned away
enter        by what is visible
climb        until the policy is content or the budget is spent
fall back    what the chain has: a region, a stale answer, a person, at last a text that always works
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fastcascade.answers import Answer, Entrance
from fastcascade.effects import Check, Effect, Emit, Outcome, Sleep, Spawn, recalled
from fastcascade.errors import NoAnswer
from fastcascade.fallbacks.review import Review
from fastcascade.fallbacks.stale import Found, Stale
from fastcascade.ledger import Ledger
from fastcascade.messages import Request
from fastcascade.notices import NoticeKind, notify
from fastcascade.recall import STALE, Recall
from fastcascade.streaming import pieces

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.stores.reviews import Why

__all__ = ["Run", "started"]

TRIES: Final = 5
"""How often a stale answer is asked for again behind its caller."""
# Labels of what the chain did, in the trace: a replay finds it there.
TURNED_AWAY: Final = "chain/turned away"
WAITED: Final = "chain/waited"
REVIEW: Final = "chain/review"
LAST: Final = -1_000_000
"""A priority below all others."""
HANDING_OVER: Final = 5.0
"""Seconds a store has to keep a review."""
UNSURE: Final = frozenset({"below threshold", "a better tier failed", "deadline", "money", "attempts", "refused"})


@dataclass(slots=True)
class Run(Recall):
    """One request on its way, with what is done before the ladder and after it."""

    def flow(self) -> Generator[Effect, Outcome, Answer]:
        """All of it."""
        cascade = self.cascade
        if cascade.cache is not None:
            answer = yield from self._through(cascade.cache)
        elif cascade.chain.stale is not None:
            answer = yield from self._unkept()
        else:
            answer = yield from (self._let_in() if cascade.slots is not None else self._answered())
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
    return await review.submit(answer.request, why, answer.reply, answer.trace())


def _is_drawn(review: Review) -> bool:
    try:
        return review.desk.sampled()
    except Exception:  # noqa: BLE001 - what draws may be a user's own
        return False


def _nothing() -> None:
    """Never called: a replay looks for what was recorded under the label."""
