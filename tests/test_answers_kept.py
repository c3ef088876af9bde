"""Answers that are given again, where it would be easy to give the wrong one. The rest is in test_answer_cache."""

import asyncio
import time
from typing import Any

import pytest

from fastcascade import Cascade, Tier
from fastcascade.answers import Answer, tag_of
from fastcascade.caching import AnswerCache
from fastcascade.drills.twin import Twin
from fastcascade.gates import UserCheck
from fastcascade.gateway import admin
from fastcascade.gateway.observe_look import forwarding
from fastcascade.gateway.purges import Purge, Purges
from fastcascade.gateway.replies import Replies
from fastcascade.gateway.settings import Kept
from fastcascade.gateway.slate import KEPT, NUMBER, Slate
from fastcascade.lanes import Lanes
from fastcascade.messages import Reply, Request
from fastcascade.prices import Price
from fastcascade.recording import everything
from fastcascade.wire.endpoint import Caller, Done, Response
from fastcascade.wire.format import Asked
from redis_server import redis_server
from test_answer_cache import Counting, in_a_loop, kept, made

ODD = ["x" * 2_000, "\ud800", "a\x00b", "tag: with spaces", "é" * 600]


class Gated(Counting):
    """One that a gate may judge."""

    gives: frozenset[str] = frozenset()


@in_a_loop
async def test_a_regenerated_answer_that_was_purged_meanwhile_is_not_kept() -> None:
    """It does not look before it asks, and a purge holds for it all the same."""
    cascade, _, large = made()
    assert cascade.cache is not None
    large.gate = asyncio.Event()
    asking = asyncio.ensure_future(cascade.run("Why?", temperature=0.0, regenerate=True))
    await large.begun.wait()
    await cascade.cache.purge(everything=True)
    large.gate.set()
    await asking
    assert (await kept(cascade, "Why?")).via == ""


def test_a_regenerated_answer_is_kept_in_plain_code_too() -> None:
    """Though there is no loop yet when it is asked for, its answer is the one that is given from then on."""
    cascade, _, _ = made()
    cascade.run_sync("Why?", temperature=0.0, regenerate=True)
    found = [cascade.run_sync("Why?", temperature=0.0) for _ in range(100)]
    answer = found[-1]
    assert (answer.tier, answer.via) == ("large", "cache")
    cascade.close()


@in_a_loop
async def test_who_asks_again_within_a_moment_goes_large_as_without_a_cache() -> None:
    """What the small tier said is not given to a user who has just asked that; another user's asking is no sign."""
    small, large = Counting("small"), Counting("large")
    lanes = Lanes(regenerated_within=60.0)
    cascade = Cascade(Tier(small), Tier(large), lanes=lanes, cache=AnswerCache(per="all"))
    await kept(cascade, "Why?", user="a")
    assert (await kept(cascade, "Why?", user="b")).via == "cache"
    for user in ("b", "a"):
        assert (await kept(cascade, "Why?", user=user)).tier == "large"
    assert (small.asked, large.asked) == (1, 1)


@in_a_loop
async def test_a_stream_that_went_past_its_gate_is_not_kept() -> None:
    """What the last tier of a stream says is not judged, and so was not accepted."""
    small, large = Gated("small"), Counting("large")
    gate = UserCheck(lambda _request, _reply: 0.0)
    cascade = Cascade(Tier(small, gate=gate), Tier(large), cache=AnswerCache())
    for _ in range(2):
        async with cascade.stream("Why?", temperature=0.0, max_tier="small") as stream:
            async for _ in stream:
                pass
        await asyncio.sleep(0.01)
    assert small.asked == 2


@in_a_loop
async def test_the_highest_tier_a_request_may_use_holds_for_what_is_kept() -> None:
    """Who asks for the small tier alone is not given what the large one said."""
    cascade, _, _ = made()
    await kept(cascade, "Why?", min_tier="large")
    assert (await kept(cascade, "Why?", max_tier="small")).tier == "small"


@in_a_loop
async def test_a_tier_that_asks_another_backend_now_has_not_said_that() -> None:
    """Cascades that share a cache and the names of their tiers do not share what other models said."""
    cascade, small, large = made()
    await kept(cascade, "Why?")
    other = Counting("another model")
    second = Cascade(Tier(other, name="small"), Tier(large), cache=cascade.cache)
    assert (await kept(second, "Why?")).text == "another model 1"
    assert small.asked == 1


