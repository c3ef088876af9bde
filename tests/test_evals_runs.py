"""The file of a recording: what is written is read, whatever it holds, and nobody else's file is touched."""

import asyncio
import math
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals_pieces import PRICE, Counted, Same, cases
from fastcascade import Cascade, ConfigError, StoreError, Tier
from fastcascade.effects import Outcome
from fastcascade.errors import Failure
from fastcascade.evals.cases import Case
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.recorder import Recorder
from fastcascade.evals.runs import Runs, Tiered
from fastcascade.evals.sources import outcomes_of
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.messages import Reply, Request, Usage
from fastcascade.recording import Recording

NUMBERS = st.none() | st.floats(0, 1e6)
TEXTS = st.text(st.characters(), max_size=20)  # halves of surrogate pairs among them, as models write them
TIERED = st.builds(
    Tiered,
    st.just(0),
    st.sampled_from(["accept", "escalate"]),
    st.none() | TEXTS,
    st.dictionaries(TEXTS, st.none() | st.floats(0, 1)),
    st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    NUMBERS,
    NUMBERS,
    st.floats(0, 100),
    TEXTS,
    st.none() | st.floats(0, 1),
    TEXTS,
)


class Length(Gate):
    """How long the reply is."""

    name = "length"

    def judge(self, exam: Exam, /) -> Verdict:
        return Verdict(min(1.0, len(exam.reply.text) / 10))

    def clean(self, reply: Reply, /) -> Reply:
        return Reply(reply.text.strip("!"))


def recorded(path: Path, asked: list[Case], *tiers: Tier) -> None:
    """Make a recording."""
    with Runs(path, make=True) as runs:
        asyncio.run(Recorder(Cascade(*tiers), runs, version="1", grader=Same()).run(asked))


def model(name: str, said: str = "3", *, down: bool = False) -> Counted:
    """A model that says one thing."""
    made = Counted(name, lambda _: said, lambda _: None)
    made.down = down
    return made


