"""The review desk: nothing lost, nothing answered twice, callers told, and every answer a case for the evals."""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastcascade import Cascade, Tier
from fastcascade.bells import Bells
from fastcascade.callbacks import Callbacks, verify
from fastcascade.desk import ReviewDesk, Tidied
from fastcascade.errors import ConfigError, RequestError, StoreError
from fastcascade.labels import candidates
from fastcascade.messages import Image, Message, Reply, Request, Text, Tool, ToolCall
from fastcascade.notices import Notice, subscribe
from fastcascade.stores.reviews import Review
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.testing import Fault, ScriptedBackend, run_virtual
from memory_reviews import MemoryReviews

T = TypeVar("T")
KEY = b"k" * 32
SECRET = b"s" * 32
HOOK = "https://caller.example/hook"
START = 1_700_000_000.0
ASKED = Request.of("Where is my parcel?", route="/orders")


class Clock:
    """Seconds since 1970, as the test has them."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Network:
    """Stands for the receivers of callbacks: keeps what reached them, and answers as told."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.reached: list[tuple[str, dict[str, Any]]] = []
        self.clock = Clock()

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        self.reached.append((headers["webhook-id"], verify(body, headers, SECRET, self.clock())))
        return self.status, {}


@pytest.fixture
def store() -> MemoryReviews:
    """A store that is obviously right."""
    return MemoryReviews()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def heard() -> Iterator[list[Notice]]:
    """All notices that were given."""
    notices: list[Notice] = []
    end = subscribe(notices.append)
    yield notices
    end()


def calling(network: Network) -> Callbacks:
    """Callbacks over that network."""
    return Callbacks([HOOK], SECRET, post=network)


# Submitting.


def test_a_review_from_end_to_end(store: MemoryReviews, clock: Clock) -> None:
    """What is submitted is handed to a reviewer, answered once, and comes back to the caller and to the hook."""
    kept: list[Review] = []

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, on_answer=kept.append)
        review = await desk.submit(ASKED, "failed", Reply("no idea"), {"some": "trace"})
        assert review.state == "waiting" and review.due == START + 86_400.0 and review.slice == "/orders"
        assert (await desk.get(review.id)) == review and (await desk.counts()).waiting == 1
        claimed = await desk.claim("ann")
        assert claimed is not None and claimed.id == review.id and claimed.lease and await desk.claim("bob") is None
        clock.now += 10.0
        assert await desk.answer(claimed, "At the gate.", note="called them") == "done"
        assert await desk.answer(claimed, "At the gate.") == "again"
        assert await desk.answer(claimed, "Lost.") == "taken"
        ended = await desk.wait(review.id, 0.0)
        assert ended.answer is not None and ended.answer.text == "At the gate." and ended.answer.model == "human"
        assert (ended.state, ended.ended, ended.note) == ("answered", START + 10.0, "called them")
        assert [(each.id, each.answer, each.ended, each.lease) for each in kept] == [
            (review.id, ended.answer, ended.ended, "")
        ]
        await desk.aclose()

    run_virtual(main())


def test_it_is_kept_before_submit_returns(store: MemoryReviews) -> None:
    """A review that cannot be kept is the caller's to know: `submit` raises what the store did."""

    async def main() -> None:
        desk = ReviewDesk(store)
        store.off = True
        with pytest.raises(StoreError):
            await desk.submit(ASKED, "failed")
        store.off, store.deaf = False, {"add"}
        with pytest.raises(StoreError):
            await desk.submit(replace(ASKED, id="1"), "failed")
        store.deaf = set()
        await desk.submit(replace(ASKED, id="1"), "failed")
        assert len(store.kept) == 1

    run_virtual(main())


SAME: list[tuple[dict[str, Any], str, bool]] = [
    ({}, "failed", True),
    ({"priority": 3, "temperature": 0.5}, "failed", True),
    ({}, "unsure", False),
    ({"id": "2"}, "failed", False),
    ({"id": ""}, "failed", False),
    ({"customer": "other"}, "failed", False),
    ({"user": "other"}, "failed", False),
    ({"messages": ("Where is my other parcel?",)}, "failed", False),
    ({"system": "Be brief."}, "failed", False),
]


@pytest.mark.parametrize(("changed", "why", "same"), SAME)
def test_submitted_again(changed: dict[str, Any], why: Any, same: bool) -> None:
    """What has an id and comes again for the same reason is one review, in any desk with the same key."""
    first = Request.of("Where is my parcel?", id="1", customer="c", user="u")

    async def main() -> tuple[str, str, int]:
        store = MemoryReviews()
        one, two = ReviewDesk(store, key=KEY), ReviewDesk(store, key=KEY)
        a, b = await one.submit(first, "failed"), await two.submit(replace(first, **changed), why)
        return a.id, b.id, len(store.kept)

    a, b, count = run_virtual(main())
    assert (a == b) == same and count == (1 if same else 2)
    assert all(ticket.startswith("rv_") and len(ticket) == 27 for ticket in (a, b))


def test_tickets_cannot_be_guessed(store: MemoryReviews) -> None:
    """Without the desk's key the ticket of a known request is another; without an id each ticket is new."""

    async def main() -> None:
        named = replace(ASKED, id="1")
        tickets = [(await ReviewDesk(store).submit(named, "failed")).id for _ in range(2)]
        tickets += [(await ReviewDesk(store, key=KEY).submit(named, "failed")).id]
        tickets += [(await ReviewDesk(store, key=KEY).submit(ASKED, "failed")).id for _ in range(2)]
        assert len(set(tickets)) == 5

    run_virtual(main())


