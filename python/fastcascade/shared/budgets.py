"""What the processes of all machines may use of a key together: requests, tokens and money, exactly.

    budgets = SharedBudgets(shared)
    purse = budgets.purse("key_1", requests=Quota(100, "minute"), day=nanos(5.0))
    stay = await purse.enter()              # one round trip for all three; or a `Refusal`, and nothing is taken
    purse.leave(stay, Used(nanos(0.01), 1, 700))

    spent + held + asked <= budget          decided in Redis, in one script, on its clock; days and months are UTC's

What a request may spend is held for it from when it is let in until it ends, and lapses where that is not renewed: so
what a process held that was killed is free again after `HELD_FOR` seconds. What was used is told in pieces that have
numbers, so that each counts once though its reply be lost.

While Redis is away, limits are shared out as in `limits`. For keys with a budget it is "closed", and these are refused;
or it is "open": then each process goes by an N-th of what was last known to be left (`budgets_apart`). What was used
meanwhile is kept in memory, and told as soon as Redis is back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fastcascade._core import Quota
from fastcascade.errors import StoreError
from fastcascade.gateway.account import NANO, Used
from fastcascade.notices import notify
from fastcascade.shared.budgets_purse import Purse, Refusal, Stay
from fastcascade.shared.budgets_scripts import RENEW, USED
from fastcascade.shared.members import Members

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["HELD_FOR", "Purse", "Refusal", "SharedBudgets", "Stay"]

WhenOff: TypeAlias = Literal["closed", "open"]
HELD_FOR: Final = 30.0
"""Seconds for which something is held without being renewed."""
LEAST: Final = NANO // 20
"""Nano-dollars: the least that a request among others is given, while so much is free."""
PAUSE: Final = 0.25
"""Seconds until what nobody waits for is told."""
GRACE: Final = 2.0


class SharedBudgets:
    """The purses of all keys, at one process. Of one event loop, as `Shared` is.

    Args:
        shared: the server.
        members: who else is there; by default whoever uses the same server.
        off: what is done about keys with a budget while the server is away.
        least: nano-dollars, the least that a request among others is given, while so much is free.
        held_for: seconds for which something is held without being renewed.
        clock: seconds, as of `time.monotonic`.
        now: seconds since 1970, by which it goes until the server has said what time it is.
    """

    def __init__(
        self,
        shared: "Shared",
        *,
        members: Members | None = None,
        off: WhenOff = "closed",
        least: int = LEAST,
        held_for: float = HELD_FOR,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Connect to nothing yet."""
        self.shared, self.members = shared, members or Members.of(shared, "keys")
        self.off, self.least, self.held_for = off, least, held_for
        self.clock = clock
        self.ahead = now() - clock()  # the server's time, as far as it is known
        self.began = False
        self._beginning: asyncio.Task[None] | None = None
        self.holds: dict[str, tuple[Purse, int, float]] = {}
        """What is held by name: by whom, how much, and since when, or when it was last renewed."""
        self.untold: set[Purse] = set()
        self.apart: set[Purse] = set()
        self._purses: dict[str, Purse] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._returned = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def purse(
        self,
        key: str,
        *,
        requests: Quota | None = None,
        tokens: Quota | None = None,
        day: int | None = None,
        month: int | None = None,
    ) -> Purse:
        """The one of a key, which goes by these limits from now on: quotas, and nano-dollars a day and a month."""
        found = self._purses.get(key)
        if found is None:
            found = self._purses[key] = Purse(self, key)
        found.bind(requests, tokens, day, month)
        return found

    def keep(self, keys: Iterable[str]) -> None:
        """Forget all other purses, but for those of which the server is still to hear."""
        kept = {*keys, *(each.key for each in self.untold | self.apart)}
        kept |= {purse.key for purse, _, _ in self.holds.values()}
        self._purses = {key: purse for key, purse in self._purses.items() if key in kept}

    def now(self) -> float:
        """The server's time in seconds since 1970, as far as it is known."""
        return self.clock() + self.ahead

    def name(self) -> str:
        """A name for what is held, which nothing else has."""
        self._count += 1
        return f"{self.members.id}:{self._count}"

    async def start(self) -> None:
        """Connect, in this loop. Never raises for a server that is away."""
        if self._beginning is None:
            self.members.on_beat(self._beat)
            self.shared.listen(self)
            self._beginning = asyncio.get_running_loop().create_task(self._connect())
        await asyncio.shield(self._beginning)

    async def _connect(self) -> None:
        await self.shared.start()
        self.members.start()
        self.began = True

    async def used(self, keys: Iterable[str]) -> dict[str, tuple[Used, Used]]:
        """What each key has used today and this month. Raises `StoreError`."""
        found = {}
        for key in keys:
            reply = await self.shared.run(USED, [self.shared.key("key", "used", slot=key)])
            numbers = [int(each or 0) for each in reply]
            found[key] = (Used(*numbers[:4]), Used(*numbers[4:]))
        return found

    async def settled(self) -> bool:
        """Tell all that is to be told, and wait for that; whether the server has heard it."""
        await asyncio.gather(*(purse.told() for purse in self.untold | self.apart))
        return not (self.untold or self.apart)

    async def aclose(self) -> None:
        """Tell what is left, and end: it waits a moment for a server that is away.

        The server's connection is for whoever made it to close.
        """
        if self._timer is not None:
            self._timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while not await self.settled():
                    self._returned.clear()
                    await self._returned.wait()
        for task in self._tasks:
            task.cancel()
        if self.untold:
            count = len(self.untold)
            notify("store off", "the account of keys", f"what {count} keys have used could not be told, and is lost")

    def came_up(self) -> None:
        """See `Listener`: all that is held is held again, and all that was used is told."""
        self._returned.set()
        self._begin(self._renew(0.0))
        self.flush()

    def flush(self) -> None:
        """Tell what is to be told, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for purse in self.untold | self.apart:
            purse.tell()

    def soon(self) -> None:
        """Tell it before long."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self.flush)

    def _beat(self) -> None:
        self._begin(self._renew(self.held_for / 3))
        self.flush()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self, age: float) -> None:
        """Renew what was last renewed so long ago."""
        now = self.clock()
        due: dict[Purse, list[tuple[str, int]]] = {}
        for name, (purse, nanos, since) in self.holds.items():
            if now - since >= age:
                due.setdefault(purse, []).append((name, nanos))
        for purse, held in due.items():
            given: list[str | int] = [each for pair in held for each in pair]
            try:
                await self.shared.run(RENEW, purse.keys[2:], [*purse.kept_for(), *given])
            except StoreError:
                continue  # at the next sign of life; of a cluster others may be there
            for name, _ in held:
                if (found := self.holds.get(name)) is not None:
                    self.holds[name] = (*found[:2], now)
                else:  # it has ended meanwhile, and what was told of that may have come first
                    purse.let_go(name)
