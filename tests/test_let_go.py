"""What is over is let go at once: nothing of it waits for the collector, which looks seldom in a busy server."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fastcascade import Budget, Cascade, Request, Tier
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall
from fastcascade.wire.endpoint import Endpoint
from fastcascade.wire.endpoint_stream import Streamed

TIMES = 5


def endpoint(backend: ScriptedBackend) -> Endpoint:
    """One tier, which has little time."""
    return Endpoint(Cascade(Tier(backend), budget=Budget(deadline=0.05)))


async def asked(there: Endpoint, *, stream: bool) -> Any:
    """Ask it once."""
    said = {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return await there.handle("POST", "/v1/messages", {}, json.dumps(said).encode())


async def whole(there: Endpoint) -> None:
    """To the end of it."""
    await asked(there, stream=False)


async def read(there: Endpoint) -> None:
    """A stream, to its end."""
    answered = await asked(there, stream=True)
    if answered.pieces is not None:
        assert [piece async for piece in answered.pieces]


async def pumped(there: Endpoint) -> None:
    """A stream, sent on, and left by its client."""
    answered = await asked(there, stream=True)
    assert isinstance(answered.pieces, Streamed)

    async def send(_: bytes) -> None:
        await asyncio.sleep(0)

    pumping = asyncio.create_task(answered.pieces.pump(send))
    for _ in range(5):
        await asyncio.sleep(0)
    pumping.cancel()
    await asyncio.wait((pumping,))
    await answered.pieces.aclose()


async def given_up(there: Endpoint) -> None:
    """A call that is cancelled under way."""
    asking = asyncio.create_task(asked(there, stream=False))
    for _ in range(5):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))


@pytest.mark.parametrize(
    ("way", "script"),
    [
        (whole, "good"),
        (whole, Fault("bad_request", "no", 400)),
        (whole, Slow(1.0)),
        (given_up, Stall()),
        (read, "one two three"),
        (read, Cut("one two three", 1)),
        (read, Fault("bad_request", "no", 400)),
        (pumped, Stall("one two three", 1)),
    ],
)
def test_a_request_is_let_go_when_it_is_over(way: Callable[[Endpoint], Awaitable[None]], script: Any) -> None:
    """However it ends, no request is left that only the collector could find."""

    async def main() -> None:
        backend = ScriptedBackend(script)
        there = endpoint(backend)
        await way(there)
        await asyncio.sleep(0.01)
        backend.seen.clear()
        gc.collect()
        before = requests()
        gc.disable()
        try:
            for _ in range(TIMES):
                await way(there)
            await asyncio.sleep(0.01)
            backend.seen.clear()
            assert requests() <= before
        finally:
            gc.enable()

    asyncio.run(main())


def requests() -> int:
    """How many there are."""
    return sum(type(each) is Request for each in gc.get_objects())
