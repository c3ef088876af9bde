"""The head of a request, but for what each adds to it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult

from fastcascade.errors import ConfigError

__all__ = ["lines", "opening"]

NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
FRAMING: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
"""Headers that are made here alone: another word on them could make two requests of one."""


def opening(method: str, path: str, at: SplitResult, headers: Mapping[str, str]) -> bytes:
    """The first line and the headers that are always the same, up to where more may be added."""
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ConfigError("the path of base_url has a character that must be escaped")
    host = at.netloc.rpartition("@")[2]
    name = host.encode("ascii" if host.isascii() else "idna").decode()
    return "".join((f"{method} {path} HTTP/1.1\r\nhost: {name}\r\n", *lines(headers))).encode("ascii")


def lines(headers: Mapping[str, str]) -> Iterator[str]:
    """Headers as they are sent. Raises `ConfigError` for one that would not be read as it was meant."""
    for name, value in headers.items():
        if NAME.fullmatch(name) is None or name in FRAMING or not (value.isascii() and value.isprintable()):
            msg = f"the header {name[:40]!r} cannot be sent: it is no plain text, or not yours to set"
            raise ConfigError(msg)
        yield f"{name}: {value}\r\n"
