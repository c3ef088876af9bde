"""Reviews outlive the processes that work on them: real ones, killed by SIGKILL at any moment."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastcascade.messages import Reply
from fastcascade.stores import sqlite_open
from fastcascade.stores.sqlite import SQLiteReviews
from reviews import listed, quick_folder

if TYPE_CHECKING:
    from fastcascade.stores.reviews import Review
    from review_worker import Order

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL and no fork")
KILLED = -9
LATER = 1_000.0
"""Between one kill and the next: all leases of those killed have lapsed."""


class Nursery:
    """The process that forks the workers."""

    def __init__(self) -> None:
        worker = Path(__file__).with_name("review_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *orders: "Order") -> list[int]:
        """Have workers work at once; how each of them ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(orders)}\n")
        self.process.stdin.flush()
        ends: list[int] = json.loads(self.process.stdout.readline())
        return ends


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all tests: it takes a while to start."""
    made = Nursery()
    with made.process:
        yield made
        made.process.stdin.close()  # type: ignore[union-attr] # it has one


class Witness:
    """Reads what the workers were told, and holds the file to it."""

    def __init__(self, folder: str, *, wal: bool, releases: bool = True) -> None:
        self.path = Path(folder) / "reviews.db"
        self.journal = Path(folder) / "journal"
        self.wal, self.releases = wal, releases
        self.now = 0.0
        self.read = 0
        self.tried: dict[str, tuple[str, str]] = {}  # ticket -> what was asked, the callback
        self.added: set[str] = set()
        self.words: dict[str, set[str]] = {}  # ticket -> all that was ever said to it
        self.answered: dict[str, str] = {}
        self.expired: set[str] = set()
        self.called: set[str] = set()
        self.handed: set[tuple[float, str]] = set()
        self.offered: set[tuple[float, str]] = set()
        self.seen: dict[str, Review] = {}  # as it was when it was first seen to have ended

    def order(self, seed: int, *, steps: int = 1_000_000, **fields: Any) -> "Order":
        """An order for one worker."""
        given: Any = {"path": str(self.path), "journal": str(self.journal), "wal": self.wal, "seed": seed}
        given |= {"now": self.now, "steps": steps, "releases": self.releases, "delay": None, "statement": None}
        order: Order = given | fields
        return order

    def hear(self) -> None:
        """Take in what the workers have noted since the last time."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        for line in lines[self.read :]:
            if line.endswith("];"):  # else whoever wrote it was killed while it did, and has done nothing more
                now, what, *told = json.loads(line[:-1])
                getattr(self, what.replace(" ", "_"))(now, *told)
        self.read = len(lines)

    def try_add(self, _: float, ticket: str, asked: str, callback: str) -> None:
        self.tried[ticket] = asked, callback

    def did_add(self, _: float, ticket: str) -> None:
        self.added.add(ticket)

    def did_claim(self, now: float, ticket: str) -> None:
        assert (now, ticket) not in self.handed, f"{ticket} was handed to two at once"
        assert ticket not in self.answered, f"{ticket} was handed out after it was answered"
        self.handed.add((now, ticket))

    def try_release(self, now: float, ticket: str) -> None:
        self.handed.discard((now, ticket))

    def try_answer(self, _: float, ticket: str, words: str) -> None:
        self.words.setdefault(ticket, set()).add(words)

    def did_answer(self, _: float, ticket: str, words: str, came: str) -> None:
        assert came in ("done", "taken"), came
        if came == "done":
            assert ticket not in self.answered, f"{ticket} was answered twice"
            self.answered[ticket] = words

    def did_expire(self, _: float, tickets: list[str]) -> None:
        assert not self.expired & set(tickets)
        self.expired |= set(tickets)

    def did_offer(self, now: float, ticket: str) -> None:
        assert ticket not in self.called, f"{ticket} was to be called back again"
        assert (now, ticket) not in self.offered, f"two were to call back {ticket}"
        self.offered.add((now, ticket))

    def did_call(self, _: float, ticket: str) -> None:
        self.called.add(ticket)

    def check(self) -> None:
        """Everything that was promised is there, and nothing else is."""
        self.hear()
        asyncio.run(self._check())
        with closing(sqlite3.connect(self.path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT seq FROM reviews EXCEPT SELECT seq FROM papers").fetchall() == []
            assert db.execute("SELECT seq FROM papers EXCEPT SELECT seq FROM reviews").fetchall() == []

    async def _check(self) -> None:
        store = SQLiteReviews(self.path)
        there = {each.id: each for each in await listed(store)}
        counts = await store.counts()
        await store.aclose()
        assert self.added <= there.keys() <= self.tried.keys()
        states = [each.state for each in there.values()]
        assert (counts.waiting, counts.answered) == (states.count("waiting"), states.count("answered"))
        for ticket, each in there.items():
            assert (each.request.text, each.callback) == self.tried[ticket]
            assert (each.answer is not None) == (each.state == "answered")
            if each.answer is not None:
                assert each.answer.text in self.words[ticket]
            if each.ended is not None:
                before = self.seen.setdefault(ticket, each)
                assert (each.state, each.answer, each.ended) == (before.state, before.answer, before.ended)
        for ticket, words in self.answered.items():
            answer = there[ticket].answer
            assert answer is not None and answer.text == words
        assert all(there[ticket].state == "expired" for ticket in self.expired)
        assert all(there[ticket].called for ticket in self.called)

    def finish(self) -> None:
        """One who is not killed can do all that is left; then each has ended once, and each callback was made."""
        self.now += LATER
        asyncio.run(self._finish())
        self.check()

    async def _finish(self) -> None:
        store = SQLiteReviews(self.path)
        await store.expire(self.now)
        while (got := await store.claim("the last", self.now, 10.0)) is not None:
            assert await store.answer(got.id, got.lease, Reply("at last"), self.now) == "done"
            self.words.setdefault(got.id, set()).add("at last")
        told: set[str] = set()
        while due := await store.due_callbacks(self.now + LATER, 10.0, 100):
            for each in due:
                assert each.id not in told | self.called
                told.add(each.id)
                await store.called_back(each.id, True, None)
        counts = await store.counts()
        await store.aclose()
        assert (counts.waiting, counts.claimed, counts.uncalled) == (0, 0, 0)


@contextmanager
def witness(*, wal: bool, quick: bool = True, releases: bool = True) -> Iterator[Witness]:
    """A new file, and who watches over it with a store of the same kind."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(dir=quick_folder() if quick else None) as at,
    ):
        patch.setattr(sqlite_open, "wal_is_safe", lambda: wal)
        yield Witness(at, wal=wal, releases=releases)


ROUNDS = [
    # the journal, whether the file is in memory, kills, seconds after which the last are killed
    ("log", True, 90, 0.05),
    ("rollback", True, 90, 0.05),
    ("log", False, 10, 0.5),
    ("rollback", False, 10, 0.5),
]


@pytest.mark.parametrize(("journal", "quick", "kills", "longest"), ROUNDS)
def test_killed(nursery: Nursery, journal: str, quick: bool, kills: int, longest: float) -> None:
    """Of two hundred workers, each killed at a moment drawn by chance, nothing is lost and nothing answered twice."""
    moments = random.Random(f"{journal} {quick}")
    with witness(wal=journal == "log", quick=quick) as one:
        for number in range(kills):
            ends = nursery.run(one.order(number, delay=moments.uniform(0.0, longest)))
            assert ends == [KILLED]
            one.check()
            one.now += LATER
            if len(one.added) < number:  # a slow machine lets them do very little
                longest *= 1.1
        if quick:  # as does a slow disk
            assert len(one.added) > kills and one.answered and one.called and one.expired
        one.finish()


@pytest.mark.parametrize("journal", ["log", "rollback"])
def test_killed_between_statements(nursery: Nursery, journal: str) -> None:
    """A worker may be killed before any of SQLite's statements, from the first with which the file is made."""
    for again in range(2):
        with witness(wal=journal == "log") as one:
            for number in range(1, 45):
                if number % 4 == again:
                    with witness(wal=journal == "log") as new:
                        assert nursery.run(new.order(number, statement=number)) == [KILLED]
                        new.check()
                assert nursery.run(one.order(number, statement=number + again * 50)) == [KILLED]
                one.check()
                one.now += LATER
            one.finish()


def test_many_at_once(nursery: Nursery) -> None:
    """Of several processes on one file, some of which are killed, no two hold one review, nor make one callback."""
    chance = random.Random(7)
    with witness(wal=sqlite_open.wal_is_safe(), releases=False) as one:
        for phase in range(12):
            orders = [
                one.order(
                    phase * 10 + number,
                    steps=40,
                    statement=chance.randint(5, 250) if number else None,
                )
                for number in range(4)
            ]
            ends = nursery.run(*orders)
            assert ends[0] == 0 and set(ends) <= {0, KILLED}
            one.check()
            one.now += LATER
        one.finish()
