"""Where the primary is, as most of the sentinels say, and word of it when another becomes one."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from fastcascade.errors import StoreError
from fastcascade.shared.codes import Trouble
from fastcascade.shared.link import CONNECT, Link, Way
from fastcascade.shared.resp import Nobody, Wire, pack
from fastcascade.shared.target import Place, Target

__all__ = ["Sentinel"]

SWITCHED: Final = b"+switch-master"


class Sentinel:
    """The sentinels of a URL. `moved` is told the primary's place when one of them says that it has changed."""

    def __init__(self, target: Target, moved: Callable[[Place], None]) -> None:
        """Belong to the running loop. The way to a sentinel has a login of its own."""
        self._service = target.service
        self._where = target.where
        self._places = target.places
        self._moved = moved
        asked = replace(target, database=0, user=target.sentinel_user, password=target.sentinel_password)
        self._way = Way(asked, timeout=CONNECT, tracked=False)
        self._asking = pack(("SENTINEL", "MASTER", target.service))
        self._turn = 0
        self._watch = Link(self._way, self._next, self, self._where)

    def begin(self) -> None:
        """Listen to one of them; to the next when it is lost."""
        self._watch.begin()

    async def aclose(self) -> None:
        """Listen no more."""
        await self._watch.aclose()

    async def find(self) -> Place:
        """The primary's place. Of what most of them say the newest is taken: one that is cut off may lag behind.

        Where most cannot be reached, those that can decide: whoever is found still has to say that it is a primary.
        """
        asked = [asyncio.ensure_future(self._ask(each)) for each in self._places]
        said: list[tuple[int, Place]] = []
        try:
            for each in asyncio.as_completed(asked):
                answer = await each
                if answer is not None:
                    said.append(answer)
                if 2 * len(said) > len(asked):
                    break
        finally:
            for task in asked:
                task.cancel()
        if not said:
            raise StoreError("cannot be found: no sentinel that can be reached knows of it")
        return max(said)[1]

    async def _ask(self, place: Place) -> tuple[int, Place] | None:
        wire = Wire(Nobody(), CONNECT)
        try:
            if await self._way.open(wire, place):
                return None
            return _read(await wire.ask(self._asking))
        except (OSError, TimeoutError):
            return None
        finally:
            wire.abort()

    async def _next(self) -> Place:
        self._turn += 1
        return self._places[self._turn % len(self._places)]

    # What the link tells.

    def link_up(self, link: Link, /, *, fresh: bool) -> None:
        """Subscribe, and then ask: what changed before is in the answer, what changes after is told."""
        if fresh and link.wire is not None:
            link.wire.send(pack(("SUBSCRIBE", SWITCHED)))
            link.wire.ask(self._asking).add_done_callback(self._answered)

    def link_down(self, link: Link, /) -> None:
        """The next one is listened to."""
        link.drop()

    def link_said(self, link: Link, pieces: list[list[Any]], /) -> None:  # noqa: ARG002
        """Another has become primary: `name old-host old-port new-host new-port`."""
        for piece in pieces:
            if piece[:2] == [b"message", SWITCHED]:
                words = piece[2].decode(errors="replace").split()
                if len(words) == 5 and words[0] == self._service and words[4].isdigit():
                    self._moved((words[3], int(words[4])))

    def _answered(self, reply: "asyncio.Future[Any]") -> None:
        found = None if reply.cancelled() else _read(reply.result())
        if found is not None:
            self._moved(found[1])


def _read(said: Any) -> tuple[int, Place] | None:
    """The epoch and the place in what a sentinel says of a primary."""
    if isinstance(said, Trouble):
        return None
    try:
        told = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
        return int(told[b"config-epoch"]), (told[b"ip"].decode(), int(told[b"port"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
