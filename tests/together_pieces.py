"""Gateways in one process that hold their doors and breakers together, and whose clocks can be put forward."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastcascade.backends.clients import Account, account
from fastcascade.entry.instance import Door, Instance
from fastcascade.entry.pool import Pool
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.circuit import Circuit
from fastcascade.messages import Reply, Request
from fastcascade.shared.shared import Shared
from fastcascade.shared.together import Together
from real import until

__all__ = ["BREAKER", "KEY", "Asked", "Gateway", "forward", "gateways"]

KEY = "sk-nobody-may-read-this-0123456789"
BREAKER = Breaker(calls=2, failure_rate=1.0, cooling=30.0, probes=1)


class Asked:
    """A backend as another process would have it: the same account, under that process's own secret."""

    name = "asked"
    gives: frozenset[str] = frozenset()
    remote = True

    def __init__(self, key: str) -> None:
        self.account = Account(secrets.token_bytes(16))
        self.account.lasting = account("test", "https://example.org", "m", key).lasting

    async def complete(self, _request: Request, /) -> Reply:
        return Reply("good", "m")


class Watched(Together):
    """One that says whether it is reading what stands, or about to."""

    busy = False

    async def _read(self, *, anew: bool) -> None:
        self.busy = True
        await super()._read(anew=anew)
        self.busy = self._stale.is_set()

    @property
    def quiet(self) -> bool:
        return self.current.is_set() and not self.busy and not self._stale.is_set()

    def forward(self, seconds: float) -> None:
        """As if the server's clock had gone along: news under way are no older for it."""
        assert self._server.offset is not None
        self._server.offset -= seconds


class Gateway:
    """One process's worth of it, whose clock can be put forward."""

    def __init__(self, url: str, *, key: str = KEY, breaker: Breaker = BREAKER, most: float = 3600.0) -> None:
        self.ahead = 0.0
        self.pool = Pool(Instance(Asked(key)), breaker=breaker)
        self.shared = Shared(url)
        self.together = Watched(self.shared, [self.pool], most=most, clock=self.clock)

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    @property
    def door(self) -> Door:
        return self.pool.instances[0].door

    @property
    def circuit(self) -> Circuit:
        circuit = self.pool.instances[0].circuit
        assert circuit is not None
        return circuit

    @property
    def left(self) -> float:
        """Seconds for which its door is closed."""
        return self.door.until - self.clock()

    def call(self, kind: Any = None) -> bool:
        """One call, if it may be made."""
        now = self.clock()
        if self.circuit.admit(now) > 0.0:
            return False
        self.circuit.record(now, 0.0, kind)
        return True

    def fail(self) -> None:
        """Two calls that fail."""
        self.call("server")
        self.call("server")


@asynccontextmanager
async def gateways(*made: Gateway) -> AsyncIterator[tuple[Gateway, ...]]:
    """Begun, and ended with the block."""
    try:
        for each in made:
            await each.together.start()
        yield made
    finally:
        for each in made:
            await each.together.aclose()
            await each.shared.aclose()


async def forward(*them: Gateway) -> None:
    """Put their clocks beyond a cooling. A reading under way would find it open for another: no time passes there."""
    await until(lambda: all(each.together.quiet for each in them), "what stands")
    for each in them:
        each.ahead += 31.0
        each.together.forward(31.0)
