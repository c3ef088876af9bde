"""The settings of `CascadeMiddleware` and of its WSGI twin, read once for both."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypedDict, TypeVar

from fastcascade._core import Cache, KeyRing, Quota, RateLimiter
from fastcascade.caching.http import HttpCache
from fastcascade.dropin_fallback import Fallback
from fastcascade.dropin_front import Front, Table
from fastcascade.errors import ConfigError
from fastcascade.guards.access_log import AccessLog
from fastcascade.guards.keys import SOURCES, Credentials
from fastcascade.guards.limits import Proxies
from fastcascade.guards.refusal import Refusals, Render

if TYPE_CHECKING:
    from fastcascade.shared.limits import SharedLimiter

__all__ = ["SAFE", "Parts", "Settings"]

G = TypeVar("G")
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing, so that nothing kept is out of date after them."""


class Settings(TypedDict, Generic[G], total=False):
    """What both middlewares can be told.

    router: routes with their scopes, costs and what is public; without one every path is for the app alike.
    keys: who may come; without a ring everybody may.
    limit: how often each identity may come, or each address where nobody is known: in this process with a `Quota` or a
        `RateLimiter`, in all that share a Redis with a `SharedLimiter`.
    cache: an `HttpCache`, a `Cache` for one to use, or True for one of 64 MiB. One with levels is shared with other
        processes, and has requests for one thing wait for the first of them (ASGI only).
    guards: guards of your own, outermost first.
    log: True, or an `AccessLog`.
    fallback: what is served when the app fails before its answer began; see `Fallback`.
    fallback_on: statuses of the app's own that count as failing, where there is a fallback.
    public: paths that need no credential, as `"/health"`, `"/static/*"`, `"OPTIONS *"`.
    trusted_proxies: your own proxies, as addresses or networks, or a `Proxies`.
    credentials: where a credential may stand, the first that is found counts; see `Credentials`.
    strict: answer 404 and 405 by the routes of the router, instead of letting the app decide.
    tell_limits: RateLimit fields on what the app answers, and not on 429 alone.
    realm: what the credentials are for, as WWW-Authenticate says it.
    refuse: makes the bodies of refusals; without it, problem+json.
    single_flight: let requests for one thing that is not in the cache wait for the first of them (ASGI only).
    """

    router: Table | None
    keys: KeyRing | None
    limit: "Quota | RateLimiter | SharedLimiter | None"
    cache: HttpCache | Cache[Any] | Literal[True] | None
    guards: Sequence[G]
    log: AccessLog | bool | None
    fallback: Any
    fallback_on: Iterable[int]
    public: Iterable[str]
    trusted_proxies: Iterable[str] | Proxies | None
    credentials: Credentials | Iterable[str]
    strict: bool
    tell_limits: bool
    realm: str
    refuse: Render | None
    single_flight: bool


class Parts(Generic[G]):
    """What a middleware is made of."""

    def __init__(  # noqa: PLR0913 - one place for all there is to set, all of it named
        self,
        app: Callable[..., Any],
        *,
        router: Table | None = None,
        keys: KeyRing | None = None,
        limit: "Quota | RateLimiter | SharedLimiter | None" = None,
        cache: HttpCache | Cache[Any] | Literal[True] | None = None,
        guards: Sequence[G] = (),
        log: AccessLog | bool | None = None,
        fallback: Any = None,
        fallback_on: Iterable[int] = (500,),
        public: Iterable[str] = (),
        trusted_proxies: Iterable[str] | Proxies | None = None,
        credentials: Credentials | Iterable[str] = SOURCES,
        strict: bool = False,
        tell_limits: bool = False,
        realm: str = "api",
        refuse: Render | None = None,
        single_flight: bool = False,
    ) -> None:
        """See `Settings`."""
        if not callable(app):
            raise ConfigError(f"the app to stand before must be callable, and {type(app).__name__} is not")
        _for_all_routes(app, limit, cache)
        for guard in guards:
            if not callable(guard) or isinstance(guard, type):
                raise ConfigError(f"a guard is called with the call and what goes on, and {guard!r} cannot be")
        found = credentials if isinstance(credentials, Credentials) else Credentials(credentials)
        self.front = Front(
            router=router,
            keys=keys,
            limit=limit,
            public=public,
            credentials=found,
            refusals=Refusals(realm, found.schemes, refuse),
            strict=strict,
            tell=tell_limits,
        )
        self.cache = _cache(cache)
        if self.cache is not None:
            self.cache.guarded_by(found.headers)
        self.proxies = _proxies(trusted_proxies)
        # Those that look at every request stand before the cache, the others between it and the app.
        self.outer = tuple(guard for guard in guards if getattr(guard, "on_hits", True))
        self.inner = tuple(guard for guard in guards if not getattr(guard, "on_hits", True))
        self.log = AccessLog() if log is True else log or None
        self.fallback = fallback if isinstance(fallback, Fallback) or fallback is None else Fallback(fallback)
        self.failing = frozenset(fallback_on) if self.fallback is not None else frozenset()
        self.single_flight = single_flight
        if single_flight and self.cache is None:
            raise ConfigError("single_flight=True is for answers that are cached: give cache=True")
        # Then there is nothing to see of what the app answers, and it is left alone.
        self.bare = not guards and self.cache is None and self.fallback is None and self.log is None and not tell_limits


def _for_all_routes(app: Any, limit: Any, cache: Any) -> None:
    """Refuse what would be one for each route: Litestar makes its middlewares anew for every route that there is.

    A limit would count each route alone, and a POST would leave the cache of the GET beside it as it was.
    """
    kind = type(app)
    if not kind.__module__.startswith("litestar.") or any(each.__name__ == "Litestar" for each in kind.__mro__):
        return
    own = {"limit": isinstance(limit, Quota), "cache": cache is not None and not isinstance(cache, HttpCache)}
    for name, shared in (("limit", RateLimiter), ("cache", HttpCache)):
        if own[name]:
            raise ConfigError(
                f"Litestar makes a middleware for each route, each with a {name} of its own: put CascadeMiddleware "
                f"around the app, or hand in one {shared.__name__} that all share"
            )


def _cache(cache: HttpCache | Cache[Any] | Literal[True] | None) -> HttpCache | None:
    if cache is True:
        return HttpCache()
    return HttpCache(cache) if isinstance(cache, Cache) else cache or None


def _proxies(trusted: Iterable[str] | Proxies | None) -> Proxies | None:
    return trusted if isinstance(trusted, Proxies) or trusted is None else Proxies(trusted)
