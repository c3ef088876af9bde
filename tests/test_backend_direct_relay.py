"""A stream of `Direct`'s that is poured on: what takes its pieces may be slow, fail, or go away."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import Budget, Cascade, Delta, Reply, Request, Tier
from fastcascade.errors import BackendError
from fastcascade.wire.endpoint import Endpoint
from fastcascade.wire.endpoint_stream import Streamed
from wire import anthropic as claude

pytest.importorskip("msgspec")
from fastcascade.backends.direct import Direct
from fastcascade.drive import Driver

HI = Request.of("Hi")
TEXT = "one two three four"
EVENTS = b"".join(claude.frames(claude.message([claude.text(TEXT)]), lambda said: said.split(" ")))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def drip(
    pieces: list[bytes], end: bytes = b"0\r\n\r\n", *, until: asyncio.Event | None = None
) -> AsyncIterator[tuple[Direct, asyncio.Event]]:
    """A model whose bytes come piece by piece, and what tells that its client has gone. "two" may have to wait."""
    gone, writers = asyncio.Event(), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        asked = b"POST"
        with suppress(ConnectionError):
            while asked:  # what is asked comes in one read, since it is short
                asked = await reader.read(10_000)
                for piece in [HEAD, *pieces, end.removeprefix(b"wait")] if asked else ():
                    if until is not None and b"two" in piece:
                        await until.wait()
                    writer.write(piece)
                    await asyncio.sleep(0)
                if not end:
                    break
        gone.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    model = Direct("m", wire="anthropic", base_url=url, api_key="made-up")
    try:
        yield model, gone
    finally:
        await model.aclose()
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await listening.wait_closed()


@given(st.lists(st.integers(1, len(EVENTS) - 1), max_size=12, unique=True), st.booleans())
@settings(max_examples=30, deadline=None)
def test_however_bytes_are_cut_the_pieces_are_the_same(cuts: list[int], apart: bool) -> None:
    """Events and chunks that are cut anywhere give the pieces that iterating gives, and the same reply."""
    places = [0, *sorted(cuts), len(EVENTS)]
    parts = [EVENTS[a:b] for a, b in pairwise(places)]
    sent = [chunked(part) for part in parts]
    if apart:
        whole = b"".join(sent)
        sent = [whole[at : at + 7] for at in range(0, len(whole), 7)]

    async def go() -> None:
        async with drip(sent) as (model, _):
            poured: list[Delta] = []
            reply = await model.stream(HI).relay(poured.extend)
            pulled = [item async for item in model.stream(HI)]
            assert [*poured, reply] == pulled and reply.text == TEXT.replace(" ", "")

    asyncio.run(go())


def test_what_is_slow_is_waited_for() -> None:
    """No piece is given while the one before is still being taken, in order, and none is lost."""

    async def go() -> None:
        async with drip([chunked(EVENTS)]) as (model, _):
            taken: list[str] = []
            under_way = 0

            async def slowly(deltas: Sequence[Delta]) -> None:
                nonlocal under_way
                under_way += 1
                assert under_way == 1
                await asyncio.sleep(0.001)
                taken.extend(each.text for each in deltas)
                under_way -= 1

            reply = await model.stream(HI).relay(slowly)
            assert "".join(taken) == reply.text

    asyncio.run(go())


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_what_fails_to_take_a_piece_ends_the_call(error: BaseException) -> None:
    """The error is raised where the stream is read, and the connection is closed."""

    def fails(_: Sequence[Delta]) -> None:
        raise error

    async def go() -> None:
        async with drip([chunked(EVENTS)], b"wait") as (model, gone):
            with pytest.raises(type(error)):
                await model.stream(HI).relay(fails)
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(go())


@pytest.mark.parametrize(("end", "kind"), [(b"", "cut"), (b"zz\r\n", "malformed")])
def test_what_breaks_off_is_a_failure_behind_its_pieces(end: bytes, kind: str) -> None:
    """A connection that ends too soon and bytes that are no HTTP fail as they do when they are pulled."""

    async def go() -> None:
        first = EVENTS[: EVENTS.index(b"three")]
        async with drip([chunked(first)], end) as (model, _):
            taken: list[Delta] = []
            with pytest.raises(BackendError) as caught:
                await model.stream(HI).relay(taken.extend)
            assert caught.value.failure.kind == kind and "".join(each.text for each in taken) == "onetwo"

    asyncio.run(go())


def test_a_stream_that_is_forgotten_hangs_up() -> None:
    """One that nobody holds any more, read in part, closes its connection."""

    async def go() -> None:
        async with drip([chunked(EVENTS[:-40])], b"wait") as (model, gone):
            stream = model.stream(HI)
            assert isinstance(await anext(stream), Delta)
            del stream
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(go())


def streamed(model: Direct, tell: Callable[[Sequence[Delta]], Any], **more: Any) -> Any:
    """Run a cascade of this model, telling its pieces."""
    cascade = Cascade(Tier(model, **more), last_resort=None)
    loop = asyncio.get_running_loop()
    return Driver(clock=loop.time).told(cascade.flow(HI, loop.time(), streaming=True), tell)


def test_a_stream_that_stalls_is_cut_and_one_that_goes_on_is_not() -> None:
    """Each piece has the time that the tier gives it, however many came before."""

    async def go() -> None:
        async with drip([chunked(EVENTS[: EVENTS.index(b"three")])], b"wait") as (model, gone):
            answer = await streamed(model, lambda _: None, stall=0.2)
            assert answer.incomplete and answer.attempts[0].error.kind == "timeout"
            await asyncio.wait_for(gone.wait(), 10)

        async def slowly(_: Sequence[Delta]) -> None:
            await asyncio.sleep(0.1)

        async with drip([chunked(EVENTS)]) as (model, _):
            answer = await streamed(model, slowly, stall=0.05)
            assert isinstance(answer.reply, Reply) and not answer.degraded  # a slow client is no stall

    asyncio.run(go())


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_an_error_of_whoever_is_told_is_no_failure_of_the_model(error: BaseException, late: bool) -> None:
    """It is raised where the cascade is run, at once or when it is waited for, and the call is given up."""

    def tell(deltas: Sequence[Delta]) -> Any:
        if any("two" in each.text for each in deltas):
            if late:
                return fails()
            raise error
        return None

    async def fails() -> None:
        await asyncio.sleep(0)
        raise error

    async def go() -> None:
        async with drip([chunked(each) for each in EVENTS.splitlines(keepends=True)], b"wait") as (model, gone):
            with pytest.raises(type(error)):
                await streamed(model, tell)
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(go())


def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    """Where sending fails while bytes come, all of the request is let go, and waits for no collector."""
    asked = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}

    sending = asyncio.Event()

    def send(data: bytes) -> Awaitable[object]:
        if b"two" in data:
            raise ConnectionResetError
        sending.set()
        return asyncio.sleep(0)

    async def left(endpoint: Endpoint) -> None:
        sending.clear()
        answered = await endpoint.handle("POST", "/v1/messages", {}, json.dumps(asked).encode())
        assert isinstance(answered.pieces, Streamed)
        with pytest.raises(ConnectionResetError):
            await answered.pieces.pump(send)
        await answered.pieces.aclose()

    def requests() -> int:
        return sum(type(each) is Request for each in gc.get_objects())

    async def go() -> None:
        lines = [chunked(each) for each in EVENTS.splitlines(keepends=True)]
        async with drip(lines, b"wait", until=sending) as (model, _):
            endpoint = Endpoint(Cascade(Tier(model)))
            await left(endpoint)
            await asyncio.sleep(0.01)
            gc.collect()
            before = requests()
            gc.disable()
            try:
                for _ in range(5):
                    await left(endpoint)
                await asyncio.sleep(0.01)
                assert requests() <= before
            finally:
                gc.enable()

    asyncio.run(go())


def test_the_deadline_of_the_request_ends_it() -> None:
    """What is poured on ends when the request's time is up, as incomplete."""

    async def go() -> None:
        async with drip([chunked(EVENTS[: EVENTS.index(b"three")])], b"wait") as (model, _):
            cascade = Cascade(Tier(model), budget=Budget(deadline=0.3), last_resort=None)
            loop = asyncio.get_running_loop()
            flow = cascade.flow(HI, loop.time(), streaming=True)
            answer = await Driver(clock=loop.time).told(flow, lambda _: None)
            assert answer.incomplete and json.dumps(answer.trace())

    asyncio.run(go())
