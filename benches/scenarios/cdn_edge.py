"""An edge: an HTTP server of one process over `Levels`, of which memory is the edge and a Redis the shield.

Run as a process, with its settings as JSON (items, the ports of shield and origin); it prints its port, and ends with
its input. A line there makes it print what its levels have counted. Each answer says in `x-level` where it was found,
by a letter, so that all heads are of one length: memory, shared, joined (what another request had asked for meanwhile)
or origin.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from email.utils import formatdate
from typing import Any, Final

from cdn_client import Client
from cdn_processes import ended, say

from fastcascade.caching.levels import Entry, Lead, Levels
from fastcascade.shared.shared import Shared

PATIENCE: Final = 30.0
HEAD: Final = (
    "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncache-control: max-age={life}\r\ndate: {date}\r\n"
    "content-length: {size}\r\nx-level: {level}\r\n\r\n"
)


class Edge:
    """What all connections have in common."""

    def __init__(self, levels: Levels, origin: Client) -> None:
        self.levels, self.origin = levels, origin
        self.tasks: set[asyncio.Task[Any]] = set()

    def begin(self, what: Any) -> None:
        """Do it beside what is done now."""
        task = asyncio.get_running_loop().create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def found(self, path: str) -> tuple[bytes, str, float]:
        """What memory does not have, where it was found, and until when it is good."""
        key = path.encode()
        found = await self.levels.ask(key, within=PATIENCE)
        if isinstance(found, Entry):
            return found.value, found.level, found.fresh_until
        said = await self.origin.get(path)
        life = said.headers.get("cache-control", "").partition("max-age=")[2]
        if isinstance(found, Lead):
            if said.status == 200 and life.isdigit():
                self.begin(found.put(said.body, ttl=float(life)))  # which answers those that wait first
            else:
                found.give_up()
        return said.body, "origin", time.time() + float(life or 0)


class Connection(asyncio.Protocol):
    """One client, whose requests are answered one after another."""

    def __init__(self, edge: Edge) -> None:
        self._edge, self._held = edge, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        head, end, self._held = (self._held + data).partition(b"\r\n\r\n")
        if not end:
            self._held = head
            return
        path = head.split(b" ", 2)[1].decode("latin-1")
        entry = self._edge.levels.peek(path.encode())
        if entry is not None:
            self._answer(entry.value, "memory", entry.fresh_until)
        else:
            self._edge.begin(self._later(path))

    async def _later(self, path: str) -> None:
        try:
            found = await self._edge.found(path)
        except (OSError, EOFError, TimeoutError) as error:
            self._answer(type(error).__name__.encode(), "?", 0.0, "502 Bad Gateway")
        else:
            self._answer(*found)

    def _answer(self, body: bytes, level: str, until: float, status: str = "200 OK") -> None:
        life, date = max(0, int(until - time.time())), formatdate(usegmt=True)
        head = HEAD.format(status=status, life=life, date=date, size=len(body), level=level[0])
        self._transport.write(head.encode() + body)


async def main() -> None:
    told = json.loads(sys.argv[1])
    shared = Shared(f"redis://127.0.0.1:{told['shield']}/0", prefix="cdn", timeout=5.0)
    await shared.start()
    levels = Levels("pages", shared, items=told["items"], memory=1 << 32)
    await levels.start()
    edge = Edge(levels, Client(told["origin"]))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(edge), "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await ended(lambda _line: say(asdict(levels.stats())))
    edge.origin.close()
    await levels.aclose()
    await shared.aclose()


if __name__ == "__main__":
    asyncio.run(main())
