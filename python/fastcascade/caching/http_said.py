"""What the cache adds to an answer (Age, Cache-Status of RFC 9211), and which pages an answer to a write touches."""

from urllib.parse import urljoin, urlsplit

from fastcascade.caching.http_headers import CEILING, field
from fastcascade.caching.http_records import Headers, Served, Stored, Token
from fastcascade.errors import ConfigError

__all__ = ["Said", "age", "touched"]

_Pairs = tuple[tuple[bytes, bytes], ...]

# RFC 9110, 9.2.1, and the registry's: what changes nothing invalidates nothing. An unknown method may change anything.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH"})


def age(seconds: float) -> tuple[bytes, bytes]:
    """The header Age."""
    return b"age", b"%d" % min(max(seconds, 0), CEILING)


class Said:
    """The words of one cache; an empty name says nothing but ages."""

    def __init__(self, name: str) -> None:
        """`name` is a token of structured fields (RFC 9651)."""
        if not all(char.isascii() and (char.isalnum() or char in "-_.") for char in name) or name[:1].isdigit():
            raise ConfigError(f"name {name!r} is no token: take a letter, then letters, digits, '-', '_' and '.'")
        self._name = name.encode()
        self._hit = self._name + b"; hit; ttl=%d"

    def found(self, token: Token, stored: Stored, seconds: float) -> _Pairs:
        """Of a kept answer, which may come from further away, or be another request's that this one waited for."""
        said = self.hit(stored, seconds)
        if not (token.level and self._name) or token.level == "memory":
            return said
        if token.level == "joined":
            return said[0], (b"cache-status", b"; ".join((self._name, b"fwd=" + token.why, b"collapsed")))
        return said[0], (b"cache-status", said[1][1] + b"; detail=" + token.level.encode())

    def hit(self, stored: Stored, seconds: float) -> _Pairs:
        """Of a kept answer of this age."""
        # Less than 0 where it is sent stale, which flooring says and cutting off does not.
        now = (b"age", b"%d" % seconds) if 0 <= seconds < CEILING else age(seconds)
        return (now, (b"cache-status", self._hit % ((stored.fresh_for - seconds) // 1))) if self._name else (now,)

    def forwarded(self, token: Token, status: int | None, *, kept: bool, detail: bytes = b"") -> _Pairs:
        """Of what the app was asked for."""
        if not self._name:
            return ()
        said = [self._name, b"fwd=" + token.why]
        if status is not None:
            said.append(b"fwd-status=%d" % status)
        if kept:
            said.append(b"stored")
        if detail:
            said.append(b"detail=" + detail)
        return ((b"cache-status", b"; ".join(said)),)

    def not_here(self) -> Served:
        """To who wants a kept answer or none (RFC 9111, 5.2.1.7)."""
        said = ((b"cache-status", self._name + b"; detail=only-if-cached"),) if self._name else ()
        return Served(504, ((b"content-length", b"0"), *said), b"")


def touched(method: str, target: str, status: int, headers: Headers, origin: tuple[str, str]) -> list[str]:
    """The pages of this origin (scheme and host) that an answer to an unsafe method says have changed (4.4)."""
    if method in _SAFE or not 200 <= status < 400:
        return []
    pages, (scheme, host) = [target], origin
    for value in (*field(headers, b"location"), *field(headers, b"content-location")):
        try:
            found = urlsplit(urljoin(f"{scheme}://{host}{target}", value.strip(b" \t").decode("latin-1")))
        except ValueError:
            continue
        if found.scheme == scheme and found.netloc.lower() == host.lower():
            pages.append(f"{found.path or '/'}?{found.query}" if found.query else found.path or "/")
    return pages
