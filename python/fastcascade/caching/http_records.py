"""What the HTTP cache keeps and says: an answer kept, an answer to send, what to do with a request.

`Served`, `Found` and `Token` are made for each request, so they are named tuples and a plain slotted class:
a frozen dataclass takes three times as long to make.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from fastcascade.caching.levels_flights import Lead

__all__ = ["Found", "Headers", "Kind", "Served", "Stored", "Token"]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Pairs of name and value; the names in lower case, as ASGI has them."""

Kind: TypeAlias = Literal["hit", "stale", "validate", "miss", "bypass", "gateway timeout"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One answer as it is kept. Its age is what the clock says less `born`."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """As the app gave them, without those of one connection, `age`, and cookies unless they are to be kept."""
    body: bytes = field(repr=False)
    stored_at: float
    fresh_for: float
    """Its whole life from `born` on, in seconds; 0 for what must be validated each time."""
    born: float
    """`stored_at` less the age it had already (RFC 9111, 4.2.3)."""
    vary: tuple[tuple[bytes, bytes | None], ...] = field(default=(), repr=False)
    """The request headers that chose it, with the values it was chosen by (None: was not there)."""
    behind: float = 0.0
    """For how long after its life it may be sent while it is fetched anew (stale-while-revalidate)."""
    on_error: float = 0.0
    """For how long after its life it may be sent when the app fails (stale-if-error)."""
    strict: bool = False
    """The app forbids that a client asks for it stale."""
    immutable: bool = False
    """A client that reloads need not have it validated while it is fresh (RFC 8246)."""
    tags: tuple[str, ...] = ()
    etag: bytes = b""
    modified: bytes = b""
    """Last-Modified as it was said; only what is a date is kept here."""


class Served(NamedTuple):
    """An answer to send as it stands."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __repr__(self) -> str:
        """Without what it says, which may be for one reader alone."""
        return f"Served(status={self.status}, headers=<{len(self.headers)}>, body=<{len(self.body)} bytes>)"


class Token:
    """One request on its way through the app; hand it back with what the app said. All of it is private but `key`."""

    __slots__ = (
        "asked_at",
        "fat",
        "headers",
        "keep",
        "key",
        "lead",
        "level",
        "method",
        "serial",
        "since",
        "stored",
        "variants",
        "why",
    )

    key: tuple[str | bytes, ...]
    """What the answer is filed under, for whoever lets requests with one key wait for each other."""

    def __init__(
        self, method: str, key: tuple[str | bytes, ...], headers: Headers, asked_at: float, serial: int
    ) -> None:
        """Made by `HttpCache.find`, which says the rest."""
        self.method, self.key, self.headers = method, key, headers
        self.asked_at, self.serial = asked_at, serial
        self.why = b"uri-miss"
        """The reason as RFC 9211 words it."""
        self.keep = False
        """Whether the request permits that its answer is kept."""
        self.fat = False
        """Whether a body came with it after all, unannounced: to be set by who sees it, while the app is asked."""
        self.stored: Stored | None = None
        """What there is already: to be validated, or to stand in when the app fails."""
        self.lead: Lead | None = None
        """Where others wait for what this one brings."""
        self.since: tuple[int, int] | None = None
        """The last purges that levels had seen then."""
        self.level = ""
        """Where levels found the answer."""
        self.variants: tuple[Stored, ...] | None = None
        """What they found; None: they were not asked, or not to the end."""


class Found(NamedTuple):
    """What to do with a request.

    hit: send `response`.
    stale: send `response`; then, behind it, ask the app as for validate (see `HttpCache.lead`).
    validate: take If-None-Match and If-Modified-Since out of the request, put `conditions` in, ask the app.
    miss: ask the app with the request as it is. `bypass`: likewise, and nothing will be kept.
    gateway timeout: send `response`, a 504: the client wanted a kept answer or none.
    """

    kind: Kind
    response: Served | None
    conditions: tuple[tuple[bytes, bytes], ...]
    token: Token
