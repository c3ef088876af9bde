"""What of an app's answers may be kept, for how long, and with what headers (RFC 9111, sections 3 and 4.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fastcascade.caching.http_headers import (
    CEILING,
    Directives,
    age_said,
    directives,
    field,
    http_date,
    lowered,
    names,
    seconds,
    selecting,
)
from fastcascade.caching.http_records import Headers, Stored, Token

__all__ = ["Fields", "Moment", "Rules", "gathered", "kept_headers", "merged"]

Fields: TypeAlias = Mapping[bytes, list[bytes]]

# RFC 9110, 15.1, less 206, which takes joining of ranges.
_BY_DEFAULT = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
_UNDERSTOOD = frozenset(
    {*range(200, 206), *range(300, 304), 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}
)
# One connection's own (RFC 9110, 7.6.1; RFC 9111, 3.1), and the age, which is worked out anew each time.
_NOT_KEPT = frozenset(
    {
        b"age",
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})
_NO_BODY = frozenset({204, 205})
# What describes the kept body; a 304 does not have that body to describe (RFC 9111, 3.2).
_OF_THE_BODY = frozenset({b"content-encoding", b"content-length", b"content-range", b"content-type"})
_NEVER_STALE = (b"must-revalidate", b"proxy-revalidate", b"no-cache")
_FOR_ALL = (b"public", b"s-maxage", b"must-revalidate")


@dataclass(frozen=True, slots=True)
class Moment:
    """When an answer came: on the cache's clock, and in seconds since 1970, which dates are compared with."""

    now: float
    wall: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings for what is kept."""

    ttl: float | None
    max_body: int
    vary_on: tuple[bytes, ...]
    private: bool
    keep_cookies: bool
    behind: float
    on_error: float
    negative: float | None = None
    """In place of `ttl`, of an answer that says that there is nothing; 0: it is not kept on a guess."""
    secrets: tuple[bytes, ...] = (b"authorization", b"cookie")
    """Request headers in which credentials are: who comes with one takes no part in what is kept on a guess."""

    def draft(self, token: Token, status: int, headers: Headers, body: bytes | None, at: Moment) -> Stored | None:
        """The answer as it may be kept, or None; `body` is None where only the head has come."""
        if not token.keep or token.fat or status < 200 or status in {206, 304}:
            return None
        headers = lowered(headers)
        fields = gathered(headers)
        said = directives(fields.get(b"cache-control", ()))
        if not (self._permitted(said, token, status, fields) and self._whole(fields, body)):
            return None
        life, guessed = self._life(said, status, fields, at.wall)
        vary = names(fields.get(b"vary", ()))
        if life is None or b"*" in vary:
            return None
        if guessed and not token.key[0] and b"public" not in said:
            # Nobody said that this is for all: who came with credentials leaves nothing, and is sent nothing.
            vary += self.secrets
            if any(name in self.secrets for name, _ in token.headers):
                return None
        behind, on_error, strict = self._windows(said)
        etag = _first(fields, b"etag")
        modified = _first(fields, b"last-modified")
        if modified and http_date(modified, at.wall) is None:
            modified = b""
        age = _initial_age(fields, token.asked_at, at)
        if life + max(behind, on_error) <= age and not (etag or modified):
            return None
        chosen_by = dict.fromkeys((*self.vary_on, *vary)) if self.vary_on or vary else ()
        return Stored(
            status=status,
            headers=kept_headers(status, headers, body or b"", fields),
            body=body or b"",
            stored_at=at.now,
            fresh_for=life,
            born=at.now - age,
            vary=tuple((name, selecting(token.headers, name)) for name in chosen_by),
            behind=behind,
            on_error=on_error,
            strict=strict,
            immutable=b"immutable" in said,
            tags=_tags(fields),
            etag=etag,
            modified=modified,
        )

    def for_one(self, token: Token) -> bool:
        """Whether what the app answers to this request is likely for nobody else: it has credentials, and no scope."""
        return not token.key[0] and any(name in self.secrets and name != b"cookie" for name, _ in token.headers)

    def _permitted(self, said: Directives, token: Token, status: int, fields: Fields) -> bool:
        """Section 3: no-store, must-understand, private; 3.5: requests with credentials; and cookies."""
        if b"must-understand" in said:
            if status not in _UNDERSTOOD:
                return False
        elif b"no-store" in said:
            return False
        scope = token.key[0]
        if b"private" in said and not (self.private and scope):
            return False
        if not self.keep_cookies and not fields.keys().isdisjoint(_COOKIES):
            return False
        if scope or any(name in said for name in _FOR_ALL):
            return True
        # A header of the operator's own that holds credentials is what Authorization is to the standard.
        return not self.for_one(token)

    def _whole(self, fields: Fields, body: bytes | None) -> bool:
        """Section 3.3: what is shorter or longer than it said is not whole."""
        said = _first(fields, b"content-length")
        length = int(said) if said.isdigit() and len(said) < 20 else None
        if said and length is None:
            return False
        if body is None:
            return length is None or length <= self.max_body
        return len(body) <= self.max_body and length in {None, len(body)}

    def _life(self, said: Directives, status: int, fields: Fields, wall: float) -> tuple[float | None, bool]:
        """Section 4.2.1: how long it is fresh (None: nothing is said or assumed), and whether that is a guess."""
        if b"no-cache" in said:
            return 0.0, False
        for name in (b"s-maxage", b"max-age"):
            if name in said:
                return float(seconds(said[name]) or 0), False
        if expires := fields.get(b"expires"):
            # Each by itself: `0` and other junk mean that it has expired already (5.3).
            ends = [http_date(value, wall) for value in expires]
            earliest = min((end for end in ends if end is not None), default=None)
            if earliest is None or None in ends:
                return 0.0, False
            made = http_date(_first(fields, b"date"), wall)
            return float(min(max(earliest - (int(wall) if made is None else made), 0), CEILING)), False
        # What has happened is no answer to who asks what happens.
        events = _first(fields, b"content-type").lower().startswith(b"text/event-stream")
        guess = self.ttl if self.negative is None or status < 400 else self.negative or None
        if guess is not None and status in _BY_DEFAULT and not events:
            return guess, True
        return None, False

    def _windows(self, said: Directives) -> tuple[float, float, bool]:
        """For how long it may be sent stale behind a fetch, and in place of an error; whether clients may not ask."""
        if any(name in said for name in _NEVER_STALE):
            return 0.0, 0.0, True
        # s-maxage forbids it as proxy-revalidate does (5.2.2.10), but for what the app allows in so many words.
        strict = b"s-maxage" in said
        behind = _window(said, b"stale-while-revalidate", 0.0 if strict else self.behind)
        return behind, _window(said, b"stale-if-error", 0.0 if strict else self.on_error), strict


def gathered(headers: Headers) -> Fields:
    """Every value of each header, so that each is looked for once."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in found:
            found[name].append(value)
        else:
            found[name] = [value]
    return found


