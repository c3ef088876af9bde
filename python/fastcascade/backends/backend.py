"""What a backend is: whoever answers. One async method; the rest has defaults."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from fastcascade.messages import Delta, Reply, Request, Usage

__all__ = ["Backend", "Instant", "Priced", "Streaming"]


class Backend(Protocol):
    """Whoever answers: a model behind an API, a rule set, a function, a recording."""

    @property
    def name(self) -> str:
        """What it is called in traces: a model's name, or its own."""
        ...

    @property
    def gives(self) -> frozenset[str]:
        """What it can give beyond content: {"logprobs"}."""
        ...

    async def complete(self, request: Request, /) -> Reply | None:
        """Answer. None where it has no answer. Raises `BackendError`; never retries by itself."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A backend whose replies can be had piece by piece."""

    def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply] | AsyncIterator[Delta | Reply | None]:
        """The pieces, then the whole reply as the last item, made of exactly these pieces.

        Raises `BackendError`, of kind cut where the wire ended without the provider's own end.
        """
        ...


@runtime_checkable
class Instant(Protocol):
    """A backend that needs no I/O, so that no event loop is needed to ask it."""

    def answer(self, request: Request, /) -> Reply | None:
        """Answer at once."""
        ...


@runtime_checkable
class Priced(Protocol):
    """A backend that knows what its replies cost."""

    def cost(self, model: str, usage: Usage, /) -> float | None:
        """US dollars; None where the price is not known."""
        ...
