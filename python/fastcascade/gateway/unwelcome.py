"""Requests that are turned away by their headers: those of foreign web pages, and those whose body is packed.

A browser lets any page send requests to this machine, and says in a header whose page it is; other clients send none.
Where callers need no key, such a page could spend the owner's money, so that only pages of this machine are answered.
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["unwelcome"]

FOREIGN: Final = (
    "web pages may not use this gateway: it has no keys, and any page could spend its owner's money; "
    "give it keys (`keys` in [gateway]), or let anyone in (`allow_anyone = true`)"
)
PACKED: Final = "a body with a content-encoding is not read; send it as it is, without that header"
OWN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:(?:[a-z0-9_-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?",
    re.IGNORECASE | re.ASCII,
)


def unwelcome(headers: Mapping[str, str], *, guarded: bool) -> tuple[int, str] | None:
    """Why a request with these headers is not answered, as a status and words. "null" is anybody's page."""
    if not guarded and "origin" in headers and OWN.fullmatch(headers["origin"]) is None:
        return 403, FOREIGN
    packed = headers.get("content-encoding", "").split(",")
    if any(each.strip().lower() not in ("", "identity") for each in packed):
        return 415, PACKED
    return None
