"""One stream of news that all gateways follow: each piece in order, once, in every process."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from fastcascade.notices import notify
from fastcascade.shared.codes import Trouble
from fastcascade.shared.resp import Wire, pack
from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.link import Link
    from fastcascade.shared.shared import Shared

__all__ = ["News"]

KEPT: Final = 600.0
BLOCK: Final = 1_000
"""Milliseconds of one blocking read; it is begun anew at once."""
MANY: Final = 500
"""Pieces in one reply."""
PAUSE: Final = 0.05
"""Seconds before a connection is used again that has refused to read."""
TELL: Final = Script("""
local now = redis.call('TIME')
local since = string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1])
return redis.call('XADD', KEYS[1], 'MINID', '~', since, '*', unpack(ARGV, 2))
""")


class News:
    """A stream that every process hears whole and in order, its own pieces too. Ids are of the server's clock.

    `last` is the id of the last piece that was heard, or of the last there was when this one began to listen: it
    orders what was read before a piece and after it. "0-0" before any. `up` is whether it is listening now; what is
    told meanwhile is heard once it is again.
    """

    def __init__(self, shared: "Shared", *, kept: float = KEPT) -> None:
        """Belong to a `Shared`; pieces are kept for so many seconds at least."""
        self.last = "0-0"
        self.up = False
        self._shared = shared
        self._kept = kept
        self._heard: dict[bytes, list[Callable[[str, Mapping[bytes, bytes]], None]]] = {}
        self._lost: list[Callable[[], None]] = []
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._found = False
        self._begun = False

    def on(self, kind: str, heard: Callable[[str, Mapping[bytes, bytes]], None]) -> None:
        """Be told the id and the fields of every piece of a kind, in order, each once."""
        self._heard.setdefault(kind.encode(), []).append(heard)
        self._listen()

    def on_gap(self, lost: Callable[[], None]) -> None:
        """Be told when pieces may have been missed: what hangs on them is to be forgotten."""
        self._lost.append(lost)
        self._listen()

    async def tell(self, kind: str, fields: Mapping[str, str | bytes]) -> str:
        """Tell all, this process too; comes to the id. `StoreError` where it cannot be told, or may not have been."""
        words: list[str | bytes | int] = [int(self._kept * 1000), "kind", kind]
        for name, value in fields.items():
            words += (name, value)
        told = await self._shared.run(TELL, [self._shared.key("news")], words)
        return str(told.decode())

    def begin(self) -> None:
        """Listen, if somebody wants to hear: `Shared.start` says so."""
        self._begun = True
        self._listen()

    def doubt(self) -> None:
        """The server was emptied, or the stream lies elsewhere: see what is still there."""
        if self._link is not None:
            self._link.drop()

    async def aclose(self) -> None:
        """Listen no more."""
        self._begun = self.up = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()

    def _listen(self) -> None:
        if self._begun and self._task is None and (self._heard or self._lost):
            key = self._shared.key("news")
            self._up = asyncio.Event()  # of this event loop
            self._link = self._shared.beside(self, key)
            self._link.begin()
            self._task = asyncio.get_running_loop().create_task(self._follow(self._link, key))

    # What the link tells.

    def link_up(self, link: "Link", /, *, fresh: bool) -> None:  # noqa: ARG002 - it is all one here
        """Read on."""
        self._up.set()

    def link_down(self, link: "Link", /) -> None:  # noqa: ARG002
        """Wait."""
        self.up = False
        self._up.clear()

    def link_said(self, link: "Link", pieces: list[list[Any]], /) -> None:
        """Nothing is pushed here."""

    async def _follow(self, link: "Link", key: bytes) -> None:
        """Read on as long as there is a connection; at the beginning of each, find where."""
        while True:
            await self._up.wait()
            wire = link.wire
            trouble = None if wire is None else await self._stand(wire, key)
            while trouble is None and wire is not None and wire is link.wire:
                trouble = await self._read(wire, key)
            if trouble is not None and wire is link.wire:
                self._shared.misled(link, trouble)
                link.drop()
                await asyncio.sleep(PAUSE)

    async def _read(self, wire: Wire, key: bytes) -> Trouble | None:
        reply = await wire.ask(pack(("XREAD", "COUNT", MANY, "BLOCK", BLOCK, "STREAMS", key, self.last)))
        if isinstance(reply, Trouble):
            return reply
        for pieces in (reply or {}).values():
            for place, said in pieces:
                self.last = place.decode()
                fields = dict(zip(said[::2], said[1::2], strict=True))
                for heard in tuple(self._heard.get(fields.pop(b"kind", b""), ())):
                    _do(heard, self.last, fields)
        return None

    async def _stand(self, wire: Wire, key: bytes) -> Trouble | None:
        """Find where to go on from: where we were, if that is still there, and else behind the last piece there is."""
        asked = wire.ask(pack(("XRANGE", key, self.last, self.last))), wire.ask(pack(("XINFO", "STREAM", key)))
        there, info = [await each for each in asked]
        if isinstance(there, Trouble):
            return there
        if not there:
            # A stream that is not there is an error without a code.
            if isinstance(info, Trouble) and info.code:
                return info
            self.last = "0-0" if isinstance(info, Trouble) else info[b"last-generated-id"].decode()
            if self._found:
                for lost in tuple(self._lost):
                    _do(lost)
        self._found = self.up = True
        return None


def _do(listener: Callable[..., None], *args: Any) -> None:
    try:
        listener(*args)
    except Exception as error:  # noqa: BLE001 - one listener's fault is not the others'
        notify("store off", "a listener to news", f"failed with {type(error).__name__}")
