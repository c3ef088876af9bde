"""Who may pass: what the ASGI and the WSGI middleware decide alike, without any I/O.

Two questions, with the cache between them. `gate` asks who it is and whether they may: before the cache, since an
answer is filed under whoever may see it. `charge` asks how often: after the cache, since a hit is free.
"""

from collections.abc import Iterable, Mapping
from re import Pattern
from re import compile as regex
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fastcascade._core import FastPath, Identity, KeyRing, Quota, RateLimiter, Refused, Router
from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call, Ending, Headers
from fastcascade.guards.keys import Credentials
from fastcascade.guards.limits import RateFields, bucket_of
from fastcascade.guards.refusal import Refusals
from fastcascade.routing import Route

if TYPE_CHECKING:
    from fastcascade.dropin_shared import Together
    from fastcascade.shared.limits import SharedLimiter

__all__ = ["Front", "Open", "Table", "ambiguous"]

Table: TypeAlias = (
    Router[Any]
    | Iterable[Route[Any]]
    | Mapping[str, Any]
    | Mapping[Pattern[str], Any]
    | Mapping[str | Pattern[str], Any]
)
DOTS: Final = regex(r"[/\\]\.\.?(?:[/\\;]|$)")
"""A dot segment; some read a backslash as a slash, and leave out of a segment what follows a semicolon."""
SLASHES: Final = regex("//+")
MOST_OWNERS: Final = 10_000
"""Identities whose name for the cache is remembered."""


def ambiguous(path: str) -> bool:
    """Whether servers and apps may read a path differently: it holds dot segments, a NUL, or is no text at all.

    A path comes decoded, so `%2e%2e` is a dot segment here. What is public by its beginning must not lead elsewhere.
    """
    if path.isascii():
        return "\0" in path or (("/." in path or "\\" in path) and DOTS.search(path) is not None)
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in path or DOTS.search(path) is not None


class Open:
    """Paths that need no credential: `"/health"`, `"/static/*"`, and with a method `"OPTIONS *"`."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read the entries."""
        self._exact: set[tuple[str, str]] = set()
        self._starts: list[tuple[str, str]] = []
        for entry in (entries,) if isinstance(entries, str) else entries:
            method, space, path = entry.rpartition(" ")
            if (space and not method.isalpha()) or not (path.startswith("/") or path == "*") or "*" in path[:-1]:
                raise ConfigError(f'{entry!r} is no public path: write "/health", "/static/*" or "OPTIONS *"')
            if path.endswith("*"):
                self._starts.append((method.upper(), path[:-1]))
            else:
                self._exact.add((method.upper(), path))

    def has(self, method: str, path: str) -> bool:
        """Whether a request needs no credential."""
        exact = self._exact
        if exact and (("", path) in exact or (method, path) in exact):
            return True
        for only, start in self._starts:  # noqa: SIM110 - a generator costs more than all the rest here
            if path.startswith(start) and only in {"", method}:
                return True
        return False


