"""The upkeep of reviews: what is overdue ends, callers are told, and an unwell store or receiver is outlived."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from desks import ASKED, HOOK, KEY, SECRET, START, Clock, Network, calling, ended, traced
from fastcascade.errors import ConfigError, StoreError
from fastcascade.notices import Notice
from fastcascade.reviews.callbacks import verify
from fastcascade.reviews.desk import ReviewDesk, Tidied
from fastcascade.reviews.labels import candidates
from fastcascade.stores.reviews import Review
from fastcascade.stores.sqlite import SQLiteReviews
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
        came = await waiting
        assert held is not None and held.id == one.id and came.state == "expired" and came.answer is None
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


def test_a_callback_is_tried_for_a_day(store: MemoryReviews, clock: Clock, heard: list[Notice]) -> None:
    """A receiver that always fails is tried ever less often for a day, with the same id, and then given up."""
    network = Network(status=500)

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, callbacks=calling(network))
        review = await ended(desk)
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
        await ended(desk)
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
        review = await ended(first)
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
        noted = await second.get(review.id)
        assert noted is not None and noted.called

    run_virtual(main())
    assert len(network.reached) == 2 and network.reached[0] == network.reached[1]


def test_many_callbacks_at_once_and_a_store_that_breaks_off(store: MemoryReviews, clock: Clock) -> None:
    """One round makes a hundred callbacks; one the store lost the note of keeps no other from being noted."""
    network = Network()

    async def main() -> None:
        desk = ReviewDesk(store, clock=clock, callbacks=calling(network))
        for _ in range(110):
            await ended(desk)
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
        await ended(able)
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
            await ended(desk)
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
