"""What tests of the proxy share: servers behind it on plain sockets, and a gateway with routes in this loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from fastcascade.gateway.app import Gatekeeper, Gateway
from fastcascade.gateway.listening import listen
from fastcascade.gateway.proxy import Routes
from fastcascade.gateway.proxy_settings import ProxyInstance, ProxyPool, ProxyRoute
from fastcascade.gateway.settings import Settings
from fastcascade.gateway.worker import _Server
from gateways import PATIENCE, Client, Running

__all__ = ["Asked", "Behind", "behind", "ok", "pool", "routed", "run"]


@dataclass
class Asked:
    """A request as it came over the wire."""

    first: str
    pairs: list[tuple[str, str]]
    body: bytes = b""
    raw: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """The last of each name."""
        return dict(self.pairs)


Answer = Callable[["Asked", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


def ok(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    lines = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@dataclass
class Behind:
    """A server behind the gateway. It reads requests to their end, unless `heads` says to read heads alone."""

    said: bytes | Answer = field(default_factory=ok)
    heads: bool = False
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _server: Any = None
    _tasks: set[Any] = field(default_factory=set)

    async def start(self, port: int = 0, tls: Any = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._server is not None:
            self._server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                asked = parsed(raw)
                if not self.heads:
                    asked.body = await body_of(asked, reader)
                self.asked.append(asked)
                if isinstance(self.said, bytes):
                    writer.write(self.said)
                    await writer.drain()
                elif await self.said(asked, reader, writer) == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()


def parsed(raw: bytes) -> Asked:
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    return Asked(first, pairs, raw=raw)


async def body_of(asked: Asked, reader: asyncio.StreamReader) -> bytes:
    """Read to the exact end: both framings."""
    if "transfer-encoding" in asked.headers:
        found = b""
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            found += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n"
        return found
    return await reader.readexactly(int(asked.headers.get("content-length", "0")))


@asynccontextmanager
async def behind(said: bytes | Answer | None = None, **more: Any) -> AsyncIterator[Behind]:
    """One that listens."""
    there = Behind(said if said is not None else ok(), heads=more.pop("heads", False))
    await there.start(**more)
    try:
        yield there
    finally:
        await there.stop()


def pool(*places: Behind | ProxyInstance, **more: Any) -> ProxyPool:
    """A pool of these, each a priority below the one before if `ladder` says so."""
    ladder = more.pop("ladder", False)
    found = [
        each if isinstance(each, ProxyInstance) else ProxyInstance(each.url, priority=number if ladder else 0)
        for number, each in enumerate(places)
    ]
    return ProxyPool(found, **more)


@asynccontextmanager
async def routed(
    routes: Iterable[ProxyRoute],
    pools: Mapping[str, ProxyPool] | None = None,
    *,
    gate: Gatekeeper | None = None,
    **more: Any,
) -> AsyncIterator[Running]:
    """A gateway with these routes and no cascade."""
    told = Settings(routes=tuple(routes), pools=dict(pools or {}), **more)
    found = Routes(told, apis=False)
    gateway = Gateway(cast("Any", None), gate=gate, settings=told, cascades={}, routes=found)
    listener = listen("127.0.0.1", 0)
    there = Running(gateway, listener.getsockname()[1])
    started = asyncio.Event()
    gateway.on_start = started.set
    server: Any = _Server(listener, gateway, told, {})
    task = asyncio.ensure_future(server.serve())
    await asyncio.wait_for(started.wait(), PATIENCE)
    try:
        yield there
    finally:
        for client in there.clients:
            await client.close()
        gateway.watch.end_all()
        server.stop()
        await asyncio.wait_for(task, PATIENCE)
        gateway.watch.stop()
        await found.aclose()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


async def ended(client: Client) -> bytes:
    """What still comes of a connection until it ends."""
    reader, _ = await client.open()
    found = b""
    with suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(1 << 16), PATIENCE):
            found += data
    return found
