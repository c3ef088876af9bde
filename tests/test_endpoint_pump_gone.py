"""A client that goes away while a model's own connection is poured on to it."""

import asyncio
import json

import pytest

from fastcascade import Cascade, Tier
from fastcascade.wire.endpoint import Done, Endpoint
from fastcascade.wire.endpoint_stream import Streamed
from wire import anthropic as claude

pytest.importorskip("msgspec")
from test_backend_direct_relay import chunked, drip

BODY = json.dumps(
    {"model": "m", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
).encode()
EVENTS = claude.frames(claude.message([claude.text("word " * 20)]), lambda said: said.split(" "))
SLOW = [False, True]


@pytest.mark.parametrize("slow", SLOW, ids=["at once", "after a wait"])
def test_a_client_that_has_gone_is_no_fault_of_the_tiers(slow: bool) -> None:
    """Where sending fails the model is hung up on, it is told as cancelled, and no attempt failed."""

    async def main() -> None:
        told: list[Done] = []
        times = 0

        async def send(_: bytes) -> None:
            nonlocal times
            times += 1
            if times > 5:
                if slow:
                    await asyncio.sleep(0)
                raise ConnectionResetError("gone")

        async with drip([chunked(each) for each in EVENTS]) as (direct, gone):
            endpoint = Endpoint(Cascade(Tier(direct, name="one")), on_done=told.append)
            response = await endpoint.handle("POST", "/v1/messages", {}, BODY)
            assert isinstance(response.pieces, Streamed)
            with pytest.raises(ConnectionResetError):
                await response.pieces.pump(send)
            await response.pieces.aclose()
            await asyncio.wait_for(gone.wait(), 10)
        [done] = told
        assert (done.status, done.failure) == (499, "cancelled")
        assert done.answer is not None
        assert [(each.verdict, each.error) for each in done.answer.attempts] == [("cancelled", None)]

    asyncio.run(main())
