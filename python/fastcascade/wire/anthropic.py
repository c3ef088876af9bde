"""Anthropic's Messages API towards clients: `MESSAGES`, over anthropic_in, anthropic_out and anthropic_stream."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from fastcascade.answers import Answer
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire import anthropic_in
from fastcascade.wire.anthropic_out import error, message, unsaid
from fastcascade.wire.anthropic_stream import MessagesEncoder
from fastcascade.wire.format import Asked, Json

__all__ = ["MESSAGES", "Messages"]

UNKNOWN_DATE: Final = "1970-01-01T00:00:00Z"
"""What the API itself says of a model whose release it does not know."""


def _number() -> str:
    return f"{random.getrandbits(96):024x}"


class Messages:
    """Messages, token counts and models. See `Format`; what becomes of what is read and said: anthropic_in and _out.

    Args:
        number: what makes the id of an answer its own.
    """

    name: ClassVar[str] = "anthropic"

    def __init__(self, number: Callable[[], str] = _number) -> None:
        """Keep what numbers answers."""
        self._number = number

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:
        """Read the body of POST /v1/messages."""
        return anthropic_in.read(body, headers)

    def read_count(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:
        """Read the body of POST /v1/messages/count_tokens, which has no max_tokens."""
        return anthropic_in.read(body, headers, counting=True)

    def count(self, asked: Asked, /) -> Json:
        """How many tokens it comes to: the cascade's own estimate, which counts text and tools, and no pictures."""
        return {"input_tokens": max(1, -(-asked.request.size // CHARACTERS_PER_TOKEN))}

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """A message."""
        return message(asked.model, answer, f"msg_{self._number()}")

    def encoder(self, asked: Asked, /) -> MessagesEncoder:
        """Its events."""
        return MessagesEncoder(asked.model, f"msg_{self._number()}")

    def unsaid(self, answer: Answer, /) -> Sequence[str]:
        """What of an answer it has no words for."""
        return unsaid(answer)

    def error(self, status: int, message: str, /, *, kind: str = "", where: str = "", request_id: str = "") -> Json:
        """The body of an error; the request's id is that in the header request-id."""
        return error(status, message, kind=kind, where=where, request_id=request_id)

    def model(self, name: str, /) -> Json:
        """What is told of one model. When it was released is not known here."""
        return {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": UNKNOWN_DATE,
            "lifecycle": "active",
        }

    def models_page(self, names: Iterable[str], /) -> Json:
        """The list of models: all of them on one page."""
        data = [self.model(name) for name in names]
        ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


MESSAGES: Final = Messages()