@settings(max_examples=15, deadline=None)
@given(TIERED, TEXTS)
def test_what_is_written_is_read(tier: Tiered, said: str) -> None:
    """Any text, number and outcome comes back as it was, from the next process too."""
    outcome = Outcome(Reply(said), None, 1.0, 2.5)
    failed = Outcome(None, Failure("server", said), 3.0, 4.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        with Runs(path, make=True) as runs:
            found = runs.listing("1", ["small"], [Case("c", "q", said)])
            at = (found.cascade, found.cases[0].seq)
            runs.keep(runs.hold("call", 0.5), 0.25, *at, "small/answer", outcome)
            runs.finish(*at, Recording(Request.of("q"), {"a/b": outcome, "c/d": failed}), [tier], "")
        with Runs(path) as runs:
            assert runs.tiers(*at) == [tier]
            assert runs.kept(*at) == {"a/b": outcome}
            assert list(runs.recordings()) == [("c", Recording(Request.of("q"), {"a/b": outcome, "c/d": failed}))]
            assert runs.spent_usd == 0.25


def test_the_table_is_what_outcomes_are_made_of(tmp_path: Path) -> None:
    """Grades, costs and raw signals stand side by side, and make `Outcomes` as they are."""
    small, large = Tier(model("small", "3!!"), gate=Length(), price=PRICE), Tier(model("large"), price=PRICE)
    recorded(tmp_path / "run.db", cases(4), small, large)
    with Runs(tmp_path / "run.db") as runs:
        table = runs.table()
        assert runs.table("large", "small")["cheap_tier"] == "large"
        with pytest.raises(ConfigError, match="needs two"):
            runs.table(0, 0)
        with pytest.raises(ConfigError, match="there are: small, large"):
            runs.table("tiny")
    assert table["ids"] == ["c0", "c1", "c2", "c3"] and table["slices"] == ["even", "odd"] * 2
    assert table["cheap"] == table["dear"] == [1.0] * 4  # graded as a caller would have had it
    assert table["signals"]["length"] == [0.3] * 4 and table["sense"]["length"] == 1
    assert table["signals"]["cheap_completion_tokens"] == [100.0] * 4
    assert table["cheap_cost"] == table["dear_cost"] == pytest.approx([0.002] * 4)
    assert not any(table["left_out"].values())
    named = ("cheap", "dear", "cheap_cost", "dear_cost")
    cheap, dear, cheap_cost, dear_cost = (np.array(table[name]) for name in named)
    assert len(Outcomes(cheap, dear, cheap_cost, dear_cost)) == 4


def test_what_failed_is_left_out_and_counted(tmp_path: Path) -> None:
    """A case that one of the tiers has no reply to is in no column, and in the count."""
    recorded(tmp_path / "run.db", cases(3), Tier(model("small"), price=PRICE), Tier(model("large", down=True)))
    with Runs(tmp_path / "run.db") as runs:
        table = runs.table()
    assert table["ids"] == [] and table["left_out"]["failed"] == 3 and table["signals"] == {}


def test_a_signal_that_is_not_there_is_nan(tmp_path: Path) -> None:
    """Where a gate says nothing of a case the column has NaN, in that case's place."""

    class Odd(Gate):
        name = "odd"

        def judge(self, exam: Exam, /) -> Verdict:
            return Verdict(1.0 if len(exam.request.text) % 2 else None)

    recorded(tmp_path / "run.db", cases(4), Tier(model("small"), gate=Odd(), price=PRICE), Tier(model("large")))
    with Runs(tmp_path / "run.db") as runs:
        assert [math.isnan(each) for each in runs.table()["signals"]["odd"]] == [False, True, False, True]


def test_other_programs_files_are_refused(tmp_path: Path) -> None:
    """A foreign database, a text, a newer version and a file that is not there are refused, and left as they are."""
    foreign, text, newer = tmp_path / "foreign.db", tmp_path / "text.db", tmp_path / "newer.db"
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    text.write_text("no database at all, and longer than a head of one " * 10, encoding="utf-8")
    Runs(newer, make=True).close()
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    for path, why in ((foreign, "another program"), (text, "no SQLite database"), (newer, "install a newer")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=why):
            Runs(path, make=True)
        assert path.read_bytes() == before
    with pytest.raises(ConfigError, match="no such recording"):
        Runs(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """While one process has the file no other gets it, and is told why; then it does."""
    path = tmp_path / "run.db"
    script = "import sys; from fastcascade.evals.runs import Runs; Runs(sys.argv[1], busy=0.05)"
    with Runs(path, make=True) as runs:
        runs.hold("call", 1.0)
        with pytest.raises(StoreError, match="another process is at work"):
            Runs(path, busy=0.05)
        other = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        assert other.returncode == 1 and "another process is at work" in other.stderr
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 0


def test_nothing_recorded_is_said(tmp_path: Path) -> None:
    """An empty file has no table, and says so."""
    with Runs(tmp_path / "run.db", make=True) as runs, pytest.raises(ConfigError, match="nothing was recorded"):
        runs.table()


def dumped(path: Path) -> list[str]:
    """All that a file holds."""
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


def test_what_is_found_is_what_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    """Looking cases up says of each what listing it would say, and leaves the list of what is read as it was."""
    path = tmp_path / "run.db"
    asked = [*cases(3), Case("c1", "another question"), Case("new", "new?")]
    cascade = Cascade(Tier(Counted("small", lambda _: "3", lambda _: None), price=PRICE))
    with Runs(path, make=True) as runs:
        asyncio.run(Recorder(cascade, runs, version="1", grader=Same()).run(cases(3)))
    before = dumped(path)
    with Runs(path) as runs:
        found, other = runs.found("1", asked), runs.found("2", asked)
        assert dict(runs.recordings()) == {
            case.id: runs.recording(found.cascade, each.seq)
            for case, each in zip(asked[:3], found.cases[:3], strict=True)
        }
        with pytest.raises(StoreError, match="is not recorded"):
            runs.recording(found.cascade, 0)
    assert dumped(path) == before
    assert [each.recorded for each in found.cases] == [True] * 3 + [False] * 2
    assert other.cascade == 0 and other.changed and not any(each.recorded for each in other.cases)
    with Runs(path) as runs:
        listed = runs.listing("1", ["small"], asked)
    assert listed.cascade == found.cascade and listed.changed == found.changed
    for low, high in zip(found.cases, listed.cases, strict=True):
        assert (low.recorded, low.failed, low.changed) == (high.recorded, high.failed, high.changed)
        assert low.seq in (high.seq, 0)


@pytest.mark.parametrize("held", [b"", b"text\n", b"id,prompt\n" * 999], ids=["empty", "short", "long"])
def test_reading_makes_nothing_of_a_file_that_is_no_recording(tmp_path: Path, held: bytes) -> None:
    """Whoever names the wrong file to be read is told, and finds it as it was, with nothing beside it."""
    path = tmp_path / "table.csv"
    path.write_bytes(held)
    with pytest.raises(StoreError, match="this is no recording"):
        Runs(path)
    with pytest.raises(StoreError, match="it is no file"):
        Runs(tmp_path)
    assert path.read_bytes() == held and list(tmp_path.iterdir()) == [path]


def test_a_recording_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as it stands, and nothing is made beside it; what is in use or another's, and a change are refused."""
    path, foreign = tmp_path / "run 1?#.db", tmp_path / "foreign.db"
    cascade = Cascade(*(Tier(Counted(name, lambda _: "3", lambda _: None), price=PRICE) for name in ("small", "large")))
    with Runs(path, make=True) as runs:
        asyncio.run(Recorder(cascade, runs, version="1", grader=Same()).run(cases(3)))
        table = runs.table()
    sqlite3.connect(foreign).execute("CREATE TABLE theirs (a)").connection.close()
    there, before = sorted(tmp_path.iterdir()), path.read_bytes()
    monkeypatch.setattr("os.access", lambda *_: False)
    with Runs(path) as runs:
        assert not runs.writable and runs.table() == table
        with pytest.raises(StoreError, match="can only be read"):
            runs.listing("1", ["small"], cases(3))
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="another program's database"):
        Runs(foreign)
    assert sorted(tmp_path.iterdir()) == there
    for journal in ("-wal", "-journal"):
        (beside := path.with_name(path.name + journal)).write_bytes(b"half of it")
        with pytest.raises(StoreError, match=f"part of it is in {re.escape(beside.name)}"):
            Runs(path)
        beside.write_bytes(b"")
    with Runs(path) as runs:
        assert runs.table() == table


def test_tiers_that_are_not_compared_are_named(tmp_path: Path) -> None:
    """Of three tiers two are compared, and the outcomes say which is not."""
    path = tmp_path / "run.db"
    with Runs(path, make=True) as runs:
        tiers = [
            Tier(Counted(name, lambda _: "3", lambda _: None), price=PRICE) for name in ("small", "middle", "large")
        ]
        asyncio.run(Recorder(Cascade(*tiers), runs, version="1", grader=Same()).run(cases(3)))
    found = outcomes_of(path)
    assert (found.tiers, found.besides, found.left_out) == (("small", "large"), ("middle",), {})
    assert found.told() == "small, then large (not compared: middle)"
    assert outcomes_of(path, "middle", "large").told() == "middle, then large (not compared: small)"
