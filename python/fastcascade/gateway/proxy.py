"""The table's routes behind the gateway: answers that are always the same at once, all else from upstream pools.

A request that a `respond` route answers takes one look at the compiled table and nothing else: no task to watch, no
header read.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway.proxy_headers import Asker
from fastcascade.gateway.proxy_pool import pools_of
from fastcascade.gateway.proxy_said import TEXT, counted, said
from fastcascade.gateway.proxy_table import Table, Target
from fastcascade.gateway.proxy_turn import Turn
from fastcascade.gateway.settings import Settings
from fastcascade.guards.limits import Proxies
from fastcascade.wire.endpoint_paths import ALLOWED

if TYPE_CHECKING:
    from fastcascade.gateway.app import Gateway
    from fastcascade.gateway.proxy_cache import RouteCache
    from fastcascade.shared.shared import Shared

__all__ = ["Routes"]

NOT_FOUND: Final = "there is nothing here\n"
NO_ROUTE: Final = "none"
"""What requests without a route are counted under."""
CLOSE: Final = ("connection", "close")


class Routes:
    """The routes of one worker.

    Args:
        settings: of the gateway.
        apis: whether the paths of the APIs are a cascade's.
        shared: where limits are counted for all gateways together; else each worker has its part.
    """

    def __init__(self, settings: Settings, *, apis: bool = True, shared: "Shared | None" = None) -> None:
        """Check and compile; no connection is made. Raises `ConfigError`."""
        self.settings = settings
        self.apis = apis
        self.pools = pools_of(settings.pools)
        self.table = Table(settings.routes, self.pools, settings.workers, shared)
        self.asker = Asker(Proxies(settings.proxies) if settings.proxies else None)
        self.mode: Any = None

    def mine(self, path: str) -> bool:
        """Whether a path is the table's: all but those of the APIs, where there are cascades."""
        return not (self.apis and is_api(path))

    def at_once(self, gateway: "Gateway", scope: Any, proto: Any, path: str) -> Target | None:
        """Answer what needs no waiting; else whom to ask."""
        table, method = self.table, scope.method
        target = table.find(path, method, host_of(scope)) if table.by_host else table.lookup(path, method)
        if target is None:
            self._nobody(gateway, scope, proto, path)
            return None
        if not target.at_once or target.fixed is None:
            return target
        status, headers, body = target.fixed
        if gateway.draining and scope.http_version[0] == "1":
            headers = [*headers, CLOSE]
        proto.response_bytes(status, headers, body)
        counted(gateway, target.name, status, None)
        return None

    async def answer(self, gateway: "Gateway", target: Target, scope: Any, proto: Any, path: str) -> None:
        """Answer a request that is to be waited for."""
        if len(gateway.watch.all) >= self.settings.limits.requests:
            retry = ("retry-after", f"{max(1, round(self.settings.limits.retry))}")
            said(proto, 503, "all places are taken; try again later", [retry])
            counted(gateway, target.name, 503, 0.0)
            return
        await Turn(self, gateway, target, scope, proto, path).run()

    async def socket(self, gateway: "Gateway", scope: Any, proto: Any) -> None:
        """Answer one that asks for a websocket."""
        path = scope.path
        target = self.table.find(path, scope.method, host_of(scope)) if self.mine(path) else None
        if target is None or not target.told.websocket:
            proto.close(404)
            counted(gateway, target.name if target is not None else NO_ROUTE, 404, 0.0)
            return
        from fastcascade.gateway.proxy_socket import Tunnel  # noqa: PLC0415 - for those who have some

        await Tunnel(self, gateway, target, scope, proto, path).run()

    def _nobody(self, gateway: "Gateway", scope: Any, proto: Any, path: str) -> None:
        allowed = self.table.allowed(path, host_of(scope))
        if allowed:
            said(proto, 405, "this is asked for by another method", [("allow", ", ".join(allowed))])
        else:
            proto.response_bytes(404, [TEXT], NOT_FOUND.encode())
        counted(gateway, NO_ROUTE, 405 if allowed else 404, 0.0)

    def start(self) -> None:
        """Check the instances from now on, in the running loop."""
        for pool in self.pools.values():
            pool.start()

    async def aclose(self) -> None:
        """Check no more, and close all connections."""
        for target in self.table.targets:
            if (close := getattr(target.limiter, "aclose", None)) is not None:
                await close()
        for pool in self.pools.values():
            await pool.aclose()
        for cache in self.caches:
            await cache.aclose()

    @property
    def caches(self) -> "list[RouteCache]":
        """What is kept, by route."""
        return [each.cache for each in self.table.targets if each.cache is not None]

    def purge(self, tag: str | None = None, path: str | None = None) -> "asyncio.Future[list[bool]]":
        """Forget answers that are kept: those with a tag, those at a path, or all. It comes to who could be told.

        That is begun before anything else is done in this loop; all gateways have heard of it when it is awaited.
        """
        return asyncio.gather(*(each.inner.purged(path, tag=tag) for each in self.caches))


def is_api(path: str) -> bool:
    """Whether the APIs are asked there: with or without `/v1`, with or without a slash at the end."""
    bare = path.rstrip("/")
    if bare.startswith("/v1/"):
        bare = bare[3:]
    return bare in ALLOWED or bare.startswith(("/models/", "/admin", "/console"))


def host_of(scope: Any) -> str:
    """Whom a request is for, as it says."""
    found: str = scope.authority or scope.headers.get("host") or ""
    return found
