"""What the kernel knows of a connection that the server accepted: how many bytes its client has acknowledged.

The server does not show its sockets, so they are looked for among this process's own descriptors, by the client's
address and the local port. That takes some microseconds for each descriptor there is, and is done for all connections
at once, rarely. On systems that do not tell (other than Linux), nothing is ever found.
"""

import os
import resource
import socket
import struct
import time
from typing import Final

from fastcascade.gateway.silent import KNOWN, OPEN

__all__ = ["LATER", "Sockets", "acked"]

LATER: Final = -1
"""In place of a descriptor: there was a look a moment ago, and it takes another to know this one."""

ACKED: Final = struct.Struct("=120xQ")
"""The beginning of `struct tcp_info`, up to `tcpi_bytes_acked`."""
FAMILY: Final = socket.AF_INET6
"""What descriptors are taken for, until they say themselves: there is room for either kind of address in this one's."""
SHARE: Final = 0.05
"""Of its time, what looking for sockets may take at most."""
MOST: Final = 1 << 16
"""Descriptors that are tried, where there is none left to list them with."""


class Sockets:
    """The sockets of clients, by address."""

    def __init__(self) -> None:
        """Look for none yet."""
        self._found: dict[tuple[str, int], int] = {}
        self._again = 0.0  # when there may be another look

    def find(self, client: str, port: int) -> int | None:
        """The descriptor of the connection that this client has with this port; `LATER`, or None where it has none."""
        key = (client, port)
        handle = self._found.get(key)
        if handle is not None and _named(handle) == key:
            return handle
        if not KNOWN:
            return None
        began = time.monotonic()
        if began < self._again:
            return LATER
        self._found = _all()
        ended = time.monotonic()
        self._again = ended + (ended - began) / SHARE
        return self._found.get(key)


def acked(handle: int, client: str, port: int) -> int | None:
    """Bytes that this client has acknowledged so far; None where the descriptor is another's by now."""
    # Neither a copy nor kept as a socket, for the reasons that silent.py has.
    try:
        link = socket.socket(FAMILY, socket.SOCK_STREAM, 0, handle)
    except OSError:
        return None
    try:
        if _addresses(link) != (client, port):
            return None
        told: int = ACKED.unpack(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKED.size))[0]
    except (OSError, struct.error):  # closed, or a kernel that does not count
        return None
    else:
        return told
    finally:
        link.detach()


def _all() -> dict[tuple[str, int], int]:
    try:
        handles = [int(each) for each in os.listdir(OPEN)]  # noqa: PTH208 - there may be many, and paths are dear
    except OSError:  # it takes a descriptor, and all are in use: then so are the lowest numbers
        handles = list(range(min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST)))
    return {name: each for each in handles if (name := _named(each)) is not None}


def _named(handle: int) -> tuple[str, int] | None:
    """The client's address and the local port, if this is a connection."""
    try:
        link = socket.socket(FAMILY, socket.SOCK_STREAM, 0, handle)
    except OSError:
        return None
    try:
        return _addresses(link)
    except OSError:
        return None
    finally:
        link.detach()


def _addresses(link: socket.socket) -> tuple[str, int] | None:
    peer, own = link.getpeername(), link.getsockname()
    if not isinstance(peer, tuple) or not isinstance(own, tuple) or len(peer) < 2:
        return None  # no connection of the internet's
    host = str(peer[0]).partition("%")[0]
    return (f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"), own[1]
