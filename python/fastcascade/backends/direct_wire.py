"""What a wire is to `Direct`: how it asks, and how it reads. The words are those of `*_wire.py` and `*_reply.py`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.errors import FailureKind
from fastcascade.messages import Delta, Reply, Request

__all__ = ["Flow", "Said", "Wire"]


class Said(NamedTuple):
    """A request as it is sent: a body, headers of its own, and what of it has no place on this wire."""

    body: bytes
    headers: Mapping[str, str]
    not_sent: Sequence[str]


class Flow(Protocol):
    """A reply as it streams in."""

    done: bool

    def feed(self, data: bytes, /) -> Iterator[Delta]:
        """The pieces of the reply that are whole with these bytes."""
        ...

    def end(self) -> Iterator[Delta]:
        """What is left where no more bytes come."""
        ...

    def reply(self) -> Reply:
        """The whole; an error of kind cut where its end is missing."""
        ...


class Wire(Protocol):
    """One way to speak to a model. Its methods raise `BackendError`."""

    @property
    def path(self) -> str:
        """Where questions go, under the base URL."""
        ...

    @property
    def alive(self) -> str:
        """What can be asked for nothing, to see whether anybody is there."""
        ...

    @property
    def always(self) -> Mapping[str, str]:
        """Headers that are always sent."""
        ...

    def asks(self, request: Request, /, *, stream: bool) -> Said:
        """Write a request."""
        ...

    def request_id(self, exchange: Exchange, /) -> str:
        """What the provider calls this request."""
        ...

    def reply(self, body: bytes, request_id: str, not_sent: Sequence[str], /) -> Reply:
        """Read a whole reply."""
        ...

    def flow(self, exchange: Exchange, request_id: str, not_sent: Sequence[str], /) -> Flow:
        """Begin to read a stream."""
        ...

    def refused(self, exchange: Exchange, body: bytes, request_id: str, /) -> Reply:
        """What a status that is no success means: an error, or a model that will not answer this."""
        ...

    def broken(self, error: LinkError, /, *, stream: bool) -> FailureKind:
        """What it is called that there is no whole response."""
        ...
