"""The store of reviews is off or full for real, and the service itself is killed: what the callers see of it."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fastcascade import Answer, Cascade
from fastcascade.notices import Notice
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.reviews import ReviewStore
from fastcascade.stores.sqlite import SQLiteReviews
from real import noted, until
from redis_server import RedisServer, redis_server
from review_service import perhaps, unsure
from reviews import listed
from test_reviews_refused import tiny_disk

__all__ = ["tiny_disk"]

SERVICE = Path(__file__).with_name("review_service.py")
CALLERS = 8
SOME = 24
"""Answers after which things have settled."""


@asynccontextmanager
async def traffic(cascade: Cascade) -> AsyncIterator[list[Answer]]:
    """Callers who ask one thing after another; what they got, in its order. What one raises ends the test."""
    heard: list[Answer] = []
    ended = False

    async def caller(number: int) -> None:
        while not ended:
            number += CALLERS
            heard.append(await cascade.run(f"question {number} {'x' * 2_000}"))

    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(caller(number))
        try:
            yield heard
        finally:
            ended = True


async def checked(heard: list[Answer], store: ReviewStore) -> None:
    """Everybody got the answer there is, and each ticket that was told of is in the store, with what was asked."""
    for each in heard:
        assert (each.text, each.degraded, each.via) == (perhaps(each.request), "below threshold", "")
    kept = {review.id: review.request.text for review in await listed(store)}
    told = {each.ticket: each.request.text for each in heard if each.ticket}
    assert len(told) == sum(bool(each.ticket) for each in heard)
    assert told.items() <= kept.items()
    await store.aclose()


async def off_and_on(
    store: ReviewStore, off: Callable[[], object], on: Callable[[], object], notices: list[Notice]
) -> list[Answer]:
    """Take the store away in the middle of the traffic, and give it back; what the callers got."""

    def tickets(since: int) -> list[bool]:
        return [bool(each.ticket) for each in heard[since:]]

    async with traffic(unsure(store)) as heard:
        await until(lambda: len(heard) >= SOME and all(tickets(-SOME)), "tickets")
        notices.clear()
        await asyncio.to_thread(off)
        await until(lambda: tickets(0)[-SOME:].count(False) > SOME // 2, "answers without tickets")
        assert ("store off", "reviews") in {(notice.kind, notice.about) for notice in notices}
        await asyncio.to_thread(on)
        since = len(heard)
        await until(lambda: len(heard) >= since + SOME and all(tickets(-SOME)), "tickets again")
    return heard


@pytest.mark.parametrize("how", ["kill", "stop", "freeze"])
def test_redis_is_off(how: str) -> None:
    """While Redis is gone or hangs all are answered, without a ticket; a notice says so, and tickets come back."""

    async def main(server: RedisServer) -> None:
        store = RedisReviews(server.url, timeout=0.5)
        on = server.thaw if how == "freeze" else server.start
        heard = await off_and_on(store, getattr(server, how), on, notices)
        await checked(heard, store)

    with redis_server() as server, noted() as notices:
        asyncio.run(main(server))


def test_the_disk_is_full(tiny_disk: Path) -> None:
    """While the disk has no room all are answered, without a ticket; a notice says so, and tickets come back."""
    filler = tiny_disk / "something else"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4_096)):
                pass

    async def main() -> None:
        store = SQLiteReviews(tiny_disk / "reviews.db")
        heard = await off_and_on(store, fill, filler.unlink, notices)
        await checked(heard, store)

    with noted() as notices:
        asyncio.run(main())


# --- the service itself is killed ------------------------------------------------------------------------------------

ROUNDS = 4


class Service:
    """A process that answers, and its clients: what each was told."""

    def __init__(self, *told: str) -> None:
        self.command = [sys.executable, str(SERVICE), *told]
        self.told: dict[str, str] = {}  # what was asked, by the ticket that its client was told
        self.asked = 0

    async def client(self, port: int) -> None:
        """Ask until the service is gone."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError):
            while True:
                self.asked += 1
                asked = f"question {self.asked}"
                writer.write(f"{asked}\n".encode())
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break  # half a line was told to nobody
                said, ticket = json.loads(line)
                assert said == f"perhaps: {asked}" and ticket and ticket not in self.told
                self.told[ticket] = asked
        writer.close()

    async def until_killed(self, after: int) -> None:
        """Start it, and kill it when so many more have been told of a ticket."""
        process = await asyncio.create_subprocess_exec(*self.command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            port = int(await process.stdout.readline())
            had = len(self.told)
            async with asyncio.TaskGroup() as group:
                for _ in range(CALLERS):
                    group.create_task(self.client(port))
                await until(lambda: len(self.told) >= had + after, "tickets")
                process.send_signal(signal.SIGKILL)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A store, by its kind and where it is."""
    if request.param == "redis":
        with redis_server() as server:
            yield "redis", server.url
    else:
        yield "sqlite", str(tmp_path_factory.mktemp("reviews") / "reviews.db")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_the_service_is_killed(place: tuple[str, str]) -> None:
    """However often a service is killed at work, each ticket that a client was told of is in the store, waiting."""

    async def main() -> None:
        service = Service(*place)
        chance = random.Random(place[0])
        for _ in range(ROUNDS):
            await service.until_killed(chance.randint(1, 60))
        kind, where = place
        store: ReviewStore = SQLiteReviews(where) if kind == "sqlite" else RedisReviews(where)
        kept = {review.id: review for review in await listed(store)}
        for ticket, asked in service.told.items():
            assert (kept[ticket].state, kept[ticket].request.text, kept[ticket].why) == ("waiting", asked, "unsure")
        assert len(service.told) <= len(kept) <= service.asked
        await store.aclose()

    asyncio.run(main())
