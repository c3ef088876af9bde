"""What is kept of a decision: names, numbers, and texts only where these are switched on.

What a gate gives as its reason may quote an answer or what a judge said of it, and a failure's message what a provider
said: without texts neither is kept, only verdicts, scores and kinds. Callback addresses may hold a key: never kept.
"""

import json
import zlib
from dataclasses import replace
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastcascade.messages import MOST_TOKENS
from fastcascade.telemetry.baseline import baseline_usd
from fastcascade.telemetry.decisions_schema import pace

if TYPE_CHECKING:
    from fastcascade.answers import Answer, Attempt, Spent
    from fastcascade.telemetry.events import Decision, Graded

__all__ = ["Kept", "grade_of", "kept", "mark_of", "nanos"]

NAME: Final = 200
"""Characters of a name that a client may have made up."""
REASON: Final = 1_000
HARMLESS: Final = frozenset({"", "cancelled", "bad request"})
"""Failures that are not ours."""
FULLEST: Final = 2**62
QUICK: Final = 1
"""How hard texts are compressed: twice as hard saves 5 % and takes twice as long."""


class Kept(NamedTuple):
    """The rows of a decision."""

    columns: tuple[Any, ...]
    tries: tuple[tuple[Any, ...], ...]
    attempts: str
    trace: bytes | None


def kept(event: "Decision", answer: "Answer", *, texts: bool) -> Kept:
    """Take from it what is kept. Raises `ValueError` where it does not say when it was."""
    _known(event.at)
    request, attempts = answer.request, answer.attempts
    ladder, usage = event.ladder, answer.usage
    baseline = None if ladder is None else baseline_usd(answer, ladder)
    failed = event.status >= 500 or event.failure not in HARMLESS
    mark = mark_of(request.id, request.customer)
    columns = (
        event.at, _seconds(event.seconds), pace(_seconds(event.seconds)), _name(event.id or request.id), mark,
        event.layer, _name(event.by), _count(event.status), _name(event.path), _name(event.caller),
        _name(event.cascade),
        _name(request.route or request.task), _name(request.task), _name(request.route), _name(request.feature),
        _name(answer.tier), answer.via, answer.confidence, _name(answer.degraded), _name(event.failure),
        nanos(answer.cost_usd), nanos(baseline), _count(usage.input), _count(usage.output),
        sum(len(each.calls) for each in attempts),
        any(each.verdict in ("escalate", "abstain") for each in attempts), failed,
        json.dumps([each.tier for each in attempts], ensure_ascii=False) if attempts else "",
    )  # fmt: skip
    tries = tuple(
        (place, event.at, _name(each.tier), each.verdict, pace(_seconds(each.latency)), nanos(each.cost_usd))
        for place, each in enumerate(attempts)
    )
    said = json.dumps([_tried(each, texts=texts) for each in attempts], separators=(",", ":"))
    return Kept(columns, tries, said, _trace(answer) if texts else None)


def grade_of(event: "Graded") -> tuple[Any, ...]:
    """The row of a label. Raises `ValueError` for one that is no number."""
    _known(event.at)
    _known(event.score)
    mark = _mark(event.id) if event.id else None
    names = (_name(event.tier), _name(event.slice), _name(event.cascade))
    return (event.at, mark, *names, event.score, event.propensity, _name(event.source))


def mark_of(name: str, customer: str = "") -> int | None:
    """A request as labels know it, by a part of the digest that they hold."""
    if not name:
        return None
    return _mark(sha256(f"{len(customer)}:{customer}{name}".encode("utf-8", "surrogatepass")).hexdigest())


def nanos(usd: float | None) -> int | None:
    """Dollars as whole nano-dollars, which add up without error."""
    return None if usd is None or not abs(usd) < 1e9 else round(usd * 1e9)


def _known(number: float) -> None:
    if not isfinite(number):
        raise ValueError


def _seconds(seconds: float | None) -> float | None:
    return seconds if seconds is not None and isfinite(seconds) else None


def _count(count: int) -> int:
    """A count as a file can hold it, and add it up: what cannot be meant is none."""
    return count if 0 <= count < MOST_TOKENS else 0


def _mark(digest: str) -> int | None:
    try:
        return int(digest[:15], 16) % FULLEST
    except ValueError:  # somebody else's way to write it
        return _mark(sha256(digest.encode("utf-8", "surrogatepass")).hexdigest())


def _name(text: str) -> str:
    """A name as a file can hold it."""
    if len(text) > NAME:
        text = text[:NAME]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _tried(attempt: "Attempt", *, texts: bool) -> list[Any]:
    """A try as a list: names would take twice the room."""
    reason = attempt.reason[:REASON] if texts else ""
    error = attempt.error.kind if attempt.error is not None else ""
    calls = [_call(each) for each in attempt.calls]
    numbers = (_rounded(attempt.latency), nanos(attempt.cost_usd))
    return [attempt.tier, attempt.verdict, attempt.score, reason, _name(attempt.model), error, *numbers, calls]


def _call(call: "Spent") -> list[Any]:
    usage, failure = call.usage, call.failure
    tokens = (None, None) if usage is None else (_count(usage.input), _count(usage.output))
    kind = failure.kind if failure is not None else ""
    took, cost = _rounded(call.latency), nanos(call.cost_usd)
    return [call.label, _name(call.model), cost, call.estimated, took, kind, _name(call.by), *tokens]


def _rounded(seconds: float) -> float:
    return round(seconds, 6) if isfinite(seconds) else 0.0


def _trace(answer: "Answer") -> bytes | None:
    """All of it, packed; None where it holds what no file can."""
    if answer.request.callback:
        answer = replace(answer, request=replace(answer.request, callback=""))
    try:
        return zlib.compress(json.dumps(answer.trace(), separators=(",", ":")).encode(), QUICK)
    except (TypeError, ValueError, RecursionError):  # ConfigError is a ValueError
        return None
