"""Budgets of keys on a real server: what is spent and held by all is never more, whoever dies meanwhile."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastcascade import Quota
from fastcascade.gateway.account import Used, nanos, periods_at
from fastcascade.notices import Notice
from fastcascade.shared import Shared
from fastcascade.shared.budgets import Purse, Refusal, SharedBudgets, Stay
from fastcascade.shared.budgets_apart import MoneyApart, share_out
from redis_server import RedisServer, redis_server

DOLLAR = nanos(1.0)
CENT = nanos(0.01)
names = iter(f"key{number}" for number in range(10**6))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all that leave it as it was."""
    with redis_server("--save", "") as running:
        yield running


@asynccontextmanager
async def hub(url: str, **more: Any) -> AsyncIterator[SharedBudgets]:
    """The budgets as one process has them."""
    shared = Shared(url)
    made = SharedBudgets(shared, **more)
    try:
        await made.start()
        yield made
    finally:
        await made.aclose()
        await made.members.aclose()
        await shared.aclose()


def stay(got: Stay | Refusal) -> Stay:
    """One that was let in."""
    assert isinstance(got, Stay), got.why
    return got


async def asked(hub: SharedBudgets) -> int:
    """How many scripts the server was asked to run."""
    said: bytes = await hub.shared.call("INFO", "commandstats")
    return int(said.split(b"cmdstat_evalsha:calls=")[1].split(b",")[0])


def refusal(got: Stay | Refusal) -> str:
    """Why one was not."""
    assert isinstance(got, Refusal)
    assert got.wait > 0
    return got.why


