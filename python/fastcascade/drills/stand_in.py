"""Stands in for a backend in a drill, so that nobody is called and nothing is paid."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from fastcascade.backends.backend import Backend
from fastcascade.messages import Delta, Reply, Request, Usage
from fastcascade.testing.scripted import words_of

__all__ = ["StandIn"]

SAID: Final = "a reply of a stand-in"
PASSED_ON: Final = ("cost", "price", "free", "listed", "provider", "effects")


class StandIn:
    """Replies after `latency` seconds. It costs, on paper, what the backend would.

    It has a `probe` if the backend would be probed, and streams if the backend does.
    """

    def __init__(self, backend: Backend, latency: float, *, probed: bool) -> None:
        """Take the backend's place."""
        self.name = backend.name
        self.gives = backend.gives
        self.latency = latency
        for name in PASSED_ON:
            if hasattr(backend, name):
                setattr(self, name, getattr(backend, name))
        if probed:
            self.probe = self._probe
        if hasattr(backend, "stream"):
            self.stream = self._stream

    async def complete(self, request: Request, /) -> Reply:
        """Reply, after a while."""
        await asyncio.sleep(self.latency)
        return Reply(SAID, model=self.name, usage=Usage(input=request.size // 4, output=len(SAID) // 4))

    async def _stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        reply = await self.complete(request)
        for delta in words_of(reply):
            yield delta
        yield reply

    async def _probe(self, *_given: Any) -> None:
        await asyncio.sleep(self.latency)

    def __repr__(self) -> str:
        """Show for whom."""
        return f"StandIn({self.name!r})"
