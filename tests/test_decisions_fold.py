"""The sums of the store of decisions say what its rows say, at every moment, and stay when rows have left."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from decided import answer_of, decision, refusal
from fastcascade import Cascade, Tier
from fastcascade.messages import Reply
from fastcascade.prices import Price
from fastcascade.telemetry import decisions_fold
from fastcascade.telemetry.decisions import By, Decisions, Writer
from fastcascade.telemetry.decisions_paces import merged, packed, unpacked
from fastcascade.telemetry.decisions_window import _parts
from fastcascade.telemetry.events import Event
from fastcascade.testing import ScriptedBackend

NOON = 1_800_000_000.0
DAY = 86_400.0
BYS: tuple[By, ...] = ("layer", "tier", "slice", "hour", "cascade", "via", "way")
LADDER = Cascade(
    Tier(ScriptedBackend(Reply("x")), name="small", price=Price(1, 2)),
    Tier(ScriptedBackend(Reply("x")), name="large", price=Price(10, 20)),
)


@contextmanager
def folding(piece: int) -> Iterator[None]:
    """So many rows are added up at a time, so that few are enough to test with."""
    before, decisions_fold.PIECE = decisions_fold.PIECE, piece  # type: ignore[misc]
    try:
        yield
    finally:
        decisions_fold.PIECE = before  # type: ignore[misc]


def write(path: Path, *events: Event, now: float = NOON, **more: Any) -> None:
    """Keep them."""
    writer = Writer(path, now=lambda: now, every=0.001, **more)
    for each in events:
        writer(each)
    assert writer.flush(60)
    writer.close()


def plain(path: Path) -> Decisions:
    """The same rows in a file of the version before, which knows no sums."""
    copy = path.with_name(f"{path.stem}-plain.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(copy)) as other:
        db.backup(other)
        for table in ("sums", "kinds", "names", "folded"):
            other.execute(f"DROP TABLE {table}")
        other.execute("PRAGMA user_version = 1")
        other.commit()
    return Decisions(copy)


def same(one: Any, two: Any) -> None:
    """What was worked out from either is the same: to the last unit, and intervals within rounding."""
    for first, second in zip(one, two, strict=True):
        left, right = asdict(first), asdict(second)
        assert left.keys() == right.keys()
        for name, value in left.items():
            near = pytest.approx(right[name], rel=1e-6, abs=1e-9) if isinstance(value, float) else right[name]
            assert value == near, name


def compare(path: Path, since: float, until: float | None, **names: str) -> None:
    """All that is added up, with sums and without."""
    with_sums, without = Decisions(path), plain(path)
    for by in BYS:
        same(with_sums.sums(since, until, by=by, **names), without.sums(since, until, by=by, **names))
    same(with_sums.funnel(since, until, **names), without.funnel(since, until, **names))
    same([with_sums.savings(since, until, **names)], [without.savings(since, until, **names)])


def count(path: Path, what: str) -> Any:
    """One value of the file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {what}").fetchone()[0]


MADE = st.tuples(
    st.sampled_from([("small",), ("large",), ("small", "large")]),
    st.sampled_from(["", "billing", "code"]),
    st.floats(0, 3 * 3_600),
    st.floats(0.001, 100) | st.none(),
    st.booleans(),
    st.sampled_from(["", "below threshold"]),
    st.sampled_from([200, 499, 503]),
    st.sampled_from(["support", "shop"]),
)
ENDS = st.integers(-70, 190).map(lambda n: 60.0 * n) | st.floats(-100, 12_000)


def event_of(made: tuple[Any, ...]) -> Event:
    """The decision that they describe."""
    tiers, task, at, seconds, known, degraded, status, cascade = made
    answer = answer_of(*tiers, task=task, cost=known, degraded=degraded)
    return decision(answer, NOON + at, seconds=seconds, status=status, cascade=cascade, ladder=LADDER)


@settings(max_examples=60, deadline=None)
@given(made=st.lists(MADE, max_size=40), since=ENDS, until=ENDS | st.none(), names=st.sampled_from(
    [{}, {"cascade": "shop"}, {"slice": "billing"}, {"slice": "code", "cascade": "support"}, {"slice": "none"}]
))  # fmt: skip
def test_sums_say_what_rows_say(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[Any, ...]],
    since: float,
    until: float | None,
    names: dict[str, str],
) -> None:
    """Whatever was decided, and wherever the span begins and ends: at whole minutes or between, in order or not."""
    path = tmp_path_factory.mktemp("fold") / "d.db"
    with folding(7):
        write(path, *map(event_of, made))
    if made:
        compare(path, NOON + since, None if until is None else NOON + until, **names)


