"""What tests of shared things have in common: one who listens, and a line to a server that can be cut."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from fastcascade.errors import StoreError
from fastcascade.shared import Shared

__all__ = ["Ear", "Gate", "a_shared", "gate", "listening", "refused"]

LONG: Final = 20.0


class Ear:
    """Notes what a `Shared` tells it, and waits for what is to come."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    def note(self, what: Any) -> None:
        """Take it down."""
        self.heard.append(what)
        self._news.set()

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """See `Listener`."""
        if keys is None:
            self.note(None)
        for key in keys or ():
            self.note(key)

    def went_down(self) -> None:
        """See `Listener`."""
        self.note("down")

    def came_up(self) -> None:
        """See `Listener`."""
        self.note("up")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Come back once something holds; it is looked at whenever something was heard."""
        async with asyncio.timeout(LONG):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def hears(self, what: Any, times: int = 1) -> None:
        """Wait for it."""
        await self.until(lambda: self.heard.count(what) >= times)


class Gate:
    """A line to a server, of which nothing comes through any more once it is cut; nobody is told."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._to = port
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Let nothing through."""
        self._open.clear()

    def drop(self) -> None:
        """Let nothing through, and break what there is."""
        self.cut()
        for writer in self._writers:
            writer.transport.abort()

    def heal(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        back = writer
        self._writers.add(writer)
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, back))
                group.create_task(self._carry(there, writer))
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            back.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
        writer.close()


@asynccontextmanager
async def gate(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Gate]:
    """A line to the server at a port; `redis://127.0.0.1:{gate.port}` goes through it. It can take TLS off."""
    line = Gate(port)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(line.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.heal()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # what was aborted is closed in the next turn


@asynccontextmanager
async def a_shared(url: str, ear: Ear | None = None, **settings: Any) -> AsyncIterator[Shared]:
    """A `Shared` that has been started, and is closed."""
    shared = Shared(url, **settings)
    if ear is not None:
        shared.listen(ear)
    await shared.start()
    try:
        yield shared
    finally:
        await shared.aclose()


async def refused(shared: Shared, *command: Any) -> str:
    """What a command that fails is refused with."""
    try:
        reply = await shared.call(*command)
    except StoreError as error:
        return str(error)
    raise AssertionError(reply)


async def listening(shared: Shared, *, holds: bool = True) -> None:
    """Come back once the news are listened to, or are not."""
    async with asyncio.timeout(LONG):
        while shared.news.up is not holds:  # noqa: ASYNC110 - a turn of the loop, and nothing else to wait for
            await asyncio.sleep(0)
