"""Processes that work on a file of reviews until they are killed; `test_reviews_killed` gives the orders.

This one loads everything once and then forks a worker for each order, since a kill is cheap and a start is not. It
reads a list of orders from each line of its standard input, lets them all work at once, kills each when its time has
come, and writes how each of them ended.

A worker notes in a journal what it is about to do and then what it was told was done. It never closes anything.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any, TypedDict

from fastcascade.messages import Reply, Request
from fastcascade.stores import sqlite_open
from fastcascade.stores.reviews import Review
from fastcascade.stores.sqlite import SQLiteReviews

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Order"]


class Order(TypedDict):
    """What a worker is to do, and how it ends."""

    path: str  # the reviews
    journal: str
    seed: int
    wal: bool  # the write-ahead log, or the rollback journal
    now: float  # what it takes for the time
    steps: int  # after which it ends by itself
    releases: bool  # whether it gives back what it has claimed
    delay: float | None  # seconds after which it is killed
    statement: int | None  # SQLite's statement before which it is killed


class Worker:
    """Submits, claims, answers, gives back, expires and calls back, as chance has it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.random = random.Random(order["seed"])
        self.journal = os.open(order["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_DSYNC, 0o600)
        self.store = SQLiteReviews(order["path"], busy=30.0)
        self.made = 0
        self.held: list[tuple[str, str]] = []

    def note(self, *what: Any) -> None:
        """One line, on the disk before anything else is done. It begins the line: the one before may have been torn."""
        os.write(self.journal, b"\n" + json.dumps([self.order["now"], *what]).encode() + b";")

    async def work(self) -> None:
        """Go on until the last step, or the end."""
        deeds: list[Callable[[], Awaitable[None]]] = [
            self.add,
            self.add,
            self.add_many,
            self.claim,
            self.claim,
            self.answer,
            self.answer,
            self.expire,
            self.call_back,
        ]
        if self.order["releases"]:
            deeds.append(self.release)
        for _ in range(self.order["steps"]):
            await self.random.choice(deeds)()

    async def add(self) -> None:
        self.made += 1
        ticket = f"{self.order['seed']}-{self.made}"
        asked = f"asked of {ticket} " + "x" * self.random.choice([0, 10, 5_000])
        created = self.order["now"] + self.made / 1_000
        due = self.random.choice([None, None, created - 0.5, created + 1_500.0])
        callback = self.random.choice(["", f"https://example.org/{ticket}"])
        self.note("try add", ticket, asked, callback)
        got = await self.store.add(Review(ticket, Request.of(asked), "failed", created, due=due, callback=callback))
        self.note("did add", got.id)

    async def add_many(self) -> None:
        await asyncio.gather(*(self.add() for _ in range(self.random.randint(2, 6))))

    async def claim(self) -> None:
        got = await self.store.claim(f"worker {self.order['seed']}", self.order["now"], 100.0)
        if got is not None:
            self.note("did claim", got.id)
            self.held.append((got.id, got.lease))

    async def answer(self) -> None:
        if self.held:
            ticket, lease = self.random.choice(self.held)
            words = f"{ticket} answered by {self.order['seed']}, {self.random.random()}"
            self.note("try answer", ticket, words)
            came = await self.store.answer(ticket, lease, Reply(words), self.order["now"])
            self.note("did answer", ticket, words, came)

    async def release(self) -> None:
        if self.held:
            ticket, lease = self.held.pop(self.random.randrange(len(self.held)))
            self.note("try release", ticket)
            await self.store.release(ticket, lease)

    async def expire(self) -> None:
        self.note("did expire", [each.id for each in await self.store.expire(self.order["now"])])

    async def call_back(self) -> None:
        for each in await self.store.due_callbacks(self.order["now"], 100.0, 3):
            self.note("did offer", each.id)
            taken = self.random.random() < 0.7
            await self.store.called_back(each.id, taken, None if taken else self.order["now"] + 200.0)
            if taken:
                self.note("did call", each.id)


def kill_at(statement: int) -> None:
    """Have SQLite end this process before it runs so many statements more."""
    connect: Any = sqlite3.connect
    left = [statement]

    def count(_: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def connected(*args: Any, **settings: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **settings)
        db.set_trace_callback(count)
        return db

    sqlite3.connect = connected  # type: ignore[assignment] # as the store calls it


def begin(order: Order) -> int:
    """Fork a worker."""
    worker = os.fork()
    if worker:
        return worker
    try:
        sqlite_open.wal_is_safe = lambda: order["wal"]
        if order["statement"] is not None:
            kill_at(order["statement"])
        asyncio.run(Worker(order).work())
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to hear of it
        sys.stderr.write(f"worker {order['seed']}: {error!r}\n")
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Do as ordered until the input ends."""
    for line in sys.stdin:
        orders: list[Order] = json.loads(line)
        began = time.monotonic()
        workers = [(order["delay"], begin(order)) for order in orders]
        for delay, worker in sorted(workers, key=lambda each: each[0] or 0.0):
            if delay is not None:
                time.sleep(max(0.0, began + delay - time.monotonic()))
                os.kill(worker, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for _, worker in workers]
        sys.stdout.write(f"{json.dumps(ends)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