def test_an_answer_is_there_at_once_for_what_was_answered_before(store: MemoryReviews) -> None:
    """A request submitted again after its answer comes back with it."""

    async def main() -> None:
        desk = ReviewDesk(store)
        await desk.submit(replace(ASKED, id="1"), "failed")
        claimed = await desk.claim("ann")
        assert claimed is not None
        await desk.answer(claimed, "At the gate.")
        again = await desk.submit(replace(ASKED, id="1"), "failed")
        assert again.answer is not None and again.answer.text == "At the gate."

    run_virtual(main())


@pytest.mark.parametrize("url", ["https://evil.example/hook", "https://caller.example.evil/hook", "nonsense"])
def test_a_callback_elsewhere_is_refused(store: MemoryReviews, url: str) -> None:
    """A caller cannot have us call what the operator did not allow, and nothing is kept of the try."""

    async def main() -> None:
        for desk in (ReviewDesk(store), ReviewDesk(store, callbacks=[HOOK], secret=SECRET)):
            with pytest.raises(RequestError, match="callback"):
                await desk.submit(ASKED, "failed", callback=url)

    run_virtual(main())
    assert not store.kept


def test_what_cannot_be_kept_is_the_callers_fault(store: MemoryReviews) -> None:
    """A request that holds what JSON cannot is refused as a request, with an id and without."""

    async def main() -> None:
        desk = ReviewDesk(store)
        for request in (replace(ASKED, options={"x": b"raw"}), Request((Message("user", [b"raw"]),), id="1")):  # type: ignore[list-item]
            with pytest.raises(RequestError, match="cannot be kept"):
                await desk.submit(request, "failed")

    run_virtual(main())


def _breaks(request: Request) -> str:
    raise KeyError(request.text)


SLICES: list[tuple[Any, Request, str]] = [
    (None, ASKED, "/orders"),
    (None, replace(ASKED, route="", task="orders"), "orders"),
    (None, replace(ASKED, route=""), ""),
    (lambda request: request.customer, replace(ASKED, customer="acme"), "acme"),
    (lambda _: None, ASKED, ""),
    (_breaks, ASKED, ""),
]


@pytest.mark.parametrize(("slice_of", "request_", "expected"), SLICES)
def test_the_slice(
    store: MemoryReviews, slice_of: Any, request_: Request, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The slice is the route or the task, or what the user's function says; one that breaks costs no review."""
    review = run_virtual(ReviewDesk(store, slice_of=slice_of).submit(request_, "asked"))
    assert review.slice == expected and review.why == "asked"
    assert "parcel" not in caplog.text


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0, exclude_max=True))
def test_the_share_that_is_drawn(share: float, drawn: float) -> None:
    """A request is drawn where the number is below the share: none at 0, all at 1."""
    assert ReviewDesk(MemoryReviews(), sample=share, draw=lambda: drawn).sampled() == (drawn < share)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"sla": 0.0}, "sla"),
    ({"sla": float("nan")}, "sla"),
    ({"lease": 0.0}, "lease"),
    ({"lease": float("inf")}, "lease"),
    ({"sample": 1.5}, "sample"),
    ({"keep": 0.0}, "keep"),
    ({"callbacks": [HOOK]}, "secret"),
    ({"callbacks": HOOK, "secret": SECRET}, "list"),
    ({"callbacks": Callbacks([HOOK], SECRET), "secret": SECRET}, "secret"),
    ({"key": b"short"}, "24 bytes"),
]


@pytest.mark.parametrize(("settings_", "says"), BAD)
def test_settings_that_cannot_work(settings_: dict[str, Any], says: str) -> None:
    """Settings that cannot work are refused when the desk is made."""
    with pytest.raises(ConfigError, match=says):
        ReviewDesk(MemoryReviews(), **settings_)


# Reviewing.


def traced() -> tuple[Mapping[str, Any], Reply]:
    """The trace of a real run: one tier failed, one said something poor, one had nothing to say."""
    tiers = [
        Tier(ScriptedBackend(Fault("server")), name="off"),
        Tier(ScriptedBackend("Perhaps."), name="small"),
        Tier(ScriptedBackend(None), name="rules"),
        Tier(ScriptedBackend("It is on its way."), name="large"),
    ]
    trace = run_virtual(Cascade(*tiers[:1], *tiers[2:]).run(ASKED)).trace()
    small = run_virtual(Cascade(tiers[1]).run(ASKED)).trace()
    trace["attempts"] += small["attempts"]
    trace["outcomes"] |= small["outcomes"]
    return trace, Reply("the best so far")


PICKS: list[tuple[Any, Any, str, str]] = [
    ("My words.", None, "My words.", ""),
    (Reply("A reply."), None, "A reply.", ""),
    (Reply((ToolCall("1", "look"),)), None, "", ""),
    (None, "best", "the best so far", ""),
    (None, 2, "It is on its way.", ""),
    (None, 3, "Perhaps.", ""),
    (None, 0, "", "empty"),
    (None, 1, "", "empty"),
    (None, 4, "", "there are 4"),
    (None, -1, "", "there are 4"),
    (None, True, "", "pick the number"),
    (None, "worst", "", "pick the number"),
    (None, None, "", "not both"),
    ("Words", 2, "", "not both"),
    ("", None, "", "empty"),
    (" \n", None, "", "empty"),
    (Reply(()), None, "", "empty"),
    (17, None, "", "empty"),
]


