"""What a store of reviews keeps, and what it promises.

A review is a request that a person is to answer. It goes from `waiting` to `claimed` and to `answered`; a claim that
lapses goes back to waiting; what nobody answered by its due time is `expired`. A store promises:

- what `add` has returned is not lost, whichever process is killed whenever;
- a review is handed to one reviewer at a time, and to another only when the lease has lapsed or was given back;
- it is answered once: of all answers ever sent, one is kept, and never replaced;
- every answered or expired review that has a callback is offered for calling back until that was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import fastcascade.answers  # noqa: F401 - makes what a review holds readable
from fastcascade.blocks import nothing
from fastcascade.messages import Reply, Request
from fastcascade.records import known

__all__ = ["Answered", "Counts", "Review", "ReviewState", "ReviewStore", "Why"]

ReviewState: TypeAlias = Literal["waiting", "claimed", "answered", "expired"]
Why: TypeAlias = Literal["failed", "unsure", "sampled", "asked"]
"""No tier answered; none was sure; drawn to be checked; the caller wants a person."""
Answered: TypeAlias = Literal["done", "again", "lapsed", "taken", "unknown"]
"""What came of an answer: kept; kept already under this very lease, with the same words; too late, and not kept, since
the lease had lapsed and the review was given back, went to another or expired; answered already, by another or in other
words; no such review."""


@dataclass(frozen=True, slots=True)
class Review:
    """A request that a person is to answer. Times are seconds since 1970."""

    id: str  # the caller's ticket: cannot be guessed
    request: Request
    why: Why
    created: float
    due: float | None = None
    best: Reply | None = None  # the best answer so far
    trace: Mapping[str, Any] = field(default_factory=nothing, hash=False)  # every attempt, as `Answer.trace()` has it
    slice: str = ""  # the kind of case, for the evals
    callback: str = ""  # a URL that is told
    state: ReviewState = "waiting"
    reviewer: str = ""
    lease: str = ""  # the right to answer; in what `claim` returns, and nowhere else
    leased_until: float | None = None
    claims: int = 0  # how often it was handed out
    answer: Reply | None = None
    ended: float | None = None  # when it was answered, or expired
    note: str = ""  # the reviewer's own words about it
    called: bool = False  # the callback was taken
    calls: int = 0  # tries of the callback


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of each state, and since when the oldest waits."""

    waiting: int = 0
    claimed: int = 0
    answered: int = 0
    expired: int = 0
    oldest: float | None = None
    uncalled: int = 0


class ReviewStore(Protocol):
    """Keeps reviews. `now` is seconds since 1970. Raises `StoreError` where it cannot be reached or is full."""

    async def add(self, review: Review, /) -> Review:
        """Keep it for good before returning. One of the same id that is there already is left, and returned."""
        ...

    async def get(self, ticket: str, /) -> Review | None:
        """The review as it stands, without its lease."""
        ...

    async def claim(self, reviewer: str, now: float, lease: float, ticket: str = "", /) -> Review | None:
        """Hand out the one that is due first and is waiting, or whose lease has lapsed; for `lease` seconds.

        A lease has lapsed at its end, not only after it. One that is overdue is handed out until `expire` ends it.

        With a ticket, that one or none. If this very reviewer holds it already the new lease takes the place of the
        old one, which is worth nothing from then on: so an answer under way is either kept before, or never.
        """
        ...

    async def renew(self, ticket: str, lease: str, until: float, /) -> bool:
        """Hold it longer. False if it is not held under this lease any more."""
        ...

    async def release(self, ticket: str, lease: str, /) -> bool:
        """Give it back unanswered. False if it is not held under this lease any more."""
        ...

    async def answer(self, ticket: str, lease: str, reply: Reply, now: float, note: str = "", /) -> Answered:
        """Keep the answer, if the lease still holds it: also after it lapsed, as long as nobody else has claimed it."""
        ...

    async def expire(self, now: float, /) -> list[Review]:
        """End those that are due and not answered; of those claimed, only once their lease has lapsed."""
        ...

    async def listed(self, state: ReviewState | None = None, after: str = "", limit: int = 100, /) -> list[Review]:
        """A page of reviews, oldest first, those after this ticket; none where there is no such review.

        One whose lease has lapsed is listed as claimed, and counted so, until somebody claims it.
        """
        ...

    async def counts(self) -> Counts:
        """How much there is."""
        ...

    async def due_callbacks(self, now: float, lease: float, limit: int = 10, /) -> list[Review]:
        """Ended reviews whose callback is to be made now; nobody else is offered them for `lease` seconds."""
        ...

    async def called_back(self, ticket: str, taken: bool, again: float | None, /) -> None:  # noqa: FBT001
        """Note how a callback went: taken, or when to try again; None is never. Counts as a call.

        It changes nothing where no callback is to be made, or none any more.
        """
        ...

    async def purge(self, before: float, /) -> int:
        """Drop what ended before then and needs no callback; how many."""
        ...

    async def aclose(self) -> None:
        """Close what is held open."""
        ...


known(Review)
