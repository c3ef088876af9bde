"""How a websocket begins upstream: the handshake of RFC 6455, on a connection of its own."""

import asyncio
import base64
import hashlib
from typing import Final

from fastcascade.backends.direct_parse import LinkError, head_of
from fastcascade.gateway.proxy_headers import Refused
from fastcascade.gateway.proxy_pool import Place
from fastcascade.gateway.proxy_upstream import Timeouts

__all__ = ["agreed"]

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 has both sides add to the key."""
HEAD: Final = 1 << 16


async def agreed(
    place: Place, message: bytes, key: bytes, times: Timeouts
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, and send the request: the connection, once the server has agreed.

    Raises `Refused` with its status where it does not want to, and `LinkError`, `OSError` or `TimeoutError`.
    """
    async with asyncio.timeout(times.connect):
        reader, writer = await asyncio.open_connection(
            place.origin.host, place.origin.port, ssl=place.origin.tls, limit=HEAD
        )
    try:
        async with asyncio.timeout(times.head):
            writer.write(message)
            raw = await reader.readuntil(b"\r\n\r\n")
        _checked(raw[:-4], key)
    except asyncio.LimitOverrunError:
        writer.transport.abort()
        raise LinkError("garbled", "the head of the response is too long") from None
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _checked(raw: bytes, key: bytes) -> None:
    head = head_of(raw, method="GET")
    if head.status != 101:
        raise Refused(head.status if 400 <= head.status <= 599 else 502, "")
    wanted = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest()).decode()
    if head.fields.first("sec-websocket-accept") != wanted or head.fields.first("sec-websocket-extensions"):
        raise LinkError("garbled", "the server has not agreed to what was asked for")