@given(
    since=st.integers(0, 30_000), long=st.integers(0, 30_000), minutes=st.integers(0, 40_000), open_end=st.booleans()
)
def test_a_span_is_parted_without_gap_or_overlap(since: int, long: int, minutes: int, open_end: bool) -> None:
    """Whole minutes and hours one after the other, none before minutes are there."""
    until = float("inf") if open_end else since + long
    parts = [each for each in _parts(since, until, minutes) if each[1] < each[2]]
    for (_, _, end), (_, begin, _) in pairwise(parts):
        assert end == begin
    for span, low, high in parts:
        assert since <= low < high <= until
        assert low % span == 0
        assert high == float("inf") or high % span == 0
        assert span == 3_600 or low >= minutes


PACES = st.dictionaries(st.integers(-500, 500), st.integers(1, 1_000_000), max_size=60)


@given(one=PACES, two=PACES)
def test_packed_times_are_added_like_any_counts(one: dict[int, int], two: dict[int, int]) -> None:
    """And come back as they were."""
    assert unpacked(packed(one)) == one
    assert unpacked(merged(packed(one), packed(two))) == {
        key: one.get(key, 0) + two.get(key, 0) for key in {**one, **two}
    }


def test_a_file_without_sums_gets_them_in_pieces(tmp_path: Path) -> None:
    """Once a writer has opened it: some at a time, and what is asked meanwhile is the same."""
    path = tmp_path / "d.db"
    write(path, *(decision(answer_of("small", id=str(n)), NOON + n * 30) for n in range(600)))
    old = plain(path).path
    before = Decisions(old).sums(NOON, by="hour")
    with folding(50):
        write(old, decision(at=NOON + 20_000))
        first = count(old, "sealed FROM folded")
        assert 0 < first < 601
        assert [each for each in Decisions(old).sums(NOON, by="hour") if each.key != "1800018000"] == before
        while count(old, "sealed FROM folded") < 551:
            write(old, decision(at=NOON + 20_000))
    assert count(old, "SUM(n) FROM sums JOIN kinds USING (kind) WHERE span = 60 AND layer <> ''") >= 551
    compare(old, NOON, None)


def test_a_writer_folds_on_where_nothing_new_comes(tmp_path: Path) -> None:
    """A file of the version before is not left half done because the night is quiet."""
    path = tmp_path / "d.db"
    write(path, *(decision(answer_of("small", id=str(n)), NOON + n) for n in range(300)))
    old = plain(path).path
    with folding(10):
        writer = Writer(old, now=lambda: NOON, every=0.001)
        writer(decision(at=NOON))
        while count(old, "COUNT(*) FROM sqlite_master WHERE name = 'folded'") == 0:
            assert writer.flush(30)
        for _ in range(1_000):
            if count(old, "sealed FROM folded") > 290:
                break
            assert writer.flush(30)
        writer.close()
    assert count(old, "sealed FROM folded") > 290


def test_slices_that_are_too_many_are_added_up_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that makes up slices does not fill the file; whoever asks for one of them still gets all of it."""
    monkeypatch.setitem(decisions_fold.MOST, "slice", 3)
    path = tmp_path / "d.db"
    events = [decision(answer_of("small", task=f"t{n % 10}"), NOON + n) for n in range(100)]
    with folding(25):
        write(path, *events)
    assert {each.key: each.n for each in Decisions(path).sums(NOON, by="slice")} == {
        "other": 70,
        **{f"t{n}": 10 for n in range(3)},
    }
    for name in ("t1", "t7", "none"):
        compare(path, NOON, None, slice=name)
    assert count(path, "COUNT(*) FROM names WHERE dim = 'slice'") == 3


def test_a_slice_that_is_named_other_is_told_from_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is asked for, its own rows are counted."""
    monkeypatch.setitem(decisions_fold.MOST, "slice", 2)
    path = tmp_path / "d.db"
    tasks = ["other", "a", "b", "c"]
    with folding(5):
        write(path, *(decision(answer_of("small", task=tasks[n % 4]), NOON + n) for n in range(40)))
    (found,) = Decisions(path).sums(NOON, by="tier", slice="other")
    assert found.n == 10


