r"""What the gateway is told of routes and upstream pools: `[gateway.pools.NAME]` and `[[gateway.routes]]`.

[gateway.pools.api]
balance = "least outstanding"
health = { path = "/healthz", every = 2.0, timeout = 1.0, fall = 2, rise = 2 }
timeout = { connect = 2.0, head = 30.0, idle = 30.0 }       # or one number for head and idle
instances = [
    { url = "http://10.0.0.1:9000", region = "eu", weight = 2 },
    { url = "https://api.us.example", region = "us", priority = 1 },
]

[[gateway.routes]]
path = "/users/{id}"                 # `{rest...}` is whatever follows, "*" whatever is left; or regex = "^/v\\d+/"
methods = ["GET", "PUT"]
to = "api"

[[gateway.routes]]
path = "/ping"
respond = { body = "pong" }
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from fastcascade.errors import ConfigError
from fastcascade.gateway.proxy_upstream import Check, ProxyInstance, ProxyPool, Timeouts
from fastcascade.gateway.proxy_words import TOKEN, headers_checked

__all__ = ["Cached", "Check", "Edit", "ProxyInstance", "ProxyPool", "ProxyRoute", "Respond", "Timeouts"]

BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Respond:
    """An answer that is always the same.

    Args:
        status: from 200 to 599.
        body: a text.
        headers: its headers; "text/plain; charset=utf-8" is the content-type where they name none.
    """

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 200 <= self.status <= 599:
            raise ConfigError(f"status must be from 200 to 599, not {self.status!r}")
        if self.body and self.status in BODILESS:
            raise ConfigError(f"an answer with status {self.status} has no body")
        headers_checked("respond", self.headers)


@dataclass(frozen=True, slots=True)
class Edit:
    """What is changed of headers: first taken off, then set."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    remove: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        headers_checked("a route", self.headers)
        for name in self.remove:
            if TOKEN.fullmatch(name) is None:
                raise ConfigError(f"remove: {name[:40]!r} is no name of a header")


@dataclass(frozen=True, slots=True)
class Cached:
    """How answers of a route are kept, by RFC 9111.

    Args:
        ttl: seconds an answer is fresh that does not say; without it such an answer is not kept.
        items: how many answers of the route are kept in memory.
        memory: bytes that these may take.
        body: bytes of an answer; what is longer is not kept.
        vary: request headers that the app chooses by and does not name in `Vary`.
        negative: seconds that a status from 400 on is fresh, such as 404 or 410, where the app does not say so itself;
            0: that is not kept.
        within: seconds to wait for somebody who is asking the app for the same; then one asks for oneself.
    """

    ttl: float | None = None
    items: int = 1_000_000
    memory: int = 64 << 20
    body: int = 1 << 20
    vary: Sequence[str] = ()
    negative: float = 0.0
    within: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.items < 1:
            raise ConfigError(f"items must be above zero, not {self.items!r}")
        if not 0 < self.within < inf:
            raise ConfigError(f"within is in seconds, above zero, not {self.within!r}")


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """What becomes of some requests. First match wins: exact paths, then prefixes, then patterns, then "*".

    Args:
        path: `/users/{id}`, `/files/{rest...}`, or "*" for whatever is left.
        regex: a pattern in place of a path, searched for anywhere in it: begin it with '^'.
        methods: those it takes; all where there are none.
        host: whom requests must be for; any where it is empty. Routes with a host go before those without.
        name: what it is called in metrics; its path by default.
        to: the pool that answers.
        respond: the answer, in place of a pool.
        strip: a beginning of the path that is taken off.
        add: what is put before it then.
        request: what is changed of the request's headers.
        response: what is changed of the answer's.
        timeout: in place of the pool's.
        guard: whether it takes a key, as the APIs do. The key is not passed on.
        limit: how often one caller may ask, such as "100/min burst 20": by key where it is guarded, else by address.
            Each worker has its share, unless a store is shared: there all gateways count together.
        body: bytes a request's body may have; no bound of its own where there is none.
        cache: whether answers are kept; true, or how.
        websocket: whether it takes websockets.
    """

    path: str = ""
    regex: str = ""
    methods: Sequence[str] = ()
    host: str = ""
    name: str = ""
    to: str = ""
    respond: Respond | None = None
    strip: str = ""
    add: str = ""
    request: Edit = field(default_factory=Edit)
    response: Edit = field(default_factory=Edit)
    timeout: float | Timeouts | None = None
    guard: bool = False
    limit: str = ""
    body: int | None = None
    cache: Cached | None = None
    websocket: bool = False

    def __post_init__(self) -> None:  # noqa: C901, PLR0912 - one setting after another
        """Refuse what cannot work."""
        if bool(self.path) == bool(self.regex):
            raise ConfigError("a route has either 'path' or 'regex'")
        if bool(self.to) == (self.respond is not None):
            raise ConfigError("a route has either 'to', the name of a pool, or 'respond'")
        if self.path and self.path != "*" and not self.path.startswith("/"):
            raise ConfigError(f"path must begin with '/', or be '*', not {self.path[:40]!r}")
        if self.regex:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ConfigError(f"regex is no regular expression: {error}") from None
        for name in ("strip", "add"):
            value = getattr(self, name)
            if value and not (value.startswith("/") and value.isascii() and value.isprintable() and " " not in value):
                raise ConfigError(f"{name} must begin with '/' and be plain ASCII, not {value[:40]!r}")
        if any(TOKEN.fullmatch(each) is None or each != each.upper() for each in self.methods):
            raise ConfigError("methods are written in capitals: ['GET', 'POST']")
        if self.body is not None and self.body < 0:
            raise ConfigError(f"body must be 0 or above, not {self.body!r}")
        if self.respond is not None and (self.cache or self.websocket or self.strip or self.add):
            raise ConfigError("an answer that is always the same has no cache, websocket, strip or add")
        if self.timeout is not None:
            object.__setattr__(self, "timeout", Timeouts.of(self.timeout))
        if self.limit:
            from fastcascade.gateway.keys import quota_of  # noqa: PLC0415 - for those who have some

            quota_of(self.limit)
        if not self.name:
            object.__setattr__(self, "name", self.path or self.regex)

    @property
    def times(self) -> Timeouts | None:
        """In place of the pool's."""
        return None if self.timeout is None else Timeouts.of(self.timeout)
