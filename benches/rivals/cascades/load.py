"""Load on a backend that dies: in virtual time on a function, or in real time on a server in another process."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Ask = Callable[[], Awaitable[str]]
Storm = Callable[[], Awaitable[float]]

WARM_UP = 50  # requests one after another: the first ones load what the rest need
BEFORE = 3.0  # seconds until the fault
QUIET = 2.0  # seconds without an answer of the second place, after which the first one is back
LONGEST = 60.0  # seconds it may take to come back
PATIENCE = 5.0  # seconds for what is still under way at the end


class Down(Exception):
    """What a dead backend comes to."""


class Dead:
    """A backend that fails at once, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        raise Down


def loop_time() -> float:
    return asyncio.get_running_loop().time()


def stormed(
    ask: Callable[[], Awaitable[Any]], dead: Dead, requests: int, rate: float
) -> Callable[[], Awaitable[float]]:
    """A job that makes so many requests, so many a second of virtual time, and gives the calls made for each."""

    async def one() -> None:
        try:
            await ask()
        except Exception:  # noqa: BLE001 - a breaker's error is as good as the backend's
            return
        raise AssertionError("a dead backend has answered")

    async def storm() -> float:
        under_way = []
        for _ in range(requests):
            under_way.append(asyncio.create_task(one()))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*under_way)
        return dead.calls / requests

    async def run() -> float:
        from fastcascade.testing import run_virtual

        return await asyncio.to_thread(run_virtual, storm())

    return run


@dataclass
class Seen:
    """One request: when it was made and answered, and by whom; nobody, if it was lost."""

    sent: float
    ended: float = 0.0
    by: str = ""
    why: str = ""  # it was lost


class Watched:
    """A steady load while the first of two places dies and comes back."""

    def __init__(self, ask: Ask, rate: float) -> None:
        self.ask = ask
        self.rate = rate
        self.seen: list[Seen] = []
        self.open: set[asyncio.Task[None]] = set()

    async def _one(self, seen: Seen) -> None:
        try:
            seen.by = await self.ask()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - however it was lost
            seen.why = f"{type(error).__name__}: {error}"
        seen.ended = time.monotonic()

    async def until(self, end: Callable[[float], bool]) -> None:
        """Go on with the load. What is late is made up for, so that a slow answer does not spare anyone a request."""
        start, made = time.monotonic(), 0
        while not end(now := time.monotonic()):
            while made <= (now - start) * self.rate:
                seen = Seen(start + made / self.rate)
                self.seen.append(seen)
                self.open.add(task := asyncio.create_task(self._one(seen)))
                task.add_done_callback(self.open.discard)
                made += 1
            await asyncio.sleep(1 / self.rate)

    async def lasting(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await self.until(lambda now: now >= end)

    async def beside(self, work: Callable[[], object]) -> float:
        """Have something done in a thread; when it was done. The load goes on."""
        task = asyncio.create_task(asyncio.to_thread(work))
        await self.until(lambda now: task.done())
        await task
        return time.monotonic()


async def died(ask: Ask, first: Any, how: str, lasting: float, rate: float) -> dict[str, Any]:
    """Kill the first place (or stop it), bring it back, and tell what came of the requests meanwhile."""
    for _ in range(WARM_UP):
        await ask()
    watched = Watched(ask, rate)
    await watched.lasting(BEFORE)
    assert watched.seen[len(watched.seen) // 2].by == "first", "it is the second that answers from the beginning"
    killed = time.monotonic()
    if how == "killed":
        await watched.beside(first.kill)
    else:
        os.kill(first.pid, signal.SIGSTOP)
    await watched.lasting(lasting)
    if how == "killed":
        back = await watched.beside(first.start)
    else:
        os.kill(first.pid, signal.SIGCONT)
        back = time.monotonic()
    await watched.until(
        lambda now: now > back + LONGEST or (now > back + QUIET and _last(watched.seen, "second") < now - QUIET)
    )
    if watched.open:
        await asyncio.wait(watched.open, timeout=PATIENCE)
    for task in set(watched.open):
        task.cancel()
    if watched.open:
        await asyncio.wait(watched.open)
    return _told(watched.seen, killed, back)


def _last(seen: list[Seen], by: str) -> float:
    return max((each.ended for each in seen if each.by == by), default=0.0)


def _told(seen: list[Seen], killed: float, back: float) -> dict[str, Any]:
    taken_over = [each.ended for each in seen if each.by == "second" and each.ended > killed]
    returned = [each.ended for each in seen if each.by == "first" and each.sent > back]
    took = sorted((each.ended - each.sent) * 1e3 for each in seen if killed <= each.sent < back and each.by)
    usual = sorted((each.ended - each.sent) * 1e3 for each in seen if each.ended < killed and each.by)
    return {
        "requests": len(seen),
        "lost": sum(not each.by for each in seen),
        "why": sorted({each.why for each in seen if not each.by})[:5],
        "failover_ms": (min(taken_over) - killed) * 1e3 if taken_over else None,
        "usual_ms": usual[len(usual) // 2],
        "p50_ms": took[len(took) // 2] if took else None,
        "slowest_ms": took[-1] if took else None,
        "return_s": min(returned) - back if returned else None,
        "all_back_s": max(0.0, max(taken_over) - back) if taken_over and returned else None,
    }
