"""The HTTP that the faulty server needs, and how a connection is ended otherwise than HTTP has it."""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Final, Literal

from fastcascade.errors import ConfigError
from fastcascade.testing.wire import Asked, Response

__all__ = ["LOOPBACK", "bound", "head", "read", "reset", "segments", "until_gone"]

LOOPBACK: Final = "127.0.0.1"
LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Has a connection end with a reset once it is closed."""


async def read(reader: asyncio.StreamReader) -> Asked:
    """The next request of a connection; an `EOFError` where there is none."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        raw = b"".join([chunk async for chunk in _chunks(reader)])
    else:
        raw = await reader.readexactly(int(headers.get("content-length") or 0))
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {}
    return Asked(method, target.partition("?")[0], headers, body if isinstance(body, dict) else {})


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()


def head(response: Response) -> bytes:
    """What goes before the body."""
    length = f"content-length: {sum(map(len, response.frames))}"
    if response.streamed:
        length = "transfer-encoding: chunked"
    headers = [f"{name}: {value}" for name, value in response.headers.items()]
    first = f"HTTP/1.1 {response.status} As Planned"
    return "\r\n".join([first, f"content-type: {response.content_type}", *headers, length, "", ""]).encode("latin-1")


def segments(response: Response, limit: int | None) -> Iterator[tuple[bytes, bool]]:
    """What to send, and which of it are pieces of the reply: so many of them where there is a limit, and no end."""
    segments = [(frame, place in response.pieces) for place, frame in enumerate(response.frames)]
    if not response.streamed:
        body, words = response.frames[0], response.words
        size = max(1, len(body) // (words + 1))
        segments = [(body[place * size : (place + 1) * size], True) for place in range(words)]
        segments.append((body[words * size :], False))
    if limit is None:
        return iter(segments)
    places = [place for place, (_, is_piece) in enumerate(segments) if is_piece]
    end = places[limit] if limit < len(places) else (places or [-1])[-1] + 1
    return iter(segments[:end])


async def until_gone(reader: asyncio.StreamReader) -> Literal[False]:
    """Send nothing until the client has left."""
    while await reader.read(65536):
        pass
    return False


def reset(writer: asyncio.StreamWriter) -> Literal[False]:
    """Reset a connection."""
    with suppress(OSError):  # it may be closed by now
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()
    return False


def bound(port: int) -> socket.socket:
    """A socket that has a port of the loopback, and does not listen yet."""
    # Only where the protocol is named does asyncio turn off the waiting for more to send.
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform not in ("linux", "win32"):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # where two may be bound only so
        held.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        held.close()
        raise ConfigError(f"port {port} of {LOOPBACK} cannot be had: {error}; another process may have it") from None
    return held
