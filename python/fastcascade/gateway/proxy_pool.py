"""A pool of instances behind the gateway: who is asked next, what is learned from how it went, who is dead.

Built of the parts that pools of models are built of (entry/): `Instance` with its circuit, a balancer, outliers and
active checks. What differs is who makes the call: there it is a backend asked by a flow, here bytes on a link.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final, Literal, TypeAlias, cast

from fastcascade.backends.direct import origin_tls
from fastcascade.backends.direct_head import opening
from fastcascade.backends.direct_links import Origin
from fastcascade.backends.direct_parse import LinkError
from fastcascade.entry.balance import PowerOfTwo
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.entry.seen import Seen, seen
from fastcascade.entry.watch import Told
from fastcascade.errors import BackendError, ConfigError
from fastcascade.gateway.proxy_link import ProxyLinks
from fastcascade.gateway.proxy_settings import Check, ProxyInstance, ProxyPool
from fastcascade.notices import notify
from fastcascade.signals import Signal

__all__ = ["Place", "ProxiedPool", "Trouble", "pools_of"]

Trouble: TypeAlias = Literal["connection", "timeout", "cut", "malformed", "server"]
"""What an instance is to blame for, in the words of breakers."""
SOON: Final = 1.0
"""Seconds that clients are told to wait where nothing says how long."""
REFUSED: Final = 3
"""Connections in a row that came to nothing: nobody is there."""
REST: Final = 1.0
"""Seconds for which one that is not there is asked only where nobody else can be."""


class Place:
    """Where an instance is: its connections, and how it is asked for a sign of life."""

    gives: frozenset[str] = frozenset()

    def __init__(self, told: ProxyInstance, pool: ProxyPool) -> None:
        """Check what can be checked; no connection is made."""
        at = told.at
        ca = None if pool.ca is None else str(pool.ca)
        self.name, self.url = told.name, told.url
        self.root = at.path.rstrip("/")
        self.host = at.netloc
        self.origin = Origin.of(told.url, lambda: origin_tls(ca))
        self.check = pool.health or Check()
        self._pool = pool
        self._links: ProxyLinks | None = None
        self._asking = opening("GET", f"{self.root}{self.check.path}", at, {"user-agent": "fastcascade-health"})

    @property
    def links(self) -> ProxyLinks:
        """Its connections, in the running loop."""
        if self._links is None:
            self._links = ProxyLinks(self.origin, self._pool.times, self._pool.connections, self._pool.keep)
        return self._links

    async def probe(self) -> None:
        """Raise, unless it lives."""
        try:
            link = await self.links.beside()
        except LinkError:
            raise BackendError("connection", "no connection") from None
        try:
            if not self.check.path:
                return
            link.begin(self._asking + b"connection: close\r\n\r\n", self.check.timeout)
            head = await link.head("GET")
            good = head.status in self.check.status if self.check.status else 200 <= head.status < 400
        except LinkError as error:
            raise BackendError("timeout" if error.kind == "timeout" else "connection", "no answer") from None
        finally:
            link.abort()
        if not good:
            raise BackendError("server", f"it answers {head.status}")

    async def aclose(self) -> None:
        """Close its connections."""
        links, self._links = self._links, None
        if links is not None:
            await links.aclose()


class ProxiedPool:
    """The instances of one pool, in one worker.

    Args:
        name: what it is called.
        told: its settings.
    """

    def __init__(self, name: str, told: ProxyPool) -> None:
        """Check the settings; no connection is made. Raises `ConfigError`."""
        self.name, self.told = name, told
        self.times = told.times
        self.balancer = told.balance or PowerOfTwo()
        self.failing = frozenset(told.failing)
        self.instances: tuple[Instance, ...] = tuple(self._instance(each) for each in told.instances)
        self.only = self.instances[0] if len(self.instances) == 1 else None
        priorities = sorted({each.priority for each in self.instances})
        self.groups = tuple(tuple(each for each in self.instances if each.priority == level) for level in priorities)
        self.outliers = told.outliers if len(self.instances) > 1 else None
        self.moves = 0  # requests that one instance had and another got
        self._refused: dict[Instance, int] = {}
        self._resting: dict[Instance, float] = {}
        self._checks: asyncio.Task[Any] | None = None
        self._closing = Signal()

    def _instance(self, told: ProxyInstance) -> Instance:
        try:
            place = Place(told, self.told)
        except ConfigError as error:
            raise ConfigError(f"gateway.pools.{self.name}: {error}") from None
        made = Instance(
            cast("Any", place), name=told.name, weight=told.weight, region=told.region, priority=told.priority
        )
        if self.told.breaker is not None:
            made.circuit = self.told.breaker.circuit(told.name)
            made.circuit.changed = Told(self.name, told.name)
        return made

    # Who is asked.

    def choose(self, asked: Collection[Instance], now: float, regions: Collection[str] = ()) -> Instance | None:
        """Somebody who may be asked and was not, best of none of these regions; counted as asked until its `end`."""
        only = self.only
        if only is not None:
            free = not asked and (only.circuit is None or only.circuit.admit(now) <= 0.0)
            return self._begun(only) if free else None
        for group in self.groups:
            chosen = self._picked(self.standing(group, now), asked, now, regions)
            if chosen is not None:
                return chosen
        # Rather somebody who was left out than nobody; the dead only where nobody is alive.
        anyone = [each for each in self.instances if each.alive] or self.instances
        return self._picked(anyone, asked, now, regions)

    def _picked(
        self, candidates: Sequence[Instance], asked: Collection[Instance], now: float, regions: Collection[str]
    ) -> Instance | None:
        if asked:
            candidates = [each for each in candidates if each not in asked]
            elsewhere = [each for each in candidates if each.region not in regions]
            candidates = elsewhere or candidates
        while candidates:
            chosen = candidates[0] if len(candidates) == 1 else self.balancer.pick(candidates, None, now)
            if chosen.circuit is None or chosen.circuit.admit(now) <= 0.0:
                return self._begun(chosen)
            candidates = [each for each in candidates if each is not chosen]
        return None

    @staticmethod
    def _begun(instance: Instance) -> Instance:
        instance.begin()
        return instance

    def standing(self, group: Sequence[Instance], now: float) -> Sequence[Instance]:
        """Those of a group that are alive, there, and not left out."""
        found = [each for each in group if each.alive] if self.outliers is None else self.outliers.standing(group, now)
        if self._resting:
            return [each for each in found if self._resting.get(each, -inf) <= now]
        return found

    # What is learned.

    def learned(
        self, instance: Instance, began: float, now: float, trouble: Trouble | None, *, there: bool = True
    ) -> None:
        """An instance has answered, or is to blame that it has not; not `there`, it had no connection to give."""
        if trouble is None or trouble == "timeout":
            instance.measure(now, now - began)
        if not there:
            refused = self._refused[instance] = self._refused.get(instance, 0) + 1
            if refused >= REFUSED:
                self._resting[instance] = now + REST
        elif self._refused and self._refused.pop(instance, 0):
            self._resting.pop(instance, None)
        if instance.circuit is not None:
            instance.circuit.record(now, now - began, trouble)
        if self.outliers is not None and (trouble is not None or instance.failures or instance.ejections):
            peers = next(group for group in self.groups if group[0].priority == instance.priority)
            if self.outliers.note(instance, peers, now, ok=trouble is None):
                notify("ejected", instance.name, f"{self.name}: it failed again and again, and is left out for a while")

    def dropped(self, instance: Instance, began: float) -> None:
        """A request to it was given up before it could answer, for no fault of its own."""
        if instance.circuit is not None:
            instance.circuit.forget(began)

    def wait(self, now: float) -> float:
        """Seconds after which somebody may be there to ask."""
        waits = [each.circuit.wait(now) for each in self.instances if each.circuit is not None]
        return min((each for each in waits if 0.0 < each < inf), default=SOON)

    def look(self, now: float) -> tuple[Seen, ...]:
        """How each instance does."""
        return tuple(
            seen(each, now, standing=each in self.standing(group, now)) for group in self.groups for each in group
        )

    # Active checks.

    def start(self) -> None:
        """Check from now on, in the running loop."""
        told = self.told.health
        if told is None or self._checks is not None:
            return
        from fastcascade.drive import Driver  # noqa: PLC0415 - for those who check

        loop = asyncio.get_running_loop()
        health = Health(every=told.every, timeout=told.timeout, after=told.fall, back=told.rise)
        flow = health.watching(self.instances, self._checked, self._closing)(loop.time())
        self._checks = loop.create_task(Driver(clock=loop.time).run(flow))

    def _checked(self, instance: Instance) -> None:
        if instance.alive:
            if instance.circuit is not None:
                instance.circuit.try_now(asyncio.get_running_loop().time())
            notify("returned", instance.name, f"{self.name}: active checks find it alive again")
        else:
            notify("died", instance.name, f"{self.name}: active checks find it dead")

    async def aclose(self) -> None:
        """Check no more, and close all connections."""
        self._closing.give()
        checks, self._checks = self._checks, None
        if checks is not None:
            checks.cancel()
            with suppress(asyncio.CancelledError):
                await checks
        for each in self.instances:
            await cast("Any", each.backend).aclose()


def pools_of(told: Mapping[str, ProxyPool]) -> dict[str, ProxiedPool]:
    """All of them by name. Raises `ConfigError`."""
    return {name: ProxiedPool(name, each) for name, each in told.items()}
