"""Puts rows into the store of decisions, some thousands to a transaction, and keeps it within its bounds."""

import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fastcascade.stores.sqlite_open import code, roll_back
from fastcascade.telemetry.decisions_fold import behind, fold
from fastcascade.telemetry.decisions_made import Kept
from fastcascade.telemetry.decisions_room import made, outdated, over, shrunk, thinned
from fastcascade.telemetry.decisions_schema import COLUMNS, MINUTE, opened

__all__ = ["Put"]

BUSY: Final = 1.0
FULL: Final = 13
SOME: Final = 30
"""Rows to a statement: below the 999 values that an older SQLite takes, and one wait for the interpreter for all."""
SLICE: Final = 2_000
SMALL: Final = 100
"""Bytes that a label or a count takes, or less."""
PIECES: Final = 4
"""How much is folded at most before others have their turn."""
PART: Final = 20
"""A transaction, and a trace, take at most this part of the room that there is."""
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "decisions": ("number", *COLUMNS),
    "tries": ("number", "place", "at", "tier", "verdict", "pace", "nanos"),
    "details": ("number", "attempts", "trace"),
    "graded": ("at", "mark", "tier", "slice", "cascade", "score", "propensity", "source"),
}
COUNT: Final = "INSERT INTO passed VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
PACE: Final = "INSERT INTO paces VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
LAST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'decisions'"


class Put:
    """The file as its writer has it, opened when first used: one thread's alone.

    Args:
        path: the file.
        days: how long decisions are kept.
        most: bytes that it may take.
        now: seconds since 1970.
    """

    def __init__(self, path: Path, days: float, most: int, now: Callable[[], float]) -> None:
        """Open nothing yet."""
        self.path: Final = path
        self.busy: Final = BUSY
        self.grades: list[tuple[Any, ...]] = []  # labels that wait
        self.behind = False  # whether there is more to fold than was
        self._days = days
        self._most = most
        self._now = now
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._tidied: float | None = None

    def close(self) -> None:
        """Close the file; it is opened again where there is more to write."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def write(self, rows: deque[Kept], grades: Sequence[tuple[Any, ...]], counts: dict[tuple[Any, ...], int]) -> None:
        """Write all of it; what is in the file is taken from `rows` and `counts`, also where the rest fails."""
        self.grades += grades
        db = self._opened()
        while rows or self.grades or counts:
            some, most = list(islice(rows, self._fitting(rows))), self._most // PART // SMALL
            labels, passed = self.grades[:most], dict(islice(counts.items(), most))
            try:
                self._add(db, some, labels, passed)
            except sqlite3.Error as error:
                if code(error) != FULL or not self._room(db):
                    raise
                self._add(db, some, labels, passed)
            for _ in some:
                rows.popleft()
            self.grades = self.grades[len(labels) :]
            for key in passed:
                del counts[key]
            self._room(db)
        self._tidy(db)
        self._fold(db)

    def _opened(self) -> sqlite3.Connection:
        """The file, opened anew where another has taken its place: what is written to one that is gone is lost."""
        if self._db is not None and _which(self.path) != self._file:
            self.close()
        if self._db is None:
            self._db = opened(self.path, BUSY, self._most)
            self._file = _which(self.path)
        return self._db

    def _fitting(self, rows: deque[Kept]) -> int:
        """How many make a transaction."""
        room = self._most // PART
        for count, row in enumerate(rows):
            room -= 600 + len(row.attempts) + len(row.trace or b"")
            if count == SLICE or (room < 0 and count):
                return count
        return len(rows)

    def _add(
        self,
        db: sqlite3.Connection,
        rows: list[Kept],
        labels: Sequence[tuple[Any, ...]],
        counts: Mapping[tuple[Any, ...], int],
    ) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            last = db.execute(LAST).fetchone()
            number = 1 if last is None else last[0] + 1
            for at in range(0, len(rows), SOME):
                self._insert(db, number + at, rows[at : at + SOME])
            _inserted(db, "graded", labels)
            db.executemany(COUNT, [(*key, n) for key, n in counts.items() if len(key) == 5])
            db.executemany(PACE, [(*key, n) for key, n in counts.items() if len(key) == 3])
            db.execute("COMMIT")
        except BaseException:
            roll_back(db)
            raise

    def _insert(self, db: sqlite3.Connection, first: int, rows: list[Kept]) -> None:
        most = self._most // PART
        _inserted(db, "decisions", [(first + at, *row.columns) for at, row in enumerate(rows)])
        _inserted(db, "tries", [(first + at, *tried) for at, row in enumerate(rows) for tried in row.tries])
        traces = [row.trace if row.trace is not None and len(row.trace) <= most else None for row in rows]
        details = zip(rows, traces, strict=True)
        _inserted(db, "details", [(first + at, row.attempts, trace) for at, (row, trace) in enumerate(details)])

    def _room(self, db: sqlite3.Connection) -> bool:
        """Have the oldest leave where room is short; whether any had to."""
        if not over(db, self._most):
            return False
        while _within(db, lambda: thinned(db, self._most)):
            pass
        while self._made(db):
            pass
        shrunk(db, self._most)
        return True

    def _made(self, db: sqlite3.Connection) -> bool:
        try:
            return _within(db, lambda: made(db, self._most))
        except sqlite3.Error as error:
            if code(error) != FULL:
                raise
        return _within(db, lambda: made(db, self._most, folding=False))  # no room is left to add up in

    def _fold(self, db: sqlite3.Connection) -> None:
        """Add up what was written, some thousand at a time: also all that a version without sums has left."""
        for _ in range(PIECES):
            self.behind = behind(db)
            if not self.behind:
                return
            try:
                _within(db, lambda: behind(db) and fold(db))  # another process may have been quicker
            except sqlite3.Error as error:
                if code(error) != FULL or not self._room(db):
                    raise
            else:
                self._room(db)

    def _tidy(self, db: sqlite3.Connection) -> None:
        """Once a minute, have those leave that are too old."""
        now = self._now()
        if self._tidied is not None and 0 <= now - self._tidied < MINUTE:
            return
        while _within(db, lambda: outdated(db, now, self._days)):
            pass
        shrunk(db, self._most)
        self._tidied = now


def _within(db: sqlite3.Connection, job: Callable[[], bool]) -> bool:
    db.execute("BEGIN IMMEDIATE")
    try:
        more = job()
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise
    return more


def _inserted(db: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for at in range(0, len(rows), SOME):
        some = rows[at : at + SOME]
        db.execute(_statement(table, len(some)), [value for row in some for value in row])


@lru_cache(maxsize=256)
def _statement(table: str, count: int) -> str:
    columns = TABLES[table]
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608 - no one's words


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
