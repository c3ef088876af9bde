"""What tests of cache levels share: gateways over a real server, and patience."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastcascade.caching.levels import Lead, Levels
from fastcascade.shared.shared import Shared
from redis_server import RedisServer, redis_server

__all__ = ["KEY", "gateways", "lead_of", "run", "until"]

KEY = b"0123456789abcdef"


@asynccontextmanager
async def gateways(url: str, count: int = 2, **settings: Any) -> AsyncIterator[list[Levels]]:
    """So many gateways, each with a connection of its own."""
    shared = [Shared(url) for _ in range(count)]
    for each in shared:
        await each.start()
    levels = [Levels("test", each, **settings) for each in shared]
    try:
        for one in levels:
            await one.start()
        yield levels
    finally:
        for one, each in zip(levels, shared, strict=True):
            await one.aclose()
            await each.aclose()


async def until(happened: Callable[[], Any]) -> None:
    """Wait for what other tasks are about to do."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - it happens in tasks that tell nobody
            await asyncio.sleep(0.001)


def run(work: Callable[[RedisServer], Coroutine[Any, Any, None]], *settings: str) -> None:
    """Do something beside a server of its own."""
    with redis_server(*settings) as server:
        asyncio.run(work(server))


async def lead_of(levels: Levels, key: bytes = KEY) -> Lead:
    """The Lead that it is to have."""
    found = await levels.ask(key)
    assert isinstance(found, Lead)
    return found
