"""From a URL to a client of redis-py's: for one server, for the one that Sentinel names, or for a cluster."""

from collections.abc import Callable
from typing import Any, Final

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url

from fastcascade.errors import ConfigError
from fastcascade.shared.target import SCHEMES, Target

__all__ = ["factory_of", "where_of"]

MANY: Final = tuple(f"{scheme}://" for scheme, (kind, _) in SCHEMES.items() if kind != "one")
OURS: Final = {"ca": "ssl_ca_certs", "cert": "ssl_certfile", "key": "ssl_keyfile"}
"""What our URLs call the files of TLS, and what redis-py does."""


def where_of(url: str) -> str:
    """What a URL points to, without user and password."""
    if url.startswith(MANY):
        return Target.of(url).where
    parts = _parsed(url)
    return str(parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}/{parts.get('db', 0)}")


def factory_of(url: str, seconds: float, connections: int) -> Callable[[], Any]:
    """What makes a client. The URL's own settings come first."""
    settings: dict[str, Any] = {
        "max_connections": connections,
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "socket_keepalive": True,
        "protocol": 2,
        "decode_responses": False,
    }
    if url.startswith(MANY):
        target = Target.of(url)
        target.context()  # the files can be read
        return (lambda: _watched(target, settings)) if target.kind == "sentinel" else lambda: _cluster(target, settings)
    settings = {**settings, "timeout": seconds, **_parsed(url), "protocol": 2, "decode_responses": False}
    try:
        BlockingConnectionPool(**settings).make_connection()  # type: ignore[no-untyped-call] # redis-py's
    except (TypeError, ValueError, exceptions.RedisError):
        raise ConfigError("a setting in the URL of Redis is not one of redis-py's; the URL is not shown here") from None
    return lambda: Redis.from_pool(BlockingConnectionPool(**settings))


class Watched(Redis):
    """The client of a primary that sentinels name: closed with those of the sentinels."""

    watchers: Any = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as it is there
        """Close all."""
        await super().aclose(close_connection_pool)
        for each in self.watchers:
            await each.aclose()


def _watched(target: Target, settings: dict[str, Any]) -> Any:
    # Its pool refuses what is beyond the most, where the others wait: the most is left to redis-py.
    given = {name: value for name, value in settings.items() if name != "max_connections"} | _tls(target)
    sentinels = Sentinel(  # type: ignore[no-untyped-call] # redis-py's
        target.places,
        sentinel_kwargs=given | _login(target.sentinel_user, target.sentinel_password),
        **given,
        **_login(target.user, target.password),
        db=target.database,
    )
    client: Any = sentinels.master_for(target.service, redis_class=Watched)
    client.watchers = sentinels.sentinels
    return client


def _cluster(target: Target, settings: dict[str, Any]) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in target.places]
    return RedisCluster(startup_nodes=nodes, **settings, **_tls(target), **_login(target.user, target.password))


def _tls(target: Target) -> dict[str, Any]:
    if not target.tls:
        return {}
    return {"ssl": True} | {name: getattr(target, ours) for ours, name in OURS.items() if getattr(target, ours)}


def _login(user: str, password: str) -> dict[str, Any]:
    return {"username": user or None, "password": password} if password else {}


def _parsed(url: str) -> dict[str, Any]:
    try:
        return {OURS.get(name, name): value for name, value in dict(parse_url(url)).items()}
    except ValueError:
        msg = "not a URL of Redis: it is to be as redis://user:password@host:6379/0, rediss://..., unix://..., "
        more = "redis+sentinel://host:26379,other/name/0 or redis+cluster://host:7000,other:7001; it is not shown here"
        raise ConfigError(msg + more) from None
