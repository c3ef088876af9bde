"""An HTTP/1.1 server on raw sockets, so that it can break the protocol anywhere it is told to.

    with WireServer() as server:
        server.reply(429, {"error": ...}, {"retry-after": "3"})
        server.stream([frame, frame, frame], fault="cut", at=2)

Responses are given in the order they were queued, whatever was asked; `seen` holds what was asked.
"""

import json
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

__all__ = ["Canned", "Fault", "Seen", "WireServer"]

Fault: TypeAlias = Literal["cut", "reset", "stall", "slow", "drop_end", "garble"]
"""cut: the connection ends within frame `at`. reset: it is reset before it. stall: nothing more is sent from it on.
slow: every byte is a chunk and a segment of its own. drop_end: a clean end, without the frames from `at` on.
garble: the chunk of frame `at` breaks HTTP itself. A plain response is one frame, its body."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in: header names in lower case, the body read as JSON, or as bytes where it is none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Canned:
    """A response: frames sent in chunks, or a whole body where `chunked` is off."""

    status: int = 200
    frames: tuple[bytes, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    at: int = 0
    chunked: bool = False

    @classmethod
    def plain(
        cls,
        status: int = 200,
        body: Mapping[str, Any] | bytes = b"",
        headers: Mapping[str, str] | None = None,
        fault: Fault | None = None,
    ) -> Self:
        """A response with one body."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return cls(status, (raw,), {"content-type": "application/json", **(headers or {})}, fault)

    @classmethod
    def streamed(
        cls, events: Sequence[bytes], fault: Fault | None = None, at: int = 0, headers: Mapping[str, str] | None = None
    ) -> Self:
        """A response of server-sent events."""
        named = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **(headers or {})}
        return cls(200, tuple(events), named, fault, at, chunked=True)


class WireServer:
    """Listens on a free port of 127.0.0.1 between `with` and its end, which raises what went wrong inside."""

    def __init__(self) -> None:
        """Take a port; nothing is served before `with`."""
        self.seen: list[Seen] = []
        self.handler: Callable[[Seen], Canned | None] | None = None
        self.gone = Event()  # a client left before its response was whole
        self.connections = 0
        self._queue: deque[Canned] = deque()
        self._errors: list[Exception] = []
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._closing = Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def reply(
        self,
        status: int = 200,
        body: Mapping[str, Any] | bytes = b"",
        headers: Mapping[str, str] | None = None,
        fault: Fault | None = None,
    ) -> None:
        """Queue a plain response."""
        self._queue.append(Canned.plain(status, body, headers, fault))

    def stream(
        self, events: Sequence[bytes], fault: Fault | None = None, at: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        """Queue a response of server-sent events, each frame as it goes on the wire."""
        self._queue.append(Canned.streamed(events, fault, at, headers))

    def clear(self) -> None:
        """Forget what was asked and queued, for another test with the same server."""
        self.seen.clear()
        self._queue.clear()
        self.gone.clear()
        self.handler = None

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection and thread; raise what went wrong, unless the test itself did."""
        self._closing.set()
        _end(self._listener)
        with self._lock:
            for connection in self._open:
                _shut(connection)
        while self._threads:
            self._threads.pop().join()
        if not self._errors:
            return
        if error is None:
            raise ExceptionGroup("the wire server failed", self._errors)
        for each in self._errors:
            error.add_note(f"the wire server failed: {each!r}")

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = Thread(target=target, args=arguments, name="wire", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                late = self._closing.is_set()
            if late:
                _shut(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as reader:
                while (seen := _read(reader)) is not None:
                    self.seen.append(seen)
                    if not self._answer_all(connection, self._pick(seen)):
                        return
        except OSError:
            return  # between two requests, a client may leave as it likes
        except Exception as error:  # noqa: BLE001 # surfaces at the end of `with`
            self._errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _pick(self, seen: Seen) -> Canned:
        canned = self.handler(seen) if self.handler is not None else None
        if canned is not None:
            return canned
        try:
            return self._queue.popleft()
        except IndexError:
            raise AssertionError(f"no response was queued for {seen.method} {seen.path}") from None

    def _answer_all(self, connection: socket.socket, canned: Canned) -> bool:
        try:
            return self._answer(connection, canned)
        except OSError:
            self._left()
            return False

    def _answer(self, connection: socket.socket, canned: Canned) -> bool:
        """Send a response; False where the connection must not be used again."""
        if not canned.chunked and canned.fault == "stall":
            self._stall(connection)
            return False
        connection.sendall(_head(canned))
        if not canned.chunked and canned.fault is not None:
            return self._break_plain(connection, canned)
        for number, frame in enumerate(canned.frames):
            if number == canned.at and canned.fault in ("cut", "reset", "stall", "garble"):
                return self._break(connection, canned.fault, frame)
            if number == canned.at and canned.fault == "drop_end":
                break
            for piece in _pieces(frame, canned):
                connection.sendall(piece)
        if not canned.chunked:
            return True
        if canned.fault in ("cut", "reset", "stall", "garble"):
            return self._break(connection, canned.fault, b"")
        connection.sendall(b"0\r\n\r\n")
        return True

    def _break_plain(self, connection: socket.socket, canned: Canned) -> bool:
        body = canned.frames[0]
        if canned.fault == "slow":
            for at in range(len(body)):
                connection.sendall(body[at : at + 1])
            return True
        connection.sendall(body[: len(body) // 2])
        if canned.fault == "reset":
            _reset(connection)
        return False

    def _break(self, connection: socket.socket, fault: Fault, frame: bytes) -> bool:
        if fault == "stall":
            self._stall(connection)
        elif fault == "reset":
            _reset(connection)
        elif fault == "garble":
            connection.sendall(b"no such length\r\n" + frame)
        elif frame:
            connection.sendall(b"%x\r\n%s" % (len(frame), frame[: len(frame) // 2]))
        return False

    def _stall(self, connection: socket.socket) -> None:
        select.select([connection], [], [])
        if not self._closing.is_set():
            self._left()

    def _left(self) -> None:
        if not self._closing.is_set():
            self.gone.set()


def _read(reader: Any) -> Seen | None:
    """The next request of a connection; None where it has ended."""
    first = reader.readline()
    if not first.strip():
        return None
    method, path, _ = first.decode("ascii").split(" ", 2)
    headers: dict[str, str] = {}
    while line := reader.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    raw = b"".join(_chunks(reader)) if chunked else reader.read(int(headers.get("content-length", "0")))
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = raw
    return Seen(method, path, headers, body)


def _chunks(reader: Any) -> Iterator[bytes]:
    while size := int(reader.readline().split(b";")[0], 16):
        yield reader.read(size)
        reader.readline()
    reader.readline()


def _head(canned: Canned) -> bytes:
    lines = [f"HTTP/1.1 {canned.status} Canned", *(f"{name}: {value}" for name, value in canned.headers.items())]
    if canned.chunked:
        lines.append("transfer-encoding: chunked")
    else:
        lines.append(f"content-length: {len(canned.frames[0])}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _pieces(frame: bytes, canned: Canned) -> Iterator[bytes]:
    """What is sent for a frame, each in a segment of its own."""
    if not canned.chunked:
        yield frame
    elif canned.fault == "slow":
        yield from (b"1\r\n%c\r\n" % byte for byte in frame)
    elif frame:
        yield b"%x\r\n%s\r\n" % (len(frame), frame)


def _reset(connection: socket.socket) -> None:
    """Have the connection end with a reset once it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _end(connection: socket.socket) -> None:
    _shut(connection)
    connection.close()
