"""What a process hears: which entries have changed, and what was purged; and what it tells.

Purges are numbered twice. Here they are counted (`strikes`), for what this process is making. Between processes they
have the numbers of the news (`marks`), which entries in Redis carry; those are kept in Redis too, for processes to come
and for those that have missed some. Until they are read (`load`) nothing from Redis is believed.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from fastcascade.caching.levels_far import Far
from fastcascade.caching.levels_memory import Memory
from fastcascade.caching.levels_purges import ALL, Marks, Pending, Purged, Waiting, key_mark, score, tag_mark
from fastcascade.errors import StoreError

__all__ = ["Hearing"]

AGAIN = 1.0
"""Seconds between two tries to send on what Redis refuses while it can be reached."""
SOON = 0.05
"""Seconds until the first look at whether others have told what they were about to; the next is twice as far."""


class Hearing:
    """Between what is shared and this process's memory."""

    def __init__(
        self, memory: Memory, far: Far | None, most: float, wake: Callable[[bytes | None, bool], None]
    ) -> None:
        """`wake`: told what has changed for who waits for a key, or for all (None): the entry (True) or its lease."""
        self.marks, self.strikes, self.pending = Marks(span=most), Marks(), Pending()
        self.loaded = False
        self.purges = 0
        self.told: list[Callable[[str | None], object]] = []
        self._memory, self._far, self._wake = memory, far, wake
        self._loading: asyncio.Task[bool] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[bool] | None = None
        self._looking = False
        self._tasks: set[asyncio.Task[Any]] = set()
        if far is not None:
            memory.up = far.shared.up
            memory.news_up = lambda: far.shared.news.up
            far.shared.listen(self)
            far.shared.news.on(far.kind, self._heard)
            far.shared.news.on_gap(self._lost)

    # What is asked of it.

    def holds(self, key: bytes, tags: Iterable[str], serial: int) -> bool:
        """Whether no purge is known that such an entry from Redis has not seen."""
        return serial >= self.marks.least_of(key, tags) and not self.pending.holds(key, tags)

    def stands(self, key: bytes, tags: Iterable[str], marks: tuple[int, int]) -> bool:
        """Whether what was begun here, when those were the last purges, was not purged meanwhile."""
        return marks[0] >= self.marks.least_of(key, tags) and marks[1] >= self.strikes.least_of(key, tags)

    @property
    def seen(self) -> tuple[int, int]:
        """The last purges that are known, of all processes and of this one."""
        return self.marks.seen, self.strikes.seen

    def quiet(self) -> None:
        """Nothing is being made here."""
        self.strikes.clear()

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do it behind what is going on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def load(self) -> bool:
        """Have all marks that are kept in Redis; False where that cannot be reached."""
        while not self.loaded:
            if self._loading is None or self._loading.done():
                self._loading = asyncio.get_running_loop().create_task(self._load())
            if not await asyncio.shield(self._loading):
                return False
        return True

    async def aclose(self) -> None:
        """End what is under way behind."""
        tasks = [*self._tasks, *(each for each in (self._loading, self._sending, self._reloading) if each is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What a `Shared` tells.

    def changed(self, keys: Sequence[bytes] | None, /) -> None:
        """These, or all, may have changed."""
        if keys is None:
            self._lost()
            return
        far, memory = self._far, self._memory
        if far is None:
            return
        for name in keys:
            if (found := far.key_of(name)) is not None:
                key, entry = found
                self._wake(key, entry and memory.changed(key))

    def went_down(self) -> None:
        """Nothing more is heard for now."""
        self._memory.went_down()
        self._lost()

    def came_up(self) -> None:
        """It is heard again: read what was missed, and send on what could not be told."""
        self._memory.came_up()
        self.loaded = False
        self._wake(None, True)  # noqa: FBT003 - as it is told everywhere
        self._load_soon()
        self._send()

    def _load_soon(self) -> None:
        """Read the marks without anybody asking: caches that hang on this one serve what they have, and ask nothing."""
        if self._memory.up and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.get_running_loop().create_task(self.load())

    def _lost(self) -> None:
        self._memory.doubt()
        self.loaded = False
        self._wake(None, True)  # noqa: FBT003 - as it is told everywhere
        self._load_soon()

    # Purges.

    async def purge(self, member: bytes) -> Purged:
        """Purge it here at once, and everywhere."""
        here = self.strike(member)
        self.purges += 1
        if self._far is None:
            return Purged(here, everywhere=True)
        waiting = self.pending.add(member)
        try:
            await self._tell(self._far, waiting)
        except StoreError:
            self._send()
            return Purged(here, everywhere=False)
        except BaseException:
            self._send()
            raise
        return Purged(here, everywhere=True)

    async def _tell(self, far: Far, waiting: Waiting) -> None:
        member = waiting.member
        number = await far.tell(member, member[1:] if member[:1] == b"k" else None)
        # It may be heard a little later, and what was told before it too: so it is known, but not `seen`.
        self.marks.add(member, number, seen=False)
        self.pending.remove(waiting)

    def _send(self) -> None:
        """Send on what could not be told, behind what is going on."""
        if self.pending.members and self._memory.up and (self._sending is None or self._sending.done()):
            self._sending = asyncio.get_running_loop().create_task(self._send_on())

    async def _send_on(self) -> None:
        far = self._far
        while far is not None and self._memory.up and self.pending.members:
            try:
                await self._tell(far, next(iter(self.pending.members.values())))
            except StoreError:
                await asyncio.sleep(AGAIN)

    def _heard(self, news: str, fields: Mapping[bytes, bytes]) -> None:
        member = fields.get(b"member", b"")
        if member:
            self.marks.add(member, score(news))
            self.strike(member)

    def strike(self, member: bytes) -> int:
        """Drop it from memory, and from what is being made; how many entries there were."""
        self.strikes.add(member, self.strikes.seen + 1)
        if member[:1] != b"k":
            for told in self.told:
                told(None if member == ALL else member[1:].decode("utf-8", "replace"))
        cache = self._memory.cache
        if member == ALL:
            count = len(cache)
            cache.clear()
            return count
        if member[:1] == b"t":
            return cache.invalidate(member[1:].decode("utf-8", "replace"))
        return int(cache.remove(member[1:]))

    async def _load(self) -> bool:
        far, memory = self._far, self._memory
        if far is None:
            return False
        epoch = memory.epoch
        try:
            now, members = await far.load()
        except StoreError:
            return False
        if self.marks.lost(members, now):
            # Its numbers may begin anew below ours.
            self.marks.reset()
            self.strike(ALL)
        for member in self.marks.load(members, now):
            self.strike(member)
        self.loaded = epoch == memory.epoch
        if self.marks.open and not self._looking:
            self._looking = True
            self.later(self._look_again())
        return True

    async def _look_again(self) -> None:
        """See whether it was told, what others were about to purge: until then much is not kept."""
        wait = SOON
        while self.marks.open and self._memory.up:
            await asyncio.sleep(wait)
            wait = min(AGAIN, 2 * wait)
            self.loaded = False
            await self.load()
        self._looking = False


def member_of(key: bytes | None, tag: str | None, everything: bool) -> bytes:  # noqa: FBT001 - what `purge` was given
    """What a purge is filed under; exactly one is to be given."""
    given = [
        *([key_mark(key)] if key is not None else []),
        *([tag_mark(tag)] if tag is not None else []),
        *([ALL] if everything else []),
    ]
    if len(given) != 1:
        raise ValueError("purge one thing at a time: a key, a tag, or all")
    return given[0]
