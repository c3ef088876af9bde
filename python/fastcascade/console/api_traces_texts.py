"""What was asked and said, out of a trace: plain texts, cut where they are long. All of it is others' words."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.answers import Attempt
from fastcascade.effects import Outcome
from fastcascade.messages import Block, Reply, Request, Text, Thinking, ToolCall, ToolResult
from fastcascade.records import load

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import Whole

__all__ = ["LONGEST", "texts", "timed"]

LONGEST: Final = 20_000
"""Characters of one text that are shown."""
MESSAGES: Final = 200
"""Messages of a conversation that are shown, the last ones."""
PARAMETERS: Final = ("task", "route", "feature", "customer", "max_tokens", "temperature", "max_tier")


def texts(trace: Mapping[str, Any]) -> dict[str, Any]:
    """The request, the answer, and what each call said, by its label; a trace that cannot be read is an empty one."""
    try:
        request, reply = load(trace.get("request")), load(trace.get("reply"))
        outcomes = {str(label): load(held) for label, held in dict(trace.get("outcomes") or {}).items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {"messages": [], "parameters": {}, "answer": None, "said": {}, "unread": True}
    return {
        "messages": _messages(request) if isinstance(request, Request) else [],
        "parameters": _parameters(request) if isinstance(request, Request) else {},
        "answer": _reply(reply) if isinstance(reply, Reply) else None,
        "said": {
            label: _reply(held.value)
            for label, held in outcomes.items()
            if isinstance(held, Outcome) and isinstance(held.value, Reply)
        },
        "unread": False,
    }


def timed(whole: "Whole") -> list[dict[str, Any]]:
    """The attempts; where the trace was kept each says when it began, and its calls, in seconds from the first."""
    shown = [dict(each) for each in whole.attempts]
    try:
        read: Any = load(whole.trace["attempts"]) if whole.trace is not None else ()
    except (ValueError, TypeError, KeyError):
        return shown
    held = [each for each in read if isinstance(each, Attempt)]
    if len(held) != len(shown):
        return shown
    first = min([each.started for each in held], default=0.0)
    for made, attempt in zip(shown, held, strict=True):
        made["started"] = max(0.0, attempt.started - first)
        begun = {call.label: max(0.0, call.started - first) for call in attempt.calls}
        made["calls"] = [{**each, "started": begun.get(each["label"], made["started"])} for each in made["calls"]]
    return shown


def _messages(request: Request) -> list[dict[str, Any]]:
    said = [{"role": each.role, **_cut(_joined(each.content))} for each in request.messages[-MESSAGES:]]
    return [{"role": "system", **_cut(_joined(request.system))}, *said] if request.system else said


def _joined(blocks: Iterable[Block]) -> str:
    """Blocks as text; what is no text is named."""
    return "\n".join(_block(each) for each in blocks)


def _block(block: Block) -> str:
    match block:
        case Text(text=text):
            return text
        case Thinking(text=text):
            return f"[thinking] {text}"
        case ToolCall(name=name, arguments=arguments):
            return f"[calls {name}] {arguments}"
        case ToolResult(content=content):
            return f"[result of a tool] {_joined(content)}"
        case _:
            return f"[{type(block).__name__.lower()}]"


def _parameters(request: Request) -> dict[str, Any]:
    found = {name: getattr(request, name, None) for name in PARAMETERS}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float) and value != ""}


def _reply(reply: Reply) -> dict[str, Any]:
    called = [f"{each.name}({each.arguments})" for each in reply.tool_calls]
    return {**_cut(reply.text), "model": reply.model, "tools": [each[:LONGEST] for each in called]}


def _cut(text: str) -> dict[str, Any]:
    return {"text": text[:LONGEST], "cut": max(0, len(text) - LONGEST)}