@in_a_loop
async def test_under_another_key_of_idempotency_it_is_carried_out_again() -> None:
    """And under the same key it is not."""
    cascade, small, _ = made()
    for key in ("a", "a", "b"):
        await kept(cascade, "Why?", idempotency=key)
    assert small.asked == 2


@pytest.mark.parametrize("user", ODD)
@in_a_loop
async def test_whatever_a_client_calls_itself_its_answers_are_kept_and_purged(user: str) -> None:
    """Names that are long, or no text, are no reason for others to wait; they can be purged like any."""
    cascade, small, _ = made()
    assert cascade.cache is not None
    small.gate = asyncio.Event()
    asked = [asyncio.ensure_future(cascade.run("Why?", temperature=0.0, user=user)) for _ in range(5)]
    await small.begun.wait()
    await asyncio.sleep(0.01)
    small.gate.set()
    await asyncio.gather(*asked)
    assert small.asked == 1
    await cascade.cache.purge(tag=f"user:{user}")
    assert (await kept(cascade, "Why?", user=user)).via == ""


@in_a_loop
async def test_an_answer_without_a_written_form_is_given_to_who_asked_and_holds_up_nobody() -> None:
    """It cannot be kept, and those who waited for it ask for themselves."""

    class Odd(Counting):
        async def complete(self, request: Request, /) -> Reply:
            reply = await super().complete(request)
            return Reply(reply.content, extra={"odd": {"raw": b"bytes"}})

    odd = Odd("odd")
    cascade = Cascade(Tier(odd), cache=AnswerCache())
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(cascade.run("Why?", temperature=0.0) for _ in range(3)))
    assert len({each.text for each in answers}) == odd.asked == 3


def test_a_purge_holds_in_every_loop_of_the_process() -> None:
    """What plain code was given is forgotten though another loop has purged it."""
    cascade, _, _ = made()
    cache = cascade.cache
    assert cache is not None
    cascade.run_sync("Why?", temperature=0.0)
    found = [cascade.run_sync("Why?", temperature=0.0) for _ in range(100)]
    assert found[-1].via == "cache"
    asyncio.run(cache.purge(everything=True))
    assert cascade.run_sync("Why?", temperature=0.0).via == ""
    cascade.close()


def test_nothing_is_kept_for_loops_that_are_closed() -> None:
    """A program that runs loop after loop has the levels of one at most."""
    cascade, _, _ = made()
    cache = cascade.cache
    assert cache is not None
    for number in range(4):
        asyncio.run(cascade.run(f"Why {number}?", temperature=0.0))
    assert len(cache.stats()) == 1
    assert cascade.run_sync("Why 3?", temperature=0.0).via == "", "of a loop that is over nobody hears what was purged"
    cascade.close()


def test_a_cache_that_is_closed_leaves_the_store_to_the_others() -> None:
    """Caches of one URL share a connection, and a purge is heard by who is still there."""

    async def work(url: str) -> None:
        one, two = made(shared=url, name="one")[0], made(shared=url, name="two")[0]
        far = made(shared=url, name="two", prefix="fastcascade", timeout=0.5)[0]
        for each in (one, two):
            await kept(each, "Why?")
        await one.aclose()
        assert (await kept(two, "Why?")).via == "cache"
        assert far.cache is not None
        assert await far.cache.purge(everything=True)
        async with asyncio.timeout(5):
            while (await kept(two, "Why?")).via == "cache":
                pass
        await two.aclose()
        await far.aclose()

    with redis_server("--save", "") as server:
        asyncio.run(work(server.url))


def test_what_is_recorded_observed_or_drilled_knows_no_cache() -> None:
    """Neither is it answered from what was kept, nor is what came of it kept for others."""
    small = Tier(lambda _: "small", name="small", price=Price(1, 1))
    large = Tier(lambda _: "large", name="large", price=Price(1, 1))
    cascade = Cascade(small, large, cache=AnswerCache())
    assert everything(cascade).cache is None
    assert forwarding(cascade, "large").cache is None
    assert Twin(cascade, None, time.monotonic).cascade.cache is None
    assert cascade.cache is not None


# The gateway.


def told(temperature: float = 0.0, **more: Any) -> tuple[Response, Done]:
    """An answer as an endpoint has it."""
    request = Request.of("Why?", temperature=temperature, user=more.pop("user", ""))
    answer = Answer(Reply("yes", "m"), request, "small", **more)
    asked = Asked(request, "m", {}, stream=False)
    return Response(200, [], b"{}"), Done(Caller(), asked, answer, 200, 0.1)