def test_kinds_are_bounded_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slices, tiers and verdicts go together."""
    monkeypatch.setattr(decisions_fold, "KINDS", 6)
    path = tmp_path / "d.db"
    with folding(10):
        write(path, *(decision(answer_of("small", task=f"t{n}"), NOON + n) for n in range(100)))
    assert count(path, "COUNT(*) FROM kinds") <= 6 + 4
    assert sum(each.n for each in Decisions(path).sums(NOON, by="slice")) == 100
    compare(path, NOON, None, slice="t1")


def test_sums_stay_when_rows_have_left(tmp_path: Path) -> None:
    """By whole hours, four times as long; what never reached a cascade as well."""
    path = tmp_path / "d.db"
    events: list[Event] = []
    for n in range(240):
        events += [decision(answer_of("small", "large"), NOON + 60 * n), refusal(NOON + 60 * n)]
    with folding(10):
        write(path, *events)
        write(path, decision(at=NOON + DAY + 9_000), now=NOON + DAY + 9_000, days=1)
    read = Decisions(path)
    assert len(read.page(limit=1_000)) == 91
    assert read.kept_since() == NOON + 9_000
    hours = {int(each.key): (each.n, each.reached) for each in read.sums(NOON - DAY, by="hour")}
    assert hours == {
        **{int(NOON) + 3_600 * n: (120, 60) for n in range(4)},
        int(NOON + DAY + 9_000) // 3_600 * 3_600: (1, 1),
    }
    # An end among those that have left is moved outward to a whole hour; one after it is as exact as ever.
    assert read.sums(NOON + 1_800, NOON + 5_400, by="cascade")[0].n == 120
    assert read.sums(NOON + 9_030, NOON + 10_800, by="cascade")[0].n == 29
    assert read.funnel(NOON, NOON + 7_200)[0].tried == 120
    write(path, decision(at=NOON + 3.9 * DAY), now=NOON + 3.9 * DAY, days=1)
    assert [each.n for each in read.sums(NOON, by="cascade")] == [242]
    write(path, decision(at=NOON + 7 * DAY), now=NOON + 7 * DAY, days=1)
    assert {each.n for each in read.sums(NOON, by="cascade")} == {2}


def test_sums_take_a_part_of_the_room_alone(tmp_path: Path) -> None:
    """A file of few decisions at a time, over years, stays below its megabytes: its sums take little over a fifth."""
    path = tmp_path / "d.db"
    with folding(200):
        for part in range(8):
            events = [decision(answer_of("small"), NOON + 4_000 * n) for n in range(part * 500, part * 500 + 500)]
            write(path, *events, megabytes=1, days=4_000, most=100_000)
            assert path.stat().st_size <= 1_000_000
    used = count(path, "SUM(150 + LENGTH(paces)) FROM sums")
    assert 0 < used < 300_000


@pytest.mark.parametrize("late", [NOON + 10, NOON + 3_650])
def test_a_decision_that_comes_late_is_in_the_sums(tmp_path: Path, late: float) -> None:
    """Also of a time whose rows have left: by the hour, where that is whole."""
    path = tmp_path / "d.db"
    with folding(5):
        write(path, *(decision(at=NOON + n * 600) for n in range(20)))
        write(path, decision(at=NOON + DAY + 9_000), now=NOON + DAY + 9_000, days=1)
        write(path, *(decision(at=late) for _ in range(10)), now=NOON + DAY + 9_000, days=1)
        write(path, decision(at=NOON + DAY + 9_100), now=NOON + DAY + 9_100, days=1)
    found = {int(each.key): each.n for each in Decisions(path).sums(NOON, NOON + 7_200, by="hour")}
    assert found[int(late) // 3_600 * 3_600] == 16
    assert sum(found.values()) == 22


class Kept(RuleBasedStateMachine):
    """A store that is written to by one after another, while time goes on and rows leave."""

    @initialize()
    def begin(self) -> None:
        """With nothing."""
        import tempfile  # noqa: PLC0415 - hypothesis runs it many times for one tmp_path

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "d.db"
        self.now = NOON
        self.told: list[float] = []

    @rule(many=st.integers(1, 9), back=st.floats(0, 7_200))
    def decide(self, many: int, back: float) -> None:
        """Some decisions, which may come late; never later than what leaves meanwhile."""
        ats = [self.now - back + n for n in range(many)]
        with folding(4):
            write(self.path, *map(decision_at, ats), now=self.now, days=0.25)
        self.told += ats

    @rule(hours=st.floats(0.1, 3))
    def wait(self, hours: float) -> None:
        """Time goes on."""
        self.now += hours * 3_600

    @invariant()
    def nothing_is_lost(self) -> None:
        """All that was ever decided is in the sums, as long as these are kept; by whole hours, exactly."""
        if not getattr(self, "told", None):
            return
        read = Decisions(self.path)
        since = (self.now - 0.9 * DAY) // 3_600 * 3_600
        wanted: dict[int, int] = {}
        for at in self.told:
            if at >= since:
                wanted[int(at // 3_600) * 3_600] = wanted.get(int(at // 3_600) * 3_600, 0) + 1
        assert {int(each.key): each.n for each in read.sums(since, by="hour")} == wanted
        young = max(read.kept_since(), self.now - 3_000.5)
        assert sum(each.n for each in read.sums(young, by="layer")) == sum(at >= young for at in self.told)

    def teardown(self) -> None:
        """Tidy up."""
        if hasattr(self, "folder"):
            self.folder.cleanup()


def decision_at(at: float) -> Event:
    """One of then."""
    return decision(answer_of("small"), at)


TestKept = Kept.TestCase
TestKept.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
