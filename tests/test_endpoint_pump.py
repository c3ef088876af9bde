"""A stream that is sent by the very task that reads it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from fastcascade import Cascade, Tier
from fastcascade.testing import Cut, ScriptedBackend, Slow, Stall, run_virtual
from fastcascade.wire.endpoint import Done, Endpoint
from fastcascade.wire.endpoint_stream import Streamed

BODY = json.dumps(
    {"model": "m", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
).encode()


async def begun(backend: ScriptedBackend, told: Callable[[Done], object], heartbeat: float = 15.0) -> Streamed:
    """A stream of this backend's that has begun."""
    endpoint = Endpoint(Cascade(Tier(backend, stall=1000.0)), on_done=told, heartbeat=heartbeat)
    response = await endpoint.handle("POST", "/v1/messages", {}, BODY)
    assert response.status == 200 and isinstance(response.pieces, Streamed)
    return response.pieces


def test_what_is_pumped_is_what_can_be_iterated_over() -> None:
    """Both ways give the same bytes, but for the answer's id, and the same is told of them."""

    async def main() -> None:
        told: list[Done] = []
        pumped: list[bytes] = []

        async def send(data: bytes) -> None:
            pumped.append(data)

        await (await begun(ScriptedBackend("one two three"), told.append)).pump(send)
        iterated = [piece async for piece in await begun(ScriptedBackend("one two three"), told.append)]
        first, second = (b"".join(each).partition(b"content_block_start")[2] for each in (pumped, iterated))
        assert first == second and b"message_stop" in first
        assert [(done.status, done.failure) for done in told] == [(200, ""), (200, "")]

    run_virtual(main())


def test_silence_is_broken_by_signs_of_life() -> None:
    """While nothing comes for longer than the heartbeat there are pings, one for each."""

    async def main() -> None:
        sent: list[tuple[float, bytes]] = []

        async def send(data: bytes) -> None:
            sent.append((asyncio.get_running_loop().time(), data))

        pieces = await begun(ScriptedBackend(Stall("one two", 1)), lambda _: None, heartbeat=2.0)
        pumping = asyncio.create_task(pieces.pump(send))
        await asyncio.sleep(7.0)
        pumping.cancel()
        await asyncio.wait((pumping,))
        await pieces.aclose()
        pings = [round(when) for when, data in sent if b"ping" in data]
        assert pings == [2, 4, 6]

    run_virtual(main())


def test_a_client_that_has_gone_ends_the_call() -> None:
    """Where sending fails the model is asked no further, the error is raised, and it is told once."""

    async def main() -> None:
        told: list[Done] = []
        backend = ScriptedBackend(Stall("one two", 1))
        sent = 0

        def send(data: bytes) -> Awaitable[None]:
            nonlocal sent
            sent += len(data)
            return asyncio.sleep(0) if not sent else _gone()

        async def _gone() -> None:
            raise ConnectionResetError("gone")

        pieces = await begun(backend, told.append)
        try:
            await pieces.pump(send)
        except ConnectionResetError as error:
            assert str(error) == "gone"
        await pieces.aclose()
        assert [(done.status, done.failure) for done in told] == [(499, "cancelled")]
        assert backend.cancelled == 1

    run_virtual(main())


def test_what_breaks_off_is_told_at_the_end_of_what_is_pumped() -> None:
    """The last event is an error, and the failure is told."""

    async def main() -> None:
        told: list[Done] = []
        sent: list[bytes] = []

        async def send(data: bytes) -> None:
            sent.append(data)

        await (await begun(ScriptedBackend(Cut("one two three", 1)), told.append)).pump(send)
        assert b"event: error" in sent[-1]
        assert [(done.status, done.failure) for done in told] == [(200, "incomplete")]

    run_virtual(main())


def test_a_slow_client_holds_up_the_reading() -> None:
    """The next piece is read once the one before is out."""

    async def main() -> None:
        sent: list[float] = []

        async def send(_: bytes) -> None:
            await asyncio.sleep(3.0)
            sent.append(asyncio.get_running_loop().time())

        pieces = await begun(ScriptedBackend(Slow(0.0, "one two three")), lambda _: None)
        await pieces.pump(send)
        assert sent == sorted(sent) and len(sent) == round(sent[-1] / 3.0)

    run_virtual(main())
