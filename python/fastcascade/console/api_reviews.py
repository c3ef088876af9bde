"""The calls of the review desk's page: the queue, claiming, answering, and undoing for some seconds.

The lease, which is the right to answer, is told to who has claimed and to nobody else. An answer is held back on the
server for ten seconds, so that a closed page does not lose it. The store decides what came first, an answer or its
undo, also where the calls of one page reach several workers.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, cast

from fastcascade.console.api_reviews_desks import Counter, counter, counters_of, held_of
from fastcascade.console.asked import Asked, Call, Refusal, Said
from fastcascade.errors import RequestError, StoreError
from fastcascade.reviews.shown import whole

if TYPE_CHECKING:
    from fastcascade.reviews.held import Pick
    from fastcascade.stores.reviews import Review

__all__ = ["CALLS"]

HOLD: Final = 10.0
"""Seconds in which an answer can be undone; less where a lease is shorter than twice that."""
LONGEST: Final = 200_000
"""Characters of an answer."""
NOTE: Final = 20_000
TICKET: Final = 512

Run = Callable[[Asked], Awaitable[Said]]


def _told(run: Run) -> Run:
    """Say in the console's words what a store or a desk refuses."""

    @wraps(run)
    async def told(asked: Asked) -> Said:
        try:
            return await run(asked)
        except StoreError:
            raise Refusal(503, "the store of reviews cannot be reached; nothing is lost, try again", 2.0) from None
        except RequestError as error:
            raise Refusal(400, str(error)) from None

    return told


@_told
async def queue(asked: Asked) -> Said:
    """All desks: what waits, and who has what."""
    sight, desks, reviews = asked.sight, [], []
    for each in counters_of(sight).values():
        desk = {"name": each.name, "cascades": each.cascades, "lease": each.desk.lease, "away": False}
        try:
            board = await each.board(sight)
        except StoreError:
            desks.append({**desk, "away": True, "counts": {}})
            continue
        desks.append({**desk, "counts": board["counts"]})
        reviews += [_mine(line, asked) for line in board["reviews"]]
    return Said(value={"now": sight.now(), "hold": HOLD, "desks": desks, "reviews": reviews})


@_told
async def claim(asked: Asked) -> Said:
    """Claim the one that is due first, or a given one; one's own comes back under a new lease."""
    at, ticket = counter(asked.sight, _word(asked, "desk")), _word(asked, "ticket", TICKET)
    if held_of(asked.sight).until(ticket, asked.person.name) is not None:
        raise Refusal(409, "your answer to this one is on its way; undo it first")
    review = await at.desk.claim(asked.person.name, ticket)
    at.stale()
    if review is not None:
        return Said(value=_claimed(review, at, asked))
    if not ticket:
        return Said(value={"review": None})
    return Said(value={"review": None, "lost": await _standing(at, ticket, asked)})


@_told
async def renew(asked: Asked) -> Said:
    """Hold it for another lease; what became of it where that cannot be."""
    at, ticket, lease = _right(asked)
    if await at.desk.renew(ticket, lease):
        return Said(value={"held": True, "until": asked.sight.now() + at.desk.lease, "now": asked.sight.now()})
    return Said(value={"held": False, "lost": await _standing(at, ticket, asked)})


@_told
async def release(asked: Asked) -> Said:
    """Give it back."""
    at, ticket, lease = _right(asked)
    if held_of(asked.sight).until(ticket, asked.person.name) is not None:
        raise Refusal(409, "your answer to this one is on its way; undo it first")
    given = await at.desk.release(ticket, lease)
    at.stale()
    return Said(value={"released": given, **({} if given else {"lost": await _standing(at, ticket, asked)})})


@_told
async def answer(asked: Asked) -> Said:
    """Take an answer, and hold it back for some seconds."""
    at, ticket, lease = _right(asked)
    review = await _own(at, ticket, lease, asked)
    until = None
    if review is not None:
        text, pick = _answered(asked)
        seconds = min(HOLD, at.desk.lease / 2)
        note = _word(asked, "note", NOTE)
        until = await held_of(asked.sight).hold(at.desk, review, text, pick=pick, note=note, seconds=seconds)
    if until is None:
        return Said(value={"held": False, "lost": await _standing(at, ticket, asked)})
    return Said(value={"held": True, "until": until, "now": asked.sight.now()})