def kept_headers(status: int, headers: Headers, body: bytes, fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    """Without what belongs to one connection; with the length, which a HEAD cannot count."""
    left_out = _NOT_KEPT.union(names(fields[b"connection"])) if b"connection" in fields else _NOT_KEPT
    kept = [pair for pair in headers if pair[0] not in left_out]
    if b"content-length" not in fields and status not in _NO_BODY:
        kept.append((b"content-length", b"%d" % len(body)))
    return tuple(kept)


def _tags(fields: Fields) -> tuple[str, ...]:
    """What the app calls it: Cache-Tag is a list with commas, Surrogate-Key one with blanks."""
    said = [tag.strip() for value in fields.get(b"cache-tag", ()) for tag in value.split(b",")]
    said += [tag for value in fields.get(b"surrogate-key", ()) for tag in value.split()]
    return tuple(dict.fromkeys(tag.decode("latin-1") for tag in said if tag)) if said else ()


def _first(fields: Fields, name: bytes) -> bytes:
    found = fields.get(name)
    return found[0].strip(b" \t") if found else b""


def _window(said: Directives, name: bytes, assumed: float) -> float:
    """A window of staleness: as the app says it (junk is none at all), else as the operator assumes."""
    return float(seconds(said[name]) or 0) if name in said else assumed


def _initial_age(fields: Fields, asked_at: float, at: Moment) -> float:
    """Section 4.2.3. Dates are whole seconds, so the wall clock's fraction does not count as age."""
    dated = _first(fields, b"date")
    made = http_date(dated, at.wall) if dated else None
    apparent = 0 if made is None else max(0, int(at.wall) - made)
    return max(apparent, age_said(fields.get(b"age", ())) + max(0.0, at.now - asked_at))


def merged(stored: Stored, headers: Headers) -> list[tuple[bytes, bytes]]:
    """The kept headers with those of a 304 in their place (RFC 9111, 3.2); its cookies are for its own client alone."""
    named = names(field(headers, b"connection"))
    unmoved = _OF_THE_BODY | _COOKIES
    new = [(name, value) for name, value in headers if name not in unmoved and name not in named]
    replaced = {name for name, _ in new}
    # A 304 without a date is of this moment: the old date would make it as old as the body.
    return [(name, value) for name, value in stored.headers if name not in replaced and name != b"date"] + new
