"""What a request asks of a cache, and whether a kept answer will do (RFC 9111, sections 4, 4.3.2 and 5.2.1)."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from fastcascade.caching.http_headers import (
    Directives,
    directives,
    etag_in,
    field,
    http_date,
    names,
    seconds,
    selecting,
)
from fastcascade.caching.http_records import Headers, Served, Stored

__all__ = ["PAST_THE_CACHE", "WATCHED", "Watched", "answer", "asked", "conditions", "fits", "judge", "past", "plain"]

PAST_THE_CACHE = (b"range", b"if-match", b"if-unmodified-since")
"""Only the app answers these: parts of a body, and conditions on the state it has itself (RFC 9110, 13.1.1)."""

_OF_A_BODY = (b"content-length", b"transfer-encoding")

WATCHED = frozenset({*PAST_THE_CACHE, *_OF_A_BODY, b"cache-control", b"pragma", b"if-none-match", b"if-modified-since"})
"""A request without any of these is answered without reading another header, but for those of Vary."""

Watched: TypeAlias = Mapping[bytes, list[bytes]]

# What describes the body, which a 304 has not (RFC 9110, 15.4.5). Others, such as those of CORS, go along.
_NOT_ON_304 = frozenset(
    {
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-range",
        b"content-type",
    }
)


def asked(watched: Watched) -> Directives:
    """The request's directives; Pragma counts where there is no Cache-Control (5.4)."""
    if said := watched.get(b"cache-control"):
        return directives(said)
    if b"no-cache" in names(watched.get(b"pragma", ())):
        return directives([b"no-cache"])
    return directives(())


def past(watched: Watched) -> bool:
    """Whether only the app may answer, and nobody else that answer: parts, states, and a GET with a body.

    The body is not in the key, and some apps read it: one client could choose what others are sent ("fat GET").
    """
    if any(name in watched for name in PAST_THE_CACHE):
        return True
    return b"transfer-encoding" in watched or any(one.strip(b" 0") for one in watched.get(b"content-length", ()))


def fits(stored: Stored, headers: Headers) -> bool:
    """Whether an answer was chosen by what this request says too (4.1)."""
    for name, value in stored.vary:  # noqa: SIM110 - `all` of a generator takes twice as long
        if selecting(headers, name) != value:
            return False
    return True


def judge(stored: Stored, age: float, said: Directives) -> Literal["hit", "stale", "validate"]:
    """Whether an answer of this age may be sent to who asks so."""
    left = stored.fresh_for - age
    if said and _wants_newer(stored, age, said):
        return "validate"
    if left > 0:
        return "hit"
    if left + stored.behind > 0 and b"min-fresh" not in said:
        return "stale"
    if b"max-stale" in said and not stored.strict:
        most_stale = said[b"max-stale"]
        if most_stale is None or -left <= (seconds(most_stale) or 0):
            return "hit"
    return "validate"


def _wants_newer(stored: Stored, age: float, said: Directives) -> bool:
    """Whether the client asks for more than freshness. A max-age of 0 is a reload (RFC 8246, 2)."""
    left = stored.fresh_for - age
    if b"no-cache" in said:
        return True
    if b"max-age" in said and not (stored.immutable and left > 0):
        most = seconds(said[b"max-age"]) or 0
        if not most or age > most:
            return True
    return b"min-fresh" in said and left < (seconds(said[b"min-fresh"]) or 0)


def conditions(stored: Stored) -> tuple[tuple[bytes, bytes], ...]:
    """The headers by which the app can say that the answer still holds (4.3.1)."""
    found = []
    if stored.etag:
        found.append((b"if-none-match", stored.etag))
    if stored.modified:
        found.append((b"if-modified-since", stored.modified))
    return tuple(found)


def _holds(stored: Stored, watched: Watched, wall: float) -> bool:
    """Whether the client's own condition says that it has this answer already (4.3.2)."""
    if not 200 <= stored.status < 300:
        return False
    if tags := watched.get(b"if-none-match"):
        return etag_in(stored.etag, tags)
    since = http_date(next(iter(watched.get(b"if-modified-since", ())), None), wall)
    if since is None:
        return False
    changed = http_date(stored.modified or next(iter(field(stored.headers, b"date")), None), wall)
    return changed is not None and changed <= since


def plain(stored: Stored, method: str, extra: tuple[tuple[bytes, bytes], ...]) -> Served:
    """The answer whole, or its head for a HEAD."""
    return Served(stored.status, stored.headers + extra, b"" if method == "HEAD" else stored.body)


def answer(
    stored: Stored, method: str, extra: tuple[tuple[bytes, bytes], ...], watched: Watched, wall: float
) -> Served:
    """The answer, or a 304 where the client has it already."""
    if not _holds(stored, watched, wall):
        return plain(stored, method, extra)
    kept = tuple(
        pair
        for pair in stored.headers
        if pair[0] not in _NOT_ON_304 and not (pair[0] == b"last-modified" and stored.etag)
    )
    return Served(304, kept + extra, b"")
