"""The ways in which a store goes away under load, and what is noted of each."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from store_load import HITS, Load, Window, admitted, by_second, limits, now, times
from store_provider import NANOS
from store_site import Site, site

from fastcascade.shared.slots import SLOTS, slot_of
from gateways import Client
from redis_server import RedisServer, redis_server
from redis_sites import redis_cluster
from shared_parts import Gate, gate

STEP: Final = 0.02
SOON: Final = 0.2
PATIENCE: Final = 20.0
"""Seconds after which something is told not to have come."""
SHORT: Final = 3.0
"""A drill that is not of a killed server lasts so much less."""
NEWS: Final = b"fastcascade:news"


@dataclass(frozen=True)
class Times:
    """Seconds before it goes away, of that, and after its return; and those that belong to none, after each change."""

    away: float = 60.0
    before: float = 15.0
    after: float = 20.0
    change: float = 2.0
    back: float = 5.0


QUICK: Final = Times(2.5, 2.0, 3.0, 0.5, 1.5)


@dataclass
class Store:
    """What can be done to a store: have it go away, and come back (to when it could be asked again)."""

    url: str
    go: Callable[[], None]
    back: Callable[[], None]
    ask: Callable[[], RedisServer]
    """Who has the buckets of keys, after its return."""
    urls: tuple[str, ...] = ()
    lies: Callable[[int], bool] | None = None
    heals: bool = False
    """Whether others take its place before it is back."""


@asynccontextmanager
async def stores(part: str) -> AsyncIterator[Store]:
    """One of them, begun."""
    async with AsyncExitStack() as stack:
        if part == "cluster":
            cluster = await asyncio.to_thread(stack.enter_context, redis_cluster(3, replicas=True))
            bounds = [number * SLOTS // 3 for number in range(4)]  # as the cluster has given them out
            place = bisect_right(bounds, slot_of(NEWS)) - 1
            one, other = cluster.primaries[place], cluster.replicas[place]
            yield Store(
                cluster.url, one.kill, one.start, lambda: other, heals=True,
                lies=lambda slot: bounds[place] <= slot < bounds[place + 1],
            )  # fmt: skip
            return
        server = stack.enter_context(redis_server())
        if part == "cut":
            line: Gate = await stack.enter_async_context(gate(server.port))
            through = f"redis://127.0.0.1:{line.port}/0"
            yield Store(server.url, line.cut, line.heal, lambda: server, urls=(through, server.url))
        elif part == "frozen":
            yield Store(server.url, server.freeze, server.thaw, lambda: server)
        else:
            yield Store(server.url, server.kill, server.start, lambda: server)


class Drill:
    """One store that goes away and comes back."""

    def __init__(self, part: str, folder: Path, rate: float, told: Times, off: str) -> None:
        self.part, self.folder, self.rate, self.off, self.times = part, folder, rate, off, told
        self.away = told.away if part == "killed" else max(QUICK.away, told.away / SHORT)
        self.marks: dict[str, float] = {}
        self.returned: dict[str, float] = {}
        self.held: dict[str, Any] = {}
        self.purge: dict[str, Any] = {}

    async def run(self) -> dict[str, Any]:
        """All of it; what was found."""
        async with stores(self.part) as store:
            with site(
                self.folder, store.url, limits(self.rate), off=self.off, urls=store.urls, lies=store.lies
            ) as there:
                await self._warm(there)
                load = Load(there, self.rate)
                seconds = self.times.before + self.away + self.times.after
                running = asyncio.ensure_future(load.run(seconds))
                await self._played(store, there)
                await running
                return await self._told(load, there)

    async def _warm(self, there: Site) -> None:
        """Have each gateway know what is asked again and again."""
        for place in (0, 1):
            client = Client(there.ports[place])
            for key in ("free", "money", "shared", f"own{place}"):
                for number in range(HITS):
                    while (await there.ask(place, key, f"again {number}", client)).status == 429:  # noqa: ASYNC110
                        await asyncio.sleep(STEP)
            await client.close()
        self.book = await there.book()
        self.account = await _settled(there)

    async def _played(self, store: Store, there: Site) -> None:
        await self._mark("begun", there)
        await asyncio.sleep(self.times.before)
        text = await _said(there, 1)
        assert text == await _said(there, 1)  # it is kept
        await self._mark("away", there)
        await asyncio.to_thread(store.go)
        looking = asyncio.ensure_future(self._looked(store, there)) if store.heals else None
        waits = SOON if store.heals else self.away / 2  # before anybody has taken its place
        await asyncio.sleep(waits)
        self.purge["everywhere"] = await there.purge(0)
        purged = now()
        self.purge["given meanwhile"] = await _said(there, 1) == text
        heard = asyncio.ensure_future(self._heard(there, text))
        await asyncio.sleep(self.away - waits)
        if looking is not None:
            await looking  # else the one that was killed might return, with nothing, before another has taken its place
        await self._mark("gone", there)
        await asyncio.to_thread(store.back)
        self.marks["back"] = now()
        if looking is None:
            await self._looked(store, there)
        await heard
        self.purge["at once"] = self.purge["everywhere"] or store.heals
        since = purged if self.purge["at once"] else self.marks["back"]
        self.purge["seconds"] = max(0.0, self.purge.pop("at", math.inf) - since)

    async def _mark(self, name: str, there: Site) -> None:
        self.held[name] = await asyncio.to_thread(there.held)
        self.marks[name] = now()

    async def _looked(self, store: Store, there: Site) -> None:
        """Note when the store decides for each key again: when one of its buckets is written anew."""
        began, keys = now(), {"own0", "own1", "shared"}
        written: dict[str, str] = {}
        while keys and now() - began < PATIENCE:
            for key in tuple(keys):
                try:
                    said = await asyncio.to_thread(store.ask().tell, "GET", there.bucket(key))
                except OSError:
                    continue
                value = said.split("\r\n")[1] if said.startswith("$") and not said.startswith("$-1") else ""
                if value and written.setdefault(key, value) != value:
                    self.returned[key] = now() - began
                    keys.discard(key)
            await asyncio.sleep(STEP)

    async def _heard(self, there: Site, text: str) -> None:
        """Note when the other gateway gives no more what was purged."""
        began = now()
        while now() - began < PATIENCE + self.away:
            if await _said(there, 1) != text:
                self.purge["at"] = now()
                return
            await asyncio.sleep(STEP)

    async def _told(self, load: Load, there: Site) -> dict[str, Any]:
        held = there.held()
        marks, times_ = self.marks, self.times
        ends = max(each.over for each in load.done)
        stretches = [
            Window("before", marks["begun"] + times_.change, marks["away"]),
            Window("as it goes", marks["away"], marks["away"] + times_.change),
            Window("away", marks["away"] + times_.change, marks["gone"]),
            Window("as it returns", marks["gone"], marks["back"] + times_.back),
            Window("after", marks["back"] + times_.back, ends),
        ]
        account, book = await _settled(there), await there.book()
        answered = load.by_key()
        return {
            "part": self.part, "rate": self.rate, "off": self.off, "lag": load.lag * 1e3,
            "gone": marks["gone"] - marks["away"], "started": marks["back"] - marks["gone"],
            "times": [times(load, each) for each in stretches],
            "whole": times(load, Window("all", 0.0, ends + 1.0)),
            "admitted": [admitted(load, each) for each in stretches],
            "seconds": {key: by_second(load, key, marks["gone"], 8) for key in ("own0", "own1", "shared")},
            "returned": self.returned, "purge": self.purge,
            "books": {
                key: {
                    "charged": (book.get(key, 0) - self.book.get(key, 0)) * NANOS,
                    "kept": account[key][0] - self.account[key][0],
                    "answered": answered[key] + (_asides(self, key)),
                    "counted": account[key][1] - self.account[key][1],
                }
                for key in load.limits
            },
            "held": [*self.held.values(), held], "complaints": there.complaints(),
        }  # fmt: skip


def _asides(drill: Drill, key: str) -> int:
    """Requests that were asked beside the load."""
    return asides[drill.folder] if key == "free" else 0


asides: dict[Path, int] = {}


async def _said(there: Site, place: int) -> str:
    """What a gateway gives for something that is only asked here."""
    said = await there.ask(place, "free", "what is purged")
    asides[there.folder] = asides.get(there.folder, 0) + 1
    if said.status != 200:
        raise SystemExit(f"a request beside the load was answered with {said.status}")
    text: str = said.json()["choices"][0]["message"]["content"]
    return text


async def _settled(there: Site) -> dict[str, tuple[int, int]]:
    """The account once it changes no more: what was used is told a little later."""
    last = await there.account()
    while True:
        await asyncio.sleep(1.0)
        found = await there.account()
        if found == last:
            return found
        last = found
