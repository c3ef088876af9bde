"""What the gateway is told of upstream pools: `[gateway.pools.NAME]`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from fastcascade.entry.balance import Balancer, ByPrefix
from fastcascade.entry.outliers import Outliers
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.gateway.proxy_words import headers_checked

__all__ = ["Check", "ProxyInstance", "ProxyPool", "Timeouts"]

DAY: Final = 86_400.0
COOLING: Final = 5.0
FAILING: Final = (502, 503, 504)


def _seconds(what: str, **given: float | None) -> None:
    for name, value in given.items():
        if value is not None and not 0 < value <= DAY:
            raise ConfigError(f"{what}: {name} must be seconds above zero, at most {DAY:g}, not {value!r}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an instance is waited for, in seconds.

    Args:
        connect: until there is a connection, TLS and all.
        head: from the last byte of the request to the head of the answer.
        idle: between two pieces of a body, either way; and until a connection of a pool that is full is free.
    """

    connect: float = 5.0
    head: float = 60.0
    idle: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _seconds("timeout", connect=self.connect, head=self.head, idle=self.idle)

    @classmethod
    def of(cls, told: "float | Timeouts") -> "Timeouts":
        """One number is for all that is waited for, and bounds the connection too."""
        if isinstance(told, cls):
            return told
        number = float(told)  # type: ignore[arg-type] # what is none of ours is a number
        return cls(min(5.0, number), number, number)


@dataclass(frozen=True, slots=True)
class Check:
    """Active checks of each instance, by each worker for itself.

    Args:
        path: what is asked with GET; empty only connects.
        every: seconds from one check to the next.
        timeout: seconds one may take, at most `every`.
        fall: bad checks in a row that show it dead.
        rise: good ones that show it alive again.
        status: what a good answer has; any from 200 to 399 where there is none.
    """

    path: str = ""
    every: float = 5.0
    timeout: float = 2.0
    fall: int = 3
    rise: int = 2
    status: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _seconds("health", every=self.every, timeout=self.timeout)
        if self.path and not (self.path.startswith("/") and self.path.isascii() and " " not in self.path):
            raise ConfigError(f"health: path must begin with '/' and be plain ASCII, not {self.path[:40]!r}")
        if self.timeout > self.every:
            raise ConfigError(f"health: timeout ({self.timeout:g}) must not be above every ({self.every:g})")
        if self.fall < 1 or self.rise < 1:
            raise ConfigError("health: fall and rise must be at least 1")


@dataclass(frozen=True, slots=True)
class ProxyInstance:
    """One place of a pool.

    Args:
        url: `http://` or `https://`, a host, maybe a port and a path that is put before each request's.
        name: what it is called in metrics; its host and port by default.
        region: where it is; those of one region are taken to fail together.
        weight: its share beside others of its priority.
        priority: 0 is asked first, others where no instance of a lower number will do.
    """

    url: str
    name: str = ""
    region: str = ""
    weight: float = 1.0
    priority: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        try:
            at = self.at
            good = at.scheme in ("http", "https") and bool(at.hostname) and (at.port or 1) > 0
        except ValueError:
            at, good = SplitResult("", "", "", "", ""), False
        if not good or at.query or at.fragment or at.username is not None or not self.url.isascii() or " " in self.url:
            raise ConfigError("url must be http:// or https:// with a host, without a user, a query or a fragment")
        if not (0 < self.weight < float("inf")):
            raise ConfigError(f"weight must be a number above zero, not {self.weight!r}")
        if self.priority < 0:
            raise ConfigError(f"priority must be 0 or above, not {self.priority!r}")
        if not self.name:
            object.__setattr__(self, "name", at.netloc)

    @property
    def at(self) -> SplitResult:
        """The URL taken apart."""
        return urlsplit(self.url)


@dataclass(frozen=True, slots=True)
class ProxyPool:
    """Instances that can answer the same requests.

    Args:
        instances: where; at least one.
        balance: who is asked among those of one priority: "power of two" (the default), "least outstanding",
            "round robin".
        health: active checks; without them a dead instance is found by its calls alone.
        breaker: keeps calls from an instance that fails; on by default, with a `cooling` of 5 seconds.
        outliers: leaves out one that keeps failing among others; on by default where there are several.
        timeout: how long each is waited for; one number, or connect, head and idle.
        retries: how often a request that may have reached an instance is sent to another: only if it is GET, HEAD,
            OPTIONS, TRACE, PUT or DELETE, and its body is at hand. Beyond that one of each other region is asked, but
            for 0. One that never left is moved in any case.
        failing: statuses that count as failures of the instance, and for which `retries` holds too.
        connections: to each instance, for each worker.
        keep: seconds that an unused connection is kept. Shorter than what the instance keeps it for.
        host: the `Host` that instances are told: that of their own URL, or what the client said.
        headers: sent with every request, in place of the client's; where the app wants to be shown a key.
        ca: a file of certificates to trust in place of the system's.
        tell: whether answers say in `x-cascade-instance` who gave them.
    """

    instances: Sequence[ProxyInstance]
    balance: Balancer | None = None
    health: Check | None = None
    breaker: Breaker | None = field(default_factory=lambda: Breaker(cooling=COOLING))
    outliers: Outliers | None = field(default_factory=Outliers)
    timeout: float | Timeouts = field(default_factory=Timeouts)
    retries: int = 1
    failing: Sequence[int] = FAILING
    connections: int = 256
    keep: float = 30.0
    host: Literal["upstream", "client"] = "upstream"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None
    tell: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.instances:
            raise ConfigError("instances: a pool needs at least one: instances = [{ url = 'http://HOST:PORT' }]")
        names = [each.name for each in self.instances]
        if len(set(names)) < len(names):
            raise ConfigError("instances: two of them have one name; give each a 'name' of its own")
        if isinstance(self.balance, ByPrefix):
            raise ConfigError("balance: 'by prefix' reads prompts, and HTTP requests have none")
        object.__setattr__(self, "timeout", Timeouts.of(self.timeout))
        _seconds("a pool", keep=self.keep)
        if self.retries < 0 or self.connections < 1:
            raise ConfigError("retries must be 0 or above, and connections at least 1")
        if any(not 400 <= each <= 599 for each in self.failing):
            raise ConfigError("failing: statuses of failures are from 400 to 599")
        headers_checked("a pool", self.headers)

    @property
    def times(self) -> Timeouts:
        """How long each is waited for."""
        return Timeouts.of(self.timeout)