class Front:
    """Keys, routes and limits as one."""

    def __init__(  # noqa: PLR0913 - the settings of the middleware, all of them named
        self,
        *,
        router: Table | None,
        keys: KeyRing | None,
        limit: "Quota | RateLimiter | SharedLimiter | None",
        public: Iterable[str],
        credentials: Credentials,
        refusals: Refusals,
        strict: bool,
        tell: bool,
    ) -> None:
        """As the middleware was told."""
        if strict and router is None:
            raise ConfigError("strict=True is for the routes of a router: give one")
        if not isinstance(router, Router | Mapping) and router is not None:
            router = [*router]
            if keys is None and any(route.scopes for route in router):
                raise ConfigError("routes ask for scopes, and without a key ring nobody has any: give keys=KeyRing()")
        table = router if isinstance(router, Router) or router is None else Router(router)
        limiter = RateLimiter(limit) if isinstance(limit, Quota) else limit
        self.together: Together | None = None
        if limiter is not None and not isinstance(limiter, RateLimiter):
            self.together = _together(limiter, table, refusals, tell=tell)
            limiter = None
        self.keys = keys
        self._limiter = limiter
        self._table = table
        self._open = Open(public)
        self._credentials = credentials
        self._refusals = refusals
        self._strict = strict
        self._fields = None if limiter is None else RateFields(limiter)
        self._tell = tell and limiter is not None
        # Routes know their scopes and costs, and tell only through `take`: one asks who may, one what is public
        # (nobody is on its ring), one what it costs (it has no ring, so that everybody may).
        self._may = None if table is None else FastPath(table, None, keys)
        self._anybody = None if table is None or keys is None else FastPath(table, None, KeyRing())
        self._cost = None if table is None or limiter is None else FastPath(table, None, None, limiter)
        self._owners: dict[Identity, bytes] = {}

    def gate(self, call: Call) -> Ending | None:
        """Whether whoever asks may; None lets them pass."""
        path = call.path
        if ambiguous(path):
            return self._refusals.bad_path(call)
        keys = self.keys
        secret = "" if keys is None else self._credentials.find(call)
        if self._may is not None:
            return self._by_route(call, secret)
        if keys is None:
            call.public = True
            return None
        if secret:
            call.identity = keys.identify(secret)
        return self._known(call, secret)

    def _known(self, call: Call, secret: str) -> Ending | None:
        """Where no route speaks: an identity, or a path that is open."""
        call.public = self.keys is None or self._open.has(call.method, call.path)
        if call.public or call.identity is not None:
            return None
        return self._refusals.unauthorized(call, came=bool(secret))

    def _by_route(self, call: Call, secret: str) -> Ending | None:
        assert self._may is not None  # noqa: S101 - for the checker: the caller has looked
        method = call.method
        if not method.isupper():  # frameworks read it so, and what is let through here goes to them
            method = method.upper()
        taken = self._may.take(call.path, method, secret or None)
        call.identity = taken.identity
        if isinstance(taken, Refused):
            return self._unrouted(call, taken, secret)
        call.match = taken.match  # type: ignore[union-attr]  # without a cache there is no Hit
        # Nobody known, and yet let through: then it is public. Of the others the empty ring knows.
        call.public = taken.identity is None or (
            self._anybody is not None and type(self._anybody.take(call.path, method)) is not Refused
        )
        return None

    def _unrouted(self, call: Call, refused: Refused, secret: str) -> Ending | None:
        """The table has no route, or not for them."""
        if refused.status in {404, 405}:
            if self._strict:
                return self._refusals.of(call, refused, came=bool(secret))
            barred = self._alike(call, secret)
            return self._known(call, secret) if barred is None else self._refusals.of(call, barred, came=bool(secret))
        if refused.status in {401, 403} and self._open.has(call.method, call.path):
            call.public = True
            call.match = self._table.match(call.path, call.method.upper()) if self._table is not None else None
            return None
        return self._refusals.of(call, refused, came=bool(secret))

    def _alike(self, call: Call, secret: str) -> Refused | None:
        """Who may not pass a route that apps may take this path for: some have no eye for slashes too many."""
        path = call.path
        if self._may is None or self._open.has(call.method, path):
            return None
        bare = (SLASHES.sub("/", path) if "//" in path else path).rstrip("/") or "/"
        for other in (bare, f"{bare}/"):
            if other != path:
                taken = self._may.take(other, call.method.upper(), secret or None)
                if isinstance(taken, Refused) and taken.status in {401, 403}:
                    return taken
        return None

    def charge(self, call: Call) -> Ending | None:
        """Whether it is not too often; None lets it pass, and what it costs has been taken.

        A limit that is shared is asked elsewhere, where that can be waited for: `together.charge`.
        """
        limiter = self._limiter
        if limiter is None:
            return None
        bucket = bucket_of(call.identity, call.client)
        wait = 0.0
        if self._cost is not None and call.match is not None:
            taken = self._cost.take(call.path, call.method.upper(), None, bucket)
            if isinstance(taken, Refused) and taken.status == 429:
                wait = float("inf") if taken.retry_after is None else taken.retry_after
        else:
            wait = limiter.admit(bucket)
        fields = self._fields
        if wait and fields is not None:
            return self._refusals.limited(call, wait, fields.left(bucket, wait))
        if self._tell and fields is not None:
            left: Headers = fields.left(bucket)
            call.on_head(lambda _, headers: headers.extend(left))
        return None

    def admit(self, call: Call) -> Ending | None:
        """Both at once, where no cache stands between."""
        ending = self.gate(call)
        return ending if ending is not None or self._limiter is None else self.charge(call)

    def owner(self, call: Call) -> bytes:
        """Whom an answer is filed under: everybody where it is public, else who asked, and what a guard has set."""
        if call.owner:
            return repr((self._owner(call), call.owner)).encode()
        return self._owner(call)

    def _owner(self, call: Call) -> bytes:
        identity = call.identity
        if call.public or identity is None:
            return b""
        owner = self._owners.get(identity)
        if owner is None:
            if len(self._owners) >= MOST_OWNERS:
                self._owners.clear()
            owner = repr((identity.name, identity.tenant, sorted(identity.scopes))).encode()
            self._owners[identity] = owner
        return owner


def _together(limiter: "SharedLimiter", table: Router[Any] | None, refusals: Refusals, *, tell: bool) -> "Together":
    from fastcascade.dropin_shared import Together  # noqa: PLC0415 - for those who share a limit

    return Together(limiter, table, refusals, tell=tell)
