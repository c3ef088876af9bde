"""OpenAI Chat Completions towards clients: `CHAT`, of chat_in, chat_out and chat_stream."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fastcascade.answers import Answer
from fastcascade.wire import chat_in, chat_out
from fastcascade.wire.chat_stream import ChatEncoder
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.openai_format import Numbering

__all__ = ["CHAT", "Chat"]


class Chat(Numbering):
    """Chat completions. See `Format`; what is read and said, and what becomes of the rest, is in chat_in and _out."""

    name: ClassVar[str] = "chat"

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:  # noqa: ARG002 # as formats go
        """Read a body."""
        return chat_in.read(body)

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """A `chat.completion`."""
        return chat_out.completion(asked, answer, f"chatcmpl-{self._number()}", int(self._now()))

    def encoder(self, asked: Asked, /) -> ChatEncoder:
        """Its chunks."""
        return ChatEncoder(asked, f"chatcmpl-{self._number()}", int(self._now()))

    def unsaid(self, answer: Answer, /) -> Sequence[str]:
        """What of an answer it has no words for."""
        return chat_out.unsaid(answer)


CHAT = Chat()
