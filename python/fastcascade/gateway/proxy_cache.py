"""Answers of a route that are kept, by RFC 9111: what is asked of `HttpCache`, in the words of the gateway."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastcascade.caching.http import HttpCache

if TYPE_CHECKING:
    from fastcascade.caching.http_records import Found, Served
    from fastcascade.gateway.proxy_settings import Cached

__all__ = ["RouteCache"]

Pairs = list[tuple[str, str]]


class RouteCache:
    """What is kept of one route, in one worker.

    Args:
        told: how.
    """

    def __init__(self, told: "Cached") -> None:
        """Keep nothing yet. Raises `ConfigError`."""
        self.inner = HttpCache(ttl=told.ttl, max_body=told.body, max_bytes=told.memory, vary_on=tuple(told.vary))
        self.most = told.body

    def find(
        self, method: str, target: str, pairs: Sequence[tuple[str, str]], scope: str, scheme: str, host: str
    ) -> "Found":
        """What to do with a request."""
        return self.inner.find(method, target, raw(pairs), scope, scheme=scheme, host=host)

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

    def invalidated(self, method: str, target: str, status: int, told: Pairs, scheme: str, host: str) -> None:
        """Tell of an answer that went out."""
        self.inner.invalidated(method, target, status, raw(told), scheme=scheme, host=host)


def raw(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as bytes."""
    return tuple((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs)


def pairs_of(headers: Sequence[tuple[bytes, bytes]]) -> Pairs:
    """Headers as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
