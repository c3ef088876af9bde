"""Who else is there: the processes that share something in Redis, each of which says so by the server's clock.

    members = Members.of(shared)     one for each `Shared` and kind: several that use it are one process all the same
    members.count                    how many there are, this one among them; as was last known while Redis is away

What is shared out while Redis is away goes by that number: each of N processes keeps an N-th part for itself.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError
from fastcascade.notices import notify
from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["EVERY", "GONE", "Members"]

EVERY: Final = 2.0
"""Seconds between two signs of life."""
GONE: Final = 7.0
"""Seconds without one after which a process is taken to be gone."""

SAY: Final = Script("""
-- KEYS: the members by when each said last that it is there.  ARGV: who says so, microseconds after which one is gone
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))
-- A server that goes by another clock than the last one may hold what was said in times to come.
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + ARGV[2]), '+inf')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 10 * ARGV[2] / 1000))
return {redis.call('ZCARD', KEYS[1]), now}
""")


class Members:
    """This process among the others.

    Args:
        shared: where it says so.
        kind: who counts together; processes of another kind do not.
        every: seconds between two signs of life.
        gone: seconds without one after which a process is taken to be gone.
        least: how many there are at least: what it goes by until it has heard of others.
    """

    def __init__(
        self,
        shared: "Shared",
        *,
        kind: str = "gateway",
        every: float = EVERY,
        gone: float = GONE,
        least: int = 1,
    ) -> None:
        """Say nothing yet."""
        self.id: Final = secrets.token_hex(6)
        self.count = self.least = least
        self._shared, self._every, self._gone = shared, every, gone
        self._key = shared.key("members", kind)
        self._hooks: list[Callable[[], object]] = []
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, shared: "Shared", kind: str = "gateway", least: int = 1) -> "Members":
        """The one that all of a kind who use this `Shared` have together."""
        # With it they go: a table beside would hold it for ever, since they know it.
        known: dict[str, Members] = vars(shared).setdefault("members", {})
        found = known.get(kind) or known.setdefault(kind, cls(shared, kind=kind))
        found.least = max(found.least, least)
        found.count = max(found.count, found.least)
        return found

    def start(self) -> None:
        """Say it from now on, in this loop; again and again is once."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="fastcascade-members")

    def on_beat(self, hook: Callable[[], object]) -> None:
        """Have this called after each sign of life that was heard: then the server is there."""
        self._hooks.append(hook)

    async def beat(self) -> bool:
        """Say it once; whether it was heard."""
        try:
            reply = await self._shared.run(SAY, [self._key], [self.id, round(self._gone * 1e6)])
        except StoreError:
            return False
        self.count = max(self.least, int(reply[0]))
        for hook in self._hooks:
            try:
                hook()
            except Exception as error:  # noqa: BLE001 - the others are to hear of it too
                notify("store off", "members", f"a hook failed: {type(error).__name__}")
        return True

    async def aclose(self) -> None:
        """Take leave, so that the others need not wait for it to be missed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(StoreError):
            await self._shared.call("ZREM", self._key, self.id)

    async def _run(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(self._every)
