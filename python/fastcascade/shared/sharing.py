"""One `Shared` for each event loop, for all of a process that name the same store."""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from fastcascade.shared.shared import TIMEOUT, Shared
from fastcascade.shared.target import Target

__all__ = ["Sharing", "sharing"]


class Sharing:
    """What makes them. A `Shared` ends with its loop, or with `aclose`."""

    def __init__(self, url: str, *, prefix: str = "fastcascade", timeout: float = TIMEOUT) -> None:
        """Check the URL; nothing is connected."""
        self.where = Target.of(url).where
        self._url, self._prefix, self._timeout = url, prefix, timeout
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, Shared] = WeakKeyDictionary()
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()

    def __call__(self) -> Shared:
        """That of the running loop; `start` it before it is asked."""
        loop = asyncio.get_running_loop()
        shared = self._open.get(loop)
        if shared is None:
            for other in [each for each in list(self._open) if each.is_closed()]:
                self._open.pop(other, None)  # what hangs on a loop holds it
            shared = self._open[loop] = Shared(self._url, prefix=self._prefix, timeout=self._timeout)
        return shared

    def hold(self) -> Shared:
        """That of the running loop, which stays open until each who holds it has come to `aclose`."""
        loop = asyncio.get_running_loop()
        self._held[loop] = self._held.get(loop, 0) + 1
        return self()

    async def aclose(self) -> None:
        """Hold that of the running loop no more; the last one closes it. Who asks for one again has a new one."""
        loop = asyncio.get_running_loop()
        left = self._held.get(loop, 0) - 1
        if left > 0:
            self._held[loop] = left
            return
        self._held.pop(loop, None)
        shared = self._open.pop(loop, None)
        if shared is not None:
            await shared.aclose()

    def __repr__(self) -> str:
        """Show where it is, and no password."""
        return f"Sharing({self.where!r}, prefix={self._prefix!r})"


_known: Final[dict[tuple[str, str, float], Sharing]] = {}


def sharing(url: str, *, prefix: str = "fastcascade", timeout: float = TIMEOUT) -> Sharing:
    """What makes them, the same for the same store: so caches and limits of a process have one connection."""
    key = (url, prefix, timeout)
    known = _known.get(key)
    if known is None:
        known = _known[key] = Sharing(url, prefix=prefix, timeout=timeout)
    return known
