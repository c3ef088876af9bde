"""Answers of a route that are kept, by RFC 9111: what is asked of `HttpCache`, in the words of the gateway.

They are kept in levels: this worker's memory, and behind it the store that gateways share, where there is one. Requests
for one page at one time are joined either way, so that one goes to the app: in this worker, or in all gateways.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.caching.http import HttpCache
from fastcascade.caching.levels import Levels, LevelsStats

if TYPE_CHECKING:
    from fastcascade.caching.http_records import Found, Served
    from fastcascade.gateway.proxy_settings import Cached, ProxyRoute
    from fastcascade.shared.shared import Shared

__all__ = ["RouteCache"]

Pairs = list[tuple[str, str]]
DAY: Final = 86_400.0
HEAD: Final = 1 << 16
"""Bytes of the head of an answer that is kept."""


class RouteCache:
    """What is kept of one route, as one worker sees it.

    Args:
        route: which.
        told: how.
        shared: the level behind memory; gateways with the same route share it.
    """

    def __init__(self, route: "ProxyRoute", told: "Cached", shared: "Shared | None" = None) -> None:
        """Keep nothing yet. Raises `ConfigError`."""
        self.name, self.most, self._within = f"route {route.name}", told.body, told.within
        same = repr((route.name, route.path, route.regex, route.host, tuple(route.methods), route.to))
        self.levels = Levels(
            f"pages-{hashlib.sha256(same.encode()).hexdigest()[:16]}",
            shared,
            items=told.items,
            memory=max(1, told.memory),
            largest=told.body + HEAD,
            most=DAY,
        )
        self.inner = HttpCache(
            levels=self.levels,
            ttl=told.ttl,
            negative=told.negative,
            max_body=told.body,
            max_bytes=told.memory,
            vary_on=tuple(told.vary),
        )

    def find(
        self, method: str, target: str, pairs: Sequence[tuple[str, str]], scope: str, scheme: str, host: str
    ) -> "Found":
        """What to do with a request."""
        return self.inner.find(method, target, raw(pairs), scope, scheme=scheme, host=host)

    async def further(self, found: "Found") -> "Found":
        """What to do once levels were asked too, or another request has brought it."""
        return await self.inner.further(found, within=self._within)

    def over(self, found: "Found") -> None:
        """The request is over, however it ended."""
        self.inner.release(found.token)

    def let_go(self, found: "Found") -> None:
        """Nothing will be kept of it: nobody needs to wait for that."""
        self.inner.let_go(found.token)

    def passed(self, found: "Found", status: int, told: Pairs) -> tuple[Pairs, bool]:
        """The head of an answer that is passed on, and whether its body is wanted."""
        headers, wanted = self.inner.passed(found.token, status, raw(told))
        return pairs_of(headers), wanted

    def store(self, found: "Found", status: int, told: Pairs, body: bytes) -> None:
        """Keep a whole answer, if that is allowed."""
        self.inner.store(found.token, status, raw(told), body)

    def freshened(self, found: "Found", told: Pairs) -> "Served":
        """The app has said 304 to our conditions."""
        return self.inner.freshened(found.token, raw(told))

    def failed(self, found: "Found", status: int | None) -> "Served | None":
        """What may stand in for a failure."""
        return self.inner.failed(found.token, status)

    async def invalidated(self, method: str, target: str, status: int, told: Pairs, scheme: str, host: str) -> None:
        """Tell of an answer that is to go out, and come back when all gateways know what it has changed."""
        self.inner.invalidated(method, target, status, raw(told), scheme=scheme, host=host)
        if self.inner.telling:
            await self.inner.told()

    def stats(self) -> list[LevelsStats]:
        """What its levels did."""
        return [self.levels.stats()]

    async def aclose(self) -> None:
        """End what is under way behind."""
        await self.levels.aclose()


def raw(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as bytes."""
    return tuple((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs)


def pairs_of(headers: Sequence[tuple[bytes, bytes]]) -> Pairs:
    """Headers as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