async def until(holds: Any, *, seconds: float = 10) -> None:
    """Come back when something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what holds comes of many things
            await asyncio.sleep(0)


def test_two_processes_spend_one_budget(server: RedisServer) -> None:
    """However many ask at once at two processes, what is held and spent is within the budget, and all is counted."""

    async def go() -> None:
        key, spent, held, draw = next(names), 0, 0, random.Random(7)
        async with hub(server.url) as one, hub(server.url) as two:
            purses = [each.purse(key, day=DOLLAR, month=3 * DOLLAR) for each in (one, two)]
            refused: Counter[str] = Counter()

            async def work(purse: Purse) -> None:
                nonlocal spent, held
                for _ in range(60):
                    got = await purse.enter(mean=CENT // 4)
                    if isinstance(got, Refusal):
                        refused[got.why] += 1
                        continue
                    held += got.nanos
                    assert spent + held <= DOLLAR
                    for _ in range(draw.randrange(3)):
                        await asyncio.sleep(0)
                    cost = draw.randrange(min(got.nanos, CENT))
                    spent, held = spent + cost, held - got.nanos
                    purse.leave(got, Used(cost, 1, 10))

            await asyncio.gather(*(work(purse) for purse in purses for _ in range(8)))
            assert await one.settled()
            assert await two.settled()
            day, month = (await two.used([key]))[key]
            assert day == month
            assert (day.nanos, day.requests + sum(refused.values())) == (spent, 16 * 60)
            assert refused.keys() <= {"day", "held"}
            got = stay(await one.purse(key, day=2 * DOLLAR).enter(mean=1, asked=5))
            assert (got.nanos, got.day, got.month) == (5, spent, spent)

    asyncio.run(go())


def test_one_round_trip_takes_it_all(server: RedisServer) -> None:
    """Requests, tokens and money are one script: all is taken or nothing, and what is left comes with the reply."""

    async def go() -> None:
        key = next(names)
        terms: dict[str, Any] = {"requests": Quota(3, "hour"), "tokens": Quota(1_000, "hour"), "day": DOLLAR}
        async with hub(server.url) as one, hub(server.url) as two:
            first, second = one.purse(key, **terms), two.purse(key, **terms)
            stay(await one.purse(next(names), day=DOLLAR).enter())  # the script's text is sent once, then its hash
            before = await asked(one)
            got = stay(await first.enter(tokens=400.0, asked=DOLLAR // 2))
            assert await asked(one) - before == 1
            assert got.nanos == DOLLAR // 2
            assert first.requests is not None
            assert first.tokens is not None
            assert (round(first.requests.available("key"), 1), round(first.tokens.available("key"))) == (2.0, 600)
            assert refusal(await second.enter(tokens=900.0)) == "tokens"
            assert refusal(await second.enter(tokens=5_000.0)) == "tokens"  # as much as there can be, and not more
            first.leave(got, Used(CENT, 1, 1_500), 1_500.0)
            assert await one.settled()
            assert refusal(await second.enter(tokens=0.0, asked=1)) == "tokens"  # it is in debt
            assert second.tokens is not None
            assert -501 < second.tokens.available("key") < -499
            plain = two.purse(key, requests=terms["requests"], day=DOLLAR)
            free = stay(await plain.enter(spends=False))
            assert (free.nanos, free.day) == (0, CENT)
            plain.leave(free, None)
            stay(await plain.enter(asked=1))
            assert refusal(await plain.enter(asked=1)) == "requests"

    asyncio.run(go())


def test_what_a_killed_process_held_lapses(server: RedisServer) -> None:
    """What is held lasts as long as it is renewed, and is free again soon after its process is gone."""

    async def go() -> None:
        key = next(names)
        async with hub(server.url, held_for=0.3) as one, hub(server.url, held_for=0.3) as two:
            dead = Shared(server.url)
            third = SharedBudgets(dead, held_for=0.3)
            await dead.start()
            third.began = True  # it says nothing of itself, and renews nothing
            lost = stay(await third.purse(key, day=DOLLAR).enter(least=DOLLAR))
            mine = one.purse(key, day=DOLLAR)
            assert lost.nanos == DOLLAR
            assert refusal(await mine.enter(asked=CENT)) == "held"
            await dead.aclose()
            got: list[Stay] = []
            async with asyncio.timeout(10):
                while not got:
                    found = await mine.enter(least=DOLLAR)
                    got += [found] if isinstance(found, Stay) else []
            assert got[0].nanos == DOLLAR
            ends = time.monotonic() + 1.0
            while time.monotonic() < ends:  # more than three times as long as anything is held without being renewed
                await one.members.beat()
                assert refusal(await two.purse(key, day=DOLLAR).enter(asked=CENT)) == "held"
            mine.leave(got[0], Used(DOLLAR, 1))
            assert await one.settled()
            assert refusal(await two.purse(key, day=DOLLAR).enter(asked=CENT)) == "day"
            third.holds.clear()

    asyncio.run(go())


@pytest.mark.parametrize("off", ["closed", "open"])
def test_nothing_is_lost_while_the_server_is_away(off: Any) -> None:
    """Away, keys with a budget are refused, or go by an N-th of what was left; what was used is added afterwards."""

    async def go(own: RedisServer) -> None:
        key, free = next(names), next(names)
        async with hub(own.url, off=off) as one, hub(own.url, off=off) as two:
            hubs = (one, two)
            for each in (*hubs, *hubs):
                await each.members.beat()
            purses = [each.purse(key, day=DOLLAR) for each in hubs]
            plain = [each.purse(free, requests=Quota(4, "hour")) for each in hubs]
            before = stay(await purses[0].enter(asked=40 * CENT))
            stay(await purses[1].enter(asked=CENT))  # it knows of the others' by now
            spent = 0
            own.kill()
            await until(lambda: not (one.shared.up or two.shared.up))
            purses[0].leave(before, Used(30 * CENT, 1))
            spent += 30 * CENT
            taken = []
            for purse in purses * 20:
                got = await purse.enter(mean=CENT, asked=10 * CENT)
                if off == "closed":
                    assert refusal(got) == "off"
                elif isinstance(got, Stay):
                    assert got.apart
                    taken.append((purse, got))
            # One knows of 30 cents that were spent, the other of 41 that were held, and each has half of the rest.
            assert sum(got.nanos for _, got in taken) <= 69 * CENT
            assert (sum(got.nanos for _, got in taken) >= 60 * CENT) == (off == "open")
            assert [isinstance(await each.enter(), Stay) for each in plain * 3] == [True] * 4 + [False] * 2
            for purse, got in taken[::2]:
                purse.leave(got, Used(CENT, 1))
                spent += CENT
            await asyncio.to_thread(own.start)
            await until(lambda: one.shared.up and two.shared.up)
            await until(lambda: not (one.untold or two.untold or one.apart or two.apart))
            assert (await one.used([key]))[key][0].nanos == spent
            got = await plain[0].enter()
            assert refusal(got) == "requests"  # what was used meanwhile was told
            for purse, got in taken[1::2]:  # they were held again
                purse.leave(got, Used(CENT, 1))
                spent += CENT
            assert await one.settled()
            assert await two.settled()
            again = stay(await purses[1].enter(asked=1))
            assert again.day == spent == (await one.used([key]))[key][0].nanos

    with redis_server() as own:
        asyncio.run(go(own))


def test_a_reply_that_is_lost_is_not_counted_twice(server: RedisServer) -> None:
    """A piece whose fate is not known is told again as it was, and counts once; what may be held is let go of."""

    async def go() -> None:
        key = next(names)
        async with hub(server.url) as one:
            purse = one.purse(key, day=DOLLAR, tokens=Quota(100, "hour"))
            first = stay(await purse.enter(tokens=10.0, least=DOLLAR))
            server.freeze()
            purse.leave(first, Used(CENT, 1), 20.0)
            assert refusal(await purse.enter()) == "off"  # sent, and no reply came in time
            await until(lambda: not one.shared.up)
            server.thaw()
            await until(lambda: one.shared.up)
            await until(lambda: not one.untold)
            assert (await one.used([key]))[key][0] == Used(CENT, 1)
            got = stay(await purse.enter(least=DOLLAR))
            assert got.nanos == DOLLAR - CENT
            assert purse.tokens is not None
            assert 79 < purse.tokens.available("key") < 81

    asyncio.run(go())


def test_one_that_is_canceled_holds_nothing(server: RedisServer) -> None:
    """A client that leaves while its request is being let in leaves nothing held behind."""

    async def go() -> None:
        async with hub(server.url) as one:
            purse = one.purse(next(names), day=DOLLAR)
            task = asyncio.create_task(purse.enter(least=DOLLAR))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await one.settled()
            assert stay(await purse.enter(least=DOLLAR)).nanos == DOLLAR

    asyncio.run(go())


def test_what_cannot_be_told_at_the_end_is_told_of(heard: list[Notice]) -> None:
    """A process that ends while the server is away says that what it knew alone is lost."""

    async def go() -> None:
        async with hub("redis://127.0.0.1:1/0", off="open") as one:
            purse = one.purse("key", day=DOLLAR, month=DOLLAR)
            purse.leave(stay(await purse.enter()), Used(CENT, 1))
            one.keep([])
            assert one.purse("key", day=DOLLAR, month=DOLLAR) is purse

    asyncio.run(go())
    assert any("is lost" in each.text for each in heard if each.about == "the account of keys")


def test_a_part_of_money() -> None:
    """An N-th of what was left of the day and of the month, less what was spent; each day has a part of its own."""
    money = MoneyApart(DOLLAR, 2 * DOLLAR, 4)
    money.begin(("2027-01-15", "2027-01"), DOLLAR // 5, DOLLAR, DOLLAR // 5)
    assert money.enter(CENT, CENT, None) == 15 * CENT // 2
    money.leave(15 * CENT // 2, 14 * CENT)
    assert money.enter(CENT, CENT, None) == CENT
    assert money.enter(CENT, CENT, None) == "held"
    money.spend(CENT)
    assert money.enter(CENT, CENT, None) == "day"
    money.turn(("2027-01-16", "2027-01"))
    money.leave(CENT, 0)
    assert (
        money.enter(CENT, CENT, None) == 5 * CENT // 2
    )  # the month's part: a fifth of a dollar, and 15 cents are gone
    money.spend(5 * CENT)
    assert money.enter(CENT, CENT, None) == "month"
    money.turn(("2027-02-01", "2027-02"))
    assert money.enter(CENT, CENT, 3) == 3
    assert share_out(100, 0, 0, 10, 5, None) == 50
    assert share_out(100, 97, 1, 10, 5, None) is None
    assert periods_at(0.0).day == "1970-01-01"