@pytest.mark.parametrize("by_ticket", [False, True])
@pytest.mark.parametrize(("reply", "pick", "text", "refused"), PICKS)
def test_ways_to_answer(reply: Any, pick: Any, text: str, refused: str, by_ticket: bool) -> None:
    """A reviewer answers in words, with a reply, or by picking; nonsense is refused and the review stays theirs."""

    async def main(trace: Mapping[str, Any], best: Reply) -> Review | None:
        desk = ReviewDesk(MemoryReviews())
        review = await desk.submit(ASKED, "unsure", best, trace)
        claimed = await desk.claim("ann")
        assert claimed is not None
        assert [reply and reply.text for reply in candidates(claimed)] == [None, None, "It is on its way.", "Perhaps."]
        asked = {"review": claimed.id, "lease": claimed.lease} if by_ticket else {"review": claimed}
        if refused:
            with pytest.raises(RequestError, match=refused):
                await desk.answer(**asked, reply=reply, pick=pick)
            assert await desk.answer(claimed, "after all") == "done"
            return None
        assert await desk.answer(**asked, reply=reply, pick=pick) == "done"
        return await desk.get(review.id)

    answered = run_virtual(main(*traced()))
    assert answered is None or (answered.answer is not None and answered.answer.text == text)


NO_TRACE: list[Mapping[str, Any]] = [
    {},
    {"attempts": None, "outcomes": None},
    {"attempts": [{"tier": "a"}]},
    {"attempts": [{"no": "tier"}, 3], "outcomes": {}},
    {"attempts": [{"tier": "a"}], "outcomes": {"a/answer": {"value": {"kind:": "Unheard", "of": 1}}}},
    {"attempts": [{"tier": "a"}], "outcomes": {"a/answer": {"value": "a text"}}},
]


@pytest.mark.parametrize("trace", NO_TRACE)
def test_a_trace_of_another_make(trace: Mapping[str, Any]) -> None:
    """A trace that cannot be read has no replies to pick, and breaks nothing."""
    assert not any(candidates(Review("rv_1", ASKED, "failed", START, trace=trace)))


def test_the_lease(store: MemoryReviews, clock: Clock) -> None:
    """A review is a reviewer's while renewed, and another's once the lease has lapsed or was given back."""

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, lease=60.0)
        await desk.submit(ASKED, "failed")
        first = await desk.claim("ann")
        assert first is not None
        clock.now += 50.0
        assert await desk.renew(first)
        clock.now += 50.0
        assert await desk.claim("bob") is None
        clock.now += 10.0
        second = await desk.claim("bob")
        assert second is not None and second.lease != first.lease and second.claims == 2
        assert not await desk.renew(first) and not await desk.release(first.id, first.lease)
        assert await desk.answer(first, "too late") == "lapsed"
        assert await desk.release(second)
        assert await desk.answer(second, "given back") == "lapsed"
        third = await desk.claim("cid")
        clock.now += 600.0
        assert third is not None and await desk.answer(third, "late, but nobody minds") == "done"
        assert await desk.answer(first, "still too late") == "taken"

    run_virtual(main())


def test_what_a_reviewer_cannot_do(store: MemoryReviews) -> None:
    """Nobody answers, renews or gives back without a lease, or claims without a name; an unknown ticket is said so."""

    async def main() -> None:
        desk = ReviewDesk(store)
        review = await desk.submit(ASKED, "failed")
        for attempt in (
            desk.answer(review, "x"),
            desk.renew(review),
            desk.release(review.id),
            desk.answer(review.id, "x"),
        ):
            with pytest.raises(RequestError, match="lease is missing"):
                await attempt
        with pytest.raises(RequestError, match="name"):
            await desk.claim("")
        assert await desk.answer("rv_none", "x", lease="l") == "unknown"
        assert await desk.answer(review, "x", lease="made up") == "lapsed"

    run_virtual(main())


def test_an_answer_whose_receipt_was_lost(store: MemoryReviews) -> None:
    """A reviewer who answers again after the store's word was lost is told that it stands, and the hook is not."""
    kept: list[str] = []

    async def main() -> None:
        desk = ReviewDesk(store, on_answer=lambda review: kept.append(review.id))
        await desk.submit(ASKED, "failed")
        claimed = await desk.claim("ann")
        assert claimed is not None
        store.deaf = {"answer"}
        with pytest.raises(StoreError):
            await desk.answer(claimed, "At the gate.")
        store.deaf = set()
        assert [await desk.answer(claimed, "At the gate.") for _ in range(2)] == ["again", "again"]
        assert not kept

    run_virtual(main())


async def _async_breaks(review: Review) -> None:
    raise ValueError(review.request.text)


