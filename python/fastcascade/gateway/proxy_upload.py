"""The body of a request on its way to an instance: as it comes, in either framing, and never with an end it has not."""

import asyncio
from typing import Any

from fastcascade.backends.direct_parse import LinkError
from fastcascade.gateway.proxy_headers import Refused
from fastcascade.gateway.proxy_link import ProxyLink

__all__ = ["Upload"]


class Upload:
    """A body that is sent on as it comes.

    Args:
        proto: where it comes from.
        length: how long it says that it is; None is as long as it will be.
        most: bytes it may have.
        sure: whether its end can be told from a break: not where trailers or frames are empty pieces too.
    """

    def __init__(self, proto: Any, length: int | None, most: int | None, *, sure: bool = True) -> None:
        """Nothing is read yet."""
        self._proto, self.length, self._most, self._sure = proto, length, most, sure
        self.begun = self.done = False
        self.waiting = False  # for the client
        self.error: Refused | None = None

    async def pump(self, link: ProxyLink) -> None:
        """Send it all; what is wrong with it stays in `error`, and ends the connection: no end of the body is sent."""
        self.begun = True
        try:
            await self._pumped(link)
            self.done = True
        except Refused as error:
            self.error = error
            link.abort()
        except LinkError:
            return  # whoever waits for the answer hears of it
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the server's word for a client that has gone
            self.error = Refused(499, "the client has closed the connection")
            link.abort()

    async def _pumped(self, link: ProxyLink) -> None:
        total = 0
        ends = 0
        self.waiting = True
        async for piece in self._proto:
            if not piece:  # the server's way to say that it is over; it says so twice of one that broke off
                ends += 1
                continue
            self.waiting = False
            total += len(piece)
            if (self.length is not None and total > self.length) or (self._most is not None and total > self._most):
                raise Refused(413, "the body is too large")
            await self._send(link, piece)
            if total == self.length:
                break
            self.waiting = True
        self.waiting = False
        if self.length is None and ends > 1 and self._sure:
            raise Refused(400, "the body of the request broke off")
        if self.length is not None and total != self.length:
            raise Refused(400, "the body of the request broke off")
        if self.length is None:
            await link.write(b"0\r\n\r\n")

    async def _send(self, link: ProxyLink, piece: bytes) -> None:
        await link.write(piece if self.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
