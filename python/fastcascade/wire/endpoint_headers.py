"""What headers say of an answer."""

import math
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from fastcascade.answers import Answer
from fastcascade.fallbacks.static_wire import VISIBLE, as_headers
from fastcascade.wire.endpoint_fields import MARK
from fastcascade.wire.endpoint_paths import Words

__all__ = ["JSON", "STREAM", "about", "ids", "live", "wait"]

Headers = list[tuple[str, str]]

JSON: Final = ("content-type", "application/json")
STREAM: Final = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
LONGEST: Final = 1_000


def ids(words: Words, request_id: str) -> Headers:
    """The request's id, under the names that the SDKs look for."""
    if words == "anthropic":
        return [("request-id", request_id), ("x-request-id", request_id)]
    return [("x-request-id", request_id)]


def about(answer: Answer, not_carried: Sequence[str]) -> Headers:
    """How an answer came, and what it cost."""
    told: Headers = []
    if answer.degraded or answer.via or answer.ticket or answer.retry_after is not None:
        told.extend(as_headers(answer).items())
    if answer.tier:
        told.append((f"{MARK}tier", _safe(answer.tier)))
    if by := _instance(answer):
        told.append((f"{MARK}instance", _safe(by)))
    cost = answer.cost_usd
    if cost is not None:
        told.append((f"{MARK}cost-usd", f"{cost:.9f}".rstrip("0").rstrip(".")))
    left = [*not_carried, *_not_sent(answer)]
    if left:
        told.append((f"{MARK}not-carried", _safe(", ".join(dict.fromkeys(left)))))
    return told


def live(tier: str, by: str, not_carried: Sequence[str]) -> Headers:
    """What is known of a stream that has just begun."""
    told = [(f"{MARK}tier", _safe(tier))] if tier else []
    if by:
        told.append((f"{MARK}instance", _safe(by)))
    if not_carried:
        told.append((f"{MARK}not-carried", _safe(", ".join(dict.fromkeys(not_carried)))))
    return told


def wait(seconds: float | None) -> Headers:
    """When it may be worth asking again."""
    if seconds is None or not math.isfinite(seconds):
        return []
    return [("retry-after", str(max(0, math.ceil(seconds))))]


def _instance(answer: Answer) -> str:
    """The instance of a pool that gave the answer."""
    for attempt in reversed(answer.attempts):
        if attempt.tier == answer.tier:
            for call in reversed(attempt.calls):
                if call.by and call.failure is None and call.label.startswith(f"{attempt.tier}/answer"):
                    return call.by
    return ""


def _not_sent(answer: Answer) -> list[str]:
    """What the backend that answered could not send on."""
    extra = answer.reply.extra if answer.reply is not None else {}
    return [str(name) for said in extra.values() if isinstance(said, dict) for name in said.get("not_sent", ())]


def _safe(text: str) -> str:
    return (
        text[:LONGEST]
        if text.isascii() and text.isprintable() and "%" not in text
        else quote(text, safe=VISIBLE, errors="replace")[:LONGEST]
    )