HOOKS: list[Callable[[Review], object]] = [lambda review: _breaks(review.request), _async_breaks]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_breaks(
    store: MemoryReviews, hook: Callable[[Review], object], caplog: pytest.LogCaptureFixture
) -> None:
    """A hook that breaks, plain or async, breaks no answer, and shows no prompt in the log."""

    async def main() -> None:
        desk = ReviewDesk(store, on_answer=hook)
        await desk.submit(ASKED, "failed")
        claimed = await desk.claim("ann")
        assert claimed is not None and await desk.answer(claimed, "x") == "done"

    with caplog.at_level(logging.DEBUG):
        run_virtual(main())
    assert "on_answer" in caplog.text and "parcel" not in caplog.text


# Waiting.


async def _answer_after(desk: ReviewDesk, seconds: float) -> None:
    await asyncio.sleep(seconds)
    claimed = await desk.claim("ann")
    assert claimed is not None
    await desk.answer(claimed, "At the gate.")


def test_who_waits_is_woken_at_once_here_and_soon_elsewhere(store: MemoryReviews) -> None:
    """An answer wakes whoever waits in this process in that moment, in others within five seconds, with few looks."""

    async def main() -> None:
        here, elsewhere = ReviewDesk(store), ReviewDesk(store)
        loop = asyncio.get_running_loop()
        review = await here.submit(ASKED, "failed")
        answering = asyncio.create_task(_answer_after(here, 1_000.05))
        store.asked.clear()
        ended: dict[str, float] = {}

        async def wait(name: str, desk: ReviewDesk) -> None:
            assert (await desk.wait(review.id)).state == "answered"
            ended[name] = loop.time()

        await asyncio.gather(wait("here", here), wait("here too", here), wait("elsewhere", elsewhere), answering)
        assert ended["here"] == ended["here too"] == 1_000.05
        assert 1_000.05 < ended["elsewhere"] <= 1_005.05
        assert store.asked.count("get") < 3 * 220

    run_virtual(main())


def test_a_wait_that_ends_before_the_answer(store: MemoryReviews) -> None:
    """After its time a wait comes back with the review as it stands, and leaves nothing behind."""

    async def main() -> None:
        desk = ReviewDesk(store)
        loop = asyncio.get_running_loop()
        review = await desk.submit(ASKED, "failed", Reply("so far"))
        for timeout in (0.0, 7.3):
            before = loop.time()
            stands = await desk.wait(review.id, timeout)
            assert stands.state == "waiting" and stands.best == Reply("so far") and loop.time() - before == timeout
        cancelled = asyncio.create_task(desk.wait(review.id))
        await asyncio.sleep(1.0)
        cancelled.cancel()
        with suppress(asyncio.CancelledError):
            await cancelled
        assert len(desk._bells) == 0  # noqa: SLF001 - what is left behind is not seen from outside
        with pytest.raises(RequestError, match="no review"):
            await desk.wait("rv_none")

    run_virtual(main())


def test_a_wait_while_the_store_is_off(store: MemoryReviews) -> None:
    """A wait survives a store that is off for a while, and says so only where it never came back."""

    async def main() -> None:
        desk = ReviewDesk(store)
        review = await desk.submit(ASKED, "failed")
        store.off = True
        with pytest.raises(StoreError):
            await desk.wait(review.id, 10.0)
        waiting = asyncio.create_task(desk.wait(review.id, 60.0))
        await asyncio.sleep(20.0)
        store.off = False
        await _answer_after(desk, 1.0)
        assert (await waiting).state == "answered"
        known = await desk.submit(replace(ASKED, id="2"), "failed")
        waiting = asyncio.create_task(desk.wait(known.id, 60.0))
        await asyncio.sleep(20.0)
        store.off = True
        assert (await waiting).state == "waiting"

    run_virtual(main())


