"""A world for cache levels: one store, several processes, and every message on its way for as long as a test wants.

Commands wait in a process's outbox until they are served, replies and invalidations in its inbox until they are
delivered, each in their order, and news in a queue of their own. What the store does for a script is written here once
more, in Python.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastcascade import Clock
from fastcascade.caching import levels_scripts as scripts
from fastcascade.errors import StoreError
from fastcascade.shared.script import Script
from fastcascade.testing.virtual import FakeClock, _VirtualLoop

__all__ = ["Link", "Store", "World"]

HEAD = struct.Struct(">dddd8s")
TELL = Script("tell")
SECOND = 1000 * 2048


@dataclass
class Piece:
    """A piece of news."""

    news: str
    kind: str
    fields: dict[bytes, bytes]
    by: "Link | None" = None


GAP = Piece("", "", {})


@dataclass
class Store:
    """What Redis holds, and whom it told what it would tell."""

    clock: Clock
    pushes_first: bool = False
    """Whether it tells a script's caller of the script's own changes before the reply, as old servers did."""
    data: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)
    marks: dict[bytes, float] = field(default_factory=dict)
    has_marks: bool = False
    stream: list[Piece] = field(default_factory=list)
    told: int = 0
    tracked: dict[bytes, set["Link"]] = field(default_factory=dict)
    commands: list[Script] = field(default_factory=list)

    def get(self, key: bytes) -> bytes | None:
        """What a key holds now."""
        found = self.data.get(key)
        if found is not None and found[1] <= self.clock.now():
            del self.data[key]
            self.changed(key, None)
            found = None
        return None if found is None else found[0]

    def read(self, link: "Link", key: bytes) -> bytes | None:
        """Likewise, and who reads is told when it changes."""
        found = self.get(key)
        self.tracked.setdefault(key, set()).add(link)
        return found

    def set(self, key: bytes, value: bytes, life: float, by: "Link | None") -> None:
        """Put a value."""
        self.data[key] = (value, self.clock.now() + life)
        self.changed(key, by)

    def delete(self, key: bytes, by: "Link | None" = None) -> int:
        """Take one away."""
        if self.get(key) is None:
            return 0
        del self.data[key]
        self.changed(key, by)
        return 1

    def changed(self, key: bytes, by: "Link | None") -> None:
        """Tell who has read it."""
        for link in self.tracked.pop(key, ()):
            (link.own if link is by else link.inbox).append(("push", [key]))

    def serve(self, link: "Link", script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> Any:
        """Run a script, and send what comes of it."""
        self.commands.append(script)
        said = self.run(link, script, [bytes(each) for each in keys], args)
        self.told += script is TELL
        return said

    def run(self, link: "Link", script: Script, keys: list[bytes], args: Sequence[Any]) -> Any:  # noqa: PLR0911 - one a script
        """What each script does."""
        now = self.clock.now()
        us, score = int(now * 1e6), now * SECOND
        if script is scripts.LOOK:
            return self._look(link, keys, args, us)
        if script is scripts.PUT:
            return self._put(link, keys, args, us)
        if script is scripts.FREE:
            return self.delete(keys[0], link) if self.read(link, keys[0]) == args[0] else 0
        if script is scripts.RENEW:
            holder = self.read(link, keys[0])
            if holder in (None, args[0]):
                self.set(keys[0], args[0], args[1] / 1000, link)
            return int(holder in (None, args[0]))
        if script is scripts.DROP:
            found = self.read(link, keys[0])
            return 0 if found is not None and HEAD.unpack_from(found)[3] >= args[0] else self.delete(keys[0], link)
        if script is scripts.LOAD:
            origin = self.marks.get(b"o", int(now * 1000) * 2048 - 1 if not self.has_marks else 0.0)
            self.marks = {m: s for m, s in self.marks.items() if s >= score - args[0] * 2048} | {b"o": origin}
            self.has_marks = True
            return [us, [each for m, s in self.marks.items() for each in (m, b"%.0f" % s)]]
        if script is scripts.MARK:
            return self._mark(args, score)
        assert script is TELL
        piece = Piece(f"{int(now * 1000)}-{len(self.stream)}", args[0], dict(args[1]), link)
        self.stream.append(piece)
        for each in link.world.links:
            each.news.waiting.append(piece)
        return piece.news

    def _look(self, link: "Link", keys: list[bytes], args: Sequence[Any], us: int) -> list[Any]:
        value, fresh, now = self.read(link, keys[0]), False, us / 1e6
        if value is not None:
            born, life, stale, serial, nonce = HEAD.unpack_from(value)
            if serial < float(args[0]) or now >= born + life + stale:
                self.delete(keys[0], link)
                value = None
            else:
                fresh = now < born + life
                value = b"" if nonce == args[1] else value
        if fresh:
            return [1, us, value]
        if self.get(keys[1]) is None:
            self.set(keys[1], args[2], args[3] / 1000, link)
            return [2, us, value]
        self.read(link, keys[1])
        return [3, us, value, int((self.data[keys[1]][1] - self.clock.now()) * 1000)]

    def _put(self, link: "Link", keys: list[bytes], args: Sequence[Any], us: int) -> int:
        holder, now = self.read(link, keys[1]), us / 1e6
        if args[0] and holder != args[0]:
            value = self.read(link, keys[0])
            if value is not None:
                born, life, *_ = HEAD.unpack_from(value)
                if now < born + life:
                    return 0
        self.read(link, keys[0])
        self.set(keys[0], struct.pack(">d", now) + args[2], args[1] / 1000, link)
        self.read(link, keys[0])
        if holder is not None and holder == args[0]:
            self.delete(keys[1], link)
        return us

    def _mark(self, args: Sequence[Any], score: float) -> Any:
        member, number, about, most = args
        self.has_marks = True
        if number == "":
            self.marks[b"?" + member] = max(self.marks.get(b"?" + member, 0), score + 10 * SECOND)
            return b"%.0f" % (score + 10 * SECOND)
        self.marks[member] = max(self.marks.get(member, 0), float(number))
        if self.marks.get(b"?" + member) == float(about):
            del self.marks[b"?" + member]
        while len(self.marks) > most:
            oldest = min(self.marks, key=lambda each: self.marks[each])
            self.marks[b"o"] = max(self.marks.get(b"o", 0), self.marks.pop(oldest))
        return 1

    def flush(self, links: Sequence["Link"]) -> None:
        """Lose everything, news and marks too."""
        self.data.clear()
        self.marks.clear()
        self.stream.clear()
        self.tracked.clear()
        self.has_marks = False
        for link in links:
            link.news.waiting = deque([None])
            link.inbox.append(("push", None))


class NewsHere:
    """The news as one process hears them."""

    def __init__(self, link: "Link") -> None:
        self.link, self.up = link, True
        self.waiting: deque[Piece | None] = deque()
        self.heard: dict[str, Callable[[str, Mapping[bytes, bytes]], None]] = {}
        self.lost: list[Callable[[], None]] = []

    def on(self, kind: str, heard: Callable[[str, Mapping[bytes, bytes]], None]) -> None:
        """As `News`."""
        self.heard[kind] = heard

    def on_gap(self, lost: Callable[[], None]) -> None:
        """As `News`."""
        self.lost.append(lost)

    async def tell(self, kind: str, fields: Mapping[str, bytes]) -> str:
        """As `News`."""
        said: str = await self.link.run(TELL, [], [kind, {name.encode(): value for name, value in fields.items()}])
        return said

    def deliver(self) -> Piece | None:
        """One piece, if there is one and it can come through."""
        if not self.waiting or not self.link.up:
            return None
        piece = self.waiting.popleft()
        if piece is None:
            for lost in self.lost:
                lost()
        else:
            self.heard[piece.kind](piece.news, piece.fields)
        return piece or GAP


class Link:
    """A `Shared` of this world: one process's connection to the store."""

    def __init__(self, world: "World") -> None:
        self.world, self.up = world, True
        self._prefix, self.prefix = b"fastcascade", "fastcascade"
        self.outbox: deque[tuple[Script, Sequence[bytes], Sequence[Any], asyncio.Future[Any]]] = deque()
        self.inbox: deque[tuple[Any, ...]] = deque()
        self.own: list[tuple[Any, ...]] = []
        self.news = NewsHere(self)
        self.listener: Any = None

    def key(self, *parts: str | bytes, slot: str | bytes = b"") -> bytes:
        """As `Shared`."""
        words = [each.encode() if isinstance(each, str) else each for each in (*parts, slot)]
        return b":".join((self._prefix, *([b"{%b}" % words[-1]] if slot else []), *words[:-1]))

    async def start(self) -> None:
        """As `Shared`: here it always was."""

    def listen(self, listener: Any) -> None:
        """As `Shared`."""
        self.listener = listener

    async def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any] = ()) -> Any:
        """As `Shared`."""
        if not self.up:
            raise StoreError("the store is away")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.outbox.append((script, keys, args, future))
        said = await future
        if isinstance(said, StoreError):
            raise StoreError(str(said))
        return said

    def serve(self) -> bool:
        """Let the store do the oldest command."""
        if not self.outbox:
            return False
        script, keys, args, future = self.outbox.popleft()
        said = self.world.store.serve(self, script, keys, args)
        own, self.own = self.own, []
        if self.world.store.pushes_first:
            self.inbox.extend(own)
        self.inbox.append(("reply", future, said))
        if not self.world.store.pushes_first:
            self.inbox.extend(own)
        return True

    def deliver(self) -> bool:
        """Let the oldest message come through."""
        if not self.inbox:
            return False
        kind, *what = self.inbox.popleft()
        if kind == "reply":
            if not what[0].done():
                what[0].set_result(what[1])
        else:
            self.listener.changed(what[0])
        return True

    def cut(self, *, served: int) -> None:
        """Lose the connection; so many of the commands under way are carried out all the same."""
        self.up = False
        for _ in range(min(served, len(self.outbox))):
            self.serve()
        failed = [each[3] for each in self.outbox] + [each[1] for each in self.inbox if each[0] == "reply"]
        self.outbox.clear()
        self.inbox.clear()
        for readers in self.world.store.tracked.values():
            readers.discard(self)
        for future in failed:
            if not future.done():
                future.set_result(StoreError("the store went away"))
        self.listener.went_down()

    def mend(self) -> None:
        """Have it again."""
        self.listener.changed(None)
        self.up = True
        self.listener.came_up()


class World:
    """The store, its processes, and time."""

    def __init__(self, processes: int, *, pushes_first: bool = False) -> None:
        self.time = FakeClock()
        self.loop = _VirtualLoop(self.time)
        self.clock = Clock(1_000_000.0)
        self.store = Store(self.clock, pushes_first)
        self.links = [Link(self) for _ in range(processes)]

    def spin(self) -> None:
        """Let every task go on as far as it can without time or messages."""

        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def do(self, act: Callable[..., Any], *args: Any) -> Any:
        """Do something within the loop."""

        async def done() -> Any:
            return act(*args)

        return self.loop.run_until_complete(done())

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.spin()

    def start(self, work: Any) -> "asyncio.Task[Any]":
        """Begin a task, and let it come as far as it can."""
        task: asyncio.Task[Any] = self.loop.create_task(work)
        self.spin()
        return task

    def settle(self) -> None:
        """Let everything that is on its way come through."""
        for _ in range(1_000):
            self.spin()
            moved = [
                self.do(link.serve) or self.do(link.deliver) or self.do(link.news.deliver) is not None
                for link in self.links
            ]
            if not any(moved):
                return
        raise AssertionError("it never comes to rest")
