"""What every wire format can do, and what a client has asked in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from fastcascade.answers import Answer
from fastcascade.messages import Delta, Request
from fastcascade.quick import quick

__all__ = ["Asked", "Encoder", "Format", "Json"]

Json: TypeAlias = dict[str, Any]


@quick
@dataclass(frozen=True, slots=True)
class Asked:
    """What a client has asked.

    Args:
        request: the same in the words of the cascade.
        model: the name that the client gave, which picks a cascade, a tier or a pass-through.
        stream: whether it is to come in pieces.
        usage: whether a stream is to end with the tokens that were used, where the format leaves that open.
        not_carried: what was read and has no place in a request, such as "metadata"; told in a header.
        body: the body as it came.
    """

    request: Request
    model: str
    body: Mapping[str, Any]
    stream: bool = False
    usage: bool = False
    not_carried: Sequence[str] = ()


class Encoder(Protocol):
    """One stream on its way out, in the events of a format. Each method gives the bytes that are due, maybe none.

    Order: `start` once, `delta` for each piece, then `end` or `broken`. `end` has the whole answer: what deltas could
    not say (signatures, blocks of the provider's own, usage, the reason it stopped) comes then. An answer that had no
    deltas at all (a rule's, one that was kept) is said whole by `end`.
    """

    def start(self) -> bytes:
        """What comes before the first piece."""
        ...

    def delta(self, delta: Delta, /) -> bytes:
        """A piece."""
        ...

    def end(self, answer: Answer, /) -> bytes:
        """What comes after the last piece."""
        ...

    def broken(self, message: str, /) -> bytes:
        """That it broke off: a client must not take it for whole."""
        ...

    def ping(self) -> bytes:
        """What keeps the connection from looking dead; a comment where the format has no word for it."""
        ...


class Format(Protocol):
    """A wire format. One object serves all requests; it holds no state."""

    name: ClassVar[str]
    """"anthropic", "chat" or "responses"."""

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:
        """Read a body; header names are in lower case. Raises `WireError`."""
        ...

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """The answer to one that does not stream."""
        ...

    def encoder(self, asked: Asked, /) -> Encoder:
        """One stream."""
        ...

    def error(self, status: int, message: str, /, *, kind: str = "", where: str = "") -> Json:
        """An error as the format's clients read it; `kind` overrides what the status is called."""
        ...
