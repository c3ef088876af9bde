"""The account in an SQLite file, for the workers and processes of one machine."""

import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastcascade.gateway.account import Read, Used
from fastcascade.stores.sqlite_open import connection, refusal, roll_back

__all__ = ["SQLiteAccount"]

MARK: Final = 0x46434B55  # "FCKU": tells our files from other programs'
BUSY: Final = 5.0
DAYS_KEPT: Final = 400
MIGRATIONS: Final = (
    (
        (
            "CREATE TABLE used (period TEXT, key TEXT, nanos INTEGER NOT NULL, requests INTEGER NOT NULL,"
            " tokens INTEGER NOT NULL, unknown INTEGER NOT NULL, changed INTEGER NOT NULL,"
            " PRIMARY KEY (period, key)) WITHOUT ROWID"
        ),
        "CREATE INDEX used_changed ON used (period, changed)",
        "CREATE TABLE batches (sender TEXT PRIMARY KEY, batch INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE turn (changed INTEGER NOT NULL)",
        "INSERT INTO turn VALUES (0)",
    ),
)
ADD: Final = (
    "INSERT INTO used VALUES (?, ?, ?, ?, ?, ?, (SELECT changed FROM turn)) ON CONFLICT DO UPDATE SET"
    " nanos = nanos + excluded.nanos, requests = requests + excluded.requests, tokens = tokens + excluded.tokens,"
    " unknown = unknown + excluded.unknown, changed = excluded.changed"
)
SENT: Final = "INSERT INTO batches VALUES (?, ?) ON CONFLICT DO UPDATE SET batch = excluded.batch"
READ: Final = "SELECT key, nanos, requests, tokens, unknown FROM used WHERE period = ? AND changed > ?"


class SQLiteAccount:
    """An `Account` in a file that is made when first used, readable by its owner alone.

    What `exchange` has returned from is on the disk. The clock of changes counts inside of the transactions that
    make them, so that whoever reads up to one has all before it.
    """

    def __init__(self, path: Path, busy: float = BUSY) -> None:
        """Open nothing yet; `busy` is how many seconds to wait for another process."""
        self.path: Final = path
        self._busy = busy
        self._sender = secrets.token_hex(8)
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        """Show where it is."""
        return f"SQLiteAccount({str(self.path)!r})"

    def exchange(
        self, batch: int, used: Mapping[tuple[str, str], Used], periods: tuple[str, ...], mark: int, /
    ) -> Read:
        """See `Account`."""
        try:
            db = self._opened()
            db.execute("BEGIN IMMEDIATE" if used else "BEGIN")
            try:
                if used:
                    self._add(db, batch, used, periods)
                read = _read(db, periods, mark)
                db.execute("COMMIT")
            except BaseException:
                roll_back(db)
                raise
        except sqlite3.Error as error:
            self.close()
            raise refusal(error, self.path, self._busy) from None
        return read

    def _opened(self) -> sqlite3.Connection:
        """The file, opened anew where another has taken its place: what is written to one that is gone is lost."""
        if self._db is not None and _which(self.path) != self._file:
            self.close()
        if self._db is None:
            self._db = connection(self.path, MARK, MIGRATIONS, busy=self._busy, most=None)
            self._file = _which(self.path)
        return self._db

    def _add(
        self, db: sqlite3.Connection, batch: int, used: Mapping[tuple[str, str], Used], periods: tuple[str, ...]
    ) -> None:
        last = db.execute("SELECT batch FROM batches WHERE sender = ?", (self._sender,)).fetchone()
        if last is not None and last[0] >= batch:
            return
        if last is None:  # once for each process: whoever came long ago will not come again
            db.execute("DELETE FROM used WHERE period < date(?, ?)", (max(periods), f"-{DAYS_KEPT} days"))
        db.execute(SENT, (self._sender, batch))
        db.execute("UPDATE turn SET changed = changed + 1")
        db.executemany(ADD, [(*where, *what) for where, what in used.items()])

    def close(self) -> None:
        """See `Account`."""
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read(db: sqlite3.Connection, periods: tuple[str, ...], mark: int) -> Read:
    turn = int(db.execute("SELECT changed FROM turn").fetchone()[0])
    mark = mark if mark <= turn else 0  # it is another file, which counts from its own beginning
    totals = {(period, key): Used(*numbers) for period in periods for key, *numbers in db.execute(READ, (period, mark))}
    return Read(totals, turn)
