"""What the gateway can be told, checked when it is built; the [gateway] table of a cascade's file says the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, TypeAlias

from fastcascade.errors import ConfigError
from fastcascade.gateway.proxy_settings import ProxyPool, ProxyRoute
from fastcascade.gateway.settings_seen import ConsoleSettings, DecisionsSettings, Promises, TracingSettings

__all__ = ["Kept", "Limits", "Mode", "Observe", "Settings", "SharedStore", "Tls", "WhenOff"]

MOST_WORKERS: Final = 256
DAY: Final = 86_400.0
STORES: Final = (
    *("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://"),
    *("redis+cluster://", "rediss+cluster://"),
)
ACCOUNTS: Final = ("sqlite:", *STORES)
PREFIX: Final = re.compile(r"[\w.:-]{1,64}", re.ASCII)
MOST_TIMEOUT: Final = 30.0

Mode: TypeAlias = Literal["enforce", "observe"]
WhenOff: TypeAlias = Literal["closed", "open"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all at once, may take of a worker.

    Args:
        body: bytes of a body; more is answered with 413.
        head: bytes of a request line with its headers; more is answered with 431. At least 8192.
        requests: requests in work at once, each stream among them; more are answered with 503.
        connections: connections at once; more wait to be accepted. Health checks need some beyond `requests`.
        reading: seconds in which a body is to arrive, else 408.
        idle: seconds in which a connection is to send the head of its next request, and to take some of its answer,
            else it is closed.
        whole: seconds for a request from its first byte to its last, a stream too; None is no bound.
        retry: seconds that those who are turned away are told to wait.
    """

    body: int = 32 * 1024 * 1024
    head: int = 64 * 1024
    requests: int = 2_000
    connections: int = 8_192
    reading: float = 30.0
    idle: float = 60.0
    whole: float | None = 900.0
    retry: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("body", "requests", "connections"):
            if getattr(self, name) < 1:
                raise ConfigError(f"limits: {name} must be above zero, not {getattr(self, name)!r}")
        if self.head < 8192:
            raise ConfigError(f"limits: head must be at least 8192 bytes, not {self.head!r}")
        for name in ("reading", "idle", "whole", "retry"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= DAY:
                raise ConfigError(f"limits: {name} must be above zero and at most {DAY:g} seconds, not {value!r}")
        if self.connections <= self.requests:
            raise ConfigError(
                f"limits: connections ({self.connections}) must be more than requests ({self.requests}), "
                "so that health checks are answered when all are taken"
            )


@dataclass(frozen=True, slots=True)
class Kept:
    """Whole answers that are kept as bytes, for the very same request of the same caller.

    Args:
        ttl: seconds they are good for.
        items: how many at most.
        memory: bytes they may take, bodies alone.
        every: keep also what was not asked for at temperature 0: whoever asks twice then reads the same twice.
    """

    ttl: float = 300.0
    items: int = 10_000
    memory: int = 64 * 1024 * 1024
    every: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not (0 < self.ttl <= 365 * DAY and self.items > 0 and self.memory > 0):
            raise ConfigError("a cache of answers needs a ttl, items and memory above zero")


@dataclass(frozen=True, slots=True)
class SharedStore:
    """A Redis or Valkey that several gateways share: answers, limits, deadlines of providers, news.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`, and the same with `rediss+`.
        prefix: what the names of its keys begin with: gateways of one prefix are one service.
        timeout: seconds for one command; what takes longer is done without it.
    """

    url: str = field(repr=False)
    prefix: str = "fastcascade"
    timeout: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.url.startswith(STORES):
            raise ConfigError(f"shared: url must begin with one of {', '.join(STORES)}")
        if not 0 < self.timeout <= MOST_TIMEOUT:
            raise ConfigError(
                f"shared: timeout must be above zero and at most {MOST_TIMEOUT:g} s, not {self.timeout!r}"
            )
        if not PREFIX.fullmatch(self.prefix):
            raise ConfigError(f"shared: prefix is of letters, digits, '.', '_', ':' and '-', not {self.prefix!r}")


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate with its key, as PEM files, and whose certificates clients are to show, if they must."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def __post_init__(self) -> None:
        """Bring texts into form."""
        for name in ("cert", "key", "client_ca"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))


