"""The store of reviews in an SQLite file."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from fastcascade.stores import sqlite_open
from fastcascade.stores.sqlite import SQLiteReviews
from reviews import PROMISES, Make, Promise, kept, machine_for, named, quick_folder


@contextmanager
def place() -> Iterator[Make]:
    """A new folder, and what makes stores of one file in it."""
    with tempfile.TemporaryDirectory(dir=quick_folder()) as folder:
        yield lambda: SQLiteReviews(Path(folder) / "reviews.db")


TestReviews = machine_for(place).TestCase
TestReviews.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("safe", [True, False], ids=["log", "rollback"])
@pytest.mark.parametrize("promise", PROMISES, ids=named)
def test_promises(monkeypatch: pytest.MonkeyPatch, promise: Promise, safe: bool) -> None:
    """It keeps every promise that any store of reviews makes, with either journal."""
    monkeypatch.setattr(sqlite_open, "wal_is_safe", lambda: safe)
    with place() as make:
        asyncio.run(kept(promise, make))
