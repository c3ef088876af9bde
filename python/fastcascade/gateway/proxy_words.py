"""Names and values of headers, as an operator may set them."""

import re
from collections.abc import Mapping
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["TOKEN", "headers_checked"]

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
OURS: Final = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers that frame a message: another word on them could make two requests of one."""


def headers_checked(what: str, headers: Mapping[str, str]) -> None:
    """Refuse what would break a message, or make two of one."""
    for name, value in headers.items():
        if TOKEN.fullmatch(name) is None or name.lower() in OURS:
            raise ConfigError(f"{what}: headers may not hold {name[:40]!r}: it is no name, or frames the message")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{what}: headers hold {name!r} with characters that no header can carry")
