"""Adds rows up once, so that nobody has to do it again for each look: by minute and by hour, some thousand at a time.

Rows are folded in the order of their numbers, after they were written: `folded.sealed` is the last one that the sums
hold, set in the same transaction. Whoever reads adds up the rows after it, and is exact at any moment; a file of the
version before begins at 0, and is brought up in the same way.

Names are bounded: the first so many are kept apart, and the rest is added up as "other". Whoever asks for a name that
may be among the others reads the rows: see decisions_window.py.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from operator import add
from typing import Any, Final

from fastcascade.telemetry.decisions_added import COUNTED, Added, decided, tried
from fastcascade.telemetry.decisions_paces import merged, packed
from fastcascade.telemetry.decisions_schema import HOUR, MINUTE

__all__ = ["OTHER", "PIECE", "behind", "fold"]

PIECE: Final = 2_000
"""Rows that are folded in one transaction, which takes some 20 ms."""
OTHER: Final = "other"
KINDS: Final = 5_000
"""How many things are added up apart, beyond which slices and cascades are not told apart any more."""
COLUMNS: Final = ("cascade", "slice", "layer", "what", "tier", "via", "verdict")
MOST: Final = {"cascade": 50, "slice": 200, "what": 200, "tier": 100, "via": 50, "verdict": 20}
"""How many names of each are kept apart: slices are what clients may make up."""
CELL: Final = f"""INSERT INTO sums (span, at, kind, {", ".join(COUNTED)}, paces)
    VALUES ({", ".join("?" * (len(COUNTED) + 4))}) ON CONFLICT DO UPDATE SET
    {", ".join(f"{each} = {each} + excluded.{each}" for each in COUNTED)}, paces = merged(paces, excluded.paces)"""  # noqa: S608 - no one's words
MINUTES: Final = f"CAST(d.at / {MINUTE} AS INTEGER) * {MINUTE}"
OF_DECISIONS: Final = (MINUTES, "d.cascade", "d.slice", "d.layer", "d.what", "d.tier", "d.via", "''")
OF_TRIES: Final = (MINUTES, "d.cascade", "d.slice", "''", "''", "t.tier", "''", "t.verdict")


def behind(db: sqlite3.Connection) -> bool:
    """Whether there are enough rows to fold."""
    sealed = db.execute("SELECT sealed FROM folded").fetchone()[0]
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'decisions'").fetchone()
    return last is not None and last[0] - sealed >= PIECE


def fold(db: sqlite3.Connection) -> bool:
    """Add up the next piece, in the transaction that there is; whether there was anything."""
    sealed = db.execute("SELECT sealed FROM folded").fetchone()[0]
    next_ = "SELECT MAX(number) FROM (SELECT number FROM decisions WHERE number > ? ORDER BY number LIMIT ?)"
    last = db.execute(next_, (sealed, PIECE)).fetchone()[0]
    if last is None:
        return False
    within, values = "d.number > ? AND d.number <= ?", (sealed, last)
    db.create_function("merged", 2, merged, deterministic=True)
    kinds: dict[tuple[str, ...], int] = {}
    for rows in (decided(db, OF_DECISIONS, within, values), tried(db, OF_TRIES, within, values)):
        db.executemany(CELL, _cells(db, list(rows), kinds))
    db.execute("UPDATE folded SET sealed = ?", (last,))
    return True


def _cells(
    db: sqlite3.Connection, rows: Iterable[Added], kinds: dict[tuple[str, ...], int]
) -> Iterator[tuple[Any, ...]]:
    hours: dict[tuple[int, int], tuple[list[float], dict[int, int]]] = {}
    for (minute, *names), numbers, paces in rows:
        key = tuple(names)
        kind = kinds.get(key)
        if kind is None:
            kind = kinds[key] = _kind(db, key)
        yield (MINUTE, minute, kind, *numbers, packed(paces))
        hour = minute // HOUR * HOUR
        held = hours.get((hour, kind))
        if held is None:
            hours[hour, kind] = list(numbers), paces
            continue
        held[0][:] = map(add, held[0], numbers)
        for pace, n in paces.items():
            held[1][pace] = held[1].get(pace, 0) + n
    for (hour, kind), (total, paces) in hours.items():
        yield (HOUR, hour, kind, *total, packed(paces))


def _kind(db: sqlite3.Connection, names: tuple[str, ...]) -> int:
    """The number of what is added up together; made where there is none yet."""
    found = _found(db, names)
    if found is not None:
        return found
    kept = tuple(_kept(db, column, name) for column, name in zip(COLUMNS, names, strict=True))
    if db.execute("SELECT COUNT(*) FROM kinds").fetchone()[0] >= KINDS:
        kept = (OTHER, OTHER, kept[2], *(each and OTHER for each in kept[3:6]), kept[6])
        db.execute("UPDATE names SET whole = 0")
    found = _found(db, kept) if kept != names else None
    if found is None:
        made = f"INSERT INTO kinds ({', '.join(COLUMNS)}, spilled) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - no one's words
        found = int(db.execute(made, (*kept, kept != names)).lastrowid or 0)
    elif kept != names:
        db.execute("UPDATE kinds SET spilled = 1 WHERE kind = ?", (found,))
    return found


def _found(db: sqlite3.Connection, names: tuple[str, ...]) -> int | None:
    where = " AND ".join(f"{each} = ?" for each in COLUMNS)
    found = db.execute(f"SELECT kind FROM kinds WHERE {where}", names).fetchone()  # noqa: S608 - likewise
    return None if found is None else int(found[0])


def _kept(db: sqlite3.Connection, column: str, name: str) -> str:
    """The name itself, or what stands for those that are too many."""
    if not name or column not in MOST:
        return name
    if db.execute("SELECT 1 FROM names WHERE dim = ? AND name = ?", (column, name)).fetchone() is not None:
        return name
    if db.execute("SELECT COUNT(*) FROM names WHERE dim = ?", (column,)).fetchone()[0] >= MOST[column]:
        return OTHER
    whole = name != OTHER and db.execute("SELECT 1 FROM kinds WHERE spilled LIMIT 1").fetchone() is None
    db.execute("INSERT INTO names VALUES (?, ?, ?)", (column, name, whole))
    return name
