"""Failing over for real: processes killed and stopped under load, real sockets, the real SDKs, no virtual time."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from fastcascade import Answer, Cascade, Tier
from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.openai import OpenAI
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.errors import IncompleteAnswer
from fastcascade.fallbacks import Retry, RetryShare, Static
from fastcascade.messages import Budget, Delta
from fastcascade.testing import (
    CutStream,
    Error,
    FaultyProcess,
    FaultyServer,
    Garbage,
    Plan,
    Refused,
    Reset,
    SlowBytes,
    StallStream,
    Timeout,
    Trouble,
)
from real import free_port, noted, until

pytest.importorskip("anthropic")
pytest.importorskip("openai")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGKILL and no SIGSTOP")

LATE = 0.5
"""Seconds by which a machine with much else to do may be late, beside what its event loop is seen to be."""
TOO_LATE = 0.4
"""Seconds of standing still after which nothing can be said of times: a check of a server has half a second."""
SDKS: dict[str, Callable[[str], Any]] = {
    "openai": lambda url: OpenAI("any", base_url=f"{url}/v1"),
    "anthropic": lambda url: Anthropic("any", base_url=url, api_key="made-up"),
}


@dataclass(slots=True)
class Lag:
    """By how many seconds the event loop was late, at worst."""

    worst: float = 0.0

    async def watch(self) -> None:
        """Look, without end."""
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.worst = max(self.worst, time.monotonic() - due)


@asynccontextmanager
async def in_time() -> AsyncIterator[Lag]:
    """What must be in time; not done here is not to be told where the event loop itself stood still."""
    lag = Lag()
    watching = asyncio.ensure_future(lag.watch())
    try:
        yield lag
    except (AssertionError, ExceptionGroup) as error:
        if lag.worst > TOO_LATE:
            why = f"the event loop stood still for {lag.worst:.1f} s: too busy a machine to tell ({str(error)[:100]})"
            pytest.skip(why)
        raise
    finally:
        watching.cancel()


@dataclass(slots=True)
class Told:
    """What came of one request. `seen` is how much of its stream had come when it ended."""

    began: float
    ended: float
    answer: Answer | None
    seen: int = 0
    error: str = ""

    @property
    def cut(self) -> bool:
        """Whether it is a stream that broke after its beginning was seen, which nobody can take back."""
        return self.error == "IncompleteAnswer" and self.seen > 0

    @property
    def whole(self) -> bool:
        """Whether a tier has answered it, with nothing amiss."""
        return self.answer is not None and not self.error and not self.answer.degraded and not self.answer.via

    @property
    def by(self) -> str:
        """Who answered: each server says its own name."""
        return self.answer.text if self.answer is not None and self.whole else ""


async def told(cascade: Cascade, prompt: str, *, stream: bool) -> Told:
    """Ask, and write down what comes."""
    one = Told(time.monotonic(), 0.0, None)
    try:
        if stream:
            async for item in (answering := cascade.stream(prompt)):
                assert isinstance(item, Delta)
                one.seen += 1
            one.answer = answering.answer
        else:
            one.answer = await cascade.run(prompt)
    except Exception as error:  # noqa: BLE001 - whatever it is, it counts
        one.error = type(error).__name__
        one.answer = error.answer if isinstance(error, IncompleteAnswer) else None
    one.ended = time.monotonic()
    return one


@asynccontextmanager
async def traffic(cascades: list[Cascade], callers: int) -> AsyncIterator[list[Told]]:
    """So many callers of each cascade, who ask one thing after another, each other one for a stream; what they got."""
    heard: list[Told] = []
    ended = False

    async def caller(cascade: Cascade, number: int) -> None:
        asked = number
        while not ended:
            heard.append(await told(cascade, f"question {asked}", stream=asked % 2 == 0))
            asked += 1

    async with asyncio.TaskGroup() as group:
        for cascade in cascades:
            for number in range(callers):
                group.create_task(caller(cascade, number))
        try:
            yield heard
        finally:
            ended = True


# --- the primary is lost under load ----------------------------------------------------------------------------------

WITHIN = 2.0
"""Seconds in which a dead primary is known, as told to the pool's health checks."""
BACK = 1.5
"""Seconds in which its return is: two good probes, half a second apart, and the half second that the last may take."""
PRIMARY, SECONDARY = "the primary has answered this", "the secondary has answered this"
CALLERS = 15
SLOW = ("latency:0.6,spread=0.2", "slow:0.02")


@contextmanager
def two_servers() -> Iterator[tuple[FaultyProcess, FaultyProcess]]:
    """A primary and a secondary, each a process of its own; a call takes them about 0.7 seconds."""
    with ExitStack() as stack:
        primary, secondary = (
            stack.enter_context(FaultyProcess(answer, faults=SLOW, port=free_port())) for answer in (PRIMARY, SECONDARY)
        )
        yield primary, secondary


