"""Adds decisions up: from sums by the hour and the minute, and from rows where there are none. See decisions_window.py.

A day of a million decisions takes some hundredths of a second.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import betting
from fastcascade.telemetry.decisions_added import COUNTED
from fastcascade.telemetry.decisions_fold import OTHER
from fastcascade.telemetry.decisions_rows import By, GradedBy, Rung, Saved, Sum
from fastcascade.telemetry.decisions_saved import saved_between
from fastcascade.telemetry.decisions_schema import HOUR, MINUTE, paced
from fastcascade.telemetry.decisions_window import Total, Window, totals

__all__ = ["funnel", "graded", "savings", "sums"]

KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "hour": (f"CAST(d.at / {HOUR} AS INTEGER) * {HOUR}", f"s.at / {HOUR} * {HOUR}"),
    "way": ("d.layer || '/' || d.what", "k.layer || '/' || k.what"),
}
PASSED: Final[Mapping[str, str]] = {
    "layer": "layer",
    "hour": f"minute / {HOUR} * {HOUR}",
    "way": "layer || '/' || what",
}
PLACE: Final = {name: place for place, name in enumerate(COUNTED)}
BOUNDED: Final = frozenset({"cascade", "slice"})
"""What is added up as others where there are too many: so are then the rows that are in no sum yet."""
POOR: Final = frozenset({"escalate", "abstain"})


def sums(db: sqlite3.Connection, by: By, part: Window, *, passed: bool) -> list[Sum]:
    """See `Decisions.sums`; `passed` is whether to count what never reached a cascade."""
    if by not in get_args(By):
        raise ConfigError(f"decisions are added up by one of {', '.join(get_args(By))}, not by {by!r}")
    row, cell = KEYS.get(by, (f"d.{by}", f"k.{by}"))
    found = totals(db, part, ((row,), (cell,)))
    if by in BOUNDED and part.cells:
        found = _apart(db, by, found)
    added = {str(name): total for (name,), total in found.items()}
    others: dict[str, int] = {}
    if passed and by in PASSED:
        others = _pass(db, by, part, added)
    made = [_sum(name, total, others.get(name, 0)) for name, total in added.items()]
    return sorted(made, key=(lambda each: int(each.key)) if by == "hour" else (lambda each: (-each.n, each.key)))


def savings(db: sqlite3.Connection, part: Window) -> Saved:
    """See `Decisions.savings`."""
    found = totals(db, part, ((), ()), paced=False).get(())
    if found is None:
        return Saved(None, None, None, 0, 0, 0.0, 0.0, 0)
    numbers = found.numbers
    n, whole = int(numbers[PLACE["compared"]]), int(numbers[PLACE["n"]])
    cost, large = numbers[PLACE["spent"]] / 1e9, numbers[PLACE["baseline"]] / 1e9
    ends = saved_between(n, cost, large, numbers[PLACE["xx"] :])
    low, high = ends if ends is not None else (None, None)
    return Saved(1 - cost / large if large > 0 else None, low, high, n, n, cost, large, whole - n)


def funnel(db: sqlite3.Connection, part: Window) -> list[Rung]:
    """See `Decisions.funnel`."""
    tiers: dict[str, tuple[Counter[str], list[float], Counter[int]]] = {}
    for (tier, verdict), total in totals(
        db, part, (("t.tier", "t.verdict"), ("k.tier", "k.verdict")), tries=True
    ).items():
        became, numbers, paces = tiers.setdefault(tier, (Counter(), [0] * len(COUNTED), Counter()))
        kind = (
            "good" if verdict == "accept" else "up" if verdict in POOR else "nothing" if verdict == "empty" else "bad"
        )
        became[kind] += int(total.numbers[0])
        numbers[:] = [one + two for one, two in zip(numbers, total.numbers, strict=True)]
        paces.update(total.paces)
    place = PLACE["places"]
    order = sorted(tiers.items(), key=lambda each: (each[1][1][place] / each[1][1][0], -each[1][1][0], each[0]))
    return [_rung(tier, *found) for tier, found in order]


def graded(db: sqlite3.Connection, where: str, values: list[Any], *, slices: bool) -> list[GradedBy]:
    """See `Decisions.graded`."""
    query = f"""SELECT tier, {"slice" if slices else "''"}, ROUND(MAX(0.0, MIN(1.0, score)), 3), propensity, COUNT(*)
        FROM graded WHERE {where} GROUP BY 1, 2, 3, 4"""  # noqa: S608 - no one's words
    groups: dict[tuple[str, str], list[tuple[float, float | None, int]]] = {}
    for tier, slice_, score, propensity, n in db.execute(query, values):
        groups.setdefault((tier, slice_), []).append((score, propensity, n))
    return [_graded(*key, labels) for key, labels in sorted(groups.items())]


def _graded(tier: str, slice_: str, labels: Iterable[tuple[float, float | None, int]]) -> GradedBy:
    drawn = [(score, odds, n) for score, odds, n in labels if odds is not None and 0 < odds <= 1]
    n = sum(many for *_, many in drawn)
    given = sum(many for *_, many in labels) - n
    if not n:
        return GradedBy(tier, slice_, 0, None, 0.0, 1.0, given)
    least = min(odds for _, odds, _ in drawn)
    weighed = [(score, least / odds, many) for score, odds, many in drawn]
    whole = sum(weight * many for _, weight, many in weighed)
    mean = sum(score * weight * many for score, weight, many in weighed) / whole
    counted: Counter[tuple[float, float]] = Counter()
    for score, weight, many in weighed:
        counted[score, weight] += many
    return GradedBy(tier, slice_, n, mean, *betting(counted), given)


def _apart(db: sqlite3.Connection, by: By, found: dict[tuple[Any, ...], Total]) -> dict[tuple[Any, ...], Total]:
    """Add what the sums do not tell apart to the others, also where it is from rows."""
    if db.execute("SELECT 1 FROM kinds WHERE spilled LIMIT 1").fetchone() is None:
        return found
    kept = {name for (name,) in db.execute("SELECT name FROM names WHERE dim = ?", (by,))}
    made: dict[tuple[Any, ...], Total] = {}
    for (name,), total in found.items():
        key = (name if not name or name in kept else OTHER,)
        held = made.setdefault(key, Total([0] * len(COUNTED), Counter()))
        held.numbers = [one + two for one, two in zip(held.numbers, total.numbers, strict=True)]
        held.paces.update(total.paces)
    return made


def _pass(db: sqlite3.Connection, by: By, part: Window, added: dict[str, Total]) -> dict[str, int]:
    """How many never reached a cascade; their times are added to those that did."""
    key, ends = PASSED[by], (int(part.since // MINUTE * MINUTE), part.until)
    within = "minute >= ? AND minute < ?"
    counted = db.execute(f"SELECT {key}, SUM(n) FROM passed WHERE {within} GROUP BY 1", ends)  # noqa: S608 - no one's words
    others = {str(name): int(n) for name, n in counted}
    for name in others:
        added.setdefault(name, Total([0] * len(COUNTED), Counter()))
    if by != "way":  # times are kept by layer alone
        for name, pace, n in db.execute(f"SELECT {key}, pace, SUM(n) FROM paces WHERE {within} GROUP BY 1, 2", ends):  # noqa: S608
            added.setdefault(str(name), Total([0] * len(COUNTED), Counter())).paces[pace] += n
    return others


def _sum(name: str, total: Total, others: int) -> Sum:
    n, nanos, unknown, large, against, compared, escalated, degraded, failed = map(int, total.numbers[:9])
    costs = (nanos / 1e9, unknown, large / 1e9, against / 1e9, compared)
    return Sum(name, n + others, n, *costs, *_quantiles(total.paces), escalated, degraded, failed)


def _rung(tier: str, became: Counter[str], numbers: list[float], paces: Counter[int]) -> Rung:
    n, nanos, unknown = map(int, numbers[:3])
    counts = (became["good"], became["up"], became["nothing"], became["bad"])
    return Rung(tier, n, *counts, nanos / 1e9, unknown, *_quantiles(paces))


def _quantiles(paces: Counter[int]) -> tuple[int, float | None, float | None, float | None]:
    n = paces.total()
    found: list[float | None] = []
    for share in (0.5, 0.95, 0.99):
        left, at = share * n, None
        for bucket in sorted(paces):
            left -= paces[bucket]
            if left <= 0:
                at = paced(bucket)
                break
        found.append(at)
    return n, found[0], found[1], found[2]
