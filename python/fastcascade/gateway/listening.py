"""The socket, opened before there are workers, so that a port that is taken is said at once and in one line."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["address_of", "listen", "mark_of", "turn_away"]

BACKLOG: Final = 2_048
REASONS: Final = {
    errno.EADDRINUSE: "it is taken; end who listens there, or choose another with --port",
    errno.EACCES: "this user may not; choose a port from 1024 on with --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another with --host",
}


def listen(host: str, port: int) -> socket.socket:
    """Open it. Raises `ConfigError` with what is in the way."""
    where = host.encode() if host.isascii() else host  # as bytes it needs no tables of letters, which must be loaded
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            where or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"{host}: no address to listen at: {error.strerror or error}") from None
    except UnicodeError:
        raise ConfigError(f"{host}: no address to listen at: it is no name of a machine") from None
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        why = REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        raise ConfigError(f"{host}:{port} cannot be listened at: {why}") from None
    return opened


def address_of(opened: socket.socket, *, secure: bool) -> str:
    """How clients write it; the port is the one it really has."""
    host, port = opened.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}"


def turn_away(mark: tuple[int, int]) -> None:
    """Accept no more connections in this process at the socket of this mark; other processes that have it go on.

    A server that is told to end closes connections that have not asked yet: also one that it has accepted just now, and
    that has its question under way. So nothing is to be accepted for a moment before. There is no word for that, and
    the server has descriptors of its own; so each comes to stand for a socket that nobody knows of.
    """
    nobody = socket.create_server(("127.0.0.1", 0))
    nobody.setblocking(False)  # noqa: FBT003 - its name says it
    with nobody:
        for each in tuple(Path("/dev/fd").iterdir()):
            with suppress(OSError):  # that of the list itself is closed by now
                if mark_of(int(each.name)) == mark:
                    os.dup2(nobody.fileno(), int(each.name), inheritable=False)


def mark_of(descriptor: int) -> tuple[int, int]:
    """What tells a socket from all others, whatever descriptors it has."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
