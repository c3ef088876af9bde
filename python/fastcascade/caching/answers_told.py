"""An answer as the cache keeps it: as JSON that may lie in Redis."""

import json
from typing import NamedTuple

from fastcascade.answers import Answer
from fastcascade.messages import Reply
from fastcascade.records import dump, load

__all__ = ["Told", "read", "written"]


class Told(NamedTuple):
    """A value as it was kept."""

    reply: Reply
    tier: str
    route: str
    score: float | None
    usd: float


def read(value: bytes) -> Told | None:
    """None where that is nothing that this version can read."""
    try:
        held = json.loads(value)
        reply = load(held["reply"])
        score, usd = held["score"], float(held["usd"])
        if isinstance(reply, Reply):
            return Told(reply, str(held["tier"]), str(held["route"]), None if score is None else float(score), usd)
    except (ValueError, KeyError, TypeError):
        pass
    return None


def written(answer: Answer) -> bytes:
    """An answer as it is kept."""
    held = {
        "reply": dump(answer.reply),
        "tier": answer.tier,
        "route": answer.request.route,
        "score": answer.confidence,
        "usd": answer.known_cost_usd,
    }
    return json.dumps(held, separators=(",", ":")).encode()
