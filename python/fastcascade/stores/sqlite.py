"""Reviews in one SQLite file: nothing to install and nothing to run."""

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from heapq import merge
from itertools import islice
from math import inf, isfinite, isnan
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import fastcascade.answers  # noqa: F401 - makes requests and replies readable by `load`
from fastcascade.errors import ConfigError, StoreError
from fastcascade.messages import Reply
from fastcascade.notices import notify
from fastcascade.records import load, write_line
from fastcascade.stores import sqlite_schema as sql
from fastcascade.stores.reviews import Answered, Counts, Review, ReviewState
from fastcascade.stores.sqlite_file import SQLiteFile

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteReviews"]

BATCH: Final = 500
"""Reviews ended or dropped in one transaction: others have their turn in between."""
Row: TypeAlias = tuple[tuple[Any, ...], Review]
"""As it stands in the file, and what it holds."""
MOST: Final = 2**31
ENDED: Final = frozenset({"answered", "expired"})


class SQLiteReviews:
    """A store of reviews in a file that the processes of one machine share.

    Any number of processes, threads and event loops may use the file, and one object of this class may be used by all
    of a process, also after a fork. The disk must be a local one: the locks of network file systems cannot be relied
    on. Each object has a thread of its own, in which its calls come one after another.

    The file is made when it is first used, for its owner alone, since it holds prompts. It may be copied only with
    SQLite's own means (`sqlite3 FILE .backup`) while it is in use.

    Whoever is cancelled while it waits for a change may find it done all the same: what was claimed so comes back
    when the lease has lapsed.

    Args:
        path: the file.
        busy: seconds to wait while another process holds the file, before `StoreError` is raised.
        most: bytes that the file may grow to, before it is full; None is as much as the disk has.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy: float = 5.0, most: int | None = None) -> None:
        """Open nothing yet."""
        self._file = SQLiteFile(path, sql.MARK, sql.MIGRATIONS, busy=busy, most=most)

    def __repr__(self) -> str:
        """Name the file."""
        return f"SQLiteReviews({str(self._file.path)!r})"

    async def add(self, review: Review, /) -> Review:
        """Keep it for good before returning. One of the same id that is there already is left, and returned."""
        _check(review)
        values, paper = _values(review), write_line(_paper(review))

        def job(db: "Connection") -> tuple[Any, ...]:
            if (row := _one(db, review.id)) is not None:
                return row
            seq = db.execute(sql.ADD, values).lastrowid
            db.execute(sql.PAPERS, (seq, paper))
            return _one(db, review.id) or ()

        return self._review(await self._file.change(job))

    async def get(self, ticket: str, /) -> Review | None:
        """The review as it stands, without its lease."""
        row = await self._file.read(lambda db: _one(db, ticket))
        return self._review(row) if row is not None else None

    async def claim(self, reviewer: str, now: float, lease: float, ticket: str = "", /) -> Review | None:
        """Hand out the one that is due first and is waiting, or whose lease has lapsed; or that with this ticket."""
        token = secrets.token_urlsafe(24)
        name = write_line(reviewer)
        passed: list[str] = []

        def job(db: "Connection") -> Review | None:
            if ticket:
                rows = db.execute(sql.ASKED_FOR, {"id": _key(ticket), "now": now, "reviewer": name}).fetchall()
                first = next(self._readable(rows, passed), None)
            else:
                found = {"now": now, "due": inf, "limit": -1, "skip": 0}
                waiting, lapsed = (db.execute(query, found) for query in sql.FREE)
                with closing(waiting), closing(lapsed):
                    first = next(self._readable(merge(waiting, lapsed, key=_order), passed), None)
            if first is None:
                return None
            row, review = first
            until = now + lease
            db.execute(sql.CLAIM, (name, token, until, row[0]))
            return replace(
                review, state="claimed", reviewer=reviewer, lease=token, leased_until=until, claims=review.claims + 1
            )

        claimed = await self._file.change(job)
        self._tell(passed)
        return claimed

    async def renew(self, ticket: str, lease: str, until: float, /) -> bool:
        """Hold it longer. False if it is not held under this lease any more."""
        values = (until, _key(ticket), _key(lease))
        return await self._file.change(lambda db: db.execute(sql.RENEW, values).rowcount) == 1

    async def release(self, ticket: str, lease: str, /) -> bool:
        """Give it back unanswered. False if it is not held under this lease any more."""
        values = (_key(ticket), _key(lease))
        return await self._file.change(lambda db: db.execute(sql.RELEASE, values).rowcount) == 1

    async def answer(self, ticket: str, lease: str, reply: Reply, now: float, note: str = "", /) -> Answered:
        """Keep the answer, if the lease still holds it: also after it lapsed, as long as nobody else has claimed it."""
        words = write_line([reply, note])
        values = {"answer": words, "now": now, "id": _key(ticket), "lease": _key(lease)}

        def job(db: "Connection") -> Answered:
            if db.execute(sql.ANSWER, values).rowcount == 1:
                return "done"
            found = db.execute(sql.STANDING, (values["lease"], values["id"])).fetchall()
            if not found:
                return "unknown"
            state, own, kept = found[0]
            if state != "answered":
                return "lapsed"
            return "again" if own and _same(kept, words) else "taken"

        return await self._file.change(job)

    async def expire(self, now: float, /) -> list[Review]:
        """End those that are due and not answered; of those claimed, only once their lease has lapsed.

        They are ended some hundred at a time; when it fails on the way, those before stay ended.
        """
        ended: list[Row] = []
        passed: list[str] = []
        for query in sql.FREE:
            skip, count = 0, BATCH
            while count == BATCH:
                count, some = await self._file.change(partial(self._end, query, now, skip, passed))
                ended += some
                skip += count - len(some)
        self._tell(passed)
        return [review for row, review in sorted(ended, key=lambda each: _order(each[0]))]

    async def listed(self, state: ReviewState | None = None, after: str = "", limit: int = 100, /) -> list[Review]:
        """A page of reviews, oldest first, those after this ticket; none when there is no such review."""

        def job(db: "Connection") -> list[tuple[Any, ...]]:
            place = (-inf, -1)
            if after:
                found = db.execute(sql.PLACE, (_key(after),)).fetchall()
                if not found:
                    return []
                place = found[0]
            wanted = {"state": state, "created": place[0], "seq": place[1], "limit": max(0, min(limit, MOST))}
            return db.execute(sql.LISTED[state is not None], wanted).fetchall()

        return [self._review(row) for row in await self._file.read(job)]

    async def counts(self) -> Counts:
        """How much there is."""

        def job(db: "Connection") -> tuple[list[Any], list[Any]]:
            return db.execute(sql.COUNTS).fetchall(), db.execute(sql.UNCALLED).fetchall()

        states, uncalled = await self._file.read(job)
        sizes = {state: size for state, size, _ in states}
        oldest = next((created for state, _, created in states if state == "waiting"), None)
        return Counts(**sizes, oldest=oldest, uncalled=uncalled[0][0])

    async def due_callbacks(self, now: float, lease: float, limit: int = 10, /) -> list[Review]:
        """Ended reviews whose callback is to be made now; nobody else is offered them for `lease` seconds."""
        passed: list[str] = []

        def job(db: "Connection") -> list[Review]:
            with closing(db.execute(sql.CALLS, (now,))) as found:
                due = list(islice(self._readable(found, passed), max(0, min(limit, MOST))))
            db.executemany(sql.OFFER, [(now + lease, row[0]) for row, _ in due])
            return [review for _, review in due]

        offered = await self._file.change(job)
        self._tell(passed)
        return offered

    async def called_back(self, ticket: str, taken: bool, again: float | None, /) -> None:  # noqa: FBT001
        """Note how a callback went: taken, or when to try again; None is never."""
        values = (taken, None if taken else again, _key(ticket))
        await self._file.change(lambda db: db.execute(sql.CALLED, values).rowcount)

    async def purge(self, before: float, /) -> int:
        """Drop what ended before then and needs no callback; how many."""

        def job(db: "Connection") -> int:
            over = db.execute(sql.OVER, (before, BATCH)).fetchall()
            for statement in sql.DROP:
                db.executemany(statement, over)
            return len(over)

        dropped = 0
        while True:
            some = await self._file.change(job)
            dropped += some
            if some < BATCH:
                return dropped

    async def aclose(self) -> None:
        """Close the file, and end the thread. Using the store again opens it again."""
        await self._file.aclose()

    def _end(self, query: str, now: float, skip: int, passed: list[str], db: "Connection") -> tuple[int, "list[Row]"]:
        """End some of those that are due: how many there were, and those that could be read."""
        rows = db.execute(query, {"now": now, "due": now, "limit": BATCH, "skip": skip}).fetchall()
        ended = [
            (row, replace(review, state="expired", ended=now, leased_until=None))
            for row, review in self._readable(rows, passed)
        ]
        db.executemany(sql.END, [{"now": now, "seq": row[0]} for row, _ in ended])
        return len(rows), ended

    def _readable(self, rows: Iterable[tuple[Any, ...]], passed: list[str]) -> "Iterator[Row]":
        """Pass over what cannot be read: a newer fastcascade may use the file too, and sees to its own."""
        for row in rows:
            try:
                yield row, self._review(row)
            except StoreError as error:
                passed.append(str(error))

    def _tell(self, passed: list[str]) -> None:
        """Tell of what was passed over: afterwards, since whoever listens is not to hold up the file."""
        for text in passed:
            notify("review", self._file.path.name, text)

    def _review(self, row: tuple[Any, ...]) -> Review:
        seq, _, _, paper, state, reviewer, until, claims, answer, ended, called, calls = row
        try:
            reply, note = load(json.loads(answer)) if answer is not None else (None, "")
            submitted: Review = load(json.loads(paper))
            return replace(
                submitted,
                state=state,
                reviewer=json.loads(reviewer),
                leased_until=until,
                claims=claims,
                answer=reply,
                ended=ended,
                note=note,
                called=bool(called),
                calls=calls,
            )
        except (ValueError, TypeError, RecursionError) as error:
            # The row's number, not the ticket: whoever has the ticket may read the review.
            msg = f"{self._file.path}: review number {seq} cannot be read: {error}"
            raise StoreError(msg) from error


def _check(review: Review) -> None:
    """Refuse what would be stuck for good."""
    if not isfinite(review.created) or (review.due is not None and isnan(review.due)):
        raise ConfigError("a review's created and due are seconds since 1970")
    if review.state == "claimed" and review.leased_until is None:
        raise ConfigError("a review that is added as claimed needs leased_until")
    if (review.state in ENDED and review.ended is None) or (review.state == "answered" and review.answer is None):
        msg = f"a review that is added as {review.state} needs to have ended, and an answer where there is one"
        raise ConfigError(msg)


def _paper(review: Review) -> Review:
    """What of it never changes."""
    return Review(
        review.id,
        review.request,
        review.why,
        review.created,
        review.due,
        review.best,
        review.trace,
        review.slice,
        review.callback,
    )


def _values(review: Review) -> tuple[Any, ...]:
    """The columns of its row."""
    ended = review.state in ENDED
    return (
        _key(review.id),
        review.state,
        review.created,
        inf if review.due is None else review.due,
        write_line(review.reviewer),
        _key(review.lease) or None,
        review.leased_until,
        review.claims,
        write_line([review.answer, review.note]) if review.answer is not None or review.note else None,
        review.ended,
        bool(review.callback),
        review.ended if ended and review.callback and not review.called else None,
        review.called,
        review.calls,
    )


def _one(db: "Connection", ticket: str) -> tuple[Any, ...] | None:
    found = db.execute(sql.GET, (_key(ticket),)).fetchall()
    return found[0] if found else None


def _order(row: tuple[Any, ...]) -> tuple[float, float, int]:
    """As they are due."""
    return row[1], row[2], row[0]


def _key(text: str) -> str:
    """A text that SQLite takes: half of a surrogate pair is written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _same(kept: str, words: str) -> bool:
    """Whether an answer says what the one that is kept says; a note may have been added to."""
    return bool(kept == words or json.loads(kept)[0]["content"] == json.loads(words)[0]["content"])
