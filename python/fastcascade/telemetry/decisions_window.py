"""Which of a span of time is read from sums, and which from rows: together exactly what the rows alone would say.

Whole hours are read from the sums of hours, what is left at the ends from those of minutes, and the rest of a minute at
either end from rows; so are the rows that are in no sum yet. Where rows have left there are hours alone: an end that
falls there is moved outward to a whole hour. Where a slice or a cascade is asked for of which a part may have been
added up as "other", all is read from rows.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from fastcascade.telemetry.decisions_added import COUNTED, decided, tried
from fastcascade.telemetry.decisions_paces import unpacked
from fastcascade.telemetry.decisions_schema import HOUR, MINUTE

__all__ = ["Folded", "Total", "Window", "folded", "totals", "window"]


class Folded(NamedTuple):
    """How far the sums go.

    Args:
        sealed: the number of the last row that is in them.
        rows: since when no row has left.
        minutes: since when no sum by minute has.
    """

    sealed: int
    rows: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, in parts of which none overlaps another.

    Args:
        since: its beginning, as it is read.
        until: its end; infinite where there is none.
        rows: what holds of the rows that are read, each time with its values.
        cells: seconds to a sum, and from when to when these are read.
        names: the cascade and the slice that are asked for.
    """

    since: float
    until: float
    rows: tuple[tuple[str, tuple[Any, ...]], ...]
    cells: tuple[tuple[int, float, float], ...]
    names: Mapping[str, str]


@dataclass(slots=True)
class Total:
    """What has the same key, from rows and sums."""

    numbers: list[float]
    paces: Counter[int]


def folded(db: sqlite3.Connection) -> Folded:
    """How far they go; nowhere in a file of the version before, which no writer has opened since."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'folded'").fetchone() is None:
        return Folded(0, 0.0, 0.0)
    return Folded(*db.execute("SELECT sealed, rows, minutes FROM folded").fetchone())


def window(db: sqlite3.Connection, since: float, until: float | None, names: Mapping[str, str]) -> Window:
    """Part a span of time, from `since` to before `until`."""
    known, end = folded(db), inf if until is None else until
    names = {name: value for name, value in names.items() if value}
    if not known.sealed or not _whole(db, names):
        return Window(since, end, _rows(names, (since, end)), (), names)
    newest = db.execute("SELECT MAX(at) FROM decisions").fetchone()[0]
    last = inf if newest is not None and end > newest else end
    if since < known.rows:
        since = _down(since, HOUR)
    if last < inf and _down(last, HOUR) < known.rows:
        last = _up(last, HOUR)
    cells = tuple(each for each in _parts(since, last, max(known.minutes, known.rows)) if each[1] < each[2])
    if not cells:
        return Window(since, max(last, end), _rows(names, (since, last)), (), names)
    low, high = cells[0][1], cells[-1][2]
    rows = (*_rows(names, (since, low)), *_rows(names, (low, high), known.sealed), *_rows(names, (high, last)))
    return Window(since, max(last, end) if last < inf else end, rows, cells, names)


def totals(
    db: sqlite3.Connection,
    part: Window,
    keys: tuple[Sequence[str], Sequence[str]],
    *,
    tries: bool = False,
    paced: bool = True,
) -> dict[tuple[Any, ...], Total]:
    """Decisions, or their tries, by these columns: of rows, and of sums; `paced` is whether times are asked for."""
    found: dict[tuple[Any, ...], Total] = {}
    for where, values in part.rows:
        for key, numbers, paces in (tried if tries else decided)(db, keys[0], where, values):
            _add(found, key, numbers, paces)
    for span, low, high in part.cells:
        kinds = "k.layer = ''" if tries else "k.layer <> ''"
        where = f"s.span = ? AND s.at >= ? AND s.at < ? AND {kinds}" + "".join(
            f" AND k.{name} = ?" for name in part.names
        )
        _add_cells(db, keys[1], where, (span, low, high, *part.names.values()), found, paced=paced)
    return found


def _add_cells(
    db: sqlite3.Connection,
    keys: Sequence[str],
    where: str,
    values: tuple[Any, ...],
    found: dict[tuple[Any, ...], Total],
    *,
    paced: bool,
) -> None:
    source = f"FROM sums s CROSS JOIN kinds k ON k.kind = s.kind WHERE {where}"
    named, many = "".join(f"{each}, " for each in keys), len(keys)
    numbers = ", ".join(f"SUM(s.{each})" for each in COUNTED)
    group = ", ".join(str(place + 1) for place in range(many)) or "NULL"
    for row in db.execute(f"SELECT {named}{numbers} {source} GROUP BY {group}", values):
        _add(found, row[:many], row[many:], {})
    if not paced:
        return
    for *key, blob in db.execute(f"SELECT {named}s.paces {source}", values):
        counts = found[tuple(key)].paces
        for pace, n in unpacked(blob).items():
            counts[pace] += n


def _add(
    found: dict[tuple[Any, ...], Total], key: tuple[Any, ...], numbers: Sequence[float], paces: Mapping[int, int]
) -> None:
    held = found.get(key)
    if held is None:
        found[key] = Total(list(numbers), Counter(paces))
        return
    for place, number in enumerate(numbers):
        held.numbers[place] += number
    for pace, n in paces.items():
        held.paces[pace] += n


def _parts(since: float, until: float, minutes: float) -> tuple[tuple[int, float, float], ...]:
    """Minutes, hours, minutes; no minute before that."""
    first, last = _up(since, MINUTE), _down(until, MINUTE)
    low, high = _up(since, HOUR), _down(until, HOUR)
    if first < minutes:
        first = low
    if high < minutes:
        last = high
    if low >= high:
        return ((MINUTE, first, last),)
    return ((MINUTE, first, low), (HOUR, low, high), (MINUTE, high, last))


def _rows(
    names: Mapping[str, str], span: tuple[float, float], after: int = 0
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Those of a span of time, and of these names; by number where only those after one are meant."""
    low, high = span
    if low >= high:
        return ()
    where, values = ("d.number > ? AND +d.at >= ?", [after, low]) if after else ("d.at >= ?", [low])
    if high < inf:
        where, values = f"{where} AND {'+' if after else ''}d.at < ?", [*values, high]
    where += "".join(f" AND d.{name} = ?" for name in names)
    return ((where, (*values, *names.values())),)


def _whole(db: sqlite3.Connection, names: Mapping[str, str]) -> bool:
    """Whether the sums have all of these names: none of it is among the others."""
    for column, name in names.items():
        found = db.execute("SELECT whole FROM names WHERE dim = ? AND name = ?", (column, name)).fetchone()
        if found is None:
            return db.execute("SELECT 1 FROM kinds WHERE spilled LIMIT 1").fetchone() is None
        if not found[0]:
            return False
    return True


def _down(at: float, step: int) -> float:
    return at if at == inf else at // step * step


def _up(at: float, step: int) -> float:
    return at if at == inf else -(-at // step) * step
