"""Fetches what is published, for a supervisor: a process of its own, so that the one that forks has no threads or loop.

`python -m fastcascade.gateway.courier`, begun by following.py, with a pair of sockets as its standard input. It is told
one `Errand`, and says what it has fetched; is told what became of it, and passes that on. Each message is one line of
JSON. Its end comes with that of the supervisor.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import ConfigError, StoreError
from fastcascade.gateway.copies import Copies
from fastcascade.shared.published import KIND, Published, Standing
from fastcascade.shared.shared import Shared

__all__ = ["Courier", "main"]

EVERY: Final = 30.0
"""Seconds after which it is looked at again, whatever was heard, and said again how we stand."""
AGAIN: Final = 1.0
LARGEST: Final = 65_536


class Courier:
    """Between the store and the supervisor.

    Args:
        shared: the store.
        name: what is followed.
        copies: where copies are written.
        control: the supervisor's end of it all.
    """

    def __init__(self, shared: Shared, name: str, copies: Copies, control: socket.socket) -> None:
        """Nothing is fetched yet."""
        self._shared, self._control, self._copies = shared, control, copies
        self._published = Published(shared, name)
        self._look = asyncio.Event()
        self._told = ""  # what was said last
        self._standing: Standing | None = None
        self._over = False

    async def run(self) -> None:
        """Until the supervisor ends."""
        loop = asyncio.get_running_loop()
        self._control.setblocking(False)  # noqa: FBT003 - its name says it
        loop.add_reader(self._control.fileno(), self._hear)
        self._shared.news.on(KIND, self._news)
        self._shared.news.on_gap(self._look.set)
        self._shared.listen(self)
        await self._shared.start()
        self._look.set()
        while not self._over:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._look.wait()
            self._look.clear()
            if not await self._once():
                loop.call_later(AGAIN, self._look.set)
        with suppress(StoreError):
            if self._standing is not None:
                await self._published.leave(self._standing.gateway)
        await self._shared.aclose()

    def came_up(self) -> None:
        """See `Listener`."""
        self._look.set()

    def _news(self, _id: str, said: Mapping[bytes, bytes]) -> None:
        if said.get(b"name") == self._published.name.encode():
            self._look.set()

    async def _once(self) -> bool:
        """Look what the newest is, and say how we stand; whether that could be done."""
        if self._over:
            return True
        try:
            newest = await self._published.newest()
            if newest is None:
                self._say({"none": True})
            else:
                file = await asyncio.to_thread(self._copies.write, newest.number, newest.text)
                self._say({"number": newest.number, "digest": newest.digest, "file": str(file)})
            if self._standing is not None:
                await self._published.stand(self._standing)
        except (StoreError, OSError) as error:
            why = str(error) if isinstance(error, StoreError) else f"{error.strerror}: {self._copies.folder}"
            self._say({"away": why})
            return False
        return True

    def _say(self, what: dict[str, Any]) -> None:
        said = json.dumps(what)
        if said != self._told:
            self._told = said
            try:
                self._control.send(said.encode())
            except BlockingIOError:
                self._told = ""  # it will be said again
            except OSError:
                self._end()

    def _hear(self) -> None:
        try:
            said = self._control.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._end()
            return
        self._standing = Standing(**json.loads(said))
        self._look.set()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._look.set()


def main() -> int:
    """Be the courier."""
    for each in (signal.SIGINT, signal.SIGHUP):  # a terminal's, meant for the supervisor
        signal.signal(each, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    errand = json.loads(control.recv(LARGEST))
    try:
        shared = Shared(errand["url"], prefix=errand["prefix"], timeout=errand["timeout"])
        courier = Courier(shared, errand["name"], Copies(Path(errand["folder"]), errand["name"]), control)
    except ConfigError as error:
        control.send(json.dumps({"wrong": str(error)}).encode())
        return 2
    asyncio.run(courier.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
