"""Requests in work: who does each, since when, what it waits for, and what has come of it."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fastcascade.gateway.settings import Limits

if TYPE_CHECKING:
    from fastcascade.telemetry.events import Layer
    from fastcascade.wire.endpoint import Caller, Done

__all__ = ["BEAT", "Cut", "Watch", "Work", "heard"]

BEAT: Final = 0.1
"""Seconds between two looks at what is in work. A request that is done sooner costs no timer and no watcher."""

Cut: TypeAlias = Literal["", "slow", "late", "gone", "unread", "drained"]
"""Why a request was ended: its body did not come; it took too long; its client went away, or takes nothing of the
answer; the worker ends."""

_current: ContextVar["Work | None"] = ContextVar("fastcascade_gateway_work", default=None)


class Work:
    """One request in work."""

    __slots__ = (
        "began",
        "by",
        "caller",
        "cut",
        "detail",
        "done",
        "here",
        "layer",
        "path",
        "peer",
        "proto",
        "reading",
        "stream",
        "task",
        "watcher",
    )

    def __init__(self, proto: Any, path: str, began: float) -> None:
        """Begin, in the task that does it."""
        self.proto = proto
        self.path = path
        self.peer = ""  # its client's address
        self.here = ""  # where that has connected
        self.began = began
        self.task = asyncio.current_task()
        self.reading = False
        self.stream: Any = None  # where its pieces go, once they do
        self.watcher: asyncio.Task[None] | None = None
        self.cut: Cut = ""
        self.layer: Layer = "entry"  # how far it has come, as long as no cascade has it
        self.by = self.detail = ""
        self.caller: Caller | None = None
        self.done: Done | None = None
        _current.set(self)

    def end(self, why: Cut) -> None:
        """Have it end; its task answers what can still be answered."""
        if not self.cut and self.task is not None:
            self.cut = why
            self.task.cancel()

    async def watch(self) -> None:
        """End it when its client goes away."""
        await self.proto.client_disconnect()
        self.end("gone")


def heard(done: "Done") -> None:
    """Note what became of the request in work: an endpoint's `on_done`."""
    work = _current.get()
    if work is not None:
        work.done = done


class Watch:
    """All that is in work, looked at every `BEAT`.

    Args:
        limits: when a request is late.
        clock: what time it is, in seconds.
        beat: is called at each look.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], beat: Callable[[], object]) -> None:
        """Begin with none."""
        self.limits, self.clock, self.beat = limits, clock, beat
        self.all: set[Work] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on."""
        self._task = loop.create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self.look(self.clock())
            self.beat()

    def look(self, now: float) -> None:
        """End what is late, and from the second look on hear of clients that go away."""
        reading, whole = self.limits.reading, self.limits.whole
        for work in tuple(self.all):
            age = now - work.began
            if work.reading:
                if age > reading:
                    work.end("slow")
            elif whole is not None and age > whole:
                work.end("late")
            elif work.watcher is None and not work.cut and age > BEAT / 2:
                work.watcher = asyncio.ensure_future(work.watch())

    def leave(self, work: Work) -> None:
        """It is done."""
        self.all.discard(work)
        if work.watcher is not None:
            work.watcher.cancel()
        # A stream ends when nobody holds it any more, and the task's context holds this for as long as it lives.
        work.proto = work.stream = work.task = None

    def end_all(self) -> int:
        """End all that is left, since the worker ends; how many there were."""
        left = tuple(self.all)
        for work in left:
            work.end("drained")
        return len(left)
