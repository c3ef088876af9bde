"""A lean client: HTTP/1.1 on plain streams, connections kept alive, and the manners of bad clients."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

PATIENCE: Final = 60.0
"""Seconds after which a request is taken to hang."""

Manner = Literal["", "leaves", "leaves early", "slow body", "slow read", "stalls", "too large"]


class Stale(Exception):
    """A connection that was kept ended before the first byte of an answer, as HTTP lets servers do."""


@dataclass(slots=True)
class Said:
    """An answer, as far as it was read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Client:
    """Asks one server, over as many connections as are wanted at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.opened = 0
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, head: bytes, body: bytes, manner: Manner = "", *, fresh: bool = False) -> Said | None:
        """The answer; None where we have left before its end."""
        kept = None if fresh else self._idle()
        reader, writer = kept or await self._open()
        again = False
        try:
            async with asyncio.timeout(PATIENCE):
                await _send(writer, head, body, manner)
                if manner == "leaves early":
                    await asyncio.sleep(0.03)
                    return None
                try:
                    said = await _head(reader)
                except (asyncio.IncompleteReadError, ConnectionError) as error:
                    if kept is not None and not getattr(error, "partial", b""):
                        raise Stale from None
                    raise
                if manner == "leaves":
                    with suppress(ConnectionError):
                        await reader.read(1024)
                    return None
                await _body(reader, said, slow=manner == "slow read")
                again = said.headers.get("connection") != "close" and manner not in ("stalls", "too large")
                return said
        finally:
            if again:
                self._kept.append((reader, writer))
            elif manner.startswith("leaves"):
                writer.transport.abort()
            else:
                writer.close()

    async def get(self, path: str) -> bytes:
        """A body, on a connection of its own, for what is asked beside the traffic."""
        try:
            said = await self.ask(b"GET %b HTTP/1.1\r\nhost: soak\r\n\r\n" % path.encode(), b"", fresh=True)
        finally:
            await self.rest()
        if said is None or said.status != 200:
            raise ConnectionError(f"{path} was answered with {said.status if said else 'nothing'}")
        return said.body

    async def rest(self) -> None:
        """Close what is kept."""
        kept, self._kept = self._kept, []
        for _, writer in kept:
            writer.close()
        for _, writer in kept:
            with suppress(OSError):
                await writer.wait_closed()

    def _idle(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._kept:
            reader, writer = self._kept.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.opened += 1
        return await asyncio.open_connection("127.0.0.1", self.port)


async def _send(writer: asyncio.StreamWriter, head: bytes, body: bytes, manner: Manner) -> None:
    if manner in ("stalls", "too large"):  # half of it, and no more
        body = body[: min(512, len(body) // 2)]
    if manner != "slow body":
        writer.write(head + body)
        return
    writer.write(head)
    for at in range(0, len(body), len(body) // 3 + 1):
        await asyncio.sleep(0.3)
        writer.write(body[at : at + len(body) // 3 + 1])


async def _head(reader: asyncio.StreamReader) -> Said:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return Said(int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs})


async def _body(reader: asyncio.StreamReader, said: Said, *, slow: bool) -> None:
    length = said.headers.get("content-length")
    if length is not None:
        said.body = await reader.readexactly(int(length))
    elif said.headers.get("transfer-encoding") == "chunked":
        pieces: list[bytes] = []
        while size := int(await reader.readline(), 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
            if slow:
                await asyncio.sleep(0.15)
        await reader.readexactly(2)
        said.body = b"".join(pieces)
