"""What the store of reviews says of a file that is full, locked, damaged or not its own."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastcascade.errors import ConfigError, StoreError
from fastcascade.stores import sqlite_open, sqlite_schema
from fastcascade.stores.sqlite import SQLiteReviews
from review_files import SECRET, count_of, journal, opened
from reviews import listed, review

__all__ = ["journal"]

# --- full ------------------------------------------------------------------------------------------------------------


async def fill(store: SQLiteReviews, began: int = 0) -> list[str]:
    """Add until there is no room; what was added."""
    added: list[str] = []
    while len(added) < 10_000:
        number = began + len(added)
        try:
            await store.add(review(f"r{number}", float(number), asked="x" * 4_000, due=float(number)))
        except StoreError as error:
            assert "there is no room" in str(error)
            return added
        added.append(f"r{number}")
    pytest.fail("there was always room")


def test_full(tmp_path: Path, journal: str) -> None:
    """A file that may not grow refuses what is added, keeps what it has, and takes more once there is room."""
    path = tmp_path / "reviews.db"
    with opened(path, most=200_000) as (store, runner):
        runner.run(store.add(review("ends", -1.0, due=-1.0, asked="x" * 40_000)))
        assert [each.id for each in runner.run(store.expire(0.0))] == ["ends"]
        added = runner.run(fill(store))
        assert added and path.stat().st_size <= 200_000
        assert [each.id for each in runner.run(listed(store))] == ["ends", *added]
        assert runner.run(store.purge(1.0)) == 1
        more = runner.run(fill(store, 20_000))
        assert more and [each.id for each in runner.run(listed(store))] == [*added, *more]
    with opened(path) as (store, runner):
        runner.run(store.add(review("at last", 1e9, asked="x" * 100_000)))
        assert runner.run(store.counts()).waiting == len(added) + len(more) + 1


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount the small disk this needs")
    umount, mount = shutil.which("umount"), shutil.which("mount")
    if mount is None or umount is None:
        pytest.skip("there is no mount here, which the small disk needs")
    mounting = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    made = subprocess.run(mounting, check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the small disk this needs cannot be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)


def test_disk_full(tiny_disk: Path, journal: str) -> None:
    """A full disk loses nothing that was added; the store says so, and works on once there is room."""
    other = tiny_disk / "something else"
    with opened(tiny_disk / "reviews.db") as (store, runner):
        runner.run(store.add(review("first", -1.0)))
        other.write_bytes(bytes(500_000))
        added = ["first", *runner.run(fill(store))]
        assert [each.id for each in runner.run(listed(store))] == added
        with pytest.raises(StoreError):
            runner.run(store.add(review("too much", asked="x" * 900_000)))
        runner.run(store.aclose())
        other.unlink()
        more = runner.run(fill(store, 20_000))
        assert len(more) > 5
        held = runner.run(store.get("first"))
        assert held == review("first", -1.0)
        found = {each.id for each in runner.run(listed(store))}
        assert found == {*added, *more}
        with closing(sqlite3.connect(tiny_disk / "reviews.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- refused ---------------------------------------------------------------------------------------------------------


def other_program(path: Path) -> None:
    """The database of somebody else, with a log."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")


def newer(path: Path) -> None:
    """A file of a version to come."""
    with opened(path) as (store, runner):
        runner.run(store.add(review("one")))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(sqlite_schema.MIGRATIONS) + 1}")


def damaged(path: Path) -> None:
    """A file with holes in it."""
    with opened(path) as (store, runner):
        for number in range(30):
            runner.run(store.add(review(f"r{number}", asked=SECRET)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4_096] + b"\xff" * (len(whole) - 4_096))


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("no database", lambda path: path.write_text("reviews: none\n" * 99), "this is no SQLite database"),
    ("another's", other_program, "the database of another program; give another path"),
    ("newer", newer, "of version 2, and this fastcascade knows 1 at most; install a newer one"),
    ("a folder", lambda path: path.mkdir(), "cannot be opened"),
    ("no folder", lambda path: path.parent.rmdir(), "No such file or directory; see whether its folder is there"),
    ("damaged", damaged, "it is damaged"),
]


