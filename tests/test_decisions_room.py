"""The store of decisions stays within its bounds: by days and by megabytes, the oldest leave first."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decided import answer_of, decision, grade, refusal
from fastcascade.telemetry.decisions import Decisions, Writer

NOON = 1_800_000_000.0
DAY = 86_400.0


def filled(path: Path, many: int, first: int = 0, now: float = NOON, **more: object) -> None:
    """Write so many decisions, a second apart."""
    writer = Writer(path, now=lambda: now, every=0.001, most=100_000, **more)  # type: ignore[arg-type]
    for n in range(first, first + many):
        writer(decision(answer_of("small", "large", id=str(n), asked="x" * 300), NOON + n))
        if n % 50 == 0:
            writer(refusal(NOON + n))
            writer(grade(str(n), "small", 1.0, at=NOON + n))
    assert writer.flush(120)
    writer.close()


def count(path: Path, table: str) -> int:
    """How many rows a table has."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608 - no one's words


@pytest.mark.parametrize("texts", [False, True])
def test_the_file_stays_below_its_megabytes(tmp_path: Path, texts: bool) -> None:
    """However much is written, the file is not larger than it may be; the newest are there, the oldest are not."""
    path = tmp_path / "d.db"
    for first in range(0, 6_000, 1_000):
        filled(path, 1_000, first, megabytes=1, texts=texts)
        assert path.stat().st_size <= 1_000_000
    rows = Decisions(path).page(limit=10_000)
    assert rows[0].id == "5999"
    assert 300 < len(rows) < 6_000
    assert [int(each.id) for each in rows] == list(range(5_999, 5_999 - len(rows), -1))
    assert count(path, "details") == len(rows)
    assert count(path, "tries") == 2 * len(rows)
    assert count(path, "graded") <= len(rows) // 50 + 2


def test_a_file_that_may_take_less_than_before_shrinks(tmp_path: Path) -> None:
    """What is free is given back to the disk once the bound is lower."""
    path = tmp_path / "d.db"
    filled(path, 5_000, megabytes=100)
    assert path.stat().st_size > 2_000_000
    filled(path, 1, 5_000, megabytes=1)
    assert path.stat().st_size <= 1_000_000
    assert Decisions(path).page(limit=1)[0].id == "5000"


def test_a_trace_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    """One answer must not drive all others out: its row is kept, its texts are not."""
    path, noise = tmp_path / "d.db", random.Random(1)
    writer = Writer(path, now=lambda: NOON, every=0.001, megabytes=1, texts=True)
    long = "".join(chr(noise.randrange(33, 0x3000)) for _ in range(200_000))
    writer(decision(answer_of("small", id="small"), NOON))
    writer(decision(answer_of("small", id="huge", said=long), NOON))
    assert writer.flush(30)
    writer.close()
    read = Decisions(path)
    huge, small = read.one("huge"), read.one("small")
    assert huge is not None
    assert small is not None
    assert huge.trace is None
    assert small.trace is not None


def test_what_is_older_than_its_days_leaves(tmp_path: Path) -> None:
    """Decisions, counts and labels alike, when the writer next looks."""
    path = tmp_path / "d.db"
    filled(path, 3_000)
    filled(path, 1, 3_000, now=NOON + DAY + 2_000, days=1)
    ids = [int(each.id) for each in Decisions(path).page(limit=10_000)]
    assert ids == list(range(3_000, 1_999, -1))
    assert count(path, "details") == len(ids)
    assert count(path, "passed") <= len(ids) // 60 + 3  # those that left are counted by the hour
    assert count(path, "graded") == sum(each % 50 == 0 for each in ids)


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    """Who follows by number misses nothing after all that was there has left."""
    path = tmp_path / "d.db"
    filled(path, 10)
    filled(path, 1, 10, now=NOON + 10 * DAY, days=1)
    assert Decisions(path).page() == []
    filled(path, 1, int(10 * DAY), now=NOON + 10 * DAY, days=1)
    assert [each.number for each in Decisions(path).page()] == [12]


def test_counts_alone_are_bounded_too(tmp_path: Path) -> None:
    """A gateway whose requests never reach a cascade does not fill the disk."""
    path = tmp_path / "d.db"
    writer = Writer(path, now=lambda: NOON, every=0.001, megabytes=1, days=3_000)
    for n in range(40_000):
        writer(refusal(NOON + 60 * n, path=f"route {n % 3}"))
    assert writer.flush(120)
    writer(refusal(NOON + 60 * 40_000))
    assert writer.flush(120)
    writer.close()
    assert path.stat().st_size <= 1_000_000


@settings(max_examples=10, deadline=None)
@given(ats=st.lists(st.integers(-3, 3), max_size=30))
def test_those_leave_that_are_too_old_and_no_others(tmp_path_factory: pytest.TempPathFactory, ats: list[int]) -> None:
    """In whatever order they were written."""
    path = tmp_path_factory.mktemp("room") / "d.db"
    writer = Writer(path, now=lambda: NOON - 10 * DAY, days=1, every=0.001)
    for at in ats:
        writer(decision(at=NOON + at * DAY))
    assert writer.flush(30)
    writer.close()
    writer = Writer(path, now=lambda: NOON, days=1, every=0.001)
    assert writer.flush(30)
    writer.close()
    assert [each.at for each in Decisions(path).after(0, 100)] == [NOON + at * DAY for at in ats if at >= -1]
