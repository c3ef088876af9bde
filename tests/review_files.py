"""What the tests of SQLite's file share."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastcascade.stores import sqlite_open
from fastcascade.stores.sqlite import SQLiteReviews

__all__ = ["SECRET", "count_of", "journal", "opened"]

SECRET = "what nobody else is to read"


@pytest.fixture(params=["log", "rollback"])
def journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either of the two journals, whatever this SQLite would be given."""
    monkeypatch.setattr(sqlite_open, "wal_is_safe", lambda: request.param == "log")
    return str(request.param)


@contextmanager
def opened(path: Path, **settings: Any) -> Iterator[tuple[SQLiteReviews, asyncio.Runner]]:
    """A store, and what runs its methods."""
    store = SQLiteReviews(path, **settings)
    with asyncio.Runner() as runner:
        try:
            yield store, runner
        finally:
            runner.run(store.aclose())


def count_of(path: Path) -> int:
    """How many reviews are in the file."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM reviews").fetchone()[0])