def test_an_answer_given_in_another_thread(store: MemoryReviews, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer given on another event loop in another thread wakes who waits on this one, with no second look."""
    monkeypatch.setattr("fastcascade.desk.QUICKEST", 3_600.0)
    monkeypatch.setattr("fastcascade.desk.SLOWEST", 3_600.0)
    desk = ReviewDesk(store)

    async def main() -> Review:
        review = await desk.submit(ASKED, "failed")
        waiting = asyncio.create_task(desk.wait(review.id))
        await asyncio.sleep(0)  # until it waits
        thread = Thread(target=lambda: asyncio.run(_answer_after(desk, 0.0)))
        thread.start()
        ended = await waiting
        thread.join()
        return ended

    assert asyncio.run(main()).state == "answered"


def test_bells_ring_for_whoever_hangs() -> None:
    """A bell rings for its own name alone, for all who wait, and is gone when nobody does."""
    bells = Bells()
    bells.ring("nobody")
    with bells.hung("a") as one, bells.hung("a") as two, bells.hung("b") as other:
        bells.ring("a")
        assert one.given and two.given and not other.given and len(bells) == 1
        with bells.hung("a") as late:
            assert not late.given and len(bells) == 2
    assert len(bells) == 0


# Upkeep.


def test_what_nobody_answers_expires(store: MemoryReviews, clock: Clock, heard: list[Notice]) -> None:
    """What is due and not held ends, its caller is woken and called, and the operator hears how many, and no more."""
    network = Network()

    async def main() -> None:
        desk = ReviewDesk(store, sla=100.0, lease=200.0, clock=clock, callbacks=calling(network))
        one = await desk.submit(ASKED, "failed", callback=HOOK)
        clock.now += 0.25
        two = await desk.submit(ASKED, "failed", callback=HOOK)
        held = await desk.claim("ann")
        waiting = asyncio.create_task(desk.wait(two.id))
        await asyncio.sleep(0)
        clock.now = network.clock.now = START + 99.0
        assert (await desk.tidy()).expired == 0
        clock.now = network.clock.now = START + 100.5
        done = await desk.tidy()
        assert (done.expired, done.called, done.failed) == (1, 1, 0)
        ended = await waiting
        assert held is not None and held.id == one.id and ended.state == "expired" and ended.answer is None
        assert asyncio.get_running_loop().time() == 0.0
        clock.now = network.clock.now = START + 201.0
        assert (await desk.tidy()).expired == 1 and await desk.answer(held, "late") == "lapsed"
        assert [said["state"] for _, said in network.reached] == ["expired", "expired"]

    run_virtual(main())
    news = [notice for notice in heard if notice.kind == "review"]
    assert [(notice.about, notice.text) for notice in news] == [("/orders", "1 expired with no answer")] * 2


def test_no_sla_is_no_end(store: MemoryReviews, clock: Clock) -> None:
    """Without an SLA a review waits for as long as it takes."""

    async def main() -> None:
        desk = ReviewDesk(store, sla=None, clock=clock)
        review = await desk.submit(ASKED, "failed")
        clock.now += 1e9
        assert review.due is None and (await desk.tidy()).expired == 0

    run_virtual(main())


def test_what_is_old_is_dropped(store: MemoryReviews, clock: Clock) -> None:
    """What has ended is dropped after its time and not before, unless its callback is still to be made."""
    network = Network(status=500)

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, keep=1_000.0, callbacks=calling(network))
        for callback in ("", HOOK):
            await desk.submit(ASKED, "failed", callback=callback)
            claimed = await desk.claim("ann")
            assert claimed is not None
            await desk.answer(claimed, "x")
        assert (await desk.tidy()).purged == 0
        clock.now = network.clock.now = START + 999.0
        assert (await desk.tidy()).purged == 0
        clock.now = network.clock.now = START + 1_061.0
        assert (await desk.tidy()).purged == 1
        network.status = 200
        clock.now = network.clock.now = START + 5_000.0
        done = await desk.tidy()
        assert (done.called, done.purged) == (1, 1) and not store.kept

    run_virtual(main())


async def _ended(desk: ReviewDesk, callback: str = HOOK) -> Review:
    review = await desk.submit(ASKED, "failed", callback=callback)
    claimed = await desk.claim("ann")
    assert claimed is not None
    await desk.answer(claimed, "At the gate.")
    return review


def test_a_callback_is_tried_for_a_day(store: MemoryReviews, clock: Clock, heard: list[Notice]) -> None:
    """A receiver that always fails is tried ever less often for a day, with the same id, and then given up."""
    network = Network(status=500)

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, callbacks=calling(network))
        review = await _ended(desk)
        while (again := store.again.get(review.id, clock.now)) is not None:
            clock.now = network.clock.now = max(clock.now, again)
            assert (await desk.tidy()).failed == 1
        clock.now += 86_400.0
        assert (await desk.tidy()).failed == 0

    run_virtual(main())
    assert 25 <= len(network.reached) <= 40 and len({each for each, _ in network.reached}) == 1
    assert [notice.text for notice in heard] == ["a callback was given up: 500"]


def test_a_receiver_that_wants_no_more(store: MemoryReviews, clock: Clock) -> None:
    """After a 410 a callback is not made again, and nothing waits for it."""
    network = Network(status=410)

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, callbacks=calling(network))
        await _ended(desk)
        for _ in range(3):
            await desk.tidy()
            clock.now += 10_000.0
        assert (await desk.counts()).uncalled == 0

    run_virtual(main())
    assert len(network.reached) == 1


def test_a_sender_that_dies_after_sending(store: MemoryReviews, clock: Clock) -> None:
    """Whoever sends and dies before noting it leaves the callback to another, who sends it again with the same id."""
    network = Network()

    async def main() -> None:
        first, second = (ReviewDesk(store, clock=clock, callbacks=calling(network)) for _ in range(2))
        review = await _ended(first)
        held = store.called_back

        async def dies(*_: Any) -> None:
            dying.cancel()
            await asyncio.sleep(0)

        store.called_back = dies  # type: ignore[method-assign]
        dying = asyncio.create_task(first.tidy())
        with pytest.raises(asyncio.CancelledError):
            await dying
        store.called_back = held  # type: ignore[method-assign]
        assert (await second.tidy()).called == 0
        clock.now = network.clock.now = START + 61.0
        assert (await second.tidy()).called == 1
        clock.now = network.clock.now = START + 9_000.0
        assert (await second.tidy()).called == 0
        ended = await second.get(review.id)
        assert ended is not None and ended.called

    run_virtual(main())
    assert len(network.reached) == 2 and network.reached[0] == network.reached[1]


def test_many_callbacks_at_once_and_a_store_that_breaks_off(store: MemoryReviews, clock: Clock) -> None:
    """One round makes a hundred callbacks; one the store lost the note of keeps no other from being noted."""
    network = Network()

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, callbacks=calling(network))
        for _ in range(110):
            await _ended(desk)
        held, count = store.called_back, 0

        async def breaks(ticket: str, taken: bool, again: float | None) -> None:
            nonlocal count
            count += 1
            if count == 3:
                raise StoreError("off")
            await asyncio.sleep(0.01)  # the others are slower
            await held(ticket, taken, again)

        store.called_back = breaks  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await desk.tidy()
        store.called_back = held  # type: ignore[method-assign]
        assert sum(review.called for review in store.all()) == 19
        assert (await desk.tidy()).called == 90
        clock.now = network.clock.now = START + 61.0
        assert (await desk.tidy()).called == 1

    run_virtual(main())
    assert len(network.reached) == 111


def test_a_desk_that_may_call_nobody_leaves_callbacks_to_others(store: MemoryReviews, clock: Clock) -> None:
    """A desk without callbacks takes none that another could make."""
    network = Network()

    async def main() -> None:
        able, plain = ReviewDesk(store, clock=clock, callbacks=calling(network)), ReviewDesk(store, clock=clock)
        await _ended(able)
        assert (await plain.tidy()).failed == 0
        assert (await able.tidy()).called == 1

    run_virtual(main())


@asynccontextmanager
async def serving(desk: ReviewDesk, every: float = 1.0) -> AsyncIterator[None]:
    """Serve a desk meanwhile."""
    task = asyncio.create_task(desk.serve(every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_serving(store: MemoryReviews) -> None:
    """While served, an answer's callback goes out in the same moment, and what is overdue ends within a round."""
    network = Network()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        network.clock.now = 0.0
        desk = ReviewDesk(store, sla=50.0, clock=loop.time, callbacks=calling(network))
        async with serving(desk):
            await asyncio.sleep(10.5)
            await _ended(desk)
            await asyncio.sleep(0.001)
            assert len(network.reached) == 1
            overdue = await desk.submit(ASKED, "failed")
            await asyncio.sleep(52.0)
            assert (await desk.wait(overdue.id, 0.0)).state == "expired"

    run_virtual(main())
    with pytest.raises(ConfigError, match="every"):
        run_virtual(ReviewDesk(store).serve(0.0))


def test_serving_while_the_store_is_off(store: MemoryReviews, heard: list[Notice]) -> None:
    """While the store is off the upkeep asks ever less often, goes on by itself when it is back, and says both."""

    async def main() -> None:
        desk = ReviewDesk(store, sla=50.0, clock=asyncio.get_running_loop().time)
        await desk.submit(ASKED, "failed")
        store.off = True
        store.asked.clear()
        async with serving(desk):
            await asyncio.sleep(600.0)
            assert 10 <= len(store.asked) <= 20
            store.off = False
            await asyncio.sleep(70.0)
            assert (await desk.counts()).expired == 1
            store.asked.clear()
            await asyncio.sleep(10.0)
            assert store.asked.count("expire") >= 9 and store.asked.count("purge") <= 1

    run_virtual(main())
    kinds = [notice.kind for notice in heard]
    assert set(kinds[:-2]) == {"store off"} and sorted(kinds[-2:]) == ["returned", "review"]


def test_serving_outlives_a_bug(store: MemoryReviews, caplog: pytest.LogCaptureFixture) -> None:
    """A store that raises what it should not ends no upkeep, and its words, which may be a prompt, are not logged."""

    async def main() -> None:
        held = store.expire

        async def breaks(_: float) -> list[Review]:
            raise LookupError(ASKED.text)

        store.expire = breaks  # type: ignore[method-assign]
        desk = ReviewDesk(store, sla=5.0, clock=asyncio.get_running_loop().time)
        await desk.submit(ASKED, "failed")
        async with serving(desk):
            await asyncio.sleep(300.0)
            store.expire = held  # type: ignore[method-assign]
            await asyncio.sleep(70.0)
            assert (await desk.counts()).expired == 1

    run_virtual(main())
    assert "LookupError" in caplog.text and "parcel" not in caplog.text


# Cases.


def test_every_answer_becomes_a_case(store: MemoryReviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export holds each answered review once, as input, answer, slice and what the models had said."""
    path = tmp_path / "cases.jsonl"
    path.write_text("an older export")
    monkeypatch.setattr("fastcascade.desk.PAGE", 7)

    async def main(trace: Mapping[str, Any], best: Reply) -> None:
        desk = ReviewDesk(store)
        for number in range(30):
            await desk.submit(Request.of(f"question {number}", route="/a"), "unsure", best, trace)
        await desk.submit(ASKED, "failed")
        for number in range(30):
            claimed = await desk.claim("ann")
            assert claimed is not None
            await desk.answer(claimed, f"answer {number}", note="n")
        assert await desk.export(path) == 30

    run_virtual(main(*traced()))
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({each["id"] for each in cases}) == 30
    assert {each["input"] for each in cases} == {f"question {number}" for number in range(30)}
    assert {each["expected"] for each in cases} == {f"answer {number}" for number in range(30)}
    assert all(each["candidates"] == ["It is on its way.", "Perhaps."] for each in cases)
    assert {(each["slice"], each["why"], each["note"]) for each in cases} == {("/a", "unsure", "n")}
    assert path.stat().st_mode & 0o077 == 0 and list(tmp_path.iterdir()) == [path]


def test_cases_while_old_ones_are_dropped(store: MemoryReviews, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review that is dropped in the middle of an export takes no other with it, and brings none twice."""
    monkeypatch.setattr("fastcascade.desk.PAGE", 3)

    async def main() -> list[str]:
        desk = ReviewDesk(store, clock=clock)
        held = []
        for number in range(9):
            clock.now += 1.0
            await desk.submit(Request.of(f"{number}"), "failed")
            held.append(await desk.claim("ann"))
        for number in (2, 0, 1, 3, 4, 5, 6, 7, 8):
            clock.now += 1.0
            claimed = held[number]
            assert claimed is not None
            await desk.answer(claimed, "x")
        made = []
        async for each in desk.cases():
            made.append(each["input"])
            if len(made) == 3:
                assert await store.purge(START + 10.5) == 1  # the last of the page, and no other
        return made

    assert run_virtual(main()) == list("012345678")


LOOK = Tool("look")
ODD = "\ud800\u2028"
INPUTS: list[tuple[Request, Any, set[str]]] = [
    (Request.of("hi"), "hi", set()),
    (Request.of(ODD), ODD, set()),
    (Request.of("hi", system="Be brief."), "hi", {"system"}),
    (
        Request((Message("user", "a"), Message("assistant", "b"), Message("user", "c"))),
        [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))],
        set(),
    ),
    (Request.of("hi", tools=(LOOK,)), "hi", {"request"}),
    (Request.of("hi", schema={"type": "object"}), "hi", {"request"}),
    (
        Request((Message("user", (Text("see"), Image(url="u"))),)),
        [{"kind:": "Text", "text": "see"}, {"kind:": "Image", "url": "u"}],
        {"request"},
    ),
]


