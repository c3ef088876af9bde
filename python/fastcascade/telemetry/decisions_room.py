"""Keeps the store of decisions within its bounds: by days and by bytes, the oldest leave first.

A row leaves once it is in the sums. With the rows go the sums by minute; those by the hour stay `LONGER` times as long,
and what never reached a cascade, which is counted by minute, is then counted by the hour.
"""

from math import inf, nextafter
from sqlite3 import Connection
from typing import Final

from fastcascade.telemetry.decisions_fold import fold
from fastcascade.telemetry.decisions_schema import HOUR, MINUTE, PAGES

__all__ = ["made", "outdated", "over", "shrunk", "thinned"]

DAY: Final = 86_400.0
BATCH: Final = 2_000
"""Decisions that leave in one transaction: so that nobody waits long for the file."""
FULL: Final = 0.95
"""From which part of the bound on the oldest leave."""
LEFT: Final = 0.90
"""Down to which."""
LONGER: Final = 4
SHARE: Final = 5
"""Sums take at most this part of the room that there is."""
OLDER: Final = (
    "SELECT 1 FROM sums WHERE span = 60 AND at < ? LIMIT 1",
    "SELECT 1 FROM passed WHERE minute < ? LIMIT 1",
)
CELL: Final = 150
"""Bytes that a sum takes beside its times."""


def outdated(db: Connection, now: float, days: float) -> bool:
    """Drop what is older; whether there is more of it."""
    if _dropped(db, now - days * DAY):
        return True
    before = now - LONGER * days * DAY
    if db.execute("DELETE FROM sums WHERE span = ? AND at < ?", (HOUR, before - HOUR)).rowcount:
        _forget(db)
    for table in ("passed", "paces"):
        db.execute(f"DELETE FROM {table} WHERE minute < ?", (before - HOUR,))  # noqa: S608 - no one's words
    return False


def thinned(db: Connection, most: int) -> bool:
    """Drop the oldest sums, those by minute first, where they take too much of the room; whether any were dropped."""
    for span in (MINUTE, HOUR):
        size = f"SELECT COALESCE(SUM({CELL} + LENGTH(paces)), 0), MIN(at), MAX(at) FROM sums WHERE span = ?"  # noqa: S608 - a number of ours
        used, first, last = db.execute(size, (span,)).fetchone()
        if used > most / SHARE / 2:
            before = (first + (last - first) // 4) // HOUR * HOUR + HOUR
            db.execute("DELETE FROM sums WHERE span = ? AND at < ?", (span, before))
            if span == MINUTE:
                db.execute("UPDATE folded SET minutes = MAX(minutes, ?)", (before,))
            return True
    return False


def over(db: Connection, most: int) -> bool:
    """Whether the file is nearly as large as it may be."""
    return _used(db) > most * FULL


def made(db: Connection, most: int, *, folding: bool = True) -> bool:
    """Drop some of the oldest; whether more has to leave. Without folding, what no sum has yet none will have."""
    found = db.execute("SELECT COUNT(*) FROM (SELECT 1 FROM decisions LIMIT ?)", (20 * BATCH,)).fetchone()[0]
    if found:
        oldest = "SELECT at FROM decisions ORDER BY at LIMIT 1 OFFSET ?"
        _dropped(db, db.execute(oldest, (min(BATCH, found // 20),)).fetchone()[0], also=True, folding=folding)
    else:
        spans = [
            db.execute("SELECT MIN(minute), MAX(minute) FROM passed").fetchone(),
            db.execute("SELECT MIN(at), MAX(at) FROM graded").fetchone(),
            db.execute("SELECT MIN(at), MAX(at) FROM sums WHERE span = ?", (HOUR,)).fetchone(),
        ]
        spans = [each for each in spans if each[0] is not None]
        if not spans:
            return False
        first, last = min(each[0] for each in spans), max(each[1] for each in spans)
        before = first + max(HOUR, (last - first) / 20)
        _dropped(db, before, also=True)
        db.execute("DELETE FROM sums WHERE at < ?", (before,))
        for table in ("passed", "paces"):
            db.execute(f"DELETE FROM {table} WHERE minute < ?", (before,))  # noqa: S608 - no one's words
    return _used(db) > most * LEFT


def shrunk(db: Connection, most: int) -> None:
    """Give back to the disk what is not used, where the file is larger than it may be."""
    count, free, size = db.execute(PAGES).fetchone()
    over = count - int(most * FULL) // size
    if over > 0 and free:
        # As a script: it gives back a page at each step, and `execute` takes one step of what has no columns.
        db.executescript(f"PRAGMA incremental_vacuum({min(over, free)})")


def _used(db: Connection) -> int:
    count, free, size = db.execute(PAGES).fetchone()
    return int((count - free) * size)


def _dropped(db: Connection, before: float, *, also: bool = False, folding: bool = True) -> bool:
    """Drop what is older than that, and with `also` what is just as old; whether there is more."""
    if also:
        before = nextafter(before, inf)
    old = f"SELECT number, at FROM decisions WHERE at < ? ORDER BY at LIMIT {BATCH}"  # noqa: S608 - no one's words
    found = db.execute(old, (before,)).fetchall()
    sealed = db.execute("SELECT sealed FROM folded").fetchone()[0]
    if folding and any(number > sealed for number, _ in found):
        fold(db)  # the next time it is their turn
        return True
    for table in ("details", "tries", "decisions"):
        db.executemany(f"DELETE FROM {table} WHERE number = ?", [each[:1] for each in found])  # noqa: S608 - likewise
    if found:
        _left(db, nextafter(found[-1][1], inf))
    if len(found) == BATCH:
        return True
    db.execute("DELETE FROM graded WHERE at < ?", (before,))
    if any(db.execute(each, (before,)).fetchone() is not None for each in OLDER):
        _left(db, before)
    return False


def _left(db: Connection, before: float) -> None:
    """Rows have left up to then: so do the sums by minute, and counts are from now on by the hour."""
    known = db.execute("SELECT rows FROM folded").fetchone()[0]
    if before <= known:
        return
    db.execute("UPDATE folded SET rows = ?", (before,))
    db.execute("DELETE FROM sums WHERE span = ? AND at < ?", (MINUTE, before // MINUTE * MINUTE))
    within, hour = (known // HOUR * HOUR, before // MINUTE * MINUTE), f"minute / {HOUR} * {HOUR}"
    those = f"FROM {{}} WHERE minute >= ? AND minute < ? AND minute % {HOUR} <> 0"
    for table, names in (("passed", "layer, what, path, status"), ("paces", "layer, pace")):
        source = those.format(table)
        db.execute(
            f"INSERT INTO {table} SELECT {hour}, {names}, SUM(n) {source} GROUP BY {hour}, {names}"
            " ON CONFLICT DO UPDATE SET n = n + excluded.n",
            within,
        )
        db.execute(f"DELETE {source}", within)


def _forget(db: Connection) -> None:
    """Names of which there are no sums any more make room for others."""
    db.execute("DELETE FROM kinds WHERE kind NOT IN (SELECT kind FROM sums)")
    for column in ("cascade", "slice", "what", "tier", "via", "verdict"):
        db.execute(f"DELETE FROM names WHERE dim = ? AND name NOT IN (SELECT {column} FROM kinds)", (column,))  # noqa: S608
