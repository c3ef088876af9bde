"""Whatever lies in Redis under our names: it is asked past, never raised out of, and never given to anybody."""

import asyncio
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import Cascade, Quota, Tier
from fastcascade.caching.answers import AnswerCache
from fastcascade.caching.answers_told import read, written
from fastcascade.caching.levels import Entry, Lead, Levels
from fastcascade.caching.levels_entry import HEAD, VERSION
from fastcascade.messages import Reply, Request
from fastcascade.shared import Shared
from fastcascade.shared.budgets import SharedBudgets
from fastcascade.shared.limits import SharedLimiter
from fastcascade.shared.script import Script
from redis_server import RedisServer, redis_server

KEY = b"0123456789abcdef"
SPOIL = Script("redis.call('DEL', KEYS[1]) return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))")
odd = st.sampled_from([0.0, -1.0, 1.0, 1e9, 1e18, 1e300, float("inf"), float("-inf"), float("nan"), 2.0**33, 2.0**63])
heads = st.builds(
    lambda born, fresh, stale, serial, flags, count, length, rest: (
        HEAD.pack(born, fresh, stale, serial, b"nonce...", flags, count, length) + rest
    ),
    odd, odd, odd, odd,
    st.sampled_from([VERSION, VERSION | 1, VERSION | 15, 0x20, 0]),
    st.integers(0, 65_535), st.sampled_from([0, 1, 7, 2**32 - 1]), st.binary(max_size=40),
)  # fmt: skip
junk = st.one_of(st.binary(max_size=120), heads, st.sampled_from([b"1 2 3", b"9" * 40, b"[" * 40]))
put = st.tuples(st.sampled_from(["SET", "HSET", "ZADD", "RPUSH", "XADD"]), junk, odd)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server, emptied by each example."""
    with redis_server("--save", "") as running:
        yield running


async def spoil(shared: Shared, key: bytes, how: tuple[str, bytes, float]) -> None:
    """Put something there."""
    kind, value, number = how
    score = "inf" if number != number else repr(number)  # noqa: PLR0124 - it is no number
    words: dict[str, tuple[str | bytes, ...]] = {
        "SET": (value,),
        "HSET": (value, value),
        "ZADD": (score, value, "+inf", b"t\xff", "17", b"?" + value, "inf", b"?a"),
        "RPUSH": (value,),
        "XADD": ("*", "kind", "purge test", "member", value, b"\xff", b"\xfe"),
    }
    await shared.run(SPOIL, [key], [kind, *words[kind]])


@settings(max_examples=30, deadline=None)
@given(entry=put, lease=put, marks=put, which=st.sets(st.integers(0, 2), min_size=1))
def test_levels_ask_past_whatever_lies_there(
    server: RedisServer, entry: Any, lease: Any, marks: Any, which: set[int]
) -> None:
    """With any bytes and kinds under the names of an entry, its lease and the marks, one can ask, make and purge."""

    async def work() -> None:
        shared, beside = Shared(server.url, timeout=9), Shared(server.url, timeout=9)
        await shared.start()
        await beside.start()
        await beside.call("FLUSHALL", "SYNC")
        levels = Levels("test", shared, lease=0.2)
        assert levels.far is not None
        names = [*levels.far.keys(KEY), beside.key("test", "marks")]
        for place, how in enumerate((entry, lease, marks)):
            if place in which:
                await spoil(beside, names[place], how)
        await shared.news.tell("purge test", {"member": entry[1], "other": b"\xff"})
        found = await levels.ask(KEY, within=0.5)
        if isinstance(found, Lead):
            await found.put(b"made", ttl=60)
        elif found is None:
            await levels.put(KEY, b"made", ttl=60)
        else:
            assert found.fresh_until >= 0
        again = await levels.ask(KEY, within=0.0)
        if isinstance(again, Lead):
            again.give_up()
        elif again is not None and not isinstance(found, Entry):
            assert again.value == b"made"
        await levels.purge(all=True)
        assert levels.peek(KEY) is None
        await levels.aclose()
        await shared.aclose()
        await beside.aclose()

    asyncio.run(work())


KINDS = ["Reply", "Text", "ToolCall", "ToolResult", "Image", "Opaque", "Usage", "Token", "Answer", "float", "set", "x"]
names = st.sampled_from(
    ["kind:", "items", "content", "text", "model", "stop", "usage", "logprobs", "extra", "cost_usd", "id", "name"]
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
GOOD = Reply("yes", "m")


@given(st.dictionaries(st.sampled_from(["reply", "tier", "by", "route", "score", "usd"]), jsons), jsons, names)
def test_an_answer_of_another_make_is_none(changed: dict[str, Any], value: Any, name: str) -> None:
    """What is read is an answer whose parts are of their kinds, or nothing; reading raises for no bytes."""
    cascade = Cascade(Tier(lambda _: GOOD, name="small"))
    whole = json.loads(written(cascade.run_sync(Request.of("Why?")), "b"))
    whole.update(changed)
    if isinstance(whole["reply"], dict):
        whole["reply"][name] = value
    told = read(json.dumps(whole).encode())
    if told is None:
        return
    assert isinstance(told.reply.text, str)
    assert told.usd == told.usd
    for block in told.reply.content:
        hash((type(block).__name__, getattr(block, "text", "")))
    json.loads(written(cascade.run_sync(Request.of("Why?")), told.by))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[" * 200_000, b"null", b"[]", b"\xff\xfe", b'{"reply": 5}', b"1" * 5_000,
        b'{"reply":{"kind:":"Reply","content":["x"]},"tier":"t","by":"b","route":"","score":null,"usd":0}',
        b'{"reply":{"kind:":"Reply","content":[{"kind:":"Text","text":5}]},"tier":"","by":"","route":"","score":1,"usd":0}',
        b'{"reply":{"kind:":"Reply","content":[]},"tier":"t","by":"b","route":"","score":NaN,"usd":0}',
        b'{"reply":{"kind:":"Reply","content":[]},"tier":"t","by":"b","route":"","score":null,"usd":Infinity}',
    ],
)  # fmt: skip
def test_bytes_that_are_no_answer_are_read_as_nothing(raw: bytes) -> None:
    """Each comes to None."""
    assert read(raw) is None


@settings(max_examples=25, deadline=None)
@given(value=junk)
def test_a_question_is_answered_whatever_is_kept_for_it(server: RedisServer, value: bytes) -> None:
    """A well-formed entry with anything for an answer in it is asked past, and replaced by what was said."""

    async def work() -> None:
        calls = []

        def said(_: Request) -> str:
            calls.append(1)
            return "said"

        cache = AnswerCache(shared=server.url, name="hostile", timeout=9)
        cascade = Cascade(Tier(said, name="small"), cache=cache)
        request = Request.of("Why?", temperature=0.0)
        sought = cache.sought(request, cascade, lambda _: 0)
        assert sought is not None
        assert sought.levels is not None
        assert sought.levels.far is not None
        beside = Shared(server.url, timeout=9)
        await beside.start()
        await beside.call("FLUSHALL", "SYNC")
        await sought.levels.start()
        time = await beside.call("TIME")
        born, serial = float(time[0]), float(2**53)
        entry = HEAD.pack(born, 60.0, 0.0, serial, b"nonce...", VERSION, 0, 0) + value
        await beside.call("SET", sought.levels.far.keys(sought.key)[0], entry)
        answer = await cascade.run(request)
        assert (answer.text, len(calls)) == ("said", 1)
        await cascade.aclose()
        await beside.aclose()

    asyncio.run(work())


@settings(max_examples=30, deadline=None)
@given(put, st.sampled_from(["requests", "tokens", "state", "used", "held", "ends", "told", "bucket"]))
def test_limits_and_budgets_decide_whatever_lies_there(server: RedisServer, how: Any, name: str) -> None:
    """With any bytes and kinds under the names of a key, a request is let in or refused, and nothing raises."""

    async def work() -> None:
        shared = Shared(server.url, timeout=9)
        await shared.start()
        await shared.call("FLUSHALL", "SYNC")
        budgets = SharedBudgets(shared, off="open")
        limiter = SharedLimiter(Quota(100, "minute"), shared)
        minute = Quota(100, "minute")
        purse = budgets.purse("key", requests=minute, tokens=minute, day=10**9, month=None)
        order = ["requests", "tokens", "state", "used", "held", "ends"]
        names: dict[str, bytes] = dict(zip(order, purse.keys, strict=True))
        names["told"] = shared.key("key", "told", budgets.members.id, slot="key")
        names["bucket"] = shared.key("limit", limiter.name, slot="client")
        await spoil(shared, names[name], how)
        stay = await purse.enter(tokens=5.0)
        assert stay is not None
        wait = await limiter.admit("client")
        assert wait >= 0
        await shared.call("FLUSHALL", "SYNC")
        await budgets.aclose()
        await limiter.aclose()
        await budgets.members.aclose()
        await shared.aclose()

    asyncio.run(work())


def test_a_head_is_as_long_as_its_parts() -> None:
    """What the scripts look at in an entry lies where they look."""
    assert struct.calcsize(">dddd8s") == 40
    assert HEAD.size == 47
