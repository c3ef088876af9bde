"""A review as people are shown it, in the console and in the terminal: plain data, with whatever text is in it.

What it holds was written by callers and by models: whoever shows it must take it for hostile. Pictures are told of, and
never fetched. Who asked is not in it.
"""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from fastcascade.blocks import Block, Image, Opaque, Text, Thinking, ToolCall, ToolResult
from fastcascade.messages import Reply
from fastcascade.reviews.labels import candidates
from fastcascade.stores.reviews import Review, Why

__all__ = ["REASONS", "blocks_of", "brief", "whole"]

REASONS: Final[Mapping[Why, str]] = {
    "failed": "no tier answered",
    "unsure": "no tier was sure enough",
    "sampled": "drawn to be checked; the caller has an answer already",
    "asked": "the caller wants a person",
}
LONGEST: Final = 200_000
"""Characters of one text; what is longer is cut, and said to be."""
EXCERPT: Final = 160


def brief(review: Review) -> dict[str, Any]:
    """A line of the queue."""
    return {
        "ticket": review.id,
        "state": review.state,
        "reviewer": review.reviewer,
        "until": review.leased_until,
        "created": review.created,
        "due": _finite(review.due),
        "why": review.why,
        "slice": review.slice,
        "claims": review.claims,
        "asked": _excerpt(review),
    }


def whole(review: Review) -> dict[str, Any]:
    """All that a reviewer needs: the request, every attempt and what became of it, the best so far."""
    request, trace = review.request, review.trace
    said = candidates(review)
    attempts = trace.get("attempts") or ()
    return {
        **brief(review),
        "reason": REASONS[review.why],
        "degraded": _text(trace.get("degraded")),
        "tier": _text(trace.get("tier")),
        "confidence": _finite(trace.get("confidence")),
        "system": [_cut(text.text) for text in request.system],
        "messages": [{"role": each.role, "blocks": blocks_of(each.content)} for each in request.messages],
        "tools": [
            {"name": tool.name, "description": _cut(tool.description), "schema": _json(tool.schema)}
            for tool in request.tools
        ],
        "schema": None if request.schema is None else _json(request.schema),
        "attempts": [_attempt(each, reply) for each, reply in zip(attempts, said, strict=True)],
        "best": _said(review.best),
        "answer": _said(review.answer),
        "note": review.note,
        "ended": review.ended,
    }


def blocks_of(content: tuple[Block, ...]) -> list[dict[str, str]]:
    """Each block as its kind, a name where it has one, and a text."""
    return [_block(each) for each in content]


def _block(block: Any) -> dict[str, str]:
    kind, name, text = type(block).__name__.lower(), "", ""
    match block:
        case Text():
            text = _cut(block.text)
        case Thinking():
            text = _cut(block.text) or "(not shown by the provider)"
        case Image():
            name = block.media_type
            text = _cut(block.url) if block.url else f"{len(block.data) * 3 // 4:,} bytes"
        case ToolCall():
            kind, name, text = "tool call", block.name, _cut(block.arguments)
        case ToolResult():
            kind = "tool error" if block.is_error else "tool result"
            text = "\n".join(each["text"] for each in map(_block, block.content))
        case Opaque():
            kind, text = f"block of {block.by}", _json(block.data)
        case _:
            pass
    return {"kind": kind, "name": name, "text": text}


def _attempt(attempt: Any, reply: Reply | None) -> dict[str, Any]:
    got: Mapping[str, Any] = attempt if isinstance(attempt, Mapping) else {}
    error = got.get("error")
    costs = [call.get("cost_usd") for call in got.get("calls") or () if isinstance(call, Mapping)]
    known = [cost for cost in map(_finite, costs) if cost is not None]
    return {
        "tier": _text(got.get("tier")),
        "model": _text(got.get("model")),
        "verdict": _text(got.get("verdict")),
        "reason": _text(got.get("reason")),
        "score": _finite(got.get("score")),
        "error": f"{error.get('kind')}: {error.get('message')}" if isinstance(error, Mapping) else "",
        "seconds": _finite(got.get("latency")),
        "cost": sum(known) if len(known) == len(costs) else None,
        "said": _said(reply),
    }


def _said(reply: Reply | None) -> dict[str, Any] | None:
    if reply is None:
        return None
    return {
        "text": _cut(reply.text),
        "blocks": blocks_of(reply.content),
        "model": reply.model,
        "plain": all(type(each) is Text for each in reply.content),
    }


def _excerpt(review: Review) -> str:
    """The end of what was asked: the last thing that somebody has said in words."""
    texts = [text for message in reversed(review.request.messages) if (text := _words(message.content))]
    text = " ".join(texts[0].split()) if texts else "(no text)"
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}..."


def _words(content: tuple[Block, ...]) -> str:
    return "".join(block.text[: 4 * EXCERPT] for block in content if type(block) is Text).strip()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n({len(text) - LONGEST:,} more characters)"


def _json(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _text(value: Any) -> str:
    return _cut(value) if isinstance(value, str) else ""


def _finite(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and isfinite(value) else None
