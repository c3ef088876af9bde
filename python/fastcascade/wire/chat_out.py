"""An answer as a chat completion, whole or in chunks: pure translation, the inverse of `backends.openai_reply`.

    the reply                        what is said
    end, stop_sequence, other        finish_reason "stop"
    tool                             "tool_calls"
    length; pause, which is no end   "length"
    refusal                          "content_filter"; where the model said so in words of its own (its own reason to
                                     end was "stop"), a whole one has them as `refusal`, a stream as content
    thinking, of whichever provider  `reasoning_content`, the name that most servers and their clients know; what is
                                     encrypted, and what proves it to its provider, has no place here
    an `Opaque` of OpenAI's          a custom tool call, or audio; any other, and those of others, are left out
    logprobs                         only where they were asked for; bytes are those of the text, where it has them
    usage                            that of the reply; null where nobody said
    what a completion has besides    as it came, where it came from OpenAI's format (service_tier, annotations)

The chunks of a stream are made in chat_stream.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.messages import Block, Opaque, Reply, Stop, Text, Thinking, Token, ToolCall, Usage
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.openai_fields import BY

__all__ = [
    "NOTHING",
    "SAID",
    "TOP",
    "completion",
    "finish",
    "kind_of",
    "logprobs_of",
    "opaque",
    "own_of",
    "spoken",
    "unsaid",
    "usage_of",
    "weighed",
]

FINISH: Final[dict[Stop, str]] = {
    "tool": "tool_calls",
    "length": "length",
    "pause": "length",
    "refusal": "content_filter",
}
TOP: Final = ("service_tier", "system_fingerprint")
"""What is said of a completion, not of its message."""
SAID: Final = frozenset({"id", "role", "content", "tool_calls", "function_call", "refusal", *TOP})
NOTHING: Final = Reply(())
IMPOSSIBLE: Final = -9999.0


def completion(asked: Asked, answer: Answer, number: str, created: int) -> Json:
    """The whole of it."""
    reply = answer.reply or NOTHING
    own: Mapping[str, Any] = reply.extra.get(BY, {})
    refused = spoken(reply)
    message = _message(reply, refused=refused)
    for name, value in own.items():
        if name not in SAID:
            message.setdefault(name, value)
    tokens = reply.logprobs if asked.request.logprobs is not None else None
    told: Json = {
        "id": number,
        "object": "chat.completion",
        "created": created,
        "model": reply.model or asked.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None if tokens is None else logprobs_of(tokens, refused=refused),
                "finish_reason": "stop" if refused else finish(reply),
            }
        ],
        "usage": usage_of(reply.usage),
    }
    for name in TOP:
        if name in own:
            told[name] = own[name]
    return told


def finish(reply: Reply) -> str:
    """Why it ended, in OpenAI's words."""
    return FINISH.get(reply.stop, "stop")


def spoken(reply: Reply) -> bool:
    """Whether it is a refusal in the model's own words, said in a field of its own."""
    return reply.stop == "refusal" and reply.raw_stop == "stop"


def weighed(tokens: Sequence[Token]) -> list[Json]:
    """Tokens with what they weighed, as both formats of OpenAI's have them."""
    return [
        {
            "token": token.text,
            "bytes": _bytes(token.text),
            "logprob": _weight(token.logprob),
            "top_logprobs": [
                {"token": text, "bytes": _bytes(text), "logprob": _weight(weight)} for text, weight in token.top
            ],
        }
        for token in tokens
    ]


def _weight(logprob: float) -> float:
    """A logarithm that JSON can hold: what is impossible, or no number, is -9999 to OpenAI too."""
    return max(IMPOSSIBLE, logprob)


def _bytes(text: str) -> list[int] | None:
    """The bytes of a token; None where the text is no whole characters, and so does not tell."""
    if "\ufffd" in text:
        return None
    try:
        return list(text.encode())
    except UnicodeEncodeError:
        return None


def _message(reply: Reply, *, refused: bool) -> Json:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    for block in reply.content:
        match block:
            case Text(text):
                texts.append(text)
            case Thinking(text):
                thoughts.append(text)
            case ToolCall():
                calls.append(_call(block))
            case Opaque():
                opaque(block, message, calls)
            case _:
                pass
    said = "".join(texts)
    if refused:
        message["refusal"] = said
    elif said or not calls:
        message["content"] = said
    if thought := "".join(thoughts):
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


def logprobs_of(tokens: Sequence[Token], *, refused: bool = False) -> Json:
    """Tokens as a choice has them."""
    said = weighed(tokens)
    return {"content": None if refused else said, "refusal": said if refused else None}


def usage_of(usage: Usage | None) -> Json | None:
    """Tokens read and written."""
    if usage is None:
        return None
    read: Json = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        read["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": read,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _call(call: ToolCall) -> Json:
    said: Json = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    return {**said, **own_of(call)} if call.extra else said


def own_of(call: ToolCall) -> Json:
    """What is said of a call besides, which some endpoints want back."""
    told = call.extra.get(BY, {}) if call.extra else {}
    return {name: value for name, value in told.items() if name not in ("id", "type", "function", "index")}


def unsaid(answer: Answer) -> tuple[str, ...]:
    """What of an answer has no place here, by kind: what proves thinking, and what providers ran or drew themselves."""
    names: dict[str, None] = {}
    for block in answer.content:
        match block:
            case Text() | ToolCall():
                continue
            case Thinking(redacted=redacted) if redacted:
                names["redacted_thinking"] = None
            case Thinking(signature=signature):
                names |= {"thinking.signature": None} if signature else {}
            case Opaque(by, data) if by == BY and data.get("type") in ("custom", "audio"):
                continue
            case _:
                names[kind_of(block)] = None
    return tuple(names)


def kind_of(block: Block) -> str:
    """What a block is called where it cannot be said."""
    return str(block.data.get("type", "opaque")) if type(block) is Opaque else type(block).__name__.lower()


def opaque(block: Opaque, message: Json, calls: list[Json]) -> None:
    """Put what is OpenAI's own where a message has it."""
    kind = block.data.get("type") if block.by == BY else None
    if kind == "custom":
        calls.append(dict(block.data))
    elif kind == "audio":
        message["audio"] = block.data.get("audio")
