"""An answer as a response of OpenAI's Responses: pure translation.

    the reply                        what is said
    texts in a row                   one message, a part for each
    a refusal in words of its own    a whole one has them as a refusal; a stream as text, and is then incomplete
    thinking, of whichever provider  a reasoning item, its text as summary; `encrypted_content` holds what proves it to
                                     its provider, so that it can be sent back; see `sealed`
    a tool call                      a function_call item
    length; pause, which is no end   status "incomplete", max_output_tokens
    refusal                          status "incomplete", content_filter
    an `Opaque`                      left out: what providers run themselves has no word here
    logprobs                         only where they were asked for; all of them with the first text
    usage                            that of the reply; null where nobody said

What was asked is said again, as the API does: tools, instructions, metadata and so on. `store` is false: nothing is.
"""

from collections.abc import Sequence
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.messages import Reply, Text, Thinking, ToolCall, Usage
from fastcascade.wire.chat_out import kind_of, spoken, weighed
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.responses_turns import SEAL

__all__ = [
    "NOTHING",
    "call_item",
    "incomplete",
    "message_item",
    "reasoning_item",
    "response",
    "text_part",
    "tokens_of",
    "unsaid",
    "usage_of",
    "whole",
    "with_bytes",
]

NOTHING: Final = Reply(())
AGAIN: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What is said again of what was asked, and what it is where nothing was."""
REASONS: Final = {"length": "max_output_tokens", "pause": "max_output_tokens", "refusal": "content_filter"}


def whole(asked: Asked, answer: Answer, number: str, created: int) -> Json:
    """The whole response."""
    reply = answer.reply or NOTHING
    refused = spoken(reply)
    items: list[Json] = []
    texts: list[Json] | None = None  # the parts of the message that is under way
    tokens = tokens_of(asked, reply)
    for block in reply.content:
        at = f"{number}_{len(items)}"
        match block:
            case Text(text):
                part = {"type": "refusal", "refusal": text} if refused else text_part(text, tokens)
                tokens = []
                if texts is None:
                    texts = []
                    items.append(message_item(at, texts))
                texts.append(part)
                continue
            case Thinking():
                items.append(reasoning_item(at, block.text, block))
            case ToolCall():
                items.append(call_item(at, block.id, block.name, block.arguments or "{}"))
            case _:
                continue
        texts = None
    why = None if refused else incomplete(reply)
    if why and items and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    said = response(asked, number, created, reply.model or asked.model)
    said["status"] = "incomplete" if why else "completed"
    said["incomplete_details"] = {"reason": why} if why else None
    said["output"] = items
    said["usage"] = usage_of(reply.usage)
    return said


def response(asked: Asked, number: str, created: int, model: str) -> Json:
    """A response that has just begun."""
    body = asked.body
    said: Json = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
    }
    for name, default in AGAIN.items():
        given = body.get(name)
        said[name] = default if given is None else given
    return said


def unsaid(answer: Answer) -> tuple[str, ...]:
    """What of an answer has no place here: what providers ran or drew themselves, by kind."""
    kinds = (kind_of(block) for block in answer.content if type(block) not in (Text, Thinking, ToolCall))
    return tuple(dict.fromkeys(kinds))


def incomplete(reply: Reply) -> str | None:
    """Why a reply is not whole; None where it is."""
    return REASONS.get(reply.stop)


def tokens_of(asked: Asked, reply: Reply) -> list[Json]:
    """The tokens of its texts, where they were asked for."""
    if asked.request.logprobs is None or not reply.logprobs:
        return []
    return with_bytes(weighed([token for token in reply.logprobs if not token.tool]))


def with_bytes(tokens: list[Json]) -> list[Json]:
    """Tokens as this format has them: bytes that nobody knows are none."""
    for token in tokens:
        for each in (token, *token["top_logprobs"]):
            each["bytes"] = each["bytes"] or []
    return tokens


def text_part(text: str, tokens: Sequence[Json]) -> Json:
    """A part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(tokens)}


def message_item(at: str, parts: list[Json], status: str = "completed") -> Json:
    """What is said."""
    return {"id": f"msg_{at}", "type": "message", "status": status, "role": "assistant", "content": parts}


def call_item(at: str, call: str, name: str, arguments: str, status: str = "completed") -> Json:
    """A tool to be run."""
    said = {"id": f"fc_{at}", "type": "function_call", "status": status}
    return {**said, "call_id": call, "name": name, "arguments": arguments}


def reasoning_item(at: str, text: str, block: Thinking | None = None, late: int | None = None) -> Json:
    """What was thought, with what proves it."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    proof = sealed(block, late) if block is not None else None
    return {"id": f"rs_{at}", "type": "reasoning", "summary": summary, "encrypted_content": proof}


def sealed(block: Thinking, late: int | None = None) -> str | None:
    """What proves thinking to its provider, with the provider's name: `fastcascade:by:at:kind:proof`.

    `at` is where among the blocks of the turn it belongs, if a stream could not put it there.
    """
    if not block.signature and not block.redacted:
        return None
    kind = "sealed" if block.redacted else "signed"
    return f"{SEAL}{block.by}:{'' if late is None else late}:{kind}:{block.redacted or block.signature}"


def usage_of(usage: Usage | None) -> Json | None:
    """Tokens."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
