"""A server that asserts the protocol of ASGI on whatever it is sent, and one request through it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from asgiref.testing import ApplicationCommunicator

COMMUNICATOR: Any = ApplicationCommunicator  # which has no types
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
Pairs: TypeAlias = Iterable[tuple[str, str]]


@dataclass
class Seen:
    """What a server has been sent."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.messages[0].get("headers", ())}

    @property
    def body(self) -> bytes:
        return b"".join(bytes(message.get("body", b"")) for message in self.messages[1:])


class Server:
    """`send` of one HTTP exchange; each message must be allowed where it comes."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.seen = Seen(scope=scope)
        self.state = "nothing"
        self.arrived = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            assert self.state == "nothing", "a second head"
            assert isinstance(message["status"], int)
            for name, value in message.get("headers", ()):
                assert isinstance(name, bytes) and isinstance(value, bytes)
                assert name == name.lower() and b"\n" not in value and b"\r" not in value
            self.state = "trailers" if message.get("trailers") else "body"
        elif kind == "http.response.body":
            assert self.state in {"body", "trailers"}, f"a body in the state of {self.state}"
            assert isinstance(message.get("body", b""), bytes)
            if not message.get("more_body", False) and self.state == "body":
                self.state = "over"
        elif kind == "http.response.trailers":
            assert self.state == "trailers"
            self.state = "over"
        elif kind == "http.response.pathsend":
            assert self.state == "body" and "http.response.pathsend" in self.seen.scope["extensions"]
            self.state = "over"
        else:
            raise AssertionError(f"{kind} has no place here")
        self.seen.messages.append(message)
        self.arrived.set()

    def check(self) -> None:
        assert self.state == "over", f"left in the state of {self.state}"
        length = self.seen.headers.get("content-length")
        if length is not None and self.seen.scope["method"] != "HEAD" and self.seen.status != 304:
            assert int(length) == len(self.seen.body)


def scope_of(path: str = "/", method: str = "GET", headers: Pairs = (), **more: Any) -> dict[str, Any]:
    """The scope of a request."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"test"), *((name.encode(), value.encode("latin-1")) for name, value in headers)],
        "client": ("198.51.100.7", 4000),
        "server": ("test", 80),
        "extensions": {},
    } | more


async def ask(
    app: App, path: str = "/", method: str = "GET", headers: Pairs = (), body: Sequence[bytes] = (b"",), **more: Any
) -> Seen:
    """One request from its beginning to its end."""
    scope = scope_of(path, method, headers, **more)
    server = Server(scope)
    parts = list(body)

    async def receive() -> dict[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    await app(scope, receive, server.send)
    server.check()
    return server.seen


def says(
    *pieces: bytes,
    status: int = 200,
    headers: Pairs = (("content-type", "text/plain"),),
    asked: list[Any] | None = None,
) -> App:
    """An app that says this, and notes the scopes it was asked with."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if asked is not None:
            asked.append(scope)
        heads = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": heads})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    return app
