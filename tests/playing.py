"""The real OpenAI SDK over a transport that is one of our formats: what it sends is read, and an answer is written."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
from openai import OpenAI

from fastcascade.answers import Answer
from fastcascade.errors import WireError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.wire.format import Asked, Format

__all__ = ["Playing", "asked", "events", "stream_of"]


class Playing(httpx2.BaseTransport):
    """Reads what the SDK sends, and answers with a reply, whole or in pieces; `broken` breaks off after the pieces."""

    def __init__(self, way: Format, reply: Reply, deltas: Sequence[Delta] = (), broken: str = "") -> None:
        """Keep what is to be said."""
        self._way = way
        self._reply = reply
        self._deltas = deltas
        self._broken = broken
        self.asked: list[Asked] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        try:
            asked = self._way.read(json.loads(request.read()), {})
        except WireError as wrong:
            body = self._way.error(wrong.code, str(wrong), where=wrong.where)
            return httpx2.Response(wrong.code, request=request, json=body)
        self.asked.append(asked)
        if not asked.stream:
            said = self._way.whole(asked, Answer(self._reply, asked.request))
            return httpx2.Response(200, request=request, json=said)
        out = stream_of(self._way, asked, self._reply, self._deltas, self._broken)
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, request=request, content=out, headers=kind)

    def client(self) -> OpenAI:
        """An SDK that speaks with it, and does not repeat itself."""
        http = httpx2.Client(transport=self)
        return OpenAI(api_key="none", base_url="http://here.test/v1", http_client=http, max_retries=0)


def stream_of(way: Format, asked: Asked, reply: Reply, deltas: Sequence[Delta] = (), broken: str = "") -> bytes:
    """All bytes of a stream."""
    encoder = way.encoder(asked)
    out = [encoder.start(), encoder.ping(), *(encoder.delta(delta) for delta in deltas)]
    out.append(encoder.broken(broken) if broken else encoder.end(Answer(reply, asked.request)))
    return b"".join(out)


def asked(**fields: Any) -> Asked:
    """One who asks, without a body."""
    return Asked(Request.of("hi", **fields), "m", {}, stream=True)


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream that are JSON."""
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]
