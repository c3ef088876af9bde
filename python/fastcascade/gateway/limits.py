"""The body of a request within its bounds, and what is said to those who are beyond them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.wire.endpoint_paths import format_of, words_for

if TYPE_CHECKING:
    from fastcascade.wire.endpoint import Response

__all__ = ["TooLarge", "broken_off", "length_of", "read", "refused"]

METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Those whose requests may have a body that somebody wants."""
LONGEST: Final = 18
"""Digits of a length that are read: whatever has more is too long all the same."""
KINDS: Final = {408: "timeout_error", 499: "cancelled"}
"""What formats have no name of their own for."""


class TooLarge(Exception):
    """A body beyond its bound."""


def length_of(headers: Mapping[str, str], *, framed: bool = False) -> int:
    """How long the body says that it is; -1 where it does not say, as it need not where frames hold it (HTTP/2)."""
    if "transfer-encoding" in headers:
        return -1  # a length beside it means nothing
    said = headers.get("content-length")
    if said is None:
        return -1 if framed else 0
    return int(said[:LONGEST]) if said.isdecimal() and said.isascii() else -1


async def read(proto: Any, length: int, most: int) -> bytes:
    """The body, or `TooLarge` as soon as that is known."""
    if length >= 0:
        if length > most:
            raise TooLarge
        body: bytes = await proto() if length else b""
        return body
    pieces: list[bytes] = []
    room = most
    async for piece in proto:
        room -= len(piece)
        if room < 0:
            raise TooLarge
        pieces.append(piece)
    return b"".join(pieces)


def refused(
    path: str, headers: Mapping[str, str], status: int, message: str, *, retry: float | None = None, close: bool = False
) -> "Response":
    """An error in the words of the format that this path speaks."""
    # Loaded by whoever has an endpoint.
    from fastcascade.wire import endpoint_headers as heads  # noqa: PLC0415
    from fastcascade.wire.endpoint import Response  # noqa: PLC0415
    from fastcascade.wire.endpoint_fields import id_of  # noqa: PLC0415

    words, request_id = words_for(path, headers), id_of(headers)
    body = format_of(words).error(status, message, kind=KINDS.get(status, ""))
    if words == "anthropic":
        body.setdefault("request_id", request_id)
    told = [heads.JSON, *heads.ids(words, request_id)]
    if retry is not None:
        told.append(("retry-after", f"{max(1, round(retry))}"))
    if close:
        told.append(("connection", "close"))
    return Response(status, told, json.dumps(body).encode())


def broken_off(path: str, message: str) -> bytes:
    """The last event of a stream that does not come to its end, so that nobody takes it for whole."""
    body = format_of(words_for(path, {})).error(502, message)
    return f"event: error\ndata: {json.dumps(body)}\n\n".encode()
