"""What tests of the gateway share: a client on plain sockets, a server in the test's own loop, one as a process."""

import asyncio
import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fastcascade import Cascade
from fastcascade.gateway.app import Gatekeeper, Gateway, heard
from fastcascade.gateway.listening import listen
from fastcascade.gateway.settings import Limits, Settings
from fastcascade.gateway.worker import _Server
from fastcascade.messages import Delta, Reply, Request
from fastcascade.wire.endpoint import Endpoint

__all__ = ["PATIENCE", "Client", "Held", "Process", "Said", "chat", "client_of", "running", "serving"]

PATIENCE = 15.0
"""Seconds to wait for what is to come, before the test has failed."""
RUN = """
import sys
from fastcascade import cli
from fastcascade.cli import serve
cli.COMMANDS.setdefault("serve", serve)
sys.exit(cli.main(["serve", *sys.argv[1:]]))
"""


def chat(text: str, **more: Any) -> bytes:
    """The body of a chat completion."""
    return json.dumps({"model": "any", "messages": [{"role": "user", "content": text}], **more}).encode()


@dataclass
class Said:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """The body read."""
        return json.loads(self.body)


class Client:
    """One connection, kept alive until the server closes it; the next request then opens another."""

    def __init__(self, port: int, secure: ssl.SSLContext | None = None) -> None:
        self.port, self.secure = port, secure
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            name = "localhost" if self.secure else None
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.secure, server_hostname=name
            )
        return self._reader, self._writer

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with suppress(Exception):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def send(self, raw: bytes) -> None:
        _, writer = await self.open()
        writer.write(raw)
        await writer.drain()

    async def head(self) -> Said:
        """The status line and headers of what comes next."""
        reader, _ = await self.open()
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return Said(int(first.split()[1]), headers)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Chunks as they come; the end of the connection before the last is an error."""
        reader, _ = await self.open()
        while size := int(await asyncio.wait_for(reader.readline(), PATIENCE), 16):
            yield (await asyncio.wait_for(reader.readexactly(size + 2), PATIENCE))[:-2]
        await reader.readexactly(2)

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Said:
        """A request and its whole response."""
        await self.send(raw(method, path, body, headers))
        said = await self.head()
        if "content-length" in said.headers:
            reader, _ = await self.open()
            said.body = await asyncio.wait_for(reader.readexactly(int(said.headers["content-length"])), PATIENCE)
        elif said.headers.get("transfer-encoding") == "chunked":
            said.body = b"".join([piece async for piece in self.pieces()])
        if said.headers.get("connection") == "close":
            await self.close()
        return said

    async def post(self, path: str, body: bytes, **headers: str) -> Said:
        return await self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    async def get(self, path: str, **headers: str) -> Said:
        return await self.ask("GET", path, b"", headers)


def raw(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A request as it goes over the wire."""
    lines = {"host": "localhost", **({"content-length": str(len(body))} if body else {}), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def client_of(port: int, secure: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client that is closed at the end."""
    client = Client(port, secure)
    try:
        yield client
    finally:
        await client.close()


class Held:
    """A backend that answers, or gives its pieces, when it is let."""

    name = "held"
    gives: frozenset[str] = frozenset()

    def __init__(self, text: str = "good") -> None:
        self.text = text
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.calls = 0

    async def complete(self, _request: Request, /) -> Reply:
        self.calls += 1
        self.asked.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Reply(self.text, "held")

    async def stream(self, _request: Request, /) -> AsyncIterator[Delta | Reply]:
        self.calls += 1
        self.asked.set()
        try:
            yield Delta("text", self.text)
            await self.free.wait()
            yield Delta("text", "!")
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise
        yield Reply(f"{self.text}!", "held")


@dataclass
class Running:
    """A gateway in this loop."""

    gateway: Gateway
    port: int
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        """A new one, closed at the end."""
        self.clients.append(Client(self.port))
        return self.clients[-1]


@asynccontextmanager
async def serving(
    cascade: Cascade, *, gate: Gatekeeper | None = None, limits: Limits | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """A gateway, served by the real server in this loop."""
    settings["limits"] = limits or Limits()
    told = Settings(**settings)
    endpoint = Endpoint(cascade, on_done=heard)
    gateway = Gateway(endpoint, gate=gate, settings=told, cascades={"cascade": cascade})
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    started = asyncio.Event()
    gateway.on_start = started.set
    server: Any = _Server(listener, gateway, told, {})
    task = asyncio.ensure_future(server.serve())
    await asyncio.wait_for(started.wait(), PATIENCE)
    there = Running(gateway, port)
    try:
        yield there
    finally:
        for client in there.clients:
            await client.close()
        gateway.watch.end_all()
        server.stop()
        await asyncio.wait_for(task, PATIENCE)
        gateway.watch.stop()
        await cascade.aclose()


class Process:
    """`fastcascade serve` as a process of its own."""

    def __init__(self, *options: str) -> None:
        self.inner = subprocess.Popen(
            [sys.executable, "-u", "-c", RUN, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self.errors: list[str] = []
        assert self.inner.stdout and self.inner.stderr
        self._threads = [
            threading.Thread(target=self._read, args=(self.inner.stdout, self._lines.put)),
            threading.Thread(target=self._read, args=(self.inner.stderr, self.errors.append)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, told: Any) -> None:
        for line in stream:
            told(line.rstrip("\n"))

    def said(self, part: str) -> str:
        """Wait for a line of its output that has this in it."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{part!r} was not said; errors: {self.errors}") from None
            if part in line:
                return line

    def ready(self) -> int:
        """Wait until it listens; its port."""
        return int(self.said("listening at").split(",")[0].rsplit(":", 1)[1])

    def signal(self, number: int) -> None:
        self.inner.send_signal(number)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self.inner.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def workers(self) -> list[int]:
        """The processes that answer."""
        children = Path(f"/proc/{self.inner.pid}/task/{self.inner.pid}/children")
        return [int(each) for each in children.read_text().split()]

    def __enter__(self) -> Self:
        """End it with the block, and all that it has begun."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.inner.pid, signal.SIGKILL)
        self.inner.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.inner.stdout, self.inner.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def running(*options: str) -> Iterator[tuple[Process, int]]:
    """A process that listens, and its port."""
    with Process(*options) as process:
        yield process, process.ready()
