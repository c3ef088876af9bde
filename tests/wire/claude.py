"""How the tests of the Anthropic backend ask: whole or streamed, against a server on the loopback."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import pytest

from fastcascade.backends.anthropic import Anthropic
from fastcascade.errors import BackendError, Failure
from fastcascade.messages import Delta, Reply, Request
from wire.anthropic import MODEL
from wire.server import WireServer

__all__ = ["KEY", "Asked", "backend", "failed", "streamed", "whole"]

KEY: Final = "sk-ant-api03-made-up-0123456789"
"""A key that must not be seen in anything that is told."""

Asked: TypeAlias = Callable[[Anthropic, Request], Coroutine[Any, Any, tuple[list[Delta], Reply]]]


def backend(server: WireServer, **settings: Any) -> Anthropic:
    """A backend that asks the server. It needs no closing: each loop closes its client as it ends."""
    return Anthropic(MODEL, api_key=KEY, base_url=server.url, **settings)


async def whole(model: Anthropic, request: Request) -> tuple[list[Delta], Reply]:
    """Ask for the whole reply."""
    return [], await model.complete(request)


async def streamed(model: Anthropic, request: Request) -> tuple[list[Delta], Reply]:
    """Ask for a stream, and check that the reply is its last item and no other."""
    items = [item async for item in model.stream(request)]
    deltas, reply = [item for item in items[:-1] if isinstance(item, Delta)], items[-1]
    assert isinstance(reply, Reply)
    assert len(deltas) == len(items) - 1
    return deltas, reply


def failed(asked: Coroutine[Any, Any, object]) -> Failure:
    """The failure that asking comes to; the key is nowhere in it."""
    with pytest.raises(BackendError) as caught:
        asyncio.run(asked)
    assert KEY not in f"{caught.value!r} {caught.value.failure}"
    assert caught.value.__context__ is None  # it would hold the request, and with it the key
    return caught.value.failure
