"""OpenAI Responses towards clients: `RESPONSES`, of responses_in, responses_out and responses_stream."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fastcascade.answers import Answer
from fastcascade.wire import responses_in, responses_out
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.openai_format import Numbering
from fastcascade.wire.responses_stream import ResponsesEncoder

__all__ = ["RESPONSES", "Responses"]


class Responses(Numbering):
    """Responses. See `Format`; what is read and said, and what becomes of the rest, is in responses_in and _out."""

    name: ClassVar[str] = "responses"
    counted: ClassVar[Mapping[str, str]] = {"object": "response.input_tokens"}
    """What stands beside a count of tokens."""

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], /) -> Asked:  # noqa: ARG002 # as formats go
        """Read a body."""
        return responses_in.read(body)

    def whole(self, asked: Asked, answer: Answer, /) -> Json:
        """A `response`."""
        return responses_out.whole(asked, answer, self._number(), int(self._now()))

    def encoder(self, asked: Asked, /) -> ResponsesEncoder:
        """Its events."""
        return ResponsesEncoder(asked, self._number(), int(self._now()))

    def unsaid(self, answer: Answer, /) -> Sequence[str]:
        """What of an answer it has no words for."""
        return responses_out.unsaid(answer)


RESPONSES = Responses()
