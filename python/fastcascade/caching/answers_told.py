"""An answer as the cache keeps it: as JSON that may lie in Redis, where anybody may have written anything."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, Final, NamedTuple, get_args

from fastcascade.answers import Answer
from fastcascade.blocks import Image, Opaque, Text, Thinking, ToolCall, ToolResult
from fastcascade.messages import Reply, Stop, Token, Usage
from fastcascade.records import dump, load

__all__ = ["Told", "read", "written"]

BLOCKS: Final = frozenset({Image, Opaque, Text, Thinking, ToolCall, ToolResult})
STOPS: Final = frozenset(get_args(Stop))


class Told(NamedTuple):
    """A value as it was kept."""

    reply: Reply
    tier: str
    by: str
    """Who answered there: a tier that asks another model now has not said this."""
    route: str
    score: float | None
    usd: float


def read(value: bytes) -> Told | None:
    """None where that is nothing that this version has written."""
    try:
        held = json.loads(value)
        told = Told(load(held["reply"]), *(held[name] for name in ("tier", "by", "route", "score", "usd")))
        return told if _sound(told) else None
    except Exception:  # noqa: BLE001 - it may hold any value of ours, put together in any way
        return None


def written(answer: Answer, by: str) -> bytes:
    """An answer as it is kept; `ConfigError` for one that holds what has no written form."""
    held = {
        "reply": dump(answer.reply),
        "tier": answer.tier,
        "by": by,
        "route": answer.request.route,
        "score": answer.confidence,
        "usd": answer.known_cost_usd,
    }
    return json.dumps(held, separators=(",", ":")).encode()


def _sound(told: Any) -> bool:
    """Whether each part is of its kind: a reply that is not would fail where it is written for a client."""
    if type(told.reply) is not Reply:
        return False
    reply: Any = told.reply
    return (
        all(type(each) is str for each in (told.tier, told.by, told.route, reply.model, reply.id, reply.raw_stop))
        and all(each is None or _number(each) for each in (told.score, reply.cost_usd))
        and _number(told.usd)
        and reply.stop in STOPS
        and isinstance(reply.extra, Mapping)
        and _all(_block, reply.content)
        and (reply.usage is None or _usage(reply.usage))
        and (reply.logprobs is None or _all(_token, reply.logprobs))
    )


def _all(sound: Callable[[Any], bool], given: Any) -> bool:
    return type(given) is tuple and all(map(sound, given))


def _number(given: Any) -> bool:
    return type(given) in (int, float) and isfinite(given)


def _block(given: Any) -> bool:
    if type(given) not in BLOCKS:
        return False
    return all(_part(each.name, getattr(given, each.name)) for each in fields(given))


def _part(name: str, given: Any) -> bool:
    """One field of a block; those of one name are of one kind."""
    if name in ("extra", "data") and isinstance(given, Mapping):
        return True
    if name == "content":
        return type(given) is tuple and all(type(each) in (Text, Image, Opaque) and _block(each) for each in given)
    return type(given) is (bool if name == "is_error" else str)


def _usage(given: Any) -> bool:
    return type(given) is Usage and all(type(getattr(given, each.name)) is int for each in fields(given))


def _token(given: Any) -> bool:
    if type(given) is not Token:
        return False
    held: Any = given
    if type(held.text) is not str or type(held.tool) is not bool:
        return False
    alike = type(held.top) is tuple and all(
        type(each) is tuple and len(each) == 2 and type(each[0]) is str and _number(each[1]) for each in held.top
    )
    return alike and type(held.logprob) in (int, float)
