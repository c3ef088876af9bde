"""The page of traces: find decisions, look at one from its attempts to its answer, try it under other thresholds.

GET  /console/api/traces?text=&id=&cascade=&tier=&layer=&slice=&status=&degraded=&escalated=&cost=&slower=&before=
GET  /console/api/traces/NUMBER                   one, by its number or by the request's id
POST /console/api/traces/replay                   {"number": 7, "accept": {"small": 0.7}}
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastcascade.console.api_traces_replay import by_scores, replayed
from fastcascade.console.api_traces_search import Sieve, looked_for, number, word
from fastcascade.console.api_traces_texts import texts, timed
from fastcascade.console.asked import Asked, Call, Refusal, Said, Sight
from fastcascade.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.telemetry.decisions import Decisions, Row, Whole

__all__ = ["CALLS", "again", "one", "search"]

T = TypeVar("T")
WORDS: Final = {
    "name": "text",
    "cascade": "cascade",
    "tier": "tier",
    "layer": "layer",
    "slice": "slice",
    "status": "status",
}
"""What the page calls it, and what the store does."""
NUMBERS: Final = ("since", "until")
YES_NO: Final = ("escalated", "degraded")
LONGEST: Final = 200
MOST: Final = 100
USUAL: Final = 50


async def search(asked: Asked) -> Said:
    """A page of decisions, the newest first; `next` is the number to go on from."""
    sight, query = asked.sight, asked.query
    said: dict[str, Any] = {
        "texts": sight.settings.decisions is not None and sight.settings.decisions.texts,
        "cascades": {name: [tier.name for tier in each.rungs] for name, each in sight.cascades.items()},
        "now": sight.now(),
    }
    if sight.decisions is None:
        return Said(value={**said, "kept": False, "rows": [], "next": None})
    limit = int(number(query, "limit", 1, MOST) or USUAL)
    wanted, sieve = _wanted(query), Sieve.of(query)
    found = await read(sight.decisions, lambda store: looked_for(store, wanted, sieve, limit, sight.clock))
    rows = [row_of(each) for each in found.rows]
    said |= {"kept": True, "rows": rows, "next": found.following, "looked_at": found.looked_at}
    return Said(value=said)


async def one(asked: Asked) -> Said:
    """One decision, whole."""
    whole = await _found(asked.sight, asked.rest)
    cascade = _cascade(asked.sight, whole.row)
    # A trace may hold a body of 32 MB: it is read where no request waits for it.
    return Said(value=await asyncio.to_thread(_shown, whole, cascade))


def _shown(whole: "Whole", cascade: "Cascade | None") -> dict[str, Any]:
    return {
        "row": row_of(whole.row),
        "attempts": timed(whole),
        "grades": [asdict(each) for each in whole.grades],
        "tiers": _tiers(cascade),
        "texts": None if whole.trace is None else texts(whole.trace),
        "by": "" if cascade is None else "replay" if whole.trace is not None else "scores",
    }


async def again(asked: Asked) -> Said:
    """What would have answered under other thresholds."""
    body = asked.body if isinstance(asked.body, dict) else {}
    accept = _accept(body.get("accept"))
    whole = await _found(asked.sight, str(body.get("number", "")))
    cascade = _cascade(asked.sight, whole.row)
    if cascade is None:
        raise Refusal(409, f"the cascade {whole.row.cascade!r} is not served here any more: nothing to replay it with")
    try:
        if whole.trace is None:
            return Said(value=await asyncio.to_thread(by_scores, cascade, whole, accept))
        return Said(value=await asyncio.to_thread(replayed, cascade, whole, accept))
    except ConfigError as error:
        raise Refusal(400, str(error)) from None


def row_of(row: "Row") -> dict[str, Any]:
    """A row as JSON has it."""
    return {**asdict(row), "tiers": list(row.tiers)}


async def read(decisions: "Decisions", job: "Callable[[Decisions], T]") -> T:
    """Read the store in a thread; one that is away is told as that."""
    try:
        return await asyncio.to_thread(job, decisions)
    except StoreError as error:
        raise Refusal(503, str(error)) from None


async def _found(sight: Sight, name: str) -> "Whole":
    if sight.decisions is None:
        raise Refusal(404, "no decisions are kept: say [gateway.decisions] in the cascade's file")
    wanted: str | int = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else name
    if not name or len(name) > LONGEST:
        raise Refusal(400, "a decision is named by its number, or by the id of its request")
    whole = await read(sight.decisions, lambda store: store.one(wanted))
    if whole is None:
        raise Refusal(404, "there is no such decision; it may have made room for newer ones")
    return whole


def _wanted(query: Mapping[str, str]) -> dict[str, Any]:
    """The search, checked; what was not said is left out."""
    wanted: dict[str, Any] = {}
    for name, called in WORDS.items():
        if value := word(query, name):
            wanted[called] = value
    for name in NUMBERS:
        if (at := number(query, name, 0.0, 1e12)) is not None:
            wanted[name] = at
    for name in YES_NO:
        if value := query.get(name, ""):
            if value not in ("yes", "no"):
                raise Refusal(400, f"{name} is yes or no")
            wanted[name] = value == "yes"
    if (before := number(query, "before", 0, 2**62)) is not None:
        wanted["before"] = int(before)
    return wanted


def _accept(given: Any) -> dict[str, float]:
    """The thresholds asked for."""
    if not isinstance(given, dict) or len(given) > MOST:
        raise Refusal(400, 'accept is an object of thresholds by tier, such as {"small": 0.7}')
    for tier, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise Refusal(400, f"the threshold of {tier!r} is a number from 0 to 1")
    return {str(tier): float(value) for tier, value in given.items()}


def _cascade(sight: Sight, row: "Row") -> "Cascade | None":
    """The cascade that decided, if it is still there; of one that had no name the only one."""
    if row.cascade in sight.cascades:
        return sight.cascades[row.cascade]
    return next(iter(sight.cascades.values())) if not row.cascade and len(sight.cascades) == 1 else None


def _tiers(cascade: "Cascade | None") -> list[dict[str, Any]]:
    """The tiers as they are now, those behind the ladder last; only gated ones have a threshold that says anything."""
    if cascade is None:
        return []
    last = len(cascade.tiers) - 1
    return [
        {"name": tier.name, "accept": tier.accept, "gated": tier.gate is not None and at < last, "ladder": at <= last}
        for at, tier in enumerate(cascade.rungs)
    ]


CALLS: Final = {
    ("GET", "/console/api/traces"): Call(search),
    ("GET", "/console/api/traces/*"): Call(one),
    ("POST", "/console/api/traces/replay"): Call(again),
}
