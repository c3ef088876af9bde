"""Adds decisions up, in SQL: a million of them take a second or two."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any, Final, get_args

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import betting
from fastcascade.evals.savings import saving, saving_interval
from fastcascade.telemetry.decisions_rows import By, GradedBy, Rung, Saved, Sum
from fastcascade.telemetry.decisions_schema import MINUTE, paced

__all__ = ["funnel", "graded", "savings", "sums"]

HOUR: Final = 3600
KEYS: Final[Mapping[str, str]] = {"hour": f"CAST(at / {HOUR} AS INTEGER) * {HOUR}", "way": "layer || '/' || what"}
PASSED: Final[Mapping[str, str]] = {
    "layer": "layer",
    "hour": f"minute / {HOUR} * {HOUR}",
    "way": "layer || '/' || what",
}
BOTH: Final = "nanos IS NOT NULL AND baseline IS NOT NULL"
ADDED: Final = f"""COUNT(*), SUM(nanos), SUM(nanos IS NULL), SUM(CASE WHEN {BOTH} THEN baseline END),
    SUM(CASE WHEN {BOTH} THEN nanos END), SUM({BOTH}), SUM(escalated), SUM(degraded <> ''), SUM(failed)"""
DRAWN: Final = 2_000
"""Decisions that an interval is worked out from."""
SPREAD: Final = 2_654_435_761
"""Numbers in a row come out far apart when multiplied with it, modulo 2 ** 32 (Knuth)."""
ROUND: Final = 1 << 32
POOR: Final = frozenset({"escalate", "abstain"})


def sums(
    db: sqlite3.Connection, by: By, where: str, values: list[Any], minutes: tuple[float, float] | None
) -> list[Sum]:
    """See `Decisions.sums`; `minutes` are those to count what never reached a cascade in, if that is wanted."""
    if by not in get_args(By):
        raise ConfigError(f"decisions are added up by one of {', '.join(get_args(By))}, not by {by!r}")
    key = KEYS.get(by, by)
    query = f"SELECT {key}, pace, {ADDED} FROM decisions WHERE {where} GROUP BY 1, 2"  # noqa: S608 - no one's words
    added: dict[str, list[int]] = {}
    paces: dict[str, Counter[int]] = {}
    for name, pace, *numbers in db.execute(query, values):
        total = added.setdefault(str(name), [0] * 10)
        for place, number in enumerate(numbers):
            total[place] += number or 0
        if pace is not None:
            paces.setdefault(str(name), Counter())[pace] += numbers[0]
    if minutes is not None and by in PASSED:
        _pass(db, PASSED[by], by, minutes, added, paces)
    made = [_sum(name, total, paces.get(name, Counter())) for name, total in added.items()]
    return sorted(made, key=(lambda each: int(each.key)) if by == "hour" else (lambda each: (-each.n, each.key)))


def savings(db: sqlite3.Connection, where: str, values: list[Any]) -> Saved:
    """See `Decisions.savings`."""
    both = f"{where} AND {BOTH}"
    totals = f"SELECT COUNT(*), SUM(nanos), SUM(baseline) FROM decisions WHERE {both}"  # noqa: S608 - no one's words
    n, cost, large = db.execute(totals, values).fetchone()
    whole = db.execute(f"SELECT COUNT(*) FROM decisions WHERE {where}", values).fetchone()[0]  # noqa: S608 - likewise
    cost, large = (cost or 0) / 1e9, (large or 0) / 1e9
    part = min(ROUND, ROUND * DRAWN // max(n, 1))
    # The same each time: drawn by what their numbers come to, not by chance.
    draw = f"SELECT nanos, baseline FROM decisions WHERE {both} AND (number * {SPREAD}) % {ROUND} < ?"  # noqa: S608
    pairs = [(spent / 1e9, dear / 1e9) for spent, dear in db.execute(draw, (*values, part))]
    share, seen, found = saving([(cost, large)]), saving(pairs), saving_interval(pairs)
    low = high = None
    if share is not None and seen is not None and found is not None:
        # What is drawn says how far single requests lie apart; of all of them the mean is surer by the root of n.
        closer = sqrt(min(1.0, len(pairs) / n))
        low, high = share - (seen - found[0]) * closer, share + (found[1] - seen) * closer
    return Saved(share, low, high, n, len(pairs), cost, large, whole - n)


def funnel(db: sqlite3.Connection, where: str, values: list[Any], *, whole: bool) -> list[Rung]:
    """See `Decisions.funnel`; `whole` is where times alone are asked for, the first value being since when."""
    those = f"number IN (SELECT number FROM decisions WHERE {where})"  # noqa: S608 - no one's words
    if whole:  # to look each of them up would take most of the time
        those = f"number >= (SELECT MIN(number) FROM decisions WHERE at >= ?) AND {where}"  # noqa: S608 - likewise
        values = [values[0], *values]
    query = f"""SELECT tier, verdict, pace, COUNT(*), SUM(nanos), SUM(nanos IS NULL), SUM(place) FROM tries
        WHERE {those} GROUP BY 1, 2, 3"""  # noqa: S608 - likewise
    found: dict[str, list[int]] = {}
    paces: dict[str, Counter[int]] = {}
    for tier, verdict, pace, n, nanos, unknown, places in db.execute(query, values):
        total = found.setdefault(tier, [0] * 7)
        which = 1 if verdict == "accept" else 2 if verdict in POOR else 3
        for place, number in ((0, n), (which, n), (4, nanos or 0), (5, unknown), (6, places)):
            total[place] += number
        if pace is not None:
            paces.setdefault(tier, Counter())[pace] += n
    order = sorted(found.items(), key=lambda each: (each[1][6] / each[1][0], -each[1][0]))
    return [
        Rung(tier, n, good, up, bad, nanos / 1e9, unknown, *_quantiles(paces.get(tier, Counter())))
        for tier, (n, good, up, bad, nanos, unknown, _) in order
    ]


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


def _pass(
    db: sqlite3.Connection,
    key: str,
    by: By,
    minutes: tuple[float, float],
    added: dict[str, list[int]],
    paces: dict[str, Counter[int]],
) -> None:
    """Add what never reached a cascade."""
    ends = (int(minutes[0] // MINUTE * MINUTE), minutes[1])
    within = "minute >= ? AND minute < ?"
    for name, n in db.execute(f"SELECT {key}, SUM(n) FROM passed WHERE {within} GROUP BY 1", ends):  # noqa: S608
        added.setdefault(str(name), [0] * 10)[9] += n
    if by != "way":  # times are kept by layer alone
        for name, pace, n in db.execute(f"SELECT {key}, pace, SUM(n) FROM paces WHERE {within} GROUP BY 1, 2", ends):  # noqa: S608
            paces.setdefault(str(name), Counter())[pace] += n


def _sum(name: str, total: list[int], paces: Counter[int]) -> Sum:
    n, nanos, unknown, large, against, compared, escalated, degraded, failed, others = total
    costs = (nanos / 1e9, unknown, large / 1e9, against / 1e9, compared)
    return Sum(name, n + others, n, *costs, *_quantiles(paces), escalated, degraded, failed)


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
