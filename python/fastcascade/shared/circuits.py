"""Breakers' state, known to all gateways as soon as one has found something out. agreement.py says what is agreed on.

A circuit is named after the account it asks (or, where a backend has none, after the configuration it stands in), its
pool, its instance and its breaker's settings: those that differ in any of these go their own ways. Nothing waits for
the store, and a closed circuit costs nothing more for being shared.

Whoever can write to the store can open circuits, for one cooling with each word, and close them, which each
gateway's own results undo.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError
from fastcascade.shared.agreement import LEASE, Agreement, Word
from fastcascade.shared.script import Script
from fastcascade.shared.standing import Standing, milliseconds
from fastcascade.shared.telling import Telling

if TYPE_CHECKING:
    from fastcascade.fallbacks.circuit import Circuit
    from fastcascade.shared.names import Names
    from fastcascade.shared.server_time import ServerTime
    from fastcascade.shared.shared import Shared

__all__ = ["Circuits"]

KIND: Final = "circuit"
KEPT: Final = 300.0
"""Seconds for which those that come anew hear of an open circuit that nobody has tried again."""
TICK: Final = 0.2
TAKE: Final = Script("""
-- KEYS: the lease. ARGV: who asks, milliseconds. One that has no end, or a later one than any of ours, is nobody's.
local has, ends = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
if has and has ~= ARGV[1] and ends > 0 and ends <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
GIVE_BACK: Final = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")


class Circuits:
    """The circuits of one process, held together with those of others. Of one event loop, as the store is.

    Args:
        shared: where it is told.
        names: how circuits are called there.
        server: how its clock stands to ours.
        circuits: each with the parts of its name.
        clock: what calls go by.
    """

    def __init__(
        self,
        shared: "Shared",
        names: "Names",
        server: "ServerTime",
        circuits: "Mapping[tuple[bytes, ...], Circuit]",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen to the circuits, and to the others."""
        self._shared, self._names, self._server, self._clock = shared, names, server, clock
        self._me = secrets.token_hex(8).encode()
        self._loop = asyncio.get_running_loop()
        self._standing = Standing(shared, "circuits", kept=KEPT)
        self._telling: Telling[Word] = Telling(self._send)
        self._agreed = {_joined(parts): (parts, Agreement(circuit, self, clock)) for parts, circuit in circuits.items()}
        self._keys = {id(agreement): key for key, (_, agreement) in self._agreed.items()}
        self._named: dict[bytes, Agreement] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.TimerHandle | None = None
        self._over = False
        shared.news.on(KIND, self._heard)

    async def read(self) -> None:
        """Learn what stands. `StoreError`."""
        self._named = {self._names.of(b"circuit", *parts): agreement for parts, agreement in self._agreed.values()}
        found, now = await self._standing.read(), self._clock()
        for name, agreement in self._named.items():
            if self._keys[id(agreement)] not in self._telling.waiting:
                agreement.stands(now + found[name] if name in found else None)
        self._telling.again()
        self._tick()

    def named(self) -> dict[object, bytes]:
        """How each is called there."""
        return {agreement.circuit: name for name, agreement in self._named.items()}

    def went_down(self) -> None:
        """Each goes on alone."""
        for _, agreement in self._agreed.values():
            agreement.alone()

    def came_up(self) -> None:
        """Together again, once what stands has been read."""
        for _, agreement in self._agreed.values():
            agreement.together()

    async def aclose(self) -> None:
        """Tell and hear no more; a lease is given back."""
        self._over = True
        if self._ticking is not None:
            self._ticking.cancel()
        for _, agreement in self._agreed.values():
            agreement.circuit.peers = None
            agreement.leave()
        self._named = {}
        while self._tasks:
            await asyncio.wait(self._tasks)
        self.went_down()
        await self._telling.aclose()

    # What agreements cannot do themselves.

    def soon(self, do: Callable[..., object], /, *args: object) -> None:
        """See `Outside`."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._done, do, args)

    def say(self, agreement: Agreement, word: Word, /) -> None:
        """See `Outside`."""
        self._telling.say(self._keys[id(agreement)], word)

    def take(self, agreement: Agreement, /) -> None:
        """See `Outside`."""
        self._begin(self._take(agreement))

    def give_back(self, agreement: Agreement, /) -> None:
        """See `Outside`."""
        self._begin(self._give_back(agreement))

    def _done(self, do: Callable[..., object], args: tuple[object, ...]) -> None:
        do(*args)
        self._tick()

    def _begin(self, doing: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lease_of(self, agreement: Agreement) -> list[bytes]:
        return [self._shared.key("probing", self._name(self._keys[id(agreement)]))]

    def _name(self, key: bytes) -> bytes:
        return self._names.of(b"circuit", *self._agreed[key][0])

    async def _take(self, agreement: Agreement) -> None:
        asked, won = self._clock(), None
        with suppress(StoreError):
            if self._names.known:
                won = await self._shared.run(TAKE, self._lease_of(agreement), [self._me, int(LEASE * 1000)]) == 1
        agreement.taken(asked, won)
        self._tick()

    async def _give_back(self, agreement: Agreement) -> None:
        with suppress(StoreError):
            if self._names.known:
                await self._shared.run(GIVE_BACK, self._lease_of(agreement), [self._me])

    def _tick(self) -> None:
        """Look at all now, and soon again while there is something to wait for."""
        busy = [agreement.tick() for _, agreement in self._agreed.values()]
        if self._ticking is not None:
            self._ticking.cancel()
        self._ticking = self._loop.call_later(TICK, self._tick) if any(busy) and not self._over else None

    # News.

    async def _send(self, words: dict[bytes, Word]) -> None:
        if not self._names.known:
            await self._names.draw()
        now, told = self._clock(), {}
        noted: dict[bytes, float | None] = {}
        for key, word in words.items():
            if word.state == "open" and word.until <= now:
                self._agreed[key][1].untold(word)
            else:
                name = self._name(key)
                noted[name], told[name] = (word.until - now if word.state == "open" else None), word
        if not noted:
            return
        await self._standing.note(noted)
        for name, word in told.items():
            left = noted[name]
            fields: dict[str, str | bytes] = {"c": name, "by": self._me, "n": str(word.number)}
            fields |= {"is": word.state, "left": "0" if left is None else str(milliseconds(left))}
            await self._shared.news.tell(KIND, fields)

    def _heard(self, news: str, said: Mapping[bytes, bytes]) -> None:
        agreement = self._named.get(said.get(b"c", b""))
        if agreement is None:
            return
        with suppress(ValueError, OverflowError):  # no number: none of ours has told it
            number, left = int(said.get(b"n", b"")), int(said.get(b"left", b"")) / 1000
            until = self._clock() + left - self._server.age(news)
            match said.get(b"is"):
                case b"open":
                    word = Word(number, "open", until)
                case b"closed":
                    word = Word(number, "closed")
                case _:
                    return
            agreement.heard(word, ours=said.get(b"by") == self._me)
            self._tick()


def _joined(parts: tuple[bytes, ...]) -> bytes:
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
