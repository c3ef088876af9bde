"""Failing over for real: processes killed and stopped under load, real sockets, the real SDKs, no virtual time."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from fastcascade import Answer, Cascade, Tier
from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.openai import OpenAI
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.errors import IncompleteAnswer
from fastcascade.fallbacks import Retry, RetryShare, Static
from fastcascade.messages import Budget, Delta, Request
from fastcascade.notices import Notice, subscribe
from fastcascade.testing import Error, FaultyProcess, FaultyServer, Garbage, Plan, Refused, Reset, StallStream, Timeout

pytest.importorskip("anthropic")
pytest.importorskip("openai")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system has no SIGKILL and no SIGSTOP")

LATE = 1.0
"""Seconds by which a machine with much else to do may be late."""
PATIENCE = 15.0
"""Seconds to wait for what is to come, before the test has failed."""
SDKS: dict[str, Callable[[str], Any]] = {
    "openai": lambda url: OpenAI("any", base_url=f"{url}/v1"),
    "anthropic": lambda url: Anthropic("any", base_url=url, api_key="made-up"),
}


async def until(reached: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        await asyncio.sleep(0.01)


def free_port() -> int:
    """A port below those that connections going out are given: one of them could else take it while nobody listens."""
    while True:
        port = random.randrange(11_000, 21_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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


@contextmanager
def noted() -> Iterator[list[Notice]]:
    """The notices that are given meanwhile."""
    notices: list[Notice] = []
    end = subscribe(notices.append)
    try:
        yield notices
    finally:
        end()
