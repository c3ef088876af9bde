"""How an SQLite file is opened: made, set, and brought to the present version; and what is said when it cannot be.

The journal is a write-ahead log, but only where SQLite has the cure for its WAL-reset bug (3.51.3, 3.50.7, 3.44.6;
see sqlite.org/wal.html): before, two processes of which one writes while the other checkpoints could destroy the file.
Older ones use a rollback journal, which costs some three times as much for each change and lets nobody read while one
is written. What is kept is the same.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["code", "connection", "refusal", "roll_back", "wal_is_safe"]

SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # what macOS calls a sync does not reach the disk
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA secure_delete = ON",  # what was dropped is gone: it held prompts
    "PRAGMA temp_store = MEMORY",  # likewise: none of it in a folder for all
    "PRAGMA journal_size_limit = 8388608",
)
PAUSE: Final = 0.01
ADVICE: Final = {
    3: "this process may not use it; see to its rights and those of its folder",
    5: "it has been locked for more than {busy:g} s; see who holds it, or set a longer `busy`",
    6: "it has been locked for more than {busy:g} s; see who holds it, or set a longer `busy`",
    8: "it can only be read; see to the rights of the file and its folder, and to how the disk is mounted",
    10: "the disk does not do as it is told; see whether it is full, failing or gone",
    11: "it is damaged; put a copy in its place, or save what can be had with `sqlite3 FILE .recover`",
    13: "there is no room: the disk is full, or the file as large as it may be (`most`); make room",
    14: "it cannot be opened; see whether its folder is there, and to its rights",
    18: "what is to be kept is larger than SQLite takes, which is 1 GB",
    26: "this is no SQLite database; give another path, or move that file away",
}
"""By SQLite's own numbers, and what the operator can do."""


def connection(
    path: Path, mark: int, migrations: Sequence[Sequence[str]], *, busy: float, most: int | None
) -> "Connection":
    """Open the file, and make it where there is none."""
    _make(path)
    db = _connected(path, busy)
    try:
        _version(db, path, mark, len(migrations))  # first of all: another program's file is not touched
        _set(db, busy, most)
        _migrate(db, path, mark, migrations)
    except BaseException:
        db.close()
        raise
    return db


def wal_is_safe() -> bool:
    """Whether this SQLite has the cure for the WAL-reset bug."""
    import sqlite3  # noqa: PLC0415 - importing the package must not load it

    version = sqlite3.sqlite_version_info
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def refusal(error: Exception, path: Path, busy: float) -> StoreError:
    """Name the file, what is wrong with it, and what to do. What was to be kept is not part of it."""
    if isinstance(error, OSError):
        return StoreError(f"{path}: it cannot be made: {error.strerror}; see whether its folder is there, and writable")
    advice = ADVICE.get(code(error), "SQLite cannot do this").format(busy=busy)
    return StoreError(f"{path}: {advice} ({getattr(error, 'sqlite_errorname', '') or 'SQLite'}: {error})")


def code(error: BaseException | None) -> int:
    """SQLite's number, without its finer points."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _make(path: Path) -> None:
    """Make the file, its owner's alone; the journals beside it are made likewise by SQLite.

    Only where there is none: to close a file that another connection of this process uses would end its locks.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise refusal(error, path, 0.0) from error


def _connected(path: Path, busy: float) -> "Connection":
    import sqlite3  # noqa: PLC0415 - as above

    # A thread after another uses it, never two at once.
    return sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)


def _set(db: "Connection", busy: float, most: int | None) -> None:
    for setting in SETTINGS:
        db.execute(setting)
    journaled = db.execute("PRAGMA journal_mode").fetchone()[0] != "wal"
    if not wal_is_safe():
        _patiently(db, "PRAGMA journal_mode = TRUNCATE", busy)
    elif journaled and not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        _patiently(db, "PRAGMA journal_mode = WAL", busy)
    elif journaled:  # made by an older SQLite, which may still use it
        db.execute("PRAGMA journal_mode = TRUNCATE")
    if most is not None:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {max(1, most // size)}")


def _patiently(db: "Connection", statement: str, busy: float) -> None:
    """To change the journal a connection must be alone, and SQLite does not wait for that by itself."""
    from sqlite3 import OperationalError  # noqa: PLC0415 - as above

    end = time.monotonic() + busy
    while True:
        try:
            db.execute(statement).close()
        except OperationalError as error:
            if code(error) not in (5, 6) or time.monotonic() >= end:
                raise
            time.sleep(PAUSE)
        else:
            return


def _migrate(db: "Connection", path: Path, mark: int, migrations: Sequence[Sequence[str]]) -> None:
    if _version(db, path, mark, len(migrations)) == len(migrations):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[_version(db, path, mark, len(migrations)) :]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {mark}")
        db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def _version(db: "Connection", path: Path, mark: int, latest: int) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    marked = db.execute("PRAGMA application_id").fetchone()[0] == mark
    if not marked and (version or db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]):
        msg = f"{path}: this is the database of another program; give another path"
        raise StoreError(msg)
    if version > latest:
        msg = f"{path}: it is of version {version}, and this fastcascade knows {latest} at most; install a newer one"
        raise StoreError(msg)
    return version


def roll_back(db: "Connection") -> None:
    """Undo a transaction, if there still is one."""
    from sqlite3 import Error  # noqa: PLC0415 - as above

    with suppress(Error):
        if db.in_transaction:  # some errors have ended it already
            db.execute("ROLLBACK")
