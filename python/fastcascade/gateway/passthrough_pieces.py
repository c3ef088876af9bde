"""A stream that is passed through: its bytes as they come, its usage read on the side, its end told of once."""

from typing import Self

from fastcascade.backends.direct_json import encoded
from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.gateway.passthrough_account import Record
from fastcascade.gateway.passthrough_usage import Reading
from fastcascade.wire.format import Format

__all__ = ["Pieces"]


class Pieces:
    """The pieces of a response. To close them early hangs up on the provider."""

    __slots__ = ("_exchange", "_over", "_reading", "_record", "_style")

    def __init__(self, exchange: Exchange, record: Record, reading: Reading, style: Format) -> None:
        """Begin where the head has come."""
        self._exchange, self._record, self._reading, self._style = exchange, record, reading, style
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
            return b"\n\nevent: error\ndata: " + encoded(error) + b"\n\n"
        except BaseException:
            self._end(499, "cancelled")
            raise
        if not data:
            self._end(200, "" if self._reading.ended else "incomplete")
            raise StopAsyncIteration
        self._reading.feed(data)
        return data

    async def aclose(self) -> None:
        """The client has gone, or has all: one that had the last event was answered."""
        self._end(*((200, "") if self._reading.ended else (499, "cancelled")))

    def _end(self, status: int, failure: str) -> None:
        if self._over:
            return
        self._over = True
        self._exchange.close()
        self._record.done(status, failure, self._reading)