@dataclass(frozen=True, slots=True)
class Observe:
    """How a cascade is looked at beside what is answered. See observe.py.

    Args:
        log: a file of JSON lines, one to a request that was looked at; beside the cascade's file by default.
        usd: dollars a day, in UTC, that all workers together may spend on looking; a run that might go beyond it is
            not begun.
        usd_each: dollars that one run may take; a hundredth of the day's by default.
        share: of the requests, drawn at random, how many are looked at.
        at_once: runs at once in one worker; while all are taken, requests are counted and not looked at.
        routes: the mode by route, or task, whatever else is said.
        models: the mode by the name that the client asks for.
        enforce: of what would be observed, the share that is enforced already.
        by: what that share is drawn by: "user" keeps each on one side (the user, or else the customer, or the caller);
            "request" draws anew for each.
        texts: whether the log holds what was asked and said. Without, it cannot be replayed.
    """

    log: Path | None = None
    usd: float = 1.0
    usd_each: float | None = None
    share: float = 1.0
    at_once: int = 8
    routes: Mapping[str, Mode] = field(default_factory=dict)
    models: Mapping[str, Mode] = field(default_factory=dict)
    enforce: float = 0.0
    by: Literal["user", "request"] = "user"
    texts: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("share", "enforce"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"observe: {name} goes from 0 to 1, and is {getattr(self, name)!r}")
        if not 0 < self.usd < float("inf"):
            raise ConfigError(f"observe: usd must be dollars above zero, not {self.usd!r}")
        if self.usd_each is not None and not 0 < self.usd_each <= self.usd:
            raise ConfigError(f"observe: usd_each must be above zero and at most usd, not {self.usd_each!r}")
        if self.at_once < 1:
            raise ConfigError(f"observe: at_once must be above zero, not {self.at_once!r}")
        if self.log is not None:
            object.__setattr__(self, "log", Path(self.log))

    @property
    def each(self) -> float:
        """Dollars that one run may take."""
        return self.usd / 100 if self.usd_each is None else self.usd_each


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the server is told.

    Args:
        host: the address to listen at.
        port: the port; 0 is any that is free.
        workers: processes that answer.
        tls: the certificate; None is plain HTTP.
        limits: bounds of requests.
        drain: seconds that requests in work are given when a worker is to end.
        linger: the first of these, in which it still takes requests, and tells each client to connect anew.
        cache: answers kept as bytes; None keeps none.
        access_log: a line of JSON for each request, to the logger "fastcascade.access".
        metrics: whether there is /metrics. Beyond this machine it is for those alone who have `metrics_key`, or a key
            that is `admin`; "open" is for whoever can reach it.
        metrics_key: what /metrics is to be asked with, as `authorization: Bearer`, from wherever it is asked.
        allow_anyone: whether it may listen beyond this machine without keys.
        keys: the file of callers' keys; None lets in anyone.
        shared: a Redis that it shares with other gateways; None is none.
        account: where it is kept what each key has used: `sqlite:PATH` for the workers of one machine, or the URL of a
            Redis, where rates and budgets are those of all gateways together. Where none is named but something is
            `shared`, it is there.
        account_off: what is done about keys with a hard budget while that cannot be reached: "closed" refuses them,
            "open" lets them in by what each worker knows: with Redis, each by its part of what was left.
        mode: "enforce" answers by the cascade; "observe" by its last tier alone, and notes what the cascade would do.
        observe: how that is done, and for whom it is otherwise.
        pools: where routes lead, by name. See proxy_settings.py.
        routes: what else is answered than the APIs, by path.
        proxies: addresses and networks of proxies whose word on who asks is taken.
        decisions: where decisions are kept; None keeps none.
        console: whether there is a console, and for whom; where it is, decisions are kept too.
        tracing: whether traces are made; None makes none.
        promises: what alerts go by.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    tls: Tls | None = None
    limits: Limits = field(default_factory=Limits)
    drain: float = 30.0
    linger: float = 0.5
    cache: Kept | None = None
    access_log: bool = False
    metrics: bool | Literal["open"] = True
    metrics_key: str = field(default="", repr=False)
    allow_anyone: bool = False
    keys: Path | None = None
    shared: SharedStore | None = None
    account: str = ""
    account_off: WhenOff = "closed"
    mode: Mode = "enforce"
    observe: Observe = field(default_factory=Observe)
    pools: Mapping[str, ProxyPool] = field(default_factory=dict)
    routes: Sequence[ProxyRoute] = ()
    proxies: Sequence[str] = ()
    decisions: DecisionsSettings | None = None
    console: ConsoleSettings | None = None
    tracing: TracingSettings | None = None
    promises: Promises = field(default_factory=Promises)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port must be from 0 to 65535, not {self.port!r}")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ConfigError(f"workers must be from 1 to {MOST_WORKERS}, not {self.workers!r}")
        if not (0 < self.drain <= DAY and 0 <= self.linger < self.drain):
            raise ConfigError("drain must be above zero, and linger shorter than drain")
        if self.keys is not None:
            object.__setattr__(self, "keys", Path(self.keys))
        if self.console is not None and self.decisions is None:
            object.__setattr__(self, "decisions", DecisionsSettings())
        if self.account and not self.account.startswith(ACCOUNTS):
            raise ConfigError(f"account must be 'sqlite:PATH', or a URL that begins with one of {', '.join(STORES)}")

    @property
    def observes(self) -> bool:
        """Whether any request might be observed."""
        return "observe" in (self.mode, *self.observe.routes.values(), *self.observe.models.values())

    @property
    def websockets(self) -> bool:
        """Whether any route takes them."""
        return any(each.websocket for each in self.routes)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_open(self, *, guarded: bool) -> None:
        """Refuse to serve strangers at the owner's cost; `guarded` is whether callers need keys."""
        if not (self.is_local or guarded or self.allow_anyone):
            raise ConfigError(
                f"{self.host} can be reached by others and callers need no keys: give it keys, "
                "or listen at 127.0.0.1, or say --allow-anyone"
            )
