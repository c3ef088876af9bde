"""An answer on its way back: its head without what is one connection's, its body as it comes, and cut where it was cut.

The server ends a stream in good order whatever became of it, so that what broke off upstream would look whole. Where a
length was told the server itself closes a connection that got less; else its socket is shut down under it.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from fastcascade.backends.direct_parse import LinkError
from fastcascade.gateway.acked import LATER, Sockets
from fastcascade.gateway.paced import Pace, Paced
from fastcascade.gateway.proxy_forward import Answered
from fastcascade.gateway.work import Work

__all__ = ["Kept", "cut", "passed_back"]

Pairs = list[tuple[str, str]]

WHOLE: Final = 1 << 16
"""Bytes of a body that may be sent in one go, if they have come."""
BODILESS: Final = frozenset({204, 304})
LOOKS: Final = 50
NAP: Final = 0.02

_sockets: Final = Sockets()


class Kept:
    """A copy of a body, for a cache: None as soon as it is longer than that, which `given_up` is told."""

    __slots__ = ("_given_up", "_most", "_pieces", "_size", "whole")

    def __init__(self, most: int, given_up: Callable[[], object]) -> None:
        """Nothing has come."""
        self._most, self._size, self._given_up = most, 0, given_up
        self._pieces: list[bytes] | None = []
        self.whole = False

    def add(self, piece: bytes) -> None:
        """Keep one more."""
        if self._pieces is not None:
            self._size += len(piece)
            self._pieces.append(piece)
            if self._size > self._most:
                self._pieces = None
                self._given_up()

    @property
    def body(self) -> bytes | None:
        """All of it, where it has come to its end and is not too long."""
        return b"".join(self._pieces) if self.whole and self._pieces is not None else None


async def passed_back(
    pace: Pace, work: Work, answered: Answered, method: str, told: Pairs, kept: Kept | None = None
) -> None:
    """Send it to the client. Raises `LinkError` where it broke off before anything was sent; else it is cut."""
    head, link, proto = answered.head, answered.link, work.proto
    link.wait_at_most(answered.idle)
    length = head.body.length
    if link.whole():
        if method == "HEAD" or head.status == 304:
            length_said = head.fields.first("content-length")
            if length_said.isdecimal() and length_said.isascii():
                told.append(("content-length", length_said))
        if kept is not None:
            kept.whole = True
        if method == "HEAD" or head.status in BODILESS:
            proto.response_empty(head.status, told)
        else:
            proto.response_bytes(head.status, told, b"")
        return
    first = await link.read() if length is not None and length <= WHOLE else link.at_hand()
    if kept is not None:
        kept.add(first)
    if link.whole():
        if kept is not None:
            kept.whole = True
        proto.response_bytes(head.status, told, first)
        return
    if length is not None:
        told.append(("content-length", str(length)))
    await _streamed(pace, work, answered, told, first, kept)


async def _streamed(pace: Pace, work: Work, answered: Answered, told: Pairs, first: bytes, kept: Kept | None) -> None:
    link = answered.link
    work.stream = work.proto.response_stream(answered.head.status, told)
    paced = Paced(pace, work, work.stream.send_bytes)
    try:
        piece = first or await link.read()
        while piece:
            await paced.send(piece)
            if kept is not None and piece is not first:
                kept.add(piece)
            piece = await link.read()
        if kept is not None:
            kept.whole = True
    except LinkError as error:
        answered.broke(error, asyncio.get_running_loop().time())
        await cut(work, known=link.length is not None)
    finally:
        paced.end()


async def cut(work: Work, *, known: bool) -> None:
    """End an answer so that nobody takes it for whole; `known` is whether its length was told."""
    if known:
        return  # less than was promised: the server closes
    port = int(work.here.rpartition(":")[2] or 0) if work.here else 0
    handle: int | None = LATER
    for _ in range(LOOKS):
        await asyncio.sleep(NAP)  # what was given to the server before goes out; and looking is rationed
        handle = _sockets.find(work.peer, port)
        if handle != LATER:
            break
    if handle is None or handle == LATER:
        return
    with suppress(OSError):
        # Neither a copy nor closed, for the reasons that silent.py has.
        link: Any = socket.socket(fileno=handle)
        try:
            if link.getsockname()[1] == port:
                link.shutdown(socket.SHUT_RDWR)
        finally:
            link.detach()
