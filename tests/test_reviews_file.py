"""The file that the store of reviews keeps: how it is made, shared, moved and brought to the present version."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fastcascade.errors import StoreError
from fastcascade.messages import Reply
from fastcascade.notices import Notice, subscribe
from fastcascade.stores import sqlite_open, sqlite_schema
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.stores.sqlite_file import SQLiteFile
from fastcascade.testing import run_virtual
from review_files import SECRET, count_of, journal, opened
from reviews import listed, review

__all__ = ["journal"]

SYNCED = "PRAGMA synchronous = FULL"
"""With which every connection begins: what was acknowledged is to outlive a loss of power too."""


# --- made and shared -------------------------------------------------------------------------------------------------


def test_private(tmp_path: Path, journal: str) -> None:
    """The file and what SQLite puts beside it are for their owner alone, since they hold prompts."""
    with opened(tmp_path / "reviews.db") as (store, runner):
        runner.run(store.add(review("one")))
        beside = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert set(beside.values()) == {0o600}
    assert ("reviews.db-wal" in beside) is (journal == "log") and ("reviews.db-journal" in beside) is (journal != "log")


JOURNALS = [
    ((3, 7, 0), False),
    ((3, 40, 1), False),
    ((3, 44, 5), False),
    ((3, 44, 6), True),
    ((3, 45, 0), False),
    ((3, 50, 6), False),
    ((3, 50, 7), True),
    ((3, 51, 2), False),
    ((3, 51, 3), True),
    ((3, 53, 0), True),
    ((4, 0, 0), True),
]


@pytest.mark.parametrize(("version", "safe"), JOURNALS)
def test_journal(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], safe: bool) -> None:
    """The write-ahead log is used only with an SQLite in which two processes cannot destroy it."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert sqlite_open.wal_is_safe() is safe


