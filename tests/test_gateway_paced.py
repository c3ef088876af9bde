"""Clients that read slowly, or not at all: what waits for them is bounded, and what they read in the end is whole."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastcascade import Cascade, Tier
from fastcascade.gateway import acked, paced, silent
from fastcascade.gateway.paced import ROOM, STEP
from fastcascade.gateway.settings import Limits
from fastcascade.messages import Delta, Reply, Request
from fastcascade.wire.endpoint import Caller, Response
from gateways import Running, chat, raw, serving
from real import until

CHAT = "/v1/chat/completions"
PIECE = 10_000
PIECES = 2_000
BOUND = ROOM + 2 * STEP + (1 << 20)
"""What may be on its way to a client that reads nothing: what is behind, and what its system has taken already."""

tells = pytest.mark.skipif(not silent.KNOWN, reason="the kernel does not tell")


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


class Flood:
    """A backend, and an endpoint of raw pieces, that gives all it has as fast as it is taken."""

    name = "flood"
    gives: frozenset[str] = frozenset()

    def __init__(self, pieces: int = PIECES, piece: int = PIECE) -> None:
        self.pieces, self.piece, self.given, self.ended = pieces, b"x" * piece, 0, 0
        self._seen, self._times = 0, 0

    async def complete(self, _request: Request, /) -> Reply:
        return Reply("short", "flood")

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        count = 3 if "short" in request.text else self.pieces
        try:
            for _ in range(count):
                self.given += PIECE
                yield Delta("text", "x" * PIECE)
            yield Reply("x" * PIECE * count, "flood")
        finally:
            self.ended += 1

    async def handle(self, _method: str, _path: str, _headers: Mapping[str, str], _body: bytes, _: Caller) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                for _ in range(self.pieces):
                    self.given += len(self.piece)
                    yield self.piece
            finally:
                self.ended += 1

        return Response(200, [], pieces=pieces())

    def stands(self) -> bool:
        """Whether it was asked for nothing more since the last ten looks."""
        self._times = self._times + 1 if self.given == self._seen and self.given > ROOM else 0
        self._seen = self.given
        return self._times > 10


@asynccontextmanager
async def flooded(flood: Flood, *, raw_pieces: bool = False, **limits: Any) -> AsyncIterator[Running]:
    """A gateway in front of it."""
    async with serving(Cascade(Tier(flood)), limits=Limits(**limits)) as there:
        if raw_pieces:
            there.gateway.endpoint = flood  # type: ignore[assignment] # it has all that is asked for
        yield there


def narrow(port: int) -> socket.socket:
    """A client that has asked, and whose system takes little before it reads."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", port))
    link.sendall(raw("POST", CHAT, chat("hi", stream=True)))
    return link


def read_all(link: socket.socket, end: bytes) -> bytes:
    """Up to these bytes, or to the end of the connection."""
    link.settimeout(10)
    data = bytearray()
    while not data.endswith(end) and (piece := link.recv(1 << 20)):
        data += piece
    return bytes(data)


@tells
@pytest.mark.parametrize("raw_pieces", [False, True], ids=["translated", "raw"])
def test_what_waits_for_a_client_is_bounded(raw_pieces: bool) -> None:
    """While it reads nothing the model is read no further; others are answered; then it reads all and has the whole."""

    async def main() -> None:
        flood = Flood()
        async with flooded(flood, raw_pieces=raw_pieces) as there:
            with narrow(there.port) as link:
                await until(flood.stands, "the flood to be held up")
                assert flood.given < BOUND < PIECES * PIECE / 2
                assert (await there.client().get("/healthz")).status == 200
                data = await asyncio.to_thread(read_all, link, b"0\r\n\r\n")
                assert flood.ended == 1 and data.count(b"x" * PIECE) == PIECES
            await until(lambda: not there.gateway.busy, "all to be let go")
            assert not there.gateway.pace.lines

    run(main)


@tells
@pytest.mark.parametrize("raw_pieces", [False, True], ids=["translated", "raw"])
def test_a_client_that_never_reads_is_given_up(raw_pieces: bool) -> None:
    """After the idle time the model is asked no further, and what could still be read says that it broke off."""

    async def main() -> None:
        flood = Flood()
        async with flooded(flood, raw_pieces=raw_pieces, idle=0.3) as there:
            with narrow(there.port) as link:
                await until(lambda: flood.ended, "it to be given up")
                await until(lambda: not there.gateway.busy, "all to be let go")
                assert flood.given < BOUND and not there.gateway.pace.lines
                data = await asyncio.to_thread(read_all, link, b"0\r\n\r\n")
                assert b"event: error" in data[-1000:] and b"was read for 0.3 s" in data[-1000:]
            metrics = (await there.client().get("/metrics")).body
            assert b'status="499"' in metrics or b'code="499"' in metrics

    run(main)


