"""The table of routes, compiled: which target a request has, or why none."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from fastcascade._core import Quota, RateLimiter, Router
from fastcascade.errors import ConfigError, RouteError
from fastcascade.gateway.keys import quota_of
from fastcascade.gateway.proxy_cache import RouteCache
from fastcascade.gateway.proxy_pool import ProxiedPool
from fastcascade.gateway.proxy_said import TEXT
from fastcascade.gateway.proxy_settings import ProxyRoute
from fastcascade.routing import Route

if TYPE_CHECKING:
    from fastcascade.shared.limits import SharedLimiter
    from fastcascade.shared.shared import Shared

__all__ = ["Fixed", "Table", "Target", "route_of"]

T = TypeVar("T")
Pairs = list[tuple[str, str]]
Fixed = tuple[int, Pairs, bytes]


class Target:
    """What a route leads to, made ready.

    Args:
        told: the route.
        pools: by name.
        workers: how many share its limit.
        shared: where that is counted for all gateways together.
    """

    def __init__(
        self,
        told: ProxyRoute,
        pools: Mapping[str, ProxiedPool],
        workers: int = 1,
        shared: "Shared | None" = None,
    ) -> None:
        """See above."""
        self.told, self.name = told, told.name
        self.pool = pools[told.to] if told.to else None
        self.fixed: Fixed | None = None
        self.status = 0
        if told.respond is not None:
            headers = [(name.lower(), value) for name, value in told.respond.headers.items()]
            if told.respond.body and not any(name == "content-type" for name, _ in headers):
                headers.append(TEXT)
            self.fixed = (told.respond.status, headers, told.respond.body.encode())
            self.status = told.respond.status
        self.limiter = _limiter(told, workers, shared)
        self.at_once = self.fixed is not None and not told.guard and self.limiter is None
        self.cache = RouteCache(told, told.cache, shared) if told.cache is not None else None
        self.times = told.times or (self.pool.times if self.pool is not None else None)
        set_out = {name.lower(): value for name, value in told.request.headers.items()}
        if self.pool is not None:  # a route's own word goes before its pool's
            set_out = {**{name.lower(): value for name, value in self.pool.told.headers.items()}, **set_out}
        self.out = "".join(f"{name}: {value}\r\n" for name, value in set_out.items())
        self.drop_out = frozenset({each.lower() for each in told.request.remove}) | set_out.keys()
        self.back = [(name.lower(), value) for name, value in told.response.headers.items()]
        self.drop_back = frozenset({each.lower() for each in told.response.remove}) | {name for name, _ in self.back}

    async def wait(self, bucket: str) -> float:
        """Seconds that a caller has to wait; 0.0 lets it pass."""
        if self.limiter is None:
            return 0.0
        wait = self.limiter.admit(bucket)
        return wait if isinstance(wait, float | int) else await wait

    def rewritten(self, path: str) -> str:
        """The path as its pool knows it."""
        told = self.told
        if told.strip and (path == told.strip or path.startswith(told.strip.rstrip("/") + "/")):
            path = path[len(told.strip.rstrip("/")) :] or "/"
        return f"{told.add.rstrip('/')}{path}" if told.add else path


class Table:
    """All routes of a gateway.

    Args:
        routes: in their order.
        pools: by name.
        workers: how many share each limit.
        shared: where limits are counted for all gateways together.
    """

    def __init__(
        self,
        routes: Sequence[ProxyRoute],
        pools: Mapping[str, ProxiedPool],
        workers: int = 1,
        shared: "Shared | None" = None,
    ) -> None:
        """Compile it. Raises `ConfigError`."""
        targets = [Target(each, pools, workers, shared) for each in routes]
        self.targets = tuple(targets)
        self._any = compiled([each for each in targets if not each.told.host])
        hosts = dict.fromkeys(each.told.host.lower() for each in targets if each.told.host)
        self._hosts = {host: compiled([each for each in targets if each.told.host.lower() == host]) for host in hosts}
        self.lookup = self._any.lookup
        self.by_host = bool(hosts)

    def find(self, path: str, method: str, host: str) -> Target | None:
        """The target of a request: first among the routes of its host."""
        router = self._hosts.get(bare(host))
        if router is not None and (found := router.lookup(path, method)) is not None:
            return found
        return self.lookup(path, method)

    def allowed(self, path: str, host: str) -> tuple[str, ...]:
        """The methods that some route takes there."""
        router = self._hosts.get(bare(host)) if self.by_host else None
        of_host = router.allowed(path) if router is not None else ()
        return tuple(dict.fromkeys((*of_host, *self._any.allowed(path))))


def _limiter(told: ProxyRoute, workers: int, shared: "Shared | None") -> "RateLimiter | SharedLimiter | None":
    quota = quota_of(told.limit)
    if quota is None:
        return None
    if shared is not None:
        from fastcascade.shared.limits import SharedLimiter  # noqa: PLC0415 - an extra

        return SharedLimiter(quota, shared, f"route {told.name}".replace(":", "%3A"))
    return RateLimiter(Quota(quota.n / workers, quota.per, max(1.0, quota.burst / workers)), max_clients=100_000)


def bare(host: str) -> str:
    """A host without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def compiled(targets: Sequence[Target]) -> Router[Target]:
    """Their router. Raises `ConfigError`."""
    try:
        return Router([route_of(each.told, each) for each in targets])
    except RouteError as error:
        raise ConfigError(f"gateway.routes: {error}") from None


def route_of(told: ProxyRoute, target: T) -> Route[T]:
    """A route as the compiled table takes it."""
    return Route(re.compile(told.regex) if told.regex else told.path, target, methods=tuple(told.methods) or None)