def test_other_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a log is brought back from it by an SQLite with which it is not safe, and stays so."""
    path = tmp_path / "reviews.db"
    for safe, mode in ((True, "wal"), (False, "truncate"), (True, "truncate")):
        monkeypatch.setattr(sqlite_open, "wal_is_safe", lambda safe=safe: safe)
        with opened(path) as (store, runner):
            runner.run(store.add(review(f"{safe} {mode}")))
            with closing(sqlite3.connect(path)) as db:
                assert (db.execute("PRAGMA journal_mode").fetchone()[0] == "wal") is (mode == "wal")
    assert count_of(path) == 3


def test_light() -> None:
    """Importing the store loads neither SQLite nor asyncio."""
    code = (
        "import sys, fastcascade.stores.sqlite as it; from fastcascade import ConfigError\n"
        "assert not {'sqlite3', 'asyncio', 'ctypes'} & set(sys.modules), sorted(sys.modules)\n"
        "sys.modules['sqlite3'] = None\n"
        "try: it.SQLiteReviews('x')\n"
        "except ConfigError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.startswith("this Python has no sqlite3")


def test_loops_and_threads(tmp_path: Path, journal: str) -> None:
    """One store serves several threads, each with an event loop, and loops that come and go."""
    store = SQLiteReviews(tmp_path / "reviews.db")
    got: list[str] = []

    async def work(number: int) -> None:
        await asyncio.gather(*(store.add(review(f"{number}-{n}", float(n))) for n in range(10)))
        while (held := await store.claim(f"{number}", 0.0, 10.0)) is not None:
            got.append(held.id)

    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(f"{number}-{n}" for number in range(4) for n in range(10))
    assert asyncio.run(store.counts()).claimed == 40
    asyncio.run(store.aclose())


def test_virtual_time(tmp_path: Path) -> None:
    """In a loop of virtual time no time goes by while the disk works."""
    store = SQLiteReviews(tmp_path / "reviews.db")

    async def work() -> float:
        timer = asyncio.ensure_future(asyncio.sleep(3_600.0))
        for number in range(20):
            await store.add(review(f"r{number}"))
        assert not timer.done()
        await timer
        await store.aclose()
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) == pytest.approx(3_600.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork(tmp_path: Path, journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store works on after a fork in both processes, each with a connection of its own."""
    path = tmp_path / "reviews.db"
    with traced(monkeypatch) as ran, opened(path) as (store, runner):
        runner.run(store.add(review("before")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
            child = os.fork()
        if not child:
            try:
                held = asyncio.run(store.claim("child", 0.0, 10.0))
                assert held is not None and held.id == "before"
                asyncio.run(store.add(review("child")))
                assert ran.count(SYNCED) == 2
                asyncio.run(store.aclose())
            except BaseException:  # noqa: BLE001 - only its exit is seen
                os._exit(1)
            os._exit(0)
        runner.run(store.add(review("parent")))
        assert ran.count(SYNCED) == 2
        assert os.waitpid(child, 0)[1] == 0
        assert {each.id for each in runner.run(listed(store))} == {"before", "child", "parent"}
        assert runner.run(store.claim("parent", 0.0, 10.0)).id in {"child", "parent"}  # type: ignore[union-attr]
        runner.run(store.add(review("after")))
    assert count_of(path) == 4


def test_closed_and_used_again(tmp_path: Path) -> None:
    """A store that was closed opens its file again when it is used again, and closing twice is no error."""
    with opened(tmp_path / "reviews.db") as (store, runner):
        runner.run(store.aclose())
        runner.run(store.add(review("one")))
        runner.run(store.aclose())
        runner.run(store.aclose())
        assert runner.run(store.get("one")) == review("one")
        assert repr(store) == f"SQLiteReviews({str(tmp_path / 'reviews.db')!r})"


def test_moved(tmp_path: Path, journal: str) -> None:
    """When the file is moved away or replaced while it is open, what is added goes to the one that has its name."""
    path = tmp_path / "reviews.db"
    with opened(path) as (store, runner):
        runner.run(store.add(review("old")))
        runner.run(store.aclose())
        path.rename(tmp_path / "old.db")
        runner.run(store.add(review("new")))
        path.unlink()
        (tmp_path / "old.db").rename(path)
        for each in tmp_path.glob("reviews.db-*"):
            each.unlink()
        runner.run(store.add(review("newer")))
        assert [each.id for each in runner.run(listed(store))] == ["old", "newer"]


# --- many at once ----------------------------------------------------------------------------------------------------


@contextmanager
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that SQLite runs."""
    ran: list[str] = []
    connect = sqlite3.connect

    def connected(*args: Any, **settings: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **settings)
        db.set_trace_callback(ran.append)
        return db

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connected)
        yield ran


def test_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that come at once share transactions, so that an outage's reviews do not wait for the disk one by one."""
    with traced(monkeypatch) as ran, opened(tmp_path / "reviews.db") as (store, runner):

        async def work() -> None:
            await asyncio.gather(*(store.add(review(f"r{number}")) for number in range(300)))

        runner.run(work())
        assert ran.count("COMMIT") < 30
        assert runner.run(store.counts()).waiting == 300


def test_not_for_another(tmp_path: Path, journal: str) -> None:
    """Of changes that are written together, one that fails takes none of the others with it."""
    with opened(tmp_path / "reviews.db", most=400_000) as (store, runner):

        async def work() -> list[Any]:
            sizes = [10, 10, 1_000_000, 10, 1_000_000, 10]
            adding = [store.add(review(f"r{n}", asked="x" * size)) for n, size in enumerate(sizes)]
            return await asyncio.gather(*adding, return_exceptions=True)

        came = runner.run(work())
        assert [isinstance(each, StoreError) for each in came] == [False, False, True, False, True, False]
        assert [each.id for each in runner.run(listed(store))] == ["r0", "r1", "r3", "r5"]


def test_given_up(tmp_path: Path) -> None:
    """What is cancelled before its turn is not done, and what comes after it is."""
    file = SQLiteFile(tmp_path / "numbers.db", 1, [["CREATE TABLE numbers (number)"]], busy=5.0, most=None)
    begun, go_on = threading.Event(), threading.Event()

    def first(db: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(60.0)
        db.execute("INSERT INTO numbers VALUES (0)")

    def insert(number: int, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))

    async def work() -> list[Any]:
        changes = [asyncio.ensure_future(file.change(first))]
        await asyncio.to_thread(begun.wait)
        changes += [asyncio.ensure_future(file.change(partial(insert, number))) for number in range(1, 6)]
        await asyncio.sleep(0)  # they stand in line
        changes[3].cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*changes, return_exceptions=True)
        kept = await file.read(lambda db: db.execute("SELECT number FROM numbers").fetchall())
        await file.aclose()
        return kept

    assert asyncio.run(work()) == [(0,), (1,), (2,), (4,), (5,)]


DEEDS: dict[str, Callable[[SQLiteReviews], Any]] = {
    "get": lambda store: store.get("r7"),
    "add": lambda store: store.add(review("new", 0.5, callback="https://example.org")),
    "claim": lambda store: store.claim("ann", 50.0, 10.0),
    "answer": lambda store: store.answer("r7", "made up", Reply("?"), 1.0),
    "release": lambda store: store.release("r7", "made up"),
    "expire": lambda store: store.expire(-1e9),
    "calls": lambda store: store.due_callbacks(1e9, 1.0, 3),
    "page": lambda store: store.listed("waiting", "r7", 5),
    "page of all": lambda store: store.listed(None, "r7", 5),
    "purge": lambda store: store.purge(-1e9),
}


def test_many_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but counting looks at more reviews when there are more: measured in SQLite's own steps."""
    steps = [0]
    connect = sqlite3.connect

    def connected(*args: Any, **settings: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **settings)
        db.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 1)
        return db

    def work(path: Path, many: int) -> dict[str, int]:
        took = {}
        with opened(path) as (store, runner):

            async def fill() -> None:
                rows = (
                    review(f"r{n}", float(n), due=-float(n) if n % 3 else None, callback="https://x" if n % 2 else "")
                    for n in range(many)
                )
                await asyncio.gather(*(store.add(each) for each in rows))
                await store.expire(-many / 2)
                for _ in range(20):
                    await store.claim("ann", 0.0, 1e9)

            runner.run(fill())
            for name, deed in DEEDS.items():
                steps[0] = 0
                runner.run(deed(store))
                took[name] = steps[0]
        return took

    monkeypatch.setattr(sqlite3, "connect", connected)
    few, many = work(tmp_path / "few.db", 150), work(tmp_path / "many.db", 1_500)
    assert {name: (few[name], took) for name, took in many.items() if took > few[name] * 1.3 + 50} == {}