@_told
async def undo(asked: Asked) -> Said:
    """Take back an answer that was not sent yet: the review again, under a new lease."""
    at, ticket = counter(asked.sight, _word(asked, "desk")), _word(asked, "ticket", TICKET)
    standing = await at.desk.get(ticket)
    if standing is None or standing.reviewer != asked.person.name:
        return Said(value={"undone": False, "lost": await _standing(at, ticket, asked)})
    review = await held_of(asked.sight).undo(at.desk, asked.person.name, ticket)
    at.stale()
    if review is None:
        return Said(value={"undone": False, "lost": await _standing(at, ticket, asked)})
    return Said(value={"undone": True, **_claimed(review, at, asked)})


@_told
async def send(asked: Asked) -> Said:
    """Send an answer at once, whether it is held here, in another worker, or nowhere any more. Safe to repeat."""
    at, ticket, lease = _right(asked)
    held, came = held_of(asked.sight), None
    if held.until(ticket, asked.person.name) is not None:
        came = await held.send(at.desk, ticket, lease)
    if came is None:
        review = await at.desk.get(ticket)
        if review is None or review.reviewer != asked.person.name:
            return Said(value={"came": "lapsed", "lost": await _standing(at, ticket, asked)})
        text, pick = _answered(asked)
        came = await at.desk.answer(ticket, text, pick=pick, lease=lease, note=_word(asked, "note", NOTE))
    at.stale()
    lost = {} if came in {"done", "again"} else {"lost": await _standing(at, ticket, asked)}
    return Said(value={"came": came, **lost})


async def _own(at: Counter, ticket: str, lease: str, asked: Asked) -> "Review | None":
    """The review, where it is this person's as far as one can tell; the store has the last word."""
    review = await at.desk.get(ticket)
    if review is None or review.state != "claimed" or review.reviewer != asked.person.name:
        return None
    return replace(review, lease=lease)


async def _standing(at: Counter, ticket: str, asked: Asked) -> dict[str, Any]:
    """What became of a review that one does not hold."""
    review = await at.desk.get(ticket)
    if review is None:
        return {"state": "gone", "reviewer": "", "mine": False}
    return {"state": review.state, "reviewer": review.reviewer, "mine": review.reviewer == asked.person.name}


def _claimed(review: "Review", at: Counter, asked: Asked) -> dict[str, Any]:
    """What the one who has claimed it is told, and nobody else."""
    shown = {"desk": at.name, "mine": True, **whole(review)}
    return {"review": shown, "lease": review.lease, "until": review.leased_until, "now": asked.sight.now()}


def _mine(line: dict[str, Any], asked: Asked) -> dict[str, Any]:
    mine = line["state"] == "claimed" and line["reviewer"] == asked.person.name
    return {
        **line,
        "mine": mine,
        "sending": held_of(asked.sight).until(line["ticket"], asked.person.name) if mine else None,
    }


def _right(asked: Asked) -> tuple[Counter, str, str]:
    ticket, lease = _word(asked, "ticket", TICKET), _word(asked, "lease", TICKET)
    if not ticket or not lease:
        raise Refusal(400, "this needs the ticket of a review and the lease under which it was claimed")
    return counter(asked.sight, _word(asked, "desk")), ticket, lease


def _answered(asked: Asked) -> "tuple[str | None, Pick | None]":
    pick: Any = asked.body.get("pick")
    if pick is None:
        return _word(asked, "text", LONGEST), None
    if type(pick) is not int and not (isinstance(pick, str) and pick in {"best", "none"}):
        raise Refusal(400, "pick is the number of an attempt, 'best' or 'none'")
    return None, cast("Pick", pick)


def _word(asked: Asked, name: str, most: int = 200) -> str:
    """A text of the body; empty where there is none."""
    if not isinstance(asked.body, Mapping):
        raise Refusal(400, "this call takes a JSON object")
    value = asked.body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise Refusal(400, f"{name} must be a text of at most {most:,} characters")
    return value


CALLS: Final[Mapping[tuple[str, str], Call]] = {
    ("GET", "/console/api/reviews"): Call(queue, "reviewer"),
    ("POST", "/console/api/reviews/claim"): Call(claim, "reviewer"),
    ("POST", "/console/api/reviews/renew"): Call(renew, "reviewer"),
    ("POST", "/console/api/reviews/release"): Call(release, "reviewer"),
    ("POST", "/console/api/reviews/answer"): Call(answer, "reviewer"),
    ("POST", "/console/api/reviews/undo"): Call(undo, "reviewer"),
    ("POST", "/console/api/reviews/send"): Call(send, "reviewer"),
}
