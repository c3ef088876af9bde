"""Connections on which nothing moves any more are closed.

The server closes one whose head does not come, but not one that never says a word, stops within a TLS handshake or
HTTP/2's first bytes, or takes nothing of its answer: enough of these take all places, and all memory. The kernel knows
how long nothing has come or gone. On systems that do not tell (other than Linux), nothing is done here.
"""

import os
import socket
import stat
import struct
from collections.abc import Collection
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from termios import TIOCOUTQ
from typing import Final

__all__ = ["KNOWN", "sweep"]

OPEN: Final = Path("/proc/self/fd")
KNOWN: Final = OPEN.is_dir() and hasattr(socket, "TCP_INFO")
TIMES: Final = struct.Struct("=8x9I3I")
"""The beginning of `struct tcp_info`: at its end how many ms ago data was sent, an ACK was, and data came."""


def sweep(port: int, idle: float, at_work: Collection[int]) -> int:
    """Close what was accepted at this port and has been silent for so many seconds; how many.

    A connection in work, known by its client's port, may be silent, unless its client does not take what is sent.
    """
    closed = 0
    for each in OPEN.iterdir() if KNOWN else ():
        with suppress(OSError):  # gone by now
            closed += _closed(int(each.name), port, idle, at_work)
    return closed


def _closed(handle: int, port: int, idle: float, at_work: Collection[int]) -> bool:
    if not stat.S_ISSOCK(os.fstat(handle).st_mode):
        return False
    # Not a copy of it: closing one that turns out to be of a database by now would give up that file's locks. Should
    # the number be another connection's by the end, that one is closed as if the network had failed.
    link = socket.socket(fileno=handle)
    try:
        silent = _accepted(link, port) and _silent(link, idle, at_work)
        if silent:
            link.shutdown(socket.SHUT_RDWR)  # the server reads its end
        return silent
    finally:
        link.detach()


def _accepted(link: socket.socket, port: int) -> bool:
    return (
        link.family in (socket.AF_INET, socket.AF_INET6)
        and link.type == socket.SOCK_STREAM
        and link.getsockname()[1] == port
        and not link.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def _silent(link: socket.socket, idle: float, at_work: Collection[int]) -> bool:
    *_, sent, _, came = TIMES.unpack(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TIMES.size))
    if sent < idle * 1000:
        return False
    waiting = struct.unpack("i", ioctl(link.fileno(), TIOCOUTQ, b"\0\0\0\0"))[0]
    return bool(waiting) or (came >= idle * 1000 and link.getpeername()[1] not in at_work)
