"""Doors and circuits of one process, held together with those of all others: begun, and read anew when need be."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import StoreError
from fastcascade.notices import log
from fastcascade.shared.circuits import Circuits
from fastcascade.shared.doors import LONGEST, Doors
from fastcascade.shared.names import Names
from fastcascade.shared.server_time import ServerTime

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.entry.instance import Door
    from fastcascade.entry.pool import Pool
    from fastcascade.fallbacks.circuit import Circuit
    from fastcascade.shared.shared import Shared

__all__ = ["Together", "pools_of"]

HELLO: Final = "hello"
PATIENCE: Final = 0.5
"""Seconds until we hear ourselves; after that another word is told."""
TRIES: Final = 4
LATER: Final = 5.0
"""Seconds after which it is read once more, if we did not hear ourselves."""
EVERY: Final = 60.0
"""Seconds between two looks at the server's clock, and at whether it still knows the secret of names."""


class Together:
    """What the pools of a process share with others. Of one event loop, as the store is.

    Args:
        shared: the store; it is not closed with this.
        pools: whose doors and circuits.
        config: what tells one configuration from another: with it also circuits of backends without an account are
            shared, by those that were given the same.
        most: seconds for which others may close a door, with one word.
        clock: what calls go by.
    """

    def __init__(
        self,
        shared: "Shared",
        pools: "Iterable[Pool]",
        *,
        config: bytes = b"",
        most: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name what is shared; nothing is asked yet."""
        pools = list(pools)
        self._shared = shared
        self._names = Names(shared)
        self._server = ServerTime(shared, clock)
        self.doors = Doors(shared, self._names, self._server, doors_of(pools), most=most, clock=clock)
        self.circuits = Circuits(shared, self._names, self._server, circuits_of(pools, config), clock=clock)
        self._me = secrets.token_hex(8)
        self._listening = asyncio.Event()
        self._stale = asyncio.Event()
        self._server.doubted = self._stale.set  # what stands is read with what is left of it
        self._task: asyncio.Task[None] | None = None
        self.current = asyncio.Event()
        """Set while what others know is known here."""

    async def start(self) -> None:
        """Begin, in the background where the store is away."""
        self._shared.listen(self)
        self._shared.news.on(HELLO, self._hello)
        self._shared.news.on_gap(self._stale.set)
        self._task = asyncio.get_running_loop().create_task(self._keep())
        await self._shared.start()
        if self._shared.up:
            self.came_up()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self.current.wait()

    async def aclose(self) -> None:
        """Share no more; each goes on alone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self.doors.aclose()
        await self.circuits.aclose()

    @property
    def names(self) -> dict[object, bytes]:
        """How each door and circuit is called in the store, once that is known."""
        return {**self.doors.named(), **self.circuits.named()}

    # What the store tells.

    def went_down(self) -> None:
        """See `Listener`."""
        self.current.clear()
        self.circuits.went_down()

    def came_up(self) -> None:
        """See `Listener`."""
        self.circuits.came_up()
        self._stale.set()

    def _hello(self, _news: str, said: Mapping[bytes, bytes]) -> None:
        if said.get(b"by") == self._me.encode():
            self._listening.set()

    async def _keep(self) -> None:
        """Read anew when told to, and from time to time see that names and clock still hold."""
        while True:
            try:
                async with asyncio.timeout(EVERY):
                    await self._stale.wait()
            except TimeoutError:
                pass
            fresh = self._stale.is_set()
            self._stale.clear()
            if not self._shared.up:
                continue
            try:
                await self._read(anew=fresh)
            except StoreError as error:
                log.debug("what others know was not read: %s", error)
                await asyncio.sleep(PATIENCE)
                if self._shared.up:
                    self._stale.set()

    async def _read(self, *, anew: bool) -> None:
        anew = await self._names.draw() or anew
        await self._server.ask()
        if anew:
            await self._heard_ourselves()
            await self.doors.read()
            await self.circuits.read()
        self.current.set()

    async def _heard_ourselves(self) -> None:
        """Whatever is told from here on is heard; what was told before, is read."""
        self._listening.clear()
        for _ in range(TRIES):
            await self._shared.news.tell(HELLO, {"by": self._me})
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._listening.wait()
                    return
        asyncio.get_running_loop().call_later(LATER, self._stale.set)  # what stands is known at least; once more then


def pools_of(cascades: "Iterable[Cascade]") -> "Iterator[Pool]":
    """All pools that these ask, each once: those of tiers, and those of judges."""
    from fastcascade.entry.pool import Pool  # noqa: PLC0415 - loaded where there are cascades

    seen: set[int] = set()
    for cascade in cascades:
        holders: list[Any] = cascade._holders() if hasattr(cascade, "_holders") else []  # noqa: SLF001 - it is ours
        for each in holders:
            if isinstance(each, Pool) and id(each) not in seen:
                seen.add(id(each))
                yield each


def doors_of(pools: "Iterable[Pool]") -> "dict[bytes, Door]":
    """The doors of all whose account means the same in other processes."""
    return {
        lasting: instance.door
        for pool in pools
        for instance in pool.instances
        if (lasting := _account(instance.backend))
    }


def circuits_of(pools: "Iterable[Pool]", config: bytes = b"") -> "dict[tuple[bytes, ...], Circuit]":
    """The circuits, each with the parts of its name."""
    found: dict[tuple[bytes, ...], Circuit] = {}
    for pool in pools:
        for instance in pool.instances:
            who = _account(instance.backend) or (b"config " + config if config else b"")
            if who and instance.circuit is not None:
                told = (pool.name, instance.name, repr(pool.timeout), repr(instance.circuit.breaker))
                parts = (who, *(each.encode() for each in told))
                found.setdefault(parts, instance.circuit)
    return found


def _account(backend: object) -> bytes:
    lasting: bytes = getattr(getattr(backend, "account", None), "lasting", b"")
    return lasting
