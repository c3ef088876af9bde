"""OpenAI Chat Completions towards clients: `CHAT`, of chat_in, chat_out and chat_stream."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from fastcascade.answers import Answer
from fastcascade.wire import chat_in, openai_errors
from fastcascade.wire.chat_out import completion
from fastcascade.wire.chat_stream import ChatEncoder
from fastcascade.wire.format import Asked, Json

__all__ = ["CHAT", "Chat"]


class Chat:
    """Chat completions. See `Format`; what is read and said, and what becomes of the rest, is in chat_in and chat_out.

    Args:
        now: seconds since 1970, for `created`.
        number: what makes the id of an answer its own.
    """

    name: ClassVar[str] = "chat"

    def __init__(self, now: Callable[[], float] = time.time, number: Callable[[], str] = lambda: uuid4().hex) -> None:
        """Keep the clock and what numbers answers."""
        self._now = now
        self._number = number

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:  # noqa: ARG002 # as formats go
        """Read a body."""
        return chat_in.read(body)

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """A `chat.completion`."""
        return completion(asked, answer, f"chatcmpl-{self._number()}", int(self._now()))

    def encoder(self, asked: Asked, /) -> ChatEncoder:
        """Its chunks."""
        return ChatEncoder(asked, f"chatcmpl-{self._number()}", int(self._now()))

    def error(self, status: int, message: str, /, *, kind: str = "", where: str = "") -> Json:
        """The body of an error."""
        return openai_errors.error(status, message, kind=kind, where=where)


CHAT = Chat()
