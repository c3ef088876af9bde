"""What the scripts of limits and budgets decide, beside plain sums in whole numbers, at times that are set by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from fastcascade import Quota
from fastcascade.gateway.account import nanos, periods_at
from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.money import Money, most_for
from fastcascade.shared.apart import Rule
from fastcascade.shared.budgets_scripts import ENTER, LEAVE, RENEW, USED
from fastcascade.shared.limits import TAKING, TELLING
from fastcascade.shared.script import Script
from redis_server import redis_server

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND
TTL = 30_000
HARD = KeyRecord("hard", "hard", "0" * 64, budget_day=1.0, budget_month=2.5)
fresh = iter(range(10**9))


class Server:
    """A server whose clock is set by hand: scripts find the time in two keys, and nothing ends by the real one."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.now = NOW

    def run(self, script: Script, keys: list[str], *args: Any) -> Any:
        """Run it as it is, but for where it finds the time."""
        text = script.text.replace("redis.call('TIME')", "redis.call('MGET', 'clock:s', 'clock:us')")
        text = text.replace("'PX', milliseconds)", "'PX', '3600000')")
        assert text.count("'TIME'") == 0
        self.client.mset({"clock:s": self.now // SECOND, "clock:us": self.now % SECOND})
        return self.client.eval(text, len(keys), *keys, *args)


@pytest.fixture(scope="module")
def client() -> Iterator[Redis]:
    """A connection to a server of its own."""
    with redis_server("--save", "") as running, Redis.from_url(running.url, protocol=2) as made:
        yield made


EXACT = 2.0**52
"""Nanoseconds that the server's numbers hold exactly, some 52 days; beyond, a sum may be a nanosecond off."""


def within(quota: Quota) -> bool:
    """Whether all that a test can add up is exact."""
    return quota.per * 1e9 / quota.n * (quota.burst + 60 * 40) < EXACT


QUOTAS = st.builds(
    Quota, st.floats(0.5, 5_000), st.sampled_from([60.0, 3_600.0, 86_400.0]), st.floats(0.5, 500)
).filter(within)
STEP = st.tuples(
    st.sampled_from(["take", "take", "take", "tell", "again", "pass"]),
    st.integers(0, 1),
    st.floats(-20, 60) | st.integers(-2, 5).map(float),
    st.integers(-SECOND, 90 * SECOND) | st.integers(0, 3_000),
)


@settings(max_examples=150)
@given(quota=QUOTAS, steps=st.lists(STEP, min_size=1, max_size=40))
def test_a_bucket_is_what_sums_by_hand_say(client: Redis, quota: Quota, steps: list[Any]) -> None:
    """What is admitted, how long to wait and what is left are exact to the nanosecond, clocks that are set back too."""
    server, rule, run = Server(client), Rule(quota), next(fresh)
    owed, at, number = [0, 0], [NOW, NOW], [0, 0]
    told: list[list[Any]] = [[], []]
    for what, which, tokens, micros in steps:
        bucket = f"{run}:{which}"
        if what == "pass":
            server.now += micros
            continue
        missing = max(0, owed[which] - max(0, server.now - at[which]) * 1_000)
        if what == "take":
            cost = rule.price(tokens)
            wait = missing + cost - rule.depth
            got = server.run(TAKING, [bucket], cost, rule.depth)
            if wait > 0:
                assert got == [wait, missing]
                continue
            missing += cost
            assert got == [0, missing]
            if cost:
                owed[which], at[which] = missing, server.now
            continue
        if what == "tell" or not told[which]:
            number[which] += 1
            told[which] = [number[which], int(tokens * rule.per_token), 60]
            missing = max(0, missing + told[which][1])
            owed[which], at[which] = missing, server.now
        assert server.run(TELLING, [bucket, f"told:{bucket}"], *told[which]) == missing  # again: it has heard it


@given(quota=QUOTAS, tokens=st.floats(0.1, 100))
def test_a_bucket_is_kept_until_it_is_full(client: Redis, quota: Quota, tokens: float) -> None:
    """An idle bucket ends by itself, not before it is full and not long after."""
    rule, bucket = Rule(quota), f"kept:{next(fresh)}"
    cost = rule.price(min(tokens, quota.burst))
    assert client.eval(TAKING.text, 1, bucket, cost, rule.depth) == [0, cost]
    left = client.pttl(bucket)
    assert cost / 1e6 - 1_000 < left <= cost / 1e6 + 2 or left == -2


class Book:
    """The money of one key, by hand."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.held: dict[str, tuple[int, int]] = {}  # how much, and until when

    def lapse(self, now: int) -> None:
        self.held = {name: held for name, held in self.held.items() if held[1] > now}

    def money(self, now: int, mean: int) -> Money:
        """The same as one process would know it that knows all."""
        money = Money(HARD)
        periods = periods_at(now / 1e6)
        money.day, money.month = self.used.get(periods.day, 0), self.used.get(periods.month, 0)
        money.held, money.in_work, money.mean = sum(each for each, _ in self.held.values()), len(self.held), mean
        return money


@settings(max_examples=60)
@given(data=st.data())
def test_money_is_what_sums_by_hand_say(client: Redis, data: st.DataObject) -> None:
    """What a request may spend is what one who knows all would give it, over days, lapses and pieces told twice."""
    server, book, run = Server(client), Book(), next(fresh)
    keys = [f"{run}:{each}" for each in ("requests", "tokens", "state", "used", "held", "ends")]
    number, mean = 0, nanos(0.01)
    piece: list[Any] = []
    for turn in range(data.draw(st.integers(1, 40))):
        what = data.draw(st.sampled_from(["enter", "enter", "enter", "leave", "leave", "again", "renew", "pass"]))
        book.lapse(server.now)
        if what == "pass":
            server.now += data.draw(st.integers(0, 40 * SECOND) | st.sampled_from([DAY, 20 * DAY, TTL * 1_000]))
        elif what == "enter":
            asked = data.draw(st.none() | st.floats(1e-6, 1.0).map(nanos))
            mean = data.draw(st.integers(1, nanos(0.2)))
            share, limits = max(nanos(0.05), 4 * mean), (0, -1, 0, -1)
            given = [*limits, f"p:{turn}", nanos(1.0), nanos(2.5), share, mean, -1 if asked is None else asked]
            got = server.run(ENTER, keys, *given, TTL, 256, 1_000_000)
            money = book.money(server.now, mean)
            most = most_for(money, share, 1, asked)
            if isinstance(most, str):
                assert got[0].decode() == most
            else:
                assert (got[0], got[1]) == (b"", most)
                assert money.held + most <= min(nanos(1.0) - money.day, nanos(2.5) - money.month)
                book.held[f"p:{turn}"] = most, server.now + TTL * 1_000
            held = sum(each for each, _ in book.held.values())
            assert [int(each) for each in got[4:9]] == [money.day, money.month, held, len(book.held), server.now]
        elif what == "renew":
            pairs: list[Any] = [each for name, (much, _) in book.held.items() for each in (name, much)]
            assert int(server.run(RENEW, keys[2:], TTL, 1_000_000, *pairs)) == server.now
            book.held = {name: (much, server.now + TTL * 1_000) for name, (much, _) in book.held.items()}
        elif what == "leave" and book.held:
            number += 1
            name = data.draw(st.sampled_from(sorted(book.held)))
            spent, how = data.draw(st.integers(0, nanos(0.4))), data.draw(st.sampled_from(["known", "?"]))
            periods = periods_at(server.now / 1e6)[:2]
            amounts = spent, spent + data.draw(st.integers(0, nanos(0.1)))  # of the month there may be other days too
            sums: list[Any] = [
                each for period, much in zip(periods, amounts, strict=True) for each in (period, much, 1, 5, 0)
            ]
            piece = [number, 0, 0, 60, 1_000_000, 2, *sums, name, book.held[name][0] if how == "known" else how]
            for period, much in zip(periods, amounts, strict=True):
                book.used[period] = book.used.get(period, 0) + much
            del book.held[name]
        if what in ("leave", "again") and piece:
            got = server.run(LEAVE, [*keys, f"{run}:told"], *piece)
            money = book.money(server.now, mean)
            assert [int(each) for each in got[4:8]] == [money.day, money.month, money.held, money.in_work]
    found = server.run(USED, [keys[3]])
    day, month = periods_at(server.now / 1e6)[:2]
    assert [int(each or 0) for each in found[::4]] == [book.used.get(day, 0), book.used.get(month, 0)]


@given(at=st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)))
def test_days_are_those_of_the_calendar(client: Redis, at: datetime) -> None:
    """The day and the month of a time in a script are those of the calendar, in UTC."""
    server, used = Server(client), f"used:{next(fresh)}"
    server.now = int(at.timestamp()) * SECOND
    client.hset(used, mapping={f"{at:%Y-%m-%d}:0": 7, f"{at:%Y-%m}:1": 9})
    assert server.run(USED, [used]) == [b"7", None, None, None, None, b"9", None, None]


def test_what_goes_wrong_leaves_no_trace(client: Redis) -> None:
    """Where a limit denies, no money is held; where a budget does, nothing is taken of a limit."""
    server = Server(client)
    keys = [f"whole:{each}" for each in ("requests", "tokens", "state", "used", "held", "ends")]
    rule = Rule(Quota(60, "minute", 1))

    def enter(name: str, tokens: int, day: int) -> Any:
        cost = rule.price(1.0)
        limits = (cost, 10 * cost, tokens, cost)
        return server.run(ENTER, keys, *limits, name, day, -1, 10, 10, -1, TTL, 256, 1_000)

    assert enter("a", 10**9 + 1, 100)[:2] == [b"tokens", 1]
    assert client.exists(*keys) == 0
    assert enter("a", 0, 0)[0] == b"day"
    assert client.exists(*keys) == 0
    assert enter("a", 10, 100)[:4] == [b"", 50, 10**9, 10]
    assert enter("b", 10, 55)[0] == b"held"
    assert client.zcard(keys[5]) == 1


def test_what_was_lost_is_counted_anew_of_what_is_left(client: Redis) -> None:
    """Where the short note of a key's money is gone, it is made again of the sums and of what is held."""
    server = Server(client)
    keys = [f"lost:{each}" for each in ("requests", "tokens", "state", "used", "held", "ends")]
    given = (0, -1, 0, -1, "a", nanos(1.0), -1, 10, 10, -1, TTL, 256, 1_000)
    first = server.run(ENTER, keys, *given)
    period = f"{datetime.fromtimestamp(NOW / 1e6, UTC):%Y-%m-%d}"
    server.run(LEAVE, [*keys, "lost:told"], 1, 0, 0, 60, 1_000, 1, period, 77, 1, 0, 0)
    client.delete(keys[2])
    again = server.run(ENTER, keys, *(*given[:4], "b", *given[5:]))
    assert (first[1], again[4]) == (nanos(0.5), 77)
    assert again[6] == first[1] + again[1]
