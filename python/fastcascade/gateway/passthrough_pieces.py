"""A stream that is passed through: its bytes as they come, its usage read on the side, its end told of once."""

from collections.abc import Collection
from typing import Final, Self

from fastcascade.backends.direct_json import encoded
from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.gateway.passthrough_account import Record
from fastcascade.gateway.passthrough_usage import Reading
from fastcascade.wire.format import Format

__all__ = ["Pieces", "without"]

REMOVED: Final = b"[removed]"
TELLING: Final = 8
"""Bytes from which on the beginning of a secret is more than chance."""


class Pieces:
    """The pieces of a response without these secrets. To close them early hangs up on the provider."""

    __slots__ = ("_exchange", "_kept", "_over", "_reading", "_record", "_secrets", "_style")

    def __init__(
        self, exchange: Exchange, record: Record, reading: Reading, style: Format, secrets: Collection[bytes] = ()
    ) -> None:
        """Begin where the head has come."""
        self._exchange, self._record, self._reading, self._style = exchange, record, reading, style
        self._secrets, self._kept = secrets, b""
        self._over = False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """What comes next; an error event in the format's words, where it breaks off."""
        if self._over:
            raise StopAsyncIteration
        try:
            data = await self._exchange.read()
        except LinkError:
            self._end(502, "incomplete")
            error = self._style.error(502, "the provider's answer broke off")
            return self._last() + b"\n\nevent: error\ndata: " + encoded(error) + b"\n\n"
        except BaseException:
            self._end(499, "cancelled")
            raise
        if not data:
            self._end(200, "" if self._reading.ended else "incomplete")
            if self._kept:
                return self._last()
            raise StopAsyncIteration
        self._reading.feed(data)
        return self._clean(data) if self._secrets else data

    def _clean(self, data: bytes) -> bytes:
        """What of it may go on now; what could be the beginning of a secret waits for what comes next."""
        data = without(self._kept + data if self._kept else data, self._secrets)
        # None has a line's end in it, and most pieces end with one.
        at = len(data) if data.endswith(b"\n") else min(_begun(data, each) for each in self._secrets)
        self._kept = data[at:]
        return data[:at] if self._kept else data

    def _last(self) -> bytes:
        """What waited for more that did not come."""
        return self._kept if len(self._kept) < TELLING else REMOVED

    async def aclose(self) -> None:
        """The client has gone, or has all: one that had the last event was answered."""
        self._end(*((200, "") if self._reading.ended else (499, "cancelled")))

    def _end(self, status: int, failure: str) -> None:
        if self._over:
            return
        self._over = True
        self._exchange.close()
        self._record.done(status, failure, self._reading)


def without(data: bytes, secrets: Collection[bytes]) -> bytes:
    """Some providers repeat the key that they were given: bytes that do not."""
    for each in secrets:
        if each in data:
            data = data.replace(each, REMOVED)
    return data


def _begun(data: bytes, secret: bytes) -> int:
    """Where the beginning of it stands at the end of this; the end itself, where it does not."""
    at = max(0, len(data) - len(secret) + 1)
    while (at := data.find(secret[:1], at)) >= 0:
        if secret.startswith(data[at:]):
            return at
        at += 1
    return len(data)