# --- versions --------------------------------------------------------------------------------------------------------


def test_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older version is brought to the present one by whoever opens it first, and keeps its reviews."""
    path = tmp_path / "reviews.db"
    with opened(path) as (store, runner):
        runner.run(store.add(review("one")))
    later = (*sqlite_schema.MIGRATIONS, ("ALTER TABLE reviews ADD COLUMN hue TEXT DEFAULT 'red'",))
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", later)
    with opened(path) as (store, runner), opened(path) as (other, _):

        async def work() -> tuple[Any, ...]:
            return await asyncio.gather(store.get("one"), other.get("one"), store.add(review("two")))

        assert list(runner.run(work())) == [review("one"), review("one"), review("two")]
        runner.run(other.aclose())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(later),)
        assert db.execute("SELECT hue FROM reviews").fetchall() == [("red",), ("red",)]


def test_from_another_store(tmp_path: Path) -> None:
    """A review that was claimed, answered or expired elsewhere can be added, and stands as it stood."""
    url = "https://example.org"
    held = review("held", 1.0, state="claimed", reviewer="ann", lease="theirs", leased_until=50.0, claims=2)
    done = review("done", 2.0, state="answered", answer=Reply("yes"), ended=5.0, note="sure", callback=url, calls=1)
    told = review("told", 3.0, state="expired", ended=5.0, callback=url, called=True)
    with opened(tmp_path / "reviews.db") as (store, runner):
        for each in (held, done, told):
            runner.run(store.add(each))
        assert runner.run(listed(store)) == [review("held", 1.0, **fields_of(held), lease=""), done, told]
        assert runner.run(store.due_callbacks(5.0, 1.0)) == [done]
        assert runner.run(store.claim("bob", 49.0, 1.0)) is None
        assert runner.run(store.answer("held", "theirs", Reply("?"), 50.0)) == "done"


def fields_of(held: Any) -> dict[str, Any]:
    """What tells a claimed review from a waiting one."""
    return {name: getattr(held, name) for name in ("state", "reviewer", "leased_until", "claims")}


def test_unreadable(tmp_path: Path) -> None:
    """What a newer version wrote is passed over and told of, stops nobody, and is an error only for who asks for it."""
    path = tmp_path / "reviews.db"
    heard: list[Notice] = []
    end = subscribe(heard.append)
    with opened(path) as (store, runner):
        for number in range(4):
            runner.run(store.add(review(f"r{number}", float(number), asked=SECRET, due=50.0, callback="https://x")))
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE papers SET paper = replace(paper, '\"Review\"', '\"Revue\"') WHERE seq IN (1, 3)")
            db.commit()
        held = runner.run(store.claim("ann", 0.0, 100.0))
        assert held is not None and held.id == "r1"
        assert [each.id for each in runner.run(store.expire(60.0))] == ["r3"]
        assert runner.run(store.answer("r1", held.lease, Reply("yes"), 60.0)) == "done"
        assert [each.id for each in runner.run(store.due_callbacks(99.0, 1.0))] == ["r1", "r3"]
        for deed in (lambda: store.get("r0"), store.listed):
            with pytest.raises(StoreError, match=r"review number 1 cannot be read: .*'Revue'"):
                runner.run(deed())
        assert runner.run(store.counts()).waiting == 2
    end()
    assert {each.kind for each in heard} == {"review"} and "number 3" in " ".join(each.text for each in heard)
    assert not any(SECRET in each.text for each in heard)