def pool_of(sdk: str, *servers: FaultyProcess | FaultyServer, name: str = "", **settings: Any) -> Pool:
    """The servers through one SDK, the first before the second."""
    name = name or sdk
    made = [Instance(SDKS[sdk](each.url), name=f"{name} {level}", priority=level) for level, each in enumerate(servers)]
    return Pool(*made, name=name, **settings)


def test_the_primary_is_lost_under_load() -> None:
    """Where a primary dies or hangs under load, the secondary answers in time, and the primary comes back by itself."""

    async def main() -> None:
        async with in_time() as lag, asyncio.TaskGroup() as group:
            for how, (primary, secondary) in servers.items():
                group.create_task(lost_and_back(how, primary, secondary, lag))

    with ExitStack() as stack:
        servers = {how: stack.enter_context(two_servers()) for how in ("killed", "stopped")}
        asyncio.run(main())


async def lost_and_back(how: str, primary: FaultyProcess, secondary: FaultyProcess, lag: Lag) -> None:
    """Take the primary away in the middle of the traffic, and give it back."""
    assert primary.pid is not None
    health = Health(within=WITHIN, probe=answers)
    pools = [pool_of(sdk, primary, secondary, name=f"{how} {sdk}", health=health, retry=Retry()) for sdk in SDKS]
    cascades = [Cascade(Tier(pool)) for pool in pools]
    with noted() as notices:
        async with traffic(cascades, CALLERS) as heard:
            await until(lambda: len(heard) > CALLERS, "answers from the primary")
            assert {one.by for one in heard} == {PRIMARY}
            os.kill(primary.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
            lost = time.monotonic()
            await until(lambda: not any(pool.look()[0].alive for pool in pools), "the checks to find it dead")
            known = time.monotonic()
            await until(lambda: count(heard, SECONDARY, known) > CALLERS, "answers from the secondary")
            for pool in pools:
                first, second = pool.look()
                assert (first.usable, first.alive, first.outstanding, first.priority) == (False, False, 0, 0)
                assert (second.usable, second.alive, second.circuit, second.priority) == (True, True, "closed", 1)
            await returning(how, primary)
            back = time.monotonic()
            await until(lambda: all(pool.look()[0].circuit == "closed" for pool in pools), "the breakers to close")
            await until(lambda: all(pool.look()[0].usable for pool in pools), "the primary to be found alive")
            well = time.monotonic()
            await until(lambda: count(heard, PRIMARY, well) > CALLERS, "answers from the primary again")
        judged(heard, lost, back, well, LATE + 3 * lag.worst)
        kinds = {(notice.kind, notice.about) for notice in notices}
        assert kinds >= {(kind, pool.name) for kind in ("failed over", "returned") for pool in pools}
        assert kinds >= {("died", pool.instances[0].name) for pool in pools}
    for cascade in cascades:
        await cascade.aclose()


async def answers(backend: Any) -> bool:
    """Whether its server answers at all, at once: a check that is not as slow as what is checked."""
    port = urlsplit(str(backend.base_url)).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /faulty/counts HTTP/1.1\r\n\r\n")
        return b"200" in await reader.readline()
    finally:
        writer.close()


async def returning(how: str, primary: FaultyProcess) -> None:
    """The primary is there again, on the same port."""
    if how == "killed":
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(primary.start)
    elif primary.pid is not None:
        os.kill(primary.pid, signal.SIGCONT)


def count(heard: list[Told], by: str, since: float) -> int:
    """How many who asked since then were answered by this one."""
    return sum(one.by == by and one.began >= since for one in heard)


def judged(heard: list[Told], lost: float, back: float, well: float, late: float) -> None:
    """Everyone got an answer, in time, and from whom they should."""
    struck = [one for one in heard if one.began < lost <= one.ended]
    cut = [one for one in heard if one.cut]
    assert [one for one in heard if not one.whole and not one.cut] == []
    assert all(one in struck and one.ended - lost < WITHIN + late for one in cut)
    moved = [one for one in struck if one.by == SECONDARY]
    assert len(moved) > CALLERS / 2
    assert min(one.ended for one in moved) - lost < WITHIN + late
    assert all(one.by == SECONDARY for one in heard if lost <= one.began and one.ended < back)
    first = min(one.ended for one in heard if one.by == PRIMARY and one.began > back)
    assert first - back < BACK + late
    assert all(one.by == PRIMARY for one in heard if one.began >= well)


# --- a provider says when to come again ------------------------------------------------------------------------------

STORM = 20
WAITS = [Error("rate_limited", retry_after=1.0), Error("rate_limited", retry_after=0.5, told="date")]
WAITS += [Error("rate_limited", retry_after=0.7, told="ms")]


def test_a_storm_of_429() -> None:
    """Nobody calls before the time that a provider has named, in whichever of three ways; then all are answered."""

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for sdk in SDKS:
                for wait in WAITS:
                    group.create_task(stormed(sdk, wait))

    asyncio.run(main())


async def stormed(sdk: str, refusal: Error) -> None:
    """Have a server refuse a crowd, and count by its clock who comes when."""
    wait = refusal.retry_after
    assert wait is not None
    with FaultyServer("at last", plan=Plan(refusal)) as server:
        pool = pool_of(sdk, server, retry=Retry(budget=RetryShare(reserve=100.0)))
        cascade = Cascade(Tier(pool))
        crowd = [asyncio.ensure_future(told(cascade, "now?", stream=number % 2 == 0)) for number in range(STORM)]
        # The first are refused; of the others some may have been sent by then.
        await until(lambda: pool.look()[0].wait > 0.0 and pool.look()[0].outstanding == 0, "the provider's time")
        refused = len(server.times)
        server.plan.clear()
        crowd += [asyncio.ensure_future(told(cascade, "and now?", stream=number % 2 == 0)) for number in range(STORM)]
        heard = await asyncio.gather(*crowd)
        assert [one for one in heard if one.by != "at last"] == []
        assert 1 <= refused == server.struck["Error"] <= STORM
        assert len(server.times) == refused + len(heard)
        assert server.times[refused] - server.times[refused - 1] >= wait
        assert pool.look()[0].wait == 0.0
        await cascade.aclose()


# --- whatever the primary does, the deadline holds -------------------------------------------------------------------

DEADLINE = 1.0
QUANTUM = 0.5
"""Seconds beyond the deadline in which a request has ended."""
WORDS = "an answer of so many words that they take a while when they come slowly"
TROUBLES: dict[str, Trouble] = {
    "hangs": Timeout(),
    "stalls": StallStream(2),
    "trickles": SlowBytes(0.3),
    "refuses": Refused(),
    "resets": Reset(),
    "resets midway": Reset(after=2),
    "ends midway": CutStream(2),
    "garbage": Garbage(),
    "a page": Garbage("text/html"),
    "fails": Error("server"),
    "waits too long": Error("overloaded", retry_after=30.0),
}


def test_every_request_ends_in_time() -> None:
    """Within its deadline and half a second a request has an answer, be it one made beforehand, whatever goes wrong."""

    async def ask(name: str, trouble: Trouble) -> None:
        with FaultyServer(WORDS) as server:
            for one, stream in await troubled(trouble, server, lambda sdk: pool_of(sdk, server)):
                assert one.ended - one.began < DEADLINE + QUANTUM, (name, one)
                assert one.answer is not None and one.answer.degraded, (name, one)
                broken = stream and one.answer.incomplete and one.cut
                assert broken or (one.answer.via, one.answer.text) == ("static", "later"), (name, one)

    asyncio.run(together(ask))


def test_another_answers_in_time() -> None:
    """Where tries have a limit of their own and somebody else can be asked, they answer, whatever goes wrong."""

    async def ask(name: str, trouble: Trouble) -> None:
        with FaultyServer(WORDS) as server, FaultyServer(SECONDARY) as other:
            for one, stream in await troubled(trouble, server, lambda sdk: pool_of(sdk, server, other, timeout=0.4)):
                assert one.ended - one.began < DEADLINE + QUANTUM, (name, one)
                assert one.by == SECONDARY or (stream and one.cut), (name, one)

    asyncio.run(together(ask))


async def together(ask: Callable[[str, Trouble], Coroutine[Any, Any, None]]) -> None:
    """All troubles at once."""
    async with in_time(), asyncio.TaskGroup() as group:
        for name, trouble in TROUBLES.items():
            group.create_task(ask(name, trouble))


async def troubled(trouble: Trouble, server: FaultyServer, pool: Callable[[str], Pool]) -> list[tuple[Told, bool]]:
    """Have a server get into this, and ask its pool through both SDKs, for whole answers and for streams."""
    pools = [pool(sdk) for sdk in SDKS]
    cascades = [Cascade(Tier(each), fallbacks=[Static("later")], budget=Budget(DEADLINE)) for each in pools]
    for each in pools:  # an SDK takes its time to begin, which is not the server's
        for instance in each.instances:
            await instance.backend.probe()  # type: ignore[attr-defined] # both have one
    server.plan.set(trouble)
    asked = [(cascade, stream) for cascade in cascades for stream in (False, True, True)]
    heard = await asyncio.gather(*(told(cascade, "?", stream=stream) for cascade, stream in asked))
    for cascade in cascades:
        await cascade.aclose()
    return [(one, stream) for one, (_, stream) in zip(heard, asked, strict=True)]