@pytest.mark.parametrize(("request_", "said", "more"), INPUTS)
def test_what_a_case_says_was_asked(request_: Request, said: Any, more: set[str], tmp_path: Path) -> None:
    """A plain question is a text, a conversation messages, what is more is there whole, and who asked is not."""

    async def main() -> None:
        desk = ReviewDesk(MemoryReviews())
        await desk.submit(
            replace(request_, customer="acme", user="the-user", callback="https://c"), "failed", Reply("best")
        )
        claimed = await desk.claim("ann")
        assert claimed is not None
        await desk.answer(claimed, Reply((Text("x"), ToolCall("1", "look"))))
        await desk.export(tmp_path / "cases.jsonl")

    run_virtual(main())
    text = (tmp_path / "cases.jsonl").read_text()
    made = json.loads(text)
    assert made["input"] == said and made["candidates"] == ["best"] and len(made["expected"]) == 2
    assert set(made) - {"id", "input", "expected", "slice", "why", "note", "candidates"} == more
    assert not any(word in text for word in ("acme", "the-user", "https://c", "rv_"))


def test_an_export_that_fails_leaves_the_old_one(store: MemoryReviews, tmp_path: Path) -> None:
    """An export that breaks off leaves the file as it was, and nothing beside it."""
    path = tmp_path / "cases.jsonl"
    path.write_text("an older export")

    async def main() -> None:
        desk = ReviewDesk(store)
        await _ended(desk, "")
        store.off = True
        await desk.export(path)

    with pytest.raises(StoreError):
        run_virtual(main())
    assert path.read_text() == "an older export" and list(tmp_path.iterdir()) == [path]


