"""One node: connected for as long as it is wanted, and again whenever the connection is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final, Protocol

from fastcascade.errors import StoreError
from fastcascade.shared.codes import CODES, LATE, LOST, REFUSED, UNSENT, UNSURE, Trouble
from fastcascade.shared.resp import Wire, pack
from fastcascade.shared.target import Place, Target

__all__ = ["Follower", "Link", "Way", "told"]

CONNECT: Final = 1.0
"""Seconds for a connection to stand, with all that is said at its beginning."""
FIRST: Final = 0.02
LAST: Final = 1.0
"""Seconds between two tries to connect: they double from the first to the last."""
GONE: Final = "cannot be reached"
UNTRUSTED: Final = "shows a certificate that is not trusted, or is for another host"
NO_TLS: Final = "does not agree on TLS: it may not speak it, or want a certificate of ours"


class Follower(Protocol):
    """Who hears what becomes of a link. All is told in the loop's own turn, in order."""

    def link_up(self, link: "Link", /, *, fresh: bool) -> None:
        """It takes commands; `fresh` where the connection is a new one, which the server knows nothing of."""

    def link_down(self, link: "Link", /) -> None:
        """It takes none for now."""

    def link_said(self, link: "Link", pieces: list[list[Any]], /) -> None:
        """What the server pushed."""


class Way:
    """How connections to any node are made."""

    def __init__(self, target: Target, *, timeout: float, tracked: bool = True, primary: bool = False) -> None:
        """Read the certificates, once. With `primary` a node that is none is not taken."""
        self.target = target
        self.timeout = timeout
        self.primary = primary
        self._context: SSLContext | None = target.context()
        login = ("AUTH", target.user or "default", target.password) if target.password else ()
        hello: list[tuple[str | int, ...]] = [("HELLO", 3, *login)]
        if target.database:
            hello.append(("SELECT", target.database))
        if tracked:
            hello.append(("CLIENT", "TRACKING", "ON"))
        hello.append(("ROLE",) if primary else ("PING",))  # neither is answered while data is loaded
        self._hello = [pack(each) for each in hello]

    async def open(self, wire: Wire, place: Place) -> str:
        """Connect it; comes to what is wrong, or to nothing. Raises `OSError` or `TimeoutError` at worst."""
        loop = asyncio.get_running_loop()
        host, port = place
        name = host if self._context is not None else None
        async with asyncio.timeout(max(CONNECT, self.timeout)):
            if port:
                await loop.create_connection(lambda: wire, host, port, ssl=self._context, server_hostname=name)
            else:
                await loop.create_unix_connection(lambda: wire, host)
            replies = [await each for each in [wire.ask(each) for each in self._hello]]
            for said in replies:
                if isinstance(said, Trouble):
                    return GONE if said in (LATE, LOST, UNSENT) else told(said)
        is_primary = not self.primary or replies[-1][:1] in ([b"master"], [b"primary"])
        return "" if is_primary else "is no primary now"


class Link:
    """One node. `wire` is the connection that takes commands now, or None."""

    def __init__(self, way: Way, find: Callable[[], Awaitable[Place]], follower: Follower, where: str) -> None:
        """Belong to the running loop. `find` says before each try where the node is; it may raise `StoreError`."""
        self.wire: Wire | None = None
        self.where = where
        self.why = GONE
        self.place: Place | None = None
        self._way = way
        self._find = find
        self._follower = follower
        self._held: Wire | None = None
        self._ended = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def begin(self) -> None:
        """Connect, and go on connecting."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def tried(self) -> None:
        """Come back after the first try, however it went."""
        self.begin()
        await self._tried.wait()

    def drop(self) -> None:
        """Give the connection up, and begin anew."""
        if self._held is not None:
            self._held.abort()

    def close(self) -> None:
        """Connect no more, and tell nobody."""
        self._closed = True
        self.why = "is not asked any more: it was closed"
        if self._task is not None:
            self._task.cancel()
        if self._held is not None:
            self._held.abort()
        self._tried.set()

    async def aclose(self) -> None:
        """Close, and come back when it is."""
        self.close()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    def error(self, trouble: Trouble | None = None) -> StoreError:
        """What to raise: for a reply, or without one for a node that is away."""
        return StoreError(f"redis at {self.where} {self.why if trouble is None else told(trouble, self._way.timeout)}")

    # What the wire tells.

    def pushed(self, pieces: list[list[Any]], /) -> None:
        """Pass it on."""
        self._follower.link_said(self, pieces)

    def silent(self) -> None:
        """Send nothing more for now; the connection stands, and so does what the server remembers of us."""
        self.why = "does not reply"
        self._shut()

    def speaks(self) -> None:
        """Send again."""
        if self._held is not None:
            self.wire = self._held
            self._follower.link_up(self, fresh=False)

    def ended(self) -> None:
        """Connect again."""
        self._held = None
        if not self._closed:
            self.why = GONE
        self._ended.set()
        self._shut()

    def _shut(self) -> None:
        if self.wire is not None:
            self.wire = None
            if not self._closed:
                self._follower.link_down(self)

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST
        while True:
            self.why = await self._attempt() or self.why
            self._tried.set()
            since = clock()
            if self._held is not None:
                await self._ended.wait()
            if clock() - since > LAST:  # one that does not last is no better than none
                pause = FIRST
                continue
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LAST)

    async def _attempt(self) -> str:
        """One try; comes to why it failed, or to nothing."""
        self._ended.clear()
        owner = _Trying(self)
        wire = Wire(owner, self._way.timeout)
        try:
            self.place = await self._find()
            why = await self._way.open(wire, self.place)
        except StoreError as error:
            why = str(error)
        except SSLError as error:
            why = UNTRUSTED if isinstance(error, SSLCertVerificationError) else NO_TLS
        except (OSError, TimeoutError):
            why = GONE
        except BaseException:
            wire.abort()
            raise
        if why or owner.over:
            wire.abort()
            return why or GONE
        owner.stands = True
        self.wire = self._held = wire
        self._follower.link_up(self, fresh=True)
        return ""


class _Trying:
    """Hears of a connection that does not stand yet in the link's place, and is its ear from then on."""

    __slots__ = ("_link", "over", "stands")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.over = self.stands = False

    def pushed(self, pieces: list[list[Any]], /) -> None:
        self._link.pushed(pieces)

    def silent(self) -> None:
        if self.stands:
            self._link.silent()

    def speaks(self) -> None:
        if self.stands:
            self._link.speaks()

    def ended(self) -> None:
        self.over = True
        if self.stands:
            self._link.ended()


def told(trouble: Trouble, timeout: float = 0.0) -> str:
    """A reply that is an error, in our words."""
    if trouble.code == "LATE":
        return f"has not replied within {timeout:g} s{UNSURE}"
    if trouble.code == "LOST":
        return f"cannot be reached: the connection was lost{UNSURE}"
    if trouble.code == "UNSENT":
        return "cannot be reached: the connection was lost; nothing was carried out"
    return CODES.get(trouble.code, REFUSED)
