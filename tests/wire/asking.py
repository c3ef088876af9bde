"""How the tests of the OpenAI backend ask: whole or streamed, against a server on the loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastcascade.backends.openai import OpenAI
from fastcascade.errors import BackendError, Failure
from fastcascade.messages import Delta, Reply, Request, ToolCall
from wire.server import WireServer

__all__ = ["KEY", "Answers", "ask", "asking", "failed", "streamed", "whole"]

KEY = "made-up-key-of-no-known-form"
Answers = Callable[[Any, Request], Coroutine[Any, Any, tuple[list[Delta], Reply]]]


@asynccontextmanager
async def asking(server: WireServer, **settings: Any) -> AsyncIterator[OpenAI]:
    """A backend that asks the server, closed at the end."""
    model = OpenAI("small", **{"api_key": KEY, "base_url": f"{server.url}/v1", **settings})
    try:
        yield model
    finally:
        await model.aclose()


async def whole(model: Any, request: Request) -> tuple[list[Delta], Reply]:
    """Ask for the whole reply."""
    return [], await model.complete(request)


async def streamed(model: Any, request: Request) -> tuple[list[Delta], Reply]:
    """Ask for a stream, and check that its reply is its last item and made of exactly the pieces."""
    items = [item async for item in model.stream(request)]
    reply = items.pop()
    deltas = [item for item in items if isinstance(item, Delta)]
    assert isinstance(reply, Reply) and len(deltas) == len(items)
    for index, block in enumerate(reply.content):
        said = "".join(delta.text for delta in deltas if delta.index == index)
        assert said == (block.arguments if isinstance(block, ToolCall) else getattr(block, "text", ""))
    return deltas, reply


def ask(
    server: WireServer, request: Request | str = "hi", how: Answers = whole, **settings: Any
) -> tuple[list[Delta], Reply]:
    """Ask once, and close."""

    async def go() -> tuple[list[Delta], Reply]:
        async with asking(server, **settings) as model:
            return await how(model, Request.of(request))

    return asyncio.run(go())


def failed(server: WireServer, how: Answers, request: Request | str = "hi", **settings: Any) -> Failure:
    """The failure that asking comes to."""
    with pytest.raises(BackendError) as caught:
        ask(server, request, how, **settings)
    assert KEY not in f"{caught.value!r} {caught.value.failure}"
    assert caught.value.__context__ is None  # which would hold the request, and with it the key
    return caught.value.failure
