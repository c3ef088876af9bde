"""What several processes share: one server, the one that Sentinel names, or a cluster."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from fastcascade.errors import StoreError
from fastcascade.notices import notify
from fastcascade.shared.cluster import Cluster
from fastcascade.shared.codes import CODES, LATE, LOST, UNSENT, Trouble
from fastcascade.shared.link import Follower, Link, Way
from fastcascade.shared.news import BLOCK, News
from fastcascade.shared.resp import pack
from fastcascade.shared.script import Script
from fastcascade.shared.single import Nodes, Single
from fastcascade.shared.target import Target

__all__ = ["Listener", "Shared", "Word"]

Word: TypeAlias = str | bytes | int | float
TIMEOUT: Final = 0.25


class Listener(Protocol):
    """Who hears what becomes of what was read. Any of these may be missing."""

    def changed(self, keys: Sequence[bytes] | None, /) -> None:
        """These keys, read over this `Shared`, were changed, deleted or have expired. None: all of them may have."""

    def went_down(self) -> None:
        """Commands fail for now."""

    def came_up(self) -> None:
        """They do not any more. Before it comes `changed(None)`, if the server may have forgotten what was read."""


class Shared:
    """One server, the one that Sentinel names, or a cluster: one connection to each node, of one event loop.

    The server remembers which keys were read over it, and says so when one of them changes (`listen`): by a read
    command, by itself or inside a script. It is told in the order in which things happened: to a task that awaits
    `call` and goes on at once, never before the reply.

    Args:
        url: redis://user:password@host:6379/0, unix:///path, redis+sentinel://host:26379,other/name/0 or
            redis+cluster://host:7000,other:7001; rediss... for TLS, with ?ca=FILE&cert=FILE&key=FILE where needed.
        prefix: what the names of all keys begin with.
        timeout: seconds for one command; one ends late by a quarter of it at most.
        clock: seconds, for how long it has been away.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "fastcascade",
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check the URL, and read the certificates; no connection is made."""
        target = Target.of(url)
        self.where = target.where
        self.prefix = prefix
        self.up = False
        self.news = News(self)
        self._target = target
        self._timeout = timeout
        self._way = Way(target, timeout=timeout + BLOCK / 1000, tracked=False, primary=target.kind == "sentinel")
        self._prefix = prefix.encode()
        self._clock = clock
        self._since: float | None = None
        self._nodes: Nodes | None = None
        self._link: Link | None = None
        self._changed: list[Callable[[Sequence[bytes] | None], None]] = []
        self._went_down: list[Callable[[], None]] = []
        self._came_up: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        """Show where it is, and no password."""
        return f"Shared({self.where!r}, prefix={self.prefix!r}, up={self.up})"

    def key(self, *parts: str | bytes, slot: str | bytes = b"") -> bytes:
        """The name of a key: the prefix and the parts. Those of one slot lie on one node of a cluster.

        Only the last part may hold a colon, else two keys may have one name.
        """
        words = [each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each for each in parts]
        if slot:
            tag = slot.encode("utf-8", "surrogatepass") if isinstance(slot, str) else slot
            words.insert(0, b"{%b}" % tag.replace(b"%", b"%25").replace(b"}", b"%7D"))
        return b":".join((self._prefix, *words))

    async def call(self, *command: Word) -> Any:
        """Send a command and come to its reply. Its second word is the key that says to which node it goes.

        `StoreError` where it fails, or has no reply in time: then it says whether it may have been carried out.
        """
        link = self._link
        if link is None or (wire := link.wire) is None:
            reply = await self._ask(pack(command), command[1] if len(command) > 1 else b"")
            if reply.__class__ is Trouble:
                raise self._unknown()
            return reply
        reply = await wire.ask(pack(command))
        if reply.__class__ is Trouble:
            raise self._begun().refused(link, reply)
        return reply

    async def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Word] = ()) -> Any:
        """Run a script by its hash, or by its text where the server does not know it yet. Its keys lie in one slot."""
        link = self._link
        packed = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        if link is None or (wire := link.wire) is None:
            reply = await self._ask(packed, keys[0])
        else:
            reply = await wire.ask(packed)
        if reply.__class__ is Trouble:
            if reply.code != "NOSCRIPT" and link is not None:
                raise self._begun().refused(link, reply)
            reply = await self._ask(pack(("EVAL", script.text, len(keys), *keys, *args)), keys[0])
            if reply.__class__ is Trouble:
                raise self._unknown()
        return reply

    async def start(self) -> None:
        """Connect, in this event loop. Where the server is away it comes back all the same, and tries again itself."""
        nodes = self._begun()
        self.news.begin()
        await nodes.start()

    def listen(self, listener: Any) -> None:
        """Tell a `Listener` from now on."""
        for name, heard in (
            ("changed", self._changed),
            ("went_down", self._went_down),
            ("came_up", self._came_up),
        ):
            method = getattr(listener, name, None)
            if method is not None:
                heard.append(method)

    async def aclose(self) -> None:
        """Close the connections. It can be started again."""
        await self.news.aclose()
        nodes, self._nodes, self._link, self.up = self._nodes, None, None, False
        if nodes is not None:
            await nodes.aclose()

    # What News needs.

    def beside(self, follower: Follower, key: bytes) -> Link:
        """A connection beside to the node of a key, for commands that wait."""
        return Link(self._way, self._begun().finder(key), follower, self.where)

    def misled(self, link: Link, trouble: Trouble) -> None:
        """The news cannot be read there."""
        error = self._begun().refused(link, trouble)
        if trouble not in (LATE, LOST, UNSENT) and trouble.place is None:
            notify("store off", f"redis at {self.where}", f"the news cannot be read: {error}")

    # What links tell.

    def link_up(self, link: Link, /, *, fresh: bool) -> None:  # noqa: ARG002 - it is all one here
        """Commands can be sent."""
        if fresh:
            self.forgot()
        self.up = True
        if self._since is not None:
            notify("returned", f"redis at {self.where}", f"is back after {self._clock() - self._since:.1f} s")
            self._since = None
        for each in self._came_up:
            _do(each)

    def link_down(self, link: Link, /) -> None:
        """They cannot."""
        self.up = False
        self._since = self._clock()  # of the last loss; what came before it has been told
        notify("store off", f"redis at {self.where}", link.why)
        for each in self._went_down:
            _do(each)

    def link_said(self, link: Link, pieces: list[list[Any]], /) -> None:  # noqa: ARG002
        """Something that was read has changed."""
        keys: list[bytes] = []
        for piece in pieces:
            if piece[0] == b"invalidate":
                if piece[1] is None:
                    keys.clear()
                    self.shifted()
                else:
                    keys += piece[1]
        if keys:
            for each in self._changed:
                _do(each, keys)

    def forgot(self) -> None:
        """Whatever was read may have changed."""
        for each in self._changed:
            _do(each, None)

    def shifted(self) -> None:
        """Likewise; and the news may lie elsewhere, or be gone."""
        self.forgot()
        self.news.doubt()

    def _begun(self) -> Nodes:
        """Where commands go, in this event loop."""
        if self._nodes is None:
            make: type[Cluster | Single] = Cluster if self._target.kind == "cluster" else Single
            nodes = self._nodes = make(self._target, self, self._timeout)
            self._link = nodes.link
            return nodes
        return self._nodes

    async def _ask(self, packed: bytes, key: Word) -> Any:
        """Ask where there is more to it than to send it: many nodes, or none that is connected."""
        self.news.begin()
        return await self._begun().ask(packed, key if isinstance(key, bytes) else str(key).encode())

    def _unknown(self) -> StoreError:
        return StoreError(f"redis at {self.where} {CODES['NOSCRIPT']}")


def _do(listener: Callable[..., None], *args: Any) -> None:
    try:
        listener(*args)
    except Exception as error:  # noqa: BLE001 - one listener's fault is not the others'
        notify("store off", "a listener to what is shared", f"failed with {type(error).__name__}")
