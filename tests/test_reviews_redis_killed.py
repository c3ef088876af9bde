"""Redis killed in the middle: what it has acknowledged is there afterwards, and nothing is there twice or in halves."""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError
from fastcascade.messages import Reply, Request
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.reviews import Review
from redis_server import RedisServer, redis_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KILLS: Final = int(os.environ.get("FASTCASCADE_KILLS", "24"))
SUBMITTERS: Final = 4
REVIEWERS: Final = 4
PATIENCE: Final = 60.0
LEASE: Final = 0.2
"""Short, so that reviews whose claim was acknowledged by a dead server come back."""


def review(ticket: str, created: float = 0.0) -> Review:
    """One that waits."""
    return Review(ticket, Request.of(f"what of {ticket}?"), "unsure", created)


class Shift:
    """Submitters and reviewers at work on one store, and what they were told."""

    def __init__(self, url: str) -> None:
        self.store = RedisReviews(url, timeout=5.0)
        self.up = asyncio.Event()
        self.up.set()
        self.over = False
        self.told = 0
        self.submitted: set[str] = set()
        self.done: dict[str, list[str]] = {}
        self.unsure = 0
        self.numbers = iter(range(10_000_000))

    async def submit(self) -> None:
        """Hand reviews in, one after the other, each until it was taken."""
        while not self.over:
            ticket = f"t{next(self.numbers)}"
            while ticket not in self.submitted:
                try:
                    await self.store.add(review(ticket, asyncio.get_running_loop().time()))
                except StoreError:
                    self.unsure += 1
                    await self.up.wait()
                else:
                    self.submitted.add(ticket)
                    self.told += 1

    async def answer(self, name: str) -> None:
        """Claim and answer, each answer in words of its own, each sent until something was said about it."""
        now = asyncio.get_running_loop().time
        while not self.over or await self.left():
            try:
                held = await self.store.claim(name, now(), LEASE)
            except StoreError:
                self.unsure += 1
                await self.up.wait()
                continue
            if held is None:
                await asyncio.sleep(0)
                continue
            await self.send(held, f"{name} says {next(self.numbers)}", now())

    async def send(self, held: Review, words: str, now: float) -> None:
        """Send an answer until it is known what came of it."""
        while True:
            try:
                came = await self.store.answer(held.id, held.lease, Reply(words), now)
            except StoreError:
                self.unsure += 1
                await self.up.wait()
                continue
            assert came in {"done", "again", "lapsed", "taken"}
            if came in {"done", "again"}:
                self.done.setdefault(held.id, []).append(words)
            self.told += 1
            return

    async def left(self) -> bool:
        """Whether any review is not answered."""
        counts = await self.store.counts()
        return bool(counts.waiting + counts.claimed)

    async def in_time(self) -> None:
        """Fail where what is left is never answered, which would otherwise go on without end."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while await self.left():
            assert asyncio.get_running_loop().time() < end, await self.store.counts()
            await asyncio.sleep(LEASE)

    async def kill(self, server: RedisServer, draw: random.Random) -> None:
        """Let some work be done, and kill the server wherever it is; then have it begin again."""
        target = self.told + draw.randrange(1, 40)
        async with asyncio.timeout(PATIENCE):
            while self.told < target:  # noqa: ASYNC110 - others count
                await asyncio.sleep(0)
        for _ in range(draw.randrange(60)):
            await asyncio.sleep(0)
        self.up.clear()
        server.kill()
        await asyncio.to_thread(server.start)
        self.up.set()


def test_what_was_acknowledged_outlives_a_killed_server() -> None:
    """However often the server is killed, each acknowledged review and answer is there, and none is there twice."""

    async def run(server: RedisServer) -> None:
        shift = Shift(server.url)
        draw = random.Random(4)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(SUBMITTERS):
                tasks.create_task(shift.submit())
            for place in range(REVIEWERS):
                tasks.create_task(shift.answer(f"r{place}"))
            for _ in range(KILLS):
                await shift.kill(server, draw)
            shift.over = True
            tasks.create_task(shift.in_time())
        await check(shift)
        await shift.store.aclose()

    async def check(shift: Shift) -> None:
        kept = await shift.store.listed(None, "", 1_000_000)
        tickets = Counter(each.id for each in kept)
        assert set(tickets) == shift.submitted
        assert set(tickets.values()) == {1}
        assert shift.unsure > 0
        for each in kept:
            assert each.state == "answered"
            assert each.answer is not None
            assert shift.done[each.id] == [each.answer.text]

    with redis_server() as server:
        asyncio.run(run(server))


async def history(store: RedisReviews) -> list[list[Review]]:
    """Change a store in every way; comes to what it held before and after each change."""
    held: list[Review | None] = []

    async def claim(now: float, lease: float) -> None:
        held.append(await store.claim("ann", now, lease))

    def last() -> tuple[str, str]:
        assert held[-1]
        return held[-1].id, held[-1].lease

    def a_review(place: int) -> Review:
        return Review(f"t{place}", Request.of("?"), "asked", float(place), due=100.0 - place, callback="x:")

    changes: list[Callable[[], Awaitable[object]]] = [
        *[partial(store.add, a_review(place)) for place in range(6)],
        lambda: claim(10.0, 5.0),
        lambda: store.answer(*last(), Reply("yes"), 11.0),
        lambda: claim(12.0, 5.0),
        lambda: store.release(*last()),
        lambda: claim(13.0, 1.0),
        lambda: store.expire(96.5),
        lambda: store.called_back("t5", True, None),
        lambda: store.purge(12.0),
    ]
    pasts = [await store.listed()]
    for change in changes:
        await change()
        pasts.append(await store.listed())
    await store.aclose()
    return pasts


def test_a_file_cut_short_holds_a_past_of_the_store() -> None:
    """Wherever a power cut ends the server's file, the store is as it was after some change, and never half changed."""

    async def look(server: RedisServer) -> list[Review]:
        store = RedisReviews(server.url)
        found = await store.listed()
        counts = await store.counts()
        assert counts.waiting + counts.claimed + counts.answered + counts.expired == len(found)
        claimable = [each for each in found if each.state in {"waiting", "claimed"}]
        for _ in claimable:
            assert await store.claim("dan", 1000.0, 5.0)
        assert await store.claim("dan", 1000.0, 5.0) is None
        await store.aclose()
        return found

    with redis_server() as server:
        pasts = asyncio.run(history(RedisReviews(server.url)))
        server.kill()
        saved = server.folder.with_name(f"{server.folder.name}-saved")
        shutil.copytree(server.folder, saved)
        try:
            size = file_of(saved).stat().st_size
            for share in (1.0, 0.999, 0.98, 0.9, 0.8, 0.65, 0.5, 0.3):
                shutil.rmtree(server.folder)
                shutil.copytree(saved, server.folder)
                os.truncate(file_of(server.folder), int(size * share))
                server.start()
                found = asyncio.run(look(server))
                server.kill()
                assert found in pasts
                if share == 1.0:
                    assert found == pasts[-1]
        finally:
            shutil.rmtree(saved)


