"""How the Redis store writes a review down: papers as JSON, times as Lua reads them, and as texts that sort."""

import json
import struct
from dataclasses import replace
from math import inf, isfinite, isnan
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.records import write_line
from fastcascade.stores.reviews import Review

__all__ = ["bounded", "check", "line", "paper_of", "rank", "ranked", "same", "standing", "time"]

SIGN: Final = 1 << 63
ALL: Final = (1 << 64) - 1
MOST: Final = 2**31
NEW: Final[dict[str, Any]] = {
    "state": "waiting",
    "reviewer": "",
    "lease": "",
    "leased_until": None,
    "claims": 0,
    "answer": None,
    "ended": None,
    "note": "",
    "called": False,
    "calls": 0,
}
"""What of a review changes, and how it begins."""


def check(review: Review) -> None:
    """Refuse what would be stuck for good."""
    if not isfinite(review.created) or (review.due is not None and isnan(review.due)):
        raise ConfigError("a review's created and due are seconds since 1970")
    if review.state == "claimed" and review.leased_until is None:
        raise ConfigError("a review that is added as claimed needs leased_until")
    over = review.state in ("answered", "expired")
    if (over and review.ended is None) or (review.state == "answered" and review.answer is None):
        msg = f"a review that is added as {review.state} needs to have ended, and an answer where there is one"
        raise ConfigError(msg)


def paper_of(review: Review) -> Review:
    """What of it never changes."""
    fresh = {name: default for name, default in NEW.items() if getattr(review, name) != default}
    return replace(review, **fresh) if fresh else review


def standing(review: Review) -> str:
    """Where it stands, for Lua. The name is written as JSON twice: Lua's own JSON takes no half of a surrogate pair."""
    at = {
        "state": review.state,
        "due": rank(review.due),
        "created": rank(review.created),
        "callback": bool(review.callback),
        "called": review.called,
        "claims": review.claims,
        "calls": review.calls,
        "reviewer": json.dumps(review.reviewer),
        "lease": review.lease,
    }
    times = {"till": review.leased_until, "ended": review.ended}
    at |= {name: time(when) for name, when in times.items() if when is not None}
    return json.dumps(at, ensure_ascii=False)


def same(kept: list[Any], words: list[Any]) -> bool:
    """Whether an answer says what the one that is kept says; a note may have been added to."""
    return bool(kept == words or kept[0]["content"] == words[0]["content"])


def line(value: Any) -> str:
    """A value as JSON."""
    return write_line(value)[:-1]


def time(seconds: float) -> str:
    """As Lua reads a number, with nothing lost."""
    return repr(float(seconds))


def bounded(limit: int) -> int:
    """A number of reviews as Redis takes it: what is below zero would be all."""
    return max(0, min(limit, MOST))


def rank(seconds: float | None) -> str:
    """A time as 16 digits that sort as the times do; None is never."""
    when = inf if seconds is None else seconds + 0.0  # zero has two forms, and then one
    bits: int = struct.unpack(">Q", struct.pack(">d", when))[0]
    return f"{bits ^ (ALL if bits & SIGN else SIGN):016x}"


def ranked(text: str) -> float:
    """The time that `rank` has written."""
    bits = int(text, 16)
    seconds: float = struct.unpack(">d", struct.pack(">Q", bits ^ (SIGN if bits & SIGN else ALL)))[0]
    return seconds
