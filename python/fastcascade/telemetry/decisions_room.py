"""Keeps the store of decisions within its bounds: by days and by bytes, the oldest leave first."""

from sqlite3 import Connection
from typing import Final

from fastcascade.telemetry.decisions_schema import MINUTE, PAGES

__all__ = ["made", "outdated", "over", "shrunk"]

DAY: Final = 86_400.0
BATCH: Final = 2_000
"""Decisions that leave in one transaction: so that nobody waits long for the file."""
FULL: Final = 0.95
"""From which part of the bound on the oldest leave."""
LEFT: Final = 0.90
"""Down to which."""


def outdated(db: Connection, now: float, days: float) -> bool:
    """Drop what is older; whether there is more of it."""
    return _dropped(db, now - days * DAY)


def over(db: Connection, most: int) -> bool:
    """Whether the file is nearly as large as it may be."""
    return _used(db) > most * FULL


def made(db: Connection, most: int) -> bool:
    """Drop some of the oldest; whether more has to leave."""
    found = db.execute("SELECT COUNT(*) FROM (SELECT 1 FROM decisions LIMIT ?)", (20 * BATCH,)).fetchone()[0]
    if found:
        oldest = "SELECT at FROM decisions ORDER BY at LIMIT 1 OFFSET ?"
        _dropped(db, db.execute(oldest, (min(BATCH, found // 20),)).fetchone()[0], also=True)
    else:
        spans = [
            db.execute("SELECT MIN(minute), MAX(minute) FROM passed").fetchone(),
            db.execute("SELECT MIN(at), MAX(at) FROM graded").fetchone(),
        ]
        spans = [each for each in spans if each[0] is not None]
        if not spans:
            return False
        first, last = min(each[0] for each in spans), max(each[1] for each in spans)
        _dropped(db, first + max(MINUTE, (last - first) / 20), also=True)
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


def _dropped(db: Connection, before: float, *, also: bool = False) -> bool:
    """Drop what is older than that, and with `also` what is just as old; whether there is more."""
    sign = "<=" if also else "<"
    old = f"SELECT number FROM decisions WHERE at {sign} ? ORDER BY at LIMIT {BATCH}"  # noqa: S608 - no one's words
    numbers = db.execute(old, (before,)).fetchall()
    for table in ("details", "tries", "decisions"):
        db.executemany(f"DELETE FROM {table} WHERE number = ?", numbers)  # noqa: S608 - likewise
    if len(numbers) == BATCH:
        return True
    db.execute(f"DELETE FROM graded WHERE at {sign} ?", (before,))  # noqa: S608 - likewise
    for table in ("passed", "paces"):
        db.execute(f"DELETE FROM {table} WHERE minute < ?", (before // MINUTE * MINUTE,))  # noqa: S608 - likewise
    return False
