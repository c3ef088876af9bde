"""An answer in the words of Anthropic's Messages API. No I/O, and nothing of the SDK.

What has no word in it, and what becomes of it:

    thought of another provider's   thinking with an empty signature: our own backends leave it out when it comes back
    arguments that are no object    {"INVALID_JSON": the text}, as the API's documents have it; streamed, as they came
    blocks of another provider's    left out, and so are pictures and thought it has encrypted; `unsaid` names them
    a stop sequence of another's    the only one that was asked for, or the one that the text ends with; else null.
                                    OpenAI itself says "stop" of any end, which is end_turn here
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from fastcascade.answers import Answer
from fastcascade.backends.anthropic_reply import STOPS
from fastcascade.blocks import Block, Opaque, Text, Thinking, ToolCall, nothing
from fastcascade.messages import Reply, Stop
from fastcascade.wire.format import Json

__all__ = [
    "NAME",
    "arguments_of",
    "beside",
    "block_of",
    "error",
    "message",
    "met",
    "own_of",
    "reason_of",
    "signature_of",
    "unsaid",
    "usage_of",
]

NAME: Final = "anthropic"
REASONS: Final[dict[Stop, str]] = {
    "end": "end_turn",
    "length": "max_tokens",
    "other": "end_turn",
    "pause": "pause_turn",
    "refusal": "refusal",
    "stop_sequence": "stop_sequence",
    "tool": "tool_use",
}
ERRORS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
BESIDE: Final = ("container", "stop_details", "diagnostics")
"""What a message of Anthropic's may have beside its content, and goes on unchanged."""
UNUSED: Final = {"input_tokens": 0, "output_tokens": 0}


def message(model: str, answer: Answer, number: str) -> Json:
    """The whole message; `model` is the name that was asked for."""
    reply = answer.reply
    said: Json = {
        "id": number,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [each for block in answer.content if (each := block_of(block)) is not None],
        "stop_reason": reason_of(reply),
        "stop_sequence": met(answer),
        "usage": usage_of(reply),
    }
    said.update(beside(reply))
    return said


def unsaid(answer: Answer) -> tuple[str, ...]:
    """What of the answer the format has no words for, by kind: what is empty is not missed."""
    names: dict[str, None] = {}
    for block in answer.content:
        if block_of(block) is None and block not in (Text(""), Thinking("")):
            kind = block.data.get("type", "opaque") if type(block) is Opaque else type(block).__name__.lower()
            names[str(kind)] = None
        elif type(block) is Thinking and block.by != NAME and (block.signature or block.redacted):
            names["thinking.signature"] = None
    return tuple(names)


def met(answer: Answer) -> str | None:
    """The sequence it stopped at: as Anthropic says, or as the request and the text tell; None where nobody knows."""
    reply = answer.reply
    if reply is None:
        return None
    said = own_of(reply).get("stop_sequence")
    if type(said) is str or reply.stop != "stop_sequence":
        return said if type(said) is str else None
    stops = answer.request.stop
    if len(stops) == 1:
        return stops[0]
    text = reply.text
    return max((each for each in stops if each and text.endswith(each)), key=len, default=None)


def error(status: int, told: str, *, kind: str = "", where: str = "", request_id: str = "") -> Json:
    """The body of an error."""
    if where and not told.startswith(where):
        told = f"{where}: {told}"
    kind = kind or ERRORS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    said: Json = {"type": "error", "error": {"type": kind, "message": told}}
    if where == "thread":  # the SDK then sends the whole conversation by itself
        said["error"]["details"] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    if request_id:
        said["request_id"] = request_id
    return said


def block_of(block: Block) -> Json | None:  # noqa: PLR0911 # a table
    """A block of the message; None where the format has no words for it."""
    match block:
        case Text(text, extra):
            own = extra.get(NAME) if extra else None
            return {"type": "text", "text": text, **(own or {})} if text or own else None
        case ToolCall(id, name, arguments, extra):
            given = arguments_of(arguments)
            given = {"INVALID_JSON": arguments} if given is None else given
            return {"type": "tool_use", "id": id, "name": name, "input": given, **extra.get(NAME, nothing())}
        case Thinking():
            if block.redacted and block.by == NAME:
                return {"type": "redacted_thinking", "data": block.redacted}
            signature = signature_of(block)
            if not block.text and not signature:
                return None
            return {"type": "thinking", "thinking": block.text, "signature": signature}
        case Opaque(by, data) if by == NAME:
            return dict(data)
        case _:
            return None


def signature_of(block: Thinking) -> str:
    """What proves a thought to Anthropic."""
    # Another provider's proves nothing to Anthropic, to whom a client may send it.
    return block.signature if block.by == NAME else ""


def arguments_of(text: str) -> Json | None:
    """The arguments of a call as the object they must be; None where they are none."""
    try:
        # The words NaN and Infinity are read by Python alone.
        given = json.loads(text or "{}", parse_constant=_not_json)
    except (ValueError, RecursionError):
        return None
    return given if type(given) is dict else None


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def reason_of(reply: Reply | None) -> str:
    """Why it stopped, in the API's words."""
    if reply is None:
        return "end_turn"
    if reply.raw_stop in STOPS and NAME in reply.extra:
        return reply.raw_stop  # Anthropic's own word may say more than ours
    if reply.stop in ("end", "other") and reply.tool_calls:
        return "tool_use"  # what tells a client to run them
    return REASONS[reply.stop]


def usage_of(reply: Reply | None) -> Json:
    """The tokens of the reply, as the API counts them."""
    if reply is None or reply.usage is None:
        return dict(UNUSED)
    usage = reply.usage
    said: Json = {
        "input_tokens": max(0, usage.input - usage.cache_read - usage.cache_write),  # what the cache had no part in
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    own = own_of(reply).get("usage")
    return {**own, **said} if type(own) is dict else said


def beside(reply: Reply | None) -> Json:
    """What stands beside the content."""
    own = own_of(reply)
    return {name: own[name] for name in BESIDE if name in own} if own else {}


def own_of(reply: Reply | None) -> Mapping[str, Any]:
    """What the reply holds that is Anthropic's alone."""
    return nothing() if reply is None or not reply.extra else reply.extra.get(NAME, nothing())
