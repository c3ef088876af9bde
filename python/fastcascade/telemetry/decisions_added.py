"""Rows of decisions and of their tries, added up in SQL: what sums are made from, and what is read of rows beside them.

A million rows take a second or two.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["COUNTED", "MOMENTS", "Added", "decided", "tried"]

BOTH: Final = "d.nanos IS NOT NULL AND d.baseline IS NOT NULL"
MOMENTS: Final = ("xx", "xy", "yy", "xxx", "xxy", "xyy", "yyy")
COUNTED: Final = (
    "n", "nanos", "unknown", "baseline", "spent", "compared", "escalated", "degraded", "failed", "places", *MOMENTS,
)  # fmt: skip
"""What is added up, in this order: money in nano-dollars; products of what was spent and its baseline in dollars."""
X: Final = "(d.nanos * 1e-9)"
Y: Final = "(d.baseline * 1e-9)"


class Added(NamedTuple):
    """What has the same key."""

    key: tuple[Any, ...]
    numbers: tuple[float, ...]
    paces: dict[int, int]


def decided(db: sqlite3.Connection, keys: Sequence[str], where: str, values: Sequence[Any]) -> Iterator[Added]:
    """Decisions by these columns of `d`, of those where that holds."""
    products = ", ".join(
        f"TOTAL(CASE WHEN {BOTH} THEN {'*'.join(X if each == 'x' else Y for each in name)} END)" for name in MOMENTS
    )
    counted = f"""COUNT(*), SUM(d.nanos), SUM(d.nanos IS NULL), SUM(CASE WHEN {BOTH} THEN d.baseline END),
        SUM(CASE WHEN {BOTH} THEN d.nanos END), SUM({BOTH}), SUM(d.escalated), SUM(d.degraded <> ''), SUM(d.failed), 0,
        {products}, GROUP_CONCAT(d.pace)"""
    return _added(db, keys, counted, f"decisions d WHERE {where}", values)


def tried(db: sqlite3.Connection, keys: Sequence[str], where: str, values: Sequence[Any]) -> Iterator[Added]:
    """Their tries, by columns of `t` besides."""
    counted = f"""COUNT(*), SUM(t.nanos), SUM(t.nanos IS NULL), {"0, " * 6} SUM(t.place), {"0, " * len(MOMENTS)}
        GROUP_CONCAT(t.pace)"""
    return _added(db, keys, counted, f"decisions d CROSS JOIN tries t ON t.number = d.number WHERE {where}", values)


def _added(
    db: sqlite3.Connection, keys: Sequence[str], counted: str, source: str, values: Sequence[Any]
) -> Iterator[Added]:
    names = [f"k{place}" for place in range(len(keys))]
    named = "".join(f"{each} AS {name}, " for each, name in zip(keys, names, strict=True))
    group = ", ".join(names) or "NULL"
    query = f"SELECT {named}{counted} FROM {source} GROUP BY {group}"  # noqa: S608 - no one's words
    for *found, paces in db.execute(query, tuple(values)):
        key, numbers = tuple(found[: len(keys)]), tuple([each or 0 for each in found[len(keys) :]])
        counts = Counter(paces.split(",")) if paces else {}  # counted as texts: a hundred are met, of many thousands
        yield Added(key, numbers, {int(pace): n for pace, n in counts.items()})
