"""How the file of a recording is opened: to go on writing, or, where nothing may be written, to be read."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import ConfigError, StoreError
from fastcascade.evals.runs_schema import MARK, MIGRATIONS
from fastcascade.stores.sqlite_open import code, connection, refusal

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["held", "refused"]

LOCKED: Final = frozenset({5, 6})
NO_DATABASE: Final = 26


def held(path: Path, *, make: bool, busy: float) -> tuple["Connection", bool]:
    """The file, this process's alone until it is closed, and whether it can be written.

    Without `make` nothing becomes a recording that is none: whoever only reads may have named the wrong file.
    """
    if not make:
        _exists(path)
    try:
        import sqlite3  # noqa: PLC0415 - importing the package must not load it
    except ImportError:  # Python can be built without
        raise ConfigError("this Python has no sqlite3, which recordings are kept with; use one that has") from None
    if not make and not _writable(path):
        try:
            return _frozen(path), False
        except sqlite3.Error as error:
            raise refused(error, path, busy) from error
    try:
        db = connection(path, MARK, MIGRATIONS, busy=busy, most=None)
    except sqlite3.Error as error:
        raise refused(error, path, busy) from error
    try:
        # The system gives the lock back however the process ends, so that no lock is left behind by one killed.
        db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        # Alone, nobody can meet the bug that `stores` shun this journal for. It is not synced with each call, which
        # would take longer than many a call: a machine that loses power may lose the last seconds of a recording.
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE cascades SET latest = latest WHERE seq < 0")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        db.close()
        raise refused(error, path, busy) from error
    return db, True


def refused(error: Exception, path: Path, busy: float) -> StoreError:
    """What is wrong with the file, and what to do."""
    if code(error) in LOCKED:
        return StoreError(f"{path}: another process is at work on this recording; wait for it, or end it")
    if code(error) == NO_DATABASE:
        return StoreError(f"{path}: this is no recording, and no SQLite database at all; give another path")
    return refusal(error, path, busy)


def _exists(path: Path) -> None:
    """Refuse an empty file, which SQLite would make one of its own of; other people's it refuses by itself.

    The file is not looked into: to close it would end the locks that another connection of this process has on it.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such recording; make it with `fastcascade record`")
    if not path.is_file():
        raise StoreError(f"{path}: this is no recording: it is no file")
    if not path.stat().st_size:
        raise StoreError(f"{path}: this is no recording: the file is empty; make one with `fastcascade record`")


def _writable(path: Path) -> bool:
    """Whether both the file and its folder, which journals are made in, can be written."""
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _frozen(path: Path) -> "Connection":
    """The file as it stands, unlocked: SQLite is told that nobody changes it, and makes nothing beside it."""
    import sqlite3  # noqa: PLC0415 - as above

    for journal in ("-wal", "-journal"):
        beside = path.with_name(path.name + journal)
        if beside.exists() and beside.stat().st_size:
            msg = (
                f"{path}: it can only be read here, and part of it is in {beside.name}: it is in use, or was not closed"
            )
            raise StoreError(f"{msg}; wait for who records, or copy both files to a folder that can be written")
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        marked = db.execute("PRAGMA application_id").fetchone()[0] == MARK
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except BaseException:
        db.close()
        raise
    if not marked or version != len(MIGRATIONS):
        db.close()
        whose = f"it is of version {version}, not {len(MIGRATIONS)}" if marked else "it is another program's database"
        raise StoreError(f"{path}: {whose}, and it can only be read here; give another path")
    return db