def test_a_change_that_a_dead_server_began_is_put_right() -> None:
    """What a cut file leaves of a change comes to life when it is read again; the next who calls puts it right."""

    async def add(server: RedisServer, ticket: str) -> None:
        store = RedisReviews(server.url)
        await store.add(review(ticket, 50.0))
        await store.aclose()

    async def look(server: RedisServer) -> None:
        store = RedisReviews(server.url)
        found = await store.listed()
        tickets = [each.id for each in found]
        assert len(set(tickets)) == len(tickets)
        states = Counter(each.state for each in found)
        counts = await store.counts()
        assert states == +Counter(
            waiting=counts.waiting, claimed=counts.claimed, answered=counts.answered, expired=counts.expired
        )
        for state in states:
            assert {each.id for each in await store.listed(state)} == {e.id for e in found if e.state == state}
        for each in found:
            if each.state in {"waiting", "claimed"}:
                held = await store.claim("dan", 1000.0, 5.0)
                assert held is not None
                assert await store.answer(held.id, held.lease, Reply("yes"), 1001.0) == "done"
        assert not (counts := await store.counts()).waiting
        assert not counts.claimed
        assert len(await store.due_callbacks(2000.0, 5.0, 100)) == counts.uncalled
        assert await store.claim("dan", 3000.0, 5.0) is None
        await store.aclose()

    with redis_server() as server:
        asyncio.run(history(RedisReviews(server.url)))
        server.kill()
        saved = server.folder.with_name(f"{server.folder.name}-saved")
        shutil.copytree(server.folder, saved)
        try:
            whole = file_of(saved).read_bytes()
            draw = random.Random(5)
            for _ in range(16):
                begun = whole.rindex(b"MULTI", 0, draw.randrange(len(whole) // 4, len(whole)))
                ends = whole.index(b"EXEC", begun)
                shutil.rmtree(server.folder)
                shutil.copytree(saved, server.folder)
                os.truncate(file_of(server.folder), draw.randrange(begun + 40, ends))
                for ticket in ("next", "last"):
                    server.start()
                    asyncio.run(add(server, ticket))
                    server.kill()
                server.start()
                asyncio.run(look(server))
                server.kill()
        finally:
            shutil.rmtree(saved)


def file_of(folder: Path) -> Path:
    """The file that a server appends to."""
    return next(each for each in folder.rglob("*.aof") if ".base." not in each.name)


REVIEWER: Final = """
import asyncio, json, sys, time
from fastcascade.stores.redis import RedisReviews

async def run(url, name):
    store = RedisReviews(url)
    mark = await store.news()
    print("ready", flush=True)
    held = []
    while True:
        review = await store.claim(name, time.time(), 3600.0)
        if review is not None and review.id.startswith("end"):
            break
        if review is None:
            mark = await store.news(mark, 60.0)
        else:
            held.append(review.id)
    await store.aclose()
    print(json.dumps(held))

asyncio.run(run(*sys.argv[1:]))
"""


def test_two_processes_never_hold_the_same_review() -> None:
    """Reviewers in several processes are woken as reviews come in, and each review goes to one of them."""
    tickets = [f"t{place}" for place in range(300)]

    async def submit(url: str, reviewers: int) -> None:
        store = RedisReviews(url)
        for ticket in tickets:
            await store.add(review(ticket, 1.0))
        for place in range(reviewers):  # each sends one of them home
            await store.add(review(f"end{place}", 2.0))
        await store.aclose()

    with redis_server() as server:
        command = [sys.executable, "-c", REVIEWER, server.url]
        processes = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("ann", "bob")]
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        asyncio.run(submit(server.url, len(processes)))
        held = [json.loads(each.communicate(timeout=60)[0]) for each in processes]
        assert Counter(ticket for one in held for ticket in one) == Counter(tickets)