# On disk, and over a real network.


class Receiver(BaseHTTPRequestHandler):
    """A receiver as people write them."""

    answers: ClassVar[list[int]] = []
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        said = verify(self.rfile.read(int(self.headers["content-length"])), dict(self.headers), SECRET, tolerance=60.0)
        self.seen.append({**said, "id": self.headers["webhook-id"]})
        self.send_response(self.answers.pop(0))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Be quiet."""


def test_on_disk_and_over_the_network(tmp_path: Path) -> None:
    """With reviews in a file and a real receiver, a caller is told after a failure too, by any process."""
    Receiver.answers[:], Receiver.seen[:] = [500, 200], []
    trace, best = traced()

    async def main(url: str) -> None:
        stores = [SQLiteReviews(tmp_path / "reviews.db") for _ in range(2)]
        one = ReviewDesk(stores[0], callbacks=[url], secret=SECRET, key=KEY)
        two = ReviewDesk(stores[1], callbacks=[url], secret=SECRET, key=KEY, clock=lambda: time.time() + 20.0)
        review = await one.submit(replace(ASKED, id="1"), "failed", best, trace, callback=url)
        waiting = asyncio.create_task(one.wait(review.id))
        claimed = await one.claim("ann")
        assert claimed is not None and claimed.id == review.id
        assert await one.answer(claimed, pick=2) == "done"
        assert (await waiting).answer == candidates(claimed)[2]
        assert (await one.tidy()).failed + (await two.tidy()).called == 2
        ended = await two.submit(replace(ASKED, id="1"), "failed")
        assert ended.called and ended.calls == 2 and (await two.tidy()) == Tidied()
        assert await two.export(tmp_path / "cases.jsonl") == 1
        await asyncio.gather(one.aclose(), two.aclose())

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            asyncio.run(main(f"http://127.0.0.1:{server.server_port}/told"))
        finally:
            server.shutdown()
            thread.join()
    first, second = Receiver.seen
    assert first == second and first["answer"]["text"] == "It is on its way."


# All of it at random.


class AnyOrder(RuleBasedStateMachine):
    """Two processes, their reviewers and callers, a store that goes off, receivers that fail: against a few sets."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()  # nothing in here waits
        self.store = MemoryReviews()
        self.clock = Clock()
        self.network = Network()
        self.network.clock = self.clock
        self.heard: dict[str, int] = defaultdict(int)
        self.desks: list[ReviewDesk] = []
        self.submitted: set[str] = set()
        self.by_id: dict[str, str] = {}
        self.held: list[Review] = []
        self.answers: dict[str, str] = {}
        self.taken: dict[str, int] = {}

    @initialize()
    def open(self) -> None:
        self.desks = [self.made(), self.made()]

    def made(self) -> ReviewDesk:
        return ReviewDesk(
            self.store,
            sla=1_000.0,
            lease=100.0,
            clock=self.clock,
            keep=1e9,
            key=KEY,
            callbacks=calling(self.network),
            on_answer=self.hear,
        )

    def hear(self, review: Review) -> None:
        self.heard[review.id] += 1

    def done(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do it; None where the store was in the way."""
        try:
            return self.runner.run(work)
        except StoreError:
            assert self.store.off or self.store.deaf
            return None

    @rule(desk=st.integers(0, 1), number=st.none() | st.integers(0, 2), calls=st.booleans())
    def submit(self, desk: int, number: int | None, calls: bool) -> None:
        name = "" if number is None else f"r{number}"
        review = self.done(self.desks[desk].submit(replace(ASKED, id=name), "failed", callback=HOOK if calls else ""))
        if review is not None:
            assert not review.lease and (not name or self.by_id.setdefault(name, review.id) == review.id)
            self.submitted.add(review.id)

    @rule(desk=st.integers(0, 1), reviewer=st.sampled_from(["ann", "bob"]))
    def claim(self, desk: int, reviewer: str) -> None:
        review = self.done(self.desks[desk].claim(reviewer))
        if review is not None:
            running = [
                other for other in self.held if other.id == review.id and (other.leased_until or 0) > self.clock()
            ]
            assert not running and review.id not in self.answers
            self.held.append(review)

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50), words=st.sampled_from(["yes", "no"]))
    def answer(self, desk: int, which: int, words: str) -> None:
        if self.held:
            review = self.held[which % len(self.held)]
            came = self.done(self.desks[desk].answer(review, words))
            if came == "done":
                assert review.id not in self.answers
                self.answers[review.id] = words
            elif came == "again":
                assert self.answers.setdefault(review.id, words) == words

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50))
    def give_back(self, desk: int, which: int) -> None:
        if not self.held:
            return
        review = self.held[which % len(self.held)]
        if self.done(self.desks[desk].release(review)):
            self.held = [replace(each, leased_until=0.0) if each.lease == review.lease else each for each in self.held]

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50))
    def renew(self, desk: int, which: int) -> None:
        if not self.held:
            return
        review = self.held[which % len(self.held)]
        if self.done(self.desks[desk].renew(review)):
            until = self.clock() + 100.0
            self.held = [
                replace(each, leased_until=until) if each.lease == review.lease else each for each in self.held
            ]

    @rule(seconds=st.sampled_from([1.0, 10.0, 70.0, 101.0, 600.0, 5_000.0]))
    def later(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(desk=st.integers(0, 1), status=st.sampled_from([200, 500]))
    def tidy(self, desk: int, status: int) -> None:
        self.network.status = status
        self.done(self.desks[desk].tidy())

    @rule(desk=st.integers(0, 1))
    def killed(self, desk: int) -> None:
        self.desks[desk] = self.made()

    @rule(off=st.booleans(), deaf=st.sets(st.sampled_from(["add", "claim", "answer", "called_back"]), max_size=1))
    def trouble(self, off: bool, deaf: set[str]) -> None:
        self.store.off, self.store.deaf = off, deaf

    @invariant()
    def nothing_is_lost_or_changed(self) -> None:
        kept = {review.id: review for review in self.store.all()}
        assert kept.keys() >= self.submitted
        for ticket, words in self.answers.items():
            answer = kept[ticket].answer
            assert kept[ticket].state == "answered" and answer is not None and answer.text == words
        assert all(count == 1 for count in self.heard.values())
        for review in kept.values():
            # Sent and noted as taken: never sent again.
            sent = sum(said["ticket"] == review.id for _, said in self.network.reached)
            assert sent <= self.taken.get(review.id, sent)
            if review.called:
                self.taken.setdefault(review.id, sent)

    @invariant()
    def one_id_for_each_callback(self) -> None:
        pairs = {(each, said["ticket"], said["state"]) for each, said in self.network.reached}
        assert len(pairs) == len({each for each, _, _ in pairs}) == len({ticket for _, ticket, _ in pairs})

    def teardown(self) -> None:
        """When all is well again, everything ends, and everybody who asked for it has been called."""
        self.store.off, self.store.deaf, self.network.status = False, set(), 200
        desk = self.made()
        for _ in range(5):
            self.clock.now += 5_000.0
            self.runner.run(desk.tidy())
        called = {said["ticket"] for _, said in self.network.reached}
        for review in self.store.all():
            assert review.state in {"answered", "expired"}
            # One that failed for more than a day of this test's time was given up.
            assert not review.callback or review.id in called
        self.nothing_is_lost_or_changed()
        self.runner.close()


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