@tells
def test_a_client_that_leaves_while_it_is_held_up_ends_it() -> None:
    """At once, and not after the idle time; the tier is not blamed for it."""

    async def main() -> None:
        flood = Flood()
        async with flooded(flood) as there:
            with narrow(there.port):
                await until(flood.stands, "the flood to be held up")
            await until(lambda: flood.ended and not there.gateway.busy, "it to be let go")
            assert flood.given < BOUND and not there.gateway.pace.lines

    run(main)


def test_one_flood_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not tell, nothing is bounded, and others are answered while it goes on."""
    monkeypatch.setattr(acked, "KNOWN", False)
    monkeypatch.setattr(paced, "STEP", 4096)

    async def main() -> None:
        flood = Flood(1 << 40, 1)
        async with flooded(flood, raw_pieces=True) as there:
            with narrow(there.port):
                await until(lambda: flood.given, "the flood to begin")
                assert (await there.client().get("/healthz")).status == 200
                assert not flood.ended
            await until(lambda: not there.gateway.busy, "it to be let go")

    run(main)


class Http2:
    """A client of several streams on one connection, which says which of them it reads."""

    def __init__(self, port: int) -> None:
        h2 = pytest.importorskip("h2.connection")
        self.inner = h2.H2Connection()
        self.link = socket.create_connection(("127.0.0.1", port), 10)
        self.got: dict[int, int] = {}
        self.whole: set[int] = set()
        self.inner.initiate_connection()
        self.inner.increment_flow_control_window(1 << 30)
        self.flush()

    def flush(self) -> None:
        self.link.sendall(self.inner.data_to_send())

    def ask(self, text: str, window: int) -> int:
        stream: int = self.inner.get_next_available_stream_id()
        body = chat(text, stream=True)
        head = [(":method", "POST"), (":path", CHAT), (":scheme", "http"), (":authority", "localhost")]
        self.inner.send_headers(stream, head)
        if window:
            self.inner.increment_flow_control_window(window, stream)
        self.inner.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def read(self, stream: int) -> int:
        """Read on to the end of this stream; bytes of it."""
        while stream not in self.whole:
            data = self.link.recv(1 << 18)
            assert data, "the connection ended before the stream did"
            for event in self.inner.receive_data(data):
                name, number = type(event).__name__, getattr(event, "stream_id", 0)
                if name == "DataReceived":
                    self.got[number] = self.got.get(number, 0) + len(event.data)
                elif name in ("StreamEnded", "StreamReset"):
                    self.whole.add(number)
            self.flush()
        return self.got[stream]


@tells
def test_streams_of_one_connection_share_its_room() -> None:
    """Two of HTTP/2 that nobody reads are held up together, and both have the whole in the end."""

    async def main() -> None:
        flood = Flood()
        async with flooded(flood) as there:
            client = await asyncio.to_thread(Http2, there.port)
            with client.link:
                streams = [client.ask("hi", 1 << 30) for _ in range(2)]
                await until(flood.stands, "both to be held up")
                assert flood.given < BOUND + 6 * (1 << 20)  # what a client takes that has not narrowed itself
                for stream in streams:
                    assert await asyncio.to_thread(client.read, stream) > PIECES * PIECE
            await until(lambda: not there.gateway.busy, "all to be let go")
            assert not there.gateway.pace.lines

    run(main)


@tells
def test_a_stream_that_is_not_read_holds_up_no_short_one_and_not_for_ever() -> None:
    """Beside one whose window is closed short answers go out at once, and long ones when it has been given up."""

    async def main() -> None:
        flood = Flood(300)
        async with flooded(flood, idle=0.5) as there:
            client = await asyncio.to_thread(Http2, there.port)
            with client.link:
                client.ask("hi", 0)
                await until(flood.stands, "it to be held up")
                assert await asyncio.to_thread(client.read, client.ask("short", 1 << 30)) > 2 * PIECE
                assert flood.ended == 1
                long = await asyncio.to_thread(client.read, client.ask("hi", 1 << 30))
                assert long > 300 * PIECE
            await until(lambda: not there.gateway.busy, "all to be let go")
            assert not there.gateway.pace.lines

    run(main)
