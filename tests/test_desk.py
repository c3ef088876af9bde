"""The review desk: submitting, answering and waiting; nothing lost, nothing answered twice."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desks import ASKED, HOOK, KEY, SECRET, START, Clock, traced
from fastcascade.errors import ConfigError, RequestError, StoreError
from fastcascade.messages import Message, Reply, Request, ToolCall
from fastcascade.reviews.bells import Bells
from fastcascade.reviews.callbacks import Callbacks
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.reviews.labels import candidates
from fastcascade.stores.reviews import Review
from fastcascade.testing import run_virtual
from memory_reviews import MemoryReviews


@pytest.fixture
def store() -> MemoryReviews:
    """A store that is obviously right."""
    return MemoryReviews()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


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
    monkeypatch.setattr("fastcascade.reviews.desk.QUICKEST", 3_600.0)
    monkeypatch.setattr("fastcascade.reviews.desk.SLOWEST", 3_600.0)
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