@pytest.mark.parametrize("user", ODD)
def test_whole_answers_are_kept_and_purged_whoever_asked(user: str) -> None:
    """No name makes a request fail after it was answered, and each can be purged by its user."""
    replies = Replies(Kept(), guarded=True)
    replies.keep(("key",), *told(user=user))
    assert replies.find(("key",), {}) is not None
    assert replies.forget(f"user:{user}") == 1
    assert replies.find(("key",), {}) is None


def test_a_whole_answer_is_no_younger_for_having_been_kept_elsewhere_before() -> None:
    """Its age in another cache counts."""
    replies = Replies(Kept(ttl=10.0), guarded=True)
    replies.keep(("old",), *told(via="cache", age=11.0))
    replies.keep(("young",), *told(via="cache", age=1.0))
    assert replies.find(("old",), {}) is None
    assert replies.find(("young",), {}) is not None


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "idempotency-key", "x-cascade-user"])
def test_answers_do_not_cross_credentials_where_nobody_tells_callers_apart(name: str) -> None:
    """Without keys, whatever a client may be known by is part of what it asks."""
    replies = Replies(Kept(), guarded=False)
    keys = {replies.key(Caller(), "/v1/messages", {name: value}, b"{}") for value in ("a", "b")}
    assert len(keys) == 2


@pytest.mark.parametrize("word", [*ODD, "", "t", "p/"])
def test_the_slate_takes_any_word(word: str) -> None:
    """A word that is too long is taken for everything; no other is changed."""
    slate = Slate(2)
    seen = slate.numbers()
    slate.write(0, word)
    fits = len(word.encode("utf-8", "surrogatepass")) <= 254
    assert slate.read(seen, 1) == [word if fits else ""]


def test_a_number_that_was_read_half_written_stands_for_everything() -> None:
    """One that is lower than before, or much higher, is no reason to miss what is written next."""
    slate = Slate(2)
    for _ in range(255):
        slate.write(0, "a")
    seen = slate.numbers()
    memory = vars(slate)["_memory"]
    NUMBER.pack_into(memory, 0, 511)  # 256, of which one byte is not there yet
    assert slate.read(seen, 1) == [""]
    NUMBER.pack_into(memory, 0, 257)
    assert slate.read(seen, 1) == [""]
    assert KEPT < 256


BAD = [
    b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"tag":""}', b'{"tag":5}', b'{"path":"x"}',
    b'{"everything":1}', b'{"everything":false}', b'{"tag":"a","path":"/"}', b'{"Tag":"a"}',
]  # fmt: skip


@in_a_loop
async def test_an_operator_is_told_what_a_purge_is_asked_by() -> None:
    """Whatever else is said is a 400, another method a 405, a gateway without keys a 403; and nothing is purged."""
    slate = Slate(2)
    seen = slate.numbers()
    purges = Purges([], slate, 0)
    for body in BAD:
        assert (await admin.answered(purges, "POST", body, guarded=True)).status == 400
    good = b'{"everything":true}'
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "post"):
        assert (await admin.answered(purges, method, good, guarded=True)).status == 405
    assert (await admin.answered(purges, "POST", good, guarded=False)).status == 403
    assert slate.read(seen, 1) == []
    assert (await admin.answered(purges, "POST", good, guarded=True)).status == 200
    assert slate.read(seen, 1) == [""]


@pytest.mark.parametrize("name", ODD)
@in_a_loop
async def test_a_purge_goes_through_whatever_it_is_of(name: str) -> None:
    """Pages are asked only by names that a page can have, and nothing fails."""
    asked: list[tuple[str | None, str | None]] = []

    async def pages(tag: str | None, path: str | None) -> list[bool]:
        for each in (tag, path):
            if each is not None:
                each.encode()
        asked.append((tag, path))
        return [True]

    cascade, _, _ = made()
    assert cascade.cache is not None
    purges = Purges([cascade.cache], Slate(2), 0, pages=pages, forget=Replies(Kept(), guarded=True).forget)
    assert await purges.purge(Purge(tag=name))
    assert await purges.purge(Purge(path=f"/{name}"))
    assert len(asked) == (0 if name == "\ud800" else 2)


@pytest.mark.parametrize("name", ODD)
def test_a_tag_is_a_text_of_bounded_length_and_stays_itself(name: str) -> None:
    """Put through again it is the same, and two names have two tags."""
    tag = tag_of(f"user:{name}")
    assert len(tag.encode()) <= 1_000
    assert tag_of(tag) == tag
    assert tag != tag_of(f"user:{name}x")
