"""An app behind the HTTP cache, driven as middleware drives it, without a server: requests in, what was sent out."""

from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from fastcascade import Clock
from fastcascade.caching import Found, HttpCache

Pairs = list[tuple[bytes, bytes]]
START = 1_700_000_000.0


def pairs(**headers: str | list[str]) -> Pairs:
    """Headers by their names as Python can write them: `cache_control="no-store"`; a list is several lines."""
    return [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]


def date(offset: float) -> str:
    """An HTTP date so many seconds from the clock's start."""
    return formatdate(START + offset, usegmt=True)


FRESH = pairs(cache_control="max-age=60")
CREDENTIALS = pairs(authorization="x")
TAGGED = pairs(cache_control="max-age=60", etag='"v1"')


@dataclass
class Sent:
    """What went to the client; `kind` as `find` put it, `asked` what the app was asked with (None: it was not)."""

    kind: str
    status: int
    headers: Pairs
    body: bytes
    asked: Pairs | None
    found: Found

    def __getitem__(self, name: str) -> str | None:
        """A header's value; its lines joined."""
        values = [value.decode() for called, value in self.headers if called == name.encode()]
        return ", ".join(values) if values else None


@dataclass
class Site:
    """One cache and an app that answers as it is told; every whole answer has a body of its own."""

    cache: HttpCache
    clock: Clock
    count: int = 0

    def get(
        self, app: Pairs | None = None, asked: Pairs | None = None, *, method: str = "GET", path: str = "/", **more: Any
    ) -> Sent:
        """One request from end to end; `more`: scope, status, body, took (seconds the app takes)."""
        headers = asked or []
        found = self.cache.find(method, path, headers, more.get("scope", b""))
        if found.response is not None:
            served = found.response
            return Sent(found.kind, served.status, list(served.headers), served.body, None, found)
        sent_on = headers
        if found.kind == "validate":
            without = [pair for pair in headers if pair[0] not in {b"if-none-match", b"if-modified-since"}]
            sent_on = [*without, *found.conditions]
        self.clock.advance(more.get("took", 0.0))
        sent = self.answered(found, app or [], more.get("status", 200), more.get("body"))
        self.cache.invalidated(method, path, sent.status, sent.headers, host="site")
        sent.asked = sent_on
        return sent

    def answered(self, found: Found, app: Pairs, status: int | None, body: bytes | None = None) -> Sent:
        """What becomes of the app's answer; no status: it raised."""
        if status == 304 and found.kind == "validate":
            served = self.cache.freshened(found.token, app)
            return Sent(found.kind, served.status, list(served.headers), served.body, None, found)
        if (status is None or status >= 500) and (stand_in := self.cache.failed(found.token, status)):
            return Sent(found.kind, stand_in.status, list(stand_in.headers), stand_in.body, None, found)
        assert status is not None
        self.count += 1
        body = b"%d" % self.count if body is None else body
        said, wanted = self.cache.passed(found.token, status, app)
        if wanted:
            assert self.cache.store(found.token, status, app, body)[: len(app)] == tuple(app)
        return Sent(found.kind, status, list(said), body, None, found)


def site(**settings: Any) -> Site:
    """A site of its own, at a moment of its own clock."""
    clock = Clock(START)
    return Site(HttpCache(clock=clock, **settings), clock)
