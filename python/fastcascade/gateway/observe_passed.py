"""What a provider answered to a request that was passed on as it is, read on the side for whoever observes.

The bytes go to the client as they come, and are read once they are out: the answer stands in for that of the last tier,
at what it is known to cost there.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self, TypeAlias

from fastcascade.answers import Answer, Attempt, Spent
from fastcascade.backends import anthropic_reply, openai_reply
from fastcascade.backends.direct_json import decoded
from fastcascade.backends.direct_sse import Events, TooLong
from fastcascade.backends.openai_wire import Dialect
from fastcascade.blocks import Block, Opaque, Text, Thinking, ToolCall
from fastcascade.cascade import Cascade
from fastcascade.errors import BackendError, ConfigError
from fastcascade.gateway.choosing import Named
from fastcascade.gateway.passthrough_usage import responses_usage
from fastcascade.gateway.settings import Mode
from fastcascade.messages import Reply, Request, Stop, Usage
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire.endpoint import Response
from fastcascade.wire.endpoint_models import Choice
from fastcascade.wire.endpoint_paths import Words
from fastcascade.wire.format import Asked

__all__ = ["Forwarded", "Overheard", "answer_of", "comparable", "forwarded", "overhear", "replaced", "reply_of"]

CostOf: TypeAlias = Callable[[str, Usage], float | None]

MOST: Final = 16 * 1024 * 1024
"""Bytes of an answer that are kept until its end; one that is longer is not looked at."""
OURS: Final = Dialect()
SHORT: Final[dict[str, Stop]] = {"max_output_tokens": "length", "content_filter": "refusal"}
ENDED: Final = frozenset({"response.completed", "response.incomplete"})


@dataclass(frozen=True, slots=True)
class Forwarded(Asked):
    """What was asked, on its way to the last tier: what the cascade would have been asked, which, and as what."""

    whole: Request | None = None
    choice: Choice | None = None
    tier: str = ""


class Overheard:
    """The pieces of a stream, which are heard on their way.

    Args:
        pieces: as they come.
        told: has all of them, once, when the stream is over, and whether it came to its end.
    """

    __slots__ = ("_heard", "_pieces", "_size", "_told")

    def __init__(self, pieces: AsyncIterator[bytes], told: Callable[[bytes, bool], object]) -> None:
        """Hear nothing yet."""
        self._pieces, self._told = pieces, told
        self._heard: list[bytes] | None = []
        self._size = 0

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """What comes next, as it is."""
        try:
            data = await anext(self._pieces)
        except BaseException as error:
            self._over(whole=isinstance(error, StopAsyncIteration))
            raise
        if self._heard is not None:
            self._size += len(data)
            self._heard.append(data) if self._size <= MOST else self._heard.clear()
        return data

    async def aclose(self) -> None:
        """The client has gone, or has all."""
        close: Any = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()
        self._over(whole=False)

    def _over(self, *, whole: bool) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            self._told(b"".join(heard) if self._size <= MOST else b"", whole)


def reply_of(words: Words, body: bytes, *, stream: bool) -> Reply | None:
    """The reply in an answer; None where it is no whole answer, or cannot be read."""
    try:
        return STREAMED[words](body) if stream else WHOLE[words](decoded(body))
    except (BackendError, TooLong, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def overhear(response: Response, words: Words, told: Callable[[Reply | None, bool], object]) -> None:
    """Read an answer once it is out; `told` has its reply, if it can be read, and whether it came to its end."""
    stream = response.pieces is not None

    def heard(body: bytes, whole: bool) -> None:  # noqa: FBT001 - as it is called
        told(reply_of(words, body, stream=stream), whole)

    if response.pieces is not None:
        response.pieces = Overheard(response.pieces, heard)
    else:
        heard(response.body or b"", True)  # noqa: FBT003 - as above


def answer_of(reply: Reply, asked: Forwarded, cost_of: CostOf, seconds: float) -> Answer:
    """That reply as the answer of the tier whose place it takes. What nobody counted is estimated from its length."""
    tier, model, estimated = asked.tier, reply.model or asked.model, reply.usage is None
    usage = reply.usage or Usage(asked.request.size // CHARACTERS_PER_TOKEN, len(reply.text) // CHARACTERS_PER_TOKEN)
    reply = replace(reply, usage=usage, cost_usd=cost_of(model, usage))
    spent = Spent(f"{tier}/answer", model, usage, reply.cost_usd, estimated, 0.0, seconds)
    attempt = Attempt(tier, "accept", model=model, latency=seconds, calls=(spent,))
    return Answer(reply, asked.request, tier, latency=seconds, attempts=(attempt,))


def replaced(request: Request, cascade: Cascade) -> str:
    """The tier that answers where it is observed; empty where none is cheaper, or it is to be refused."""
    tier = request.max_tier or cascade.tiers[-1].name
    bound = request.min_tier and request.min_tier not in cascade.places
    return "" if bound or cascade.places.get(tier, 0) == 0 else tier


def forwarded(asked: Asked, sent: Request, choice: Choice, tier: str) -> Forwarded:
    """What was asked, on its way as `sent`."""
    return Forwarded(
        sent, asked.model, asked.body, asked.stream, asked.usage, asked.not_carried, asked.request, choice, tier
    )


def comparable(names: Named, modes: Mapping[str, Mode]) -> None:
    """Refuse to observe what there is no cascade for to be compared with."""
    for name, mode in modes.items():
        other = names.others.get(name)
        passed = other is not None and not other.cascade and not other.instead
        if mode == "observe" and passed:
            raise ConfigError(
                f"gateway.observe.models: {name!r} is passed through, and there is no cascade to compare it with; "
                "name one in its table: instead = 'NAME'"
            )


def _message_stream(body: bytes) -> Reply | None:
    whole = anthropic_reply.Assembly()
    for _, said in Events().feed(body):
        whole.feed(decoded(said))
    return whole.reply() if whole.done else None


def _chunks(body: bytes) -> Reply:
    pieces, events = openai_reply.Pieces(OURS, ""), Events()
    for name, said in events.feed(body):
        pieces.event(said, error=name == b"error")
    pieces.event(events.end())
    return pieces.reply()


def _response_events(body: bytes) -> Reply | None:
    for _, said in reversed(Events().feed(body)):
        found = decoded(said)
        if found.get("type") in ENDED:  # it has the whole
            return _response(found["response"])
    return None


def _response(said: Any) -> Reply | None:
    """A response as a reply: what was said, thought and called; the rest as it came."""
    if said.get("status", "completed") not in ("completed", "incomplete"):
        return None
    content: list[Block] = []
    refused = False
    for item in said["output"]:
        match item["type"]:
            case "message":
                refused = refused or any(part["type"] == "refusal" for part in item["content"])
                content += [Text(part.get("text") or part.get("refusal") or "") for part in item["content"]]
            case "function_call":
                content.append(ToolCall(item["call_id"], item["name"], item["arguments"]))
            case "reasoning":
                parts = item.get("content") or item.get("summary") or ()
                content.append(Thinking("\n\n".join(part["text"] for part in parts), by="openai"))
            case _:
                content.append(Opaque("openai", item))
    why = (said.get("incomplete_details") or {}).get("reason", "")
    called: Stop = "tool" if any(type(block) is ToolCall for block in content) else "end"
    stop: Stop = "refusal" if refused else SHORT.get(why, "other") if why else called
    usage = responses_usage(said["usage"]) if said.get("usage") else None
    return Reply(tuple(content), said.get("model") or "", stop, usage, id=said.get("id") or "")


WHOLE: Final[dict[Words, Callable[[Any], Reply | None]]] = {
    "anthropic": anthropic_reply.read,
    "chat": lambda said: openai_reply.read(said, OURS, ""),
    "responses": _response,
}
STREAMED: Final[dict[Words, Callable[[bytes], Reply | None]]] = {
    "anthropic": _message_stream,
    "chat": _chunks,
    "responses": _response_events,
}
