"""OpenAI Responses towards clients: `RESPONSES`, of responses_in, responses_out and responses_stream."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from fastcascade.answers import Answer
from fastcascade.wire import openai_errors, responses_in
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.responses_out import whole
from fastcascade.wire.responses_stream import ResponsesEncoder

__all__ = ["RESPONSES", "Responses"]


class Responses:
    """Responses. See `Format`; what is read and said, and what becomes of the rest, is in responses_in and _out.

    Args:
        now: seconds since 1970, for `created_at`.
        number: what makes the id of an answer its own.
    """

    name: ClassVar[str] = "responses"

    def __init__(self, now: Callable[[], float] = time.time, number: Callable[[], str] = lambda: uuid4().hex) -> None:
        """Keep the clock and what numbers answers."""
        self._now = now
        self._number = number

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:  # noqa: ARG002 # as formats go
        """Read a body."""
        return responses_in.read(body)

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """A `response`."""
        return whole(asked, answer, self._number(), int(self._now()))

    def encoder(self, asked: Asked, /) -> ResponsesEncoder:
        """Its events."""
        return ResponsesEncoder(asked, self._number(), int(self._now()))

    def error(self, status: int, message: str, /, *, kind: str = "", where: str = "") -> Json:
        """The body of an error."""
        return openai_errors.error(status, message, kind=kind, where=where)


RESPONSES = Responses()