@pytest.mark.parametrize(("made", "text"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_refused(tmp_path: Path, made: Callable[[Path], object], text: str) -> None:
    """What is not our file is refused with its name and what to do, and stays as it was."""
    path = tmp_path / "folder" / "reviews.db"
    path.parent.mkdir()
    made(path)
    before = path.read_bytes() if path.is_file() else None
    with opened(path) as (store, runner):
        deeds: list[Callable[[], Any]] = [
            lambda: store.claim("ann", 0.0, 1.0),
            store.counts,
            lambda: store.add(review("new", asked=SECRET)),
        ]
        for deed in deeds:
            with pytest.raises(StoreError) as caught:
                runner.run(deed())
            assert str(path) in str(caught.value) and text in str(caught.value)
            assert SECRET not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


CODES = [
    (sqlite3.SQLITE_BUSY, "locked for more than 2.5 s"),
    (sqlite3.SQLITE_LOCKED, "locked for more than 2.5 s"),
    (sqlite3.SQLITE_READONLY_DIRECTORY, "it can only be read"),
    (sqlite3.SQLITE_IOERR_WRITE, "the disk does not do as it is told"),
    (sqlite3.SQLITE_CORRUPT_INDEX, "it is damaged"),
    (sqlite3.SQLITE_FULL, "there is no room"),
    (sqlite3.SQLITE_CANTOPEN, "it cannot be opened"),
    (sqlite3.SQLITE_PERM, "may not use it"),
    (sqlite3.SQLITE_TOOBIG, "larger than SQLite takes"),
    (sqlite3.SQLITE_NOTADB, "no SQLite database"),
    (sqlite3.SQLITE_MISUSE, "SQLite cannot do this"),
]


@pytest.mark.parametrize(("number", "text"), CODES)
def test_said(number: int, text: str) -> None:
    """Whatever SQLite complains of is said in words that tell what to do, with the file's name and SQLite's own."""
    error = sqlite3.OperationalError("so it is")
    error.sqlite_errorcode, error.sqlite_errorname = number, "SQLITE_THIS"
    told = str(sqlite_open.refusal(error, Path("reviews.db"), 2.5))
    assert told.startswith("reviews.db: ") and text in told and told.endswith("(SQLITE_THIS: so it is)")


def test_locked(tmp_path: Path, journal: str) -> None:
    """A file that another holds for longer than the store waits is an error, and after that it is as before."""
    path = tmp_path / "reviews.db"
    with opened(path, busy=0.0) as (store, runner):
        runner.run(store.add(review("one")))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")

            async def work() -> list[Any]:
                return await asyncio.gather(*(store.add(review(f"r{n}")) for n in range(9)), return_exceptions=True)

            came = runner.run(work())
            assert all(isinstance(each, StoreError) and "locked for more than 0 s" in str(each) for each in came)
            assert runner.run(store.get("one")) == review("one")
            db.execute("COMMIT")
        runner.run(store.add(review("two")))
    assert count_of(path) == 2


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: SQLiteReviews(":memory:"), "give its path"),
    (lambda: SQLiteReviews(""), "give its path"),
    (lambda: SQLiteReviews("x", busy=-1.0), "busy is how many seconds"),
    (lambda: SQLiteReviews("x", busy=float("nan")), "busy is how many seconds"),
    (lambda: SQLiteReviews("x", most=0), "most is how many bytes"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", float("nan")))), "seconds since 1970"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", due=float("nan")))), "seconds since 1970"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", state="claimed"))), "needs leased_until"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", state="expired"))), "needs to have ended"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", state="answered", ended=1.0))), "and an answer"),
    (lambda: asyncio.run(SQLiteReviews("x").add(review("one", trace={"it": b""}))), "bytes cannot be kept"),
]


@pytest.mark.parametrize(("made", "text"), WRONG)
def test_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[], object], text: str) -> None:
    """Settings that cannot work, and reviews that would be stuck, are refused before there is a file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=text):
        made()
    assert list(tmp_path.iterdir()) == []
