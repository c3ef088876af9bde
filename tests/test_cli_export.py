"""`fastcascade export`: decisions as files that other tools and the evals read."""

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decided import answer_of, decision, grade
from fastcascade.cli import main
from fastcascade.evals.cases import load_cases
from fastcascade.evals.outcomes import Outcomes
from fastcascade.telemetry import export
from fastcascade.telemetry.decisions import Writer
from fastcascade.telemetry.events import Event

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command where a store lies, after these events were kept; what it printed, and complained of."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, events: tuple[Event, ...] = (), code: int = 0, texts: bool = True) -> tuple[str, str]:
        if events:
            writer = Writer(tmp_path / "decisions.db", texts=texts, every=0.001)
            for each in events:
                writer(each)
            assert writer.flush(30)
            writer.close()
        assert main(list(arguments)) == code
        told = capsys.readouterr()
        return told.out, told.err

    return command


def labelled(n: int = 40) -> tuple[Event, ...]:
    """Decisions of which both tiers' grades are known: escalated ones by a label each, others by the dear reply."""
    made: list[Event] = []
    for each in range(n):
        up = each % 2 == 0
        answer = answer_of("small", *(["large"] if up else []), id=f"r{each}", task="t", asked=f"question {each}")
        made.append(decision(answer))
        made.append(grade(f"r{each}", "small", float(each % 4 > 0), propensity=0.25))
        if up:
            made.append(grade(f"r{each}", "large", 1.0))
    return tuple(made)


