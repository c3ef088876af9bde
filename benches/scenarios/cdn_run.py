"""One run of the CDN scenario: its processes, the caches warmed, and a window of the trace asked."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cdn_client import Asked, Said, ask_all
from cdn_origin import body_of
from cdn_processes import Parts, Script
from cdn_sites import Place, Settings, gateways, levels
from cdn_traces import queues, warming

__all__ = ["Run"]

PINGS: Final = 20


class Run:
    """The site, and what was asked of it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.parts = settings, Parts(folder)
        self.asked: list[Asked] = []
        self.measured: list[float] = []
        self.warmed, self.warm_seconds, self.seconds = 0, 0.0, 0.0
        self.stats: list[dict[str, Any]] = []
        self._used: dict[str, float] = {}

    async def run(self) -> None:
        """All of it."""
        told = self.settings
        self.measured = await self._pings()
        site = gateways(self.parts, told) if told.gateways else levels(self.parts, told)
        self.origin = site.origin
        self.before = await self._warm(site)
        site.tell("far")
        used, read = self.parts.processor(), self._reader(site)
        began, own = time.perf_counter(), time.process_time()
        groups = await asyncio.gather(
            *(
                ask_all(edge, site.doors[edge], keys, told.clients, read)
                for edge, keys in enumerate(queues(told.trace, told.since, told.until))
            )
        )
        self.seconds = time.perf_counter() - began
        self._used = {name: now - used[name] for name, now in self.parts.processor().items()}
        self._used["clients"] = time.process_time() - own
        self.asked = [each for group in groups for each in group]
        self.after = self.origin.ask("counts")
        self.stats = [each.ask("stats") for each in site.nodes]

    def stop(self) -> None:
        """End all processes."""
        self.parts.stop()

    def processor(self) -> str:
        """What each of the parts took of one core."""
        return ", ".join(f"{name} {used / self.seconds:.0%}" for name, used in self._used.items())

    async def _warm(self, site: Place) -> Any:
        """Have all that was asked before the window asked, without any distance; what the origin has counted then."""
        told, began = self.settings, time.perf_counter()
        orders, read = warming(told.trace, told.since), self._reader(site)
        groups = await asyncio.gather(
            *(ask_all(edge, site.ports[edge], keys, told.clients, read) for edge, keys in enumerate(orders))
        )
        self.warmed, self.warm_seconds = sum(map(len, groups)), time.perf_counter() - began
        if wrong := sum(not each.right for group in groups for each in group):
            raise SystemExit(f"{wrong} answers were wrong while the caches were warmed")
        return self.origin.ask("counts")

    def _reader(self, site: Place) -> Callable[[int, Said], tuple[str, bool]]:
        size = self.settings.size
        return lambda key, said: (site.level(said), said.body == body_of(f"/{key}", size))

    async def _pings(self) -> list[float]:
        """The round trip of each distance as it is, with nothing else to do: the one in the middle of some."""

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(64):
                writer.write(data)
            writer.close()

        async def ping(port: int) -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            took = []
            for _ in range(PINGS):
                began = time.perf_counter()
                writer.write(b"ping")
                await reader.readexactly(4)
                took.append(time.perf_counter() - began)
            writer.close()
            return sorted(took)[PINGS // 2]

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        way = Script("cdn_distance.py", json.dumps([[port, each] for each in self.settings.distances]))
        try:
            return list(await asyncio.gather(*(ping(each) for each in way.said)))
        finally:
            way.stop()
            server.close()