def read(path: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_json_lines_hold_all_that_is_kept(run: Run) -> None:
    """A line to each decision, in the order of writing, for its owner alone."""
    out, _ = run("export", "decisions.db", "--to", "all.jsonl", events=labelled(4))
    assert out == "4 decisions written to all.jsonl\n"
    rows = read("all.jsonl")
    assert [each["id"] for each in rows] == ["r0", "r1", "r2", "r3"]
    assert rows[0]["tiers"] == ["small", "large"]
    assert rows[0]["attempts"][0]["verdict"] == "escalate"
    assert {each["tier"] for each in rows[0]["grades"]} == {"small", "large"}
    assert rows[0]["request"]["messages"][0]["content"][0]["text"] == "question 0"
    assert stat.S_IMODE(Path("all.jsonl").stat().st_mode) == 0o600


def test_without_texts_there_are_none(run: Run) -> None:
    """What was not kept cannot be exported."""
    run("export", "decisions.db", "--to", "all.jsonl", events=labelled(2), texts=False)
    assert "question" not in Path("all.jsonl").read_text()


def test_more_than_a_handful_are_walked_in_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, whatever the size of a part."""
    monkeypatch.setattr(export, "SOME", 7)
    run(
        "export",
        "decisions.db",
        "--to",
        "all.jsonl",
        events=tuple(decision(answer_of("small", id=str(n))) for n in range(50)),
    )
    assert [each["id"] for each in read("all.jsonl")] == [str(n) for n in range(50)]


def test_parquet_holds_the_same(run: Run) -> None:
    """Columns of their own kinds, read by pyarrow; what has parts is JSON in its cell."""
    parquet = pytest.importorskip("pyarrow.parquet")
    run("export", "decisions.db", "--to", "all.parquet", events=labelled(6))
    run("export", "decisions.db", "--to", "all.jsonl")
    table = parquet.read_table("all.parquet").to_pylist()
    lines = read("all.jsonl")
    for row, line in zip(table, lines, strict=True):
        for name in export.PACKED:
            row[name] = json.loads(row[name])
        assert row == line
    assert stat.S_IMODE(Path("all.parquet").stat().st_mode) == 0o600


def test_labelled_decisions_are_cases(run: Run) -> None:
    """load_cases reads them: what was asked, what was said, the label; what is right where that was."""
    run(
        "export",
        "decisions.db",
        "--graded",
        "--to",
        "graded.jsonl",
        events=(*labelled(4), decision(answer_of("small"))),
    )
    cases = load_cases("graded.jsonl")
    assert [each.text for each in cases] == [f"question {n}" for n in range(4)]
    assert cases[1].candidates == {"small": "that"}
    assert cases[1].label == {"score": 1.0, "source": "judge", "propensity": 0.25}
    assert cases[1].expected == "that"
    assert cases[1].slice == "t"


def test_labelled_decisions_are_a_table_of_outcomes(run: Run) -> None:
    """Grades, costs, weights and the gate's score of each; those of which the dear grade is not known are left out."""
    more = (decision(answer_of("small", id="thumb")), grade("thumb", "small", 1.0, propensity=None, source="thumb"))
    _, told = run("export", "decisions.db", "--graded", "--to", "graded.csv", events=(*labelled(40), *more))
    table = Outcomes.load("graded.csv")
    assert len(table) == 20
    assert table.cheap.tolist() == [float(n % 4 > 0) for n in range(0, 40, 2)]
    assert set(table.dear) == {1.0}
    assert set(table.cheap_cost) == {0.001}
    assert set(table.dear_cost) == {0.01}
    assert set(table.weight) == {4.0}
    assert set(table.signals["confidence"]) == {0.6}
    assert "left out: 20 without a label of large" in told
    assert "left out: 1 not drawn" in told


def test_a_dear_reply_that_was_the_measure_is_right(run: Run) -> None:
    """A label from the dear tier's reply says what both are worth."""
    pytest.importorskip("scipy")
    events: list[Event] = []
    for n in range(60):
        answer = answer_of("small", "large", id=f"r{n}")
        tried = answer.attempts[0]
        score = (n % 10) / 10
        first = type(tried)(tried.tier, tried.verdict, score, "", tried.model, None, 0.0, 0.1, tried.calls)
        made = type(answer)(answer.reply, answer.request, "large", attempts=(first, answer.attempts[1]))
        events += [decision(made), grade(f"r{n}", "small", float(n % 10 > 3), source="dear", propensity=1.0)]
    run("export", "decisions.db", "--graded", "--to", "graded.csv", events=tuple(events))
    out, _ = run("calibrate", "graded.csv", "--json")
    assert json.loads(out)
    out, _ = run("evaluate", "--outcomes", "graded.csv", "--keep", "0.9")
    assert "60" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "all.txt"], "ends in .jsonl"),
        (["--to", "all.csv"], "ends in .jsonl"),
        (["--to", "no/such/all.jsonl"], "cannot be written"),
        (["--to", "graded.jsonl", "--graded"], "nothing to write"),
        (["--to", "graded.csv", "--graded"], "of two tiers"),
    ],
)
def test_what_cannot_be_written_is_refused(run: Run, arguments: list[str], told: str) -> None:
    """What was there before stays as it is."""
    Path("graded.jsonl").write_text("before")
    _, error = run("export", "decisions.db", *arguments, events=(decision(),), code=2)
    assert told in error
    assert Path("graded.jsonl").read_text() == "before"
    assert not any(each.name.startswith(".") for each in Path().iterdir())


def test_a_file_is_whole_or_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading fails in the midst of it, neither half a file nor a leftover remains."""
    run("export", "decisions.db", "--to", "all.jsonl", events=(decision(),))
    before = Path("all.jsonl").read_bytes()

    def broken(_whole: object) -> dict[str, Any]:
        raise RuntimeError("in the midst")

    monkeypatch.setattr(export, "flat", broken)
    with pytest.raises(RuntimeError, match="midst"):
        main(["export", "decisions.db", "--to", "all.jsonl"])
    assert Path("all.jsonl").read_bytes() == before
    assert not any(each.name.startswith(".") for each in Path().iterdir())


def test_only_the_span_is_written(run: Run) -> None:
    """--since is how far back."""
    old = decision(answer_of("small", id="old"), time.time() - 7_200)
    run(
        "export",
        "decisions.db",
        "--since",
        "1h",
        "--to",
        "all.jsonl",
        events=(old, decision(answer_of("small", id="new"))),
    )
    assert [each["id"] for each in read("all.jsonl")] == ["new"]
