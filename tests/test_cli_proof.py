"""The commands that prove: what they print of a table, what they write, and what they refuse."""

import json
from pathlib import Path
from random import Random
from typing import Final

import pytest

from fastcascade import Cascade, Tier
from fastcascade.cli import main
from fastcascade.evals.admitted import Admission, Admitted
from fastcascade.gates import calibration
from fastcascade.gates.check import UserCheck
from fastcascade.messages import Request
from fastcascade.testing import ScriptedBackend

HEAD: Final = (
    "question_id,slice,cheap_correct,expensive_correct,cheap_cost_usd,expensive_cost_usd,confidence,vote_entropy"
)


@pytest.fixture
def outcomes(tmp_path: Path) -> str:
    """A table in which confidence tells, though too low, and in which the slice "easy" needs no dear model."""
    draw = Random(7)
    rows = [HEAD]
    for place in range(3000):
        easy = place % 2
        sure = draw.random()
        right = int(draw.random() < (0.99 if easy else sure**0.2))
        dear = int(draw.random() < 0.97)
        rows.append(f"q{place},{'easy' if easy else 'hard'},{right},{dear},0.001,0.02,{sure:.3f},{1 - sure:.3f}")
    path = tmp_path / "outcomes.csv"
    path.write_text("\n".join(rows))
    return str(path)


def test_a_curve_is_fitted_measured_and_written(
    outcomes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The artefact is one that a gate loads, with where it comes from, and the error is lower with it than without."""
    to = tmp_path / "curve.json"
    assert main(["calibrate", outcomes, "--keep", "0.95", "--to", str(to), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    curve = calibration.load(to)
    assert curve.origin.n == found["n"] == 3000
    assert curve.origin.fingerprint == found["fingerprint"]
    assert found["signal"] == "confidence"
    assert found["ece_after"] < found["ece_before"]
    assert found["ece_after_interval"][0] <= found["ece_after"] <= found["ece_after_interval"][1] + 0.05
    assert found["verdict"] == "holds"
    assert found["quality_ratio"] >= found["quality_ratio_low"] >= 0.95
    assert curve(found["threshold"]) == pytest.approx(found["accept"], abs=0.05)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_what_cannot_be_promised_is_not_yet(
    outcomes: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With too few cases for the claim the answer is "not yet", with how many more would do, and no threshold."""
    few = tmp_path / "few.csv"
    few.write_text("\n".join(Path(outcomes).read_text().splitlines()[:31]))
    assert main(["calibrate", str(few), "--keep", "0.99", "--method", method]) == 0
    printed = capsys.readouterr().out
    assert "not yet: ask the large tier; cases needed:" in printed


def test_slices_are_admitted_one_by_one_and_routing_obeys(
    outcomes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The slice that the small tier has earned is in the policy file, the other is not, and lanes go by it."""
    to = tmp_path / "admitted.json"
    assert main(["admit", outcomes, "--keep", "0.95", "--to", str(to)]) == 0
    printed = capsys.readouterr().out
    assert "easy" in printed and "admitted" in printed and f"written: {to}" in printed
    assert Admission.load(to).admitted == {"easy"}
    small, large = ScriptedBackend("yes", name="small"), ScriptedBackend("yes", name="large")
    cascade = Cascade(Tier(small, gate=UserCheck(lambda _, __: True)), Tier(large), lanes=Admitted(to))
    for task, tier in (("easy", "small"), ("hard", "large"), ("new", "large")):
        assert cascade.run_sync(Request.of("?", task=task)).tier == tier


def test_an_admission_says_what_it_rests_on(outcomes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was earned behind a gate is so at that threshold alone, which the cascade must be given."""
    gate = ["--signal", "confidence", "--accept", "0.4"]
    assert main(["admit", outcomes, "--keep", "0.95", *gate]) == 0
    assert "accepts from 0.4 of confidence" in capsys.readouterr().out
    assert main(["admit", outcomes, "--keep", "0.95"]) == 0
    assert "accepts from" not in capsys.readouterr().out


def test_a_table_without_signals_is_told(outcomes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column of one's own that lacks its prefix is no signal, which nobody would guess from the recommendation."""
    text = Path(outcomes).read_text().splitlines()[:200]
    for head, told in (("sure,unsure", True), ("signal_sure,unsure", False)):
        path = tmp_path / f"{head[:6]}.csv"
        path.write_text("\n".join([HEAD.replace("confidence,vote_entropy", head), *text[1:]]))
        assert main(["evaluate", "--outcomes", str(path), "--json"]) == 0
        out, err = capsys.readouterr()
        assert ("has no signal" in err and "signal_NAME" in err) is told and json.loads(out)["n"] == 199


REFUSED: Final = [
    (["calibrate", "{}", "--signal", "mine"], "there is no signal 'mine'"),
    (["calibrate", "{}", "--signal", "vote_entropy"], "vote_entropy is no score from 0 to 1"),
    (["calibrate", "{}", "--to", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written"),
    (["calibrate", "{}-gone"], "-gone cannot be read"),
    (["thresholds", "{}"], "this is no recording, and no SQLite database at all"),
    (["admit", "{}", "--signal", "confidence"], "--signal and --accept go together"),
    (["admit", "{}", "--signal", "mine", "--accept", "0.5"], "there is no signal 'mine'"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_done_is_said(
    outcomes: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong name, file or option ends with 2 and one message that names it."""
    assert main([each.format(outcomes) for each in words]) == 2
    assert said in capsys.readouterr().err


CASCADE: Final = """
[[tiers]]
name = "small"
backend = {{ function = "{module}:small" }}
gate = "{module}:sure"
accept = {accept}
price = {{ input = 0.0, output = 0.0, per_call = 1.0 }}

[[tiers]]
name = "large"
backend = {{ function = "{module}:large" }}
price = {{ input = 0.0, output = 0.0, per_call = 10.0 }}
"""
MODELS: Final = """
from fastcascade.messages import Reply

def small(request):
    return Reply("right" if "easy" in request.text else "wrong")

def large(request):
    return Reply("right")

def sure(request, reply):
    return 0.9 if reply.text == "right" else 0.4
"""


def compared(folder: Path, *accepts: float) -> list[str]:
    """Two cascades that differ in where they accept, and sixty cases, half of them too hard for the small model."""
    module = f"models_{abs(hash(folder))}"
    (folder / f"{module}.py").write_text(MODELS, encoding="utf-8")
    for name, accept in zip(("old", "new"), accepts, strict=True):
        (folder / f"{name}.toml").write_text(CASCADE.format(module=module, accept=accept), encoding="utf-8")
    lines = [
        json.dumps({"id": f"{kind}{place}", "input": f"{kind} {place}", "expected": "right", "slice": kind})
        for place in range(60)
        for kind in ("easy", "hard")
    ]
    (folder / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return [str(folder / name) for name in ("old.toml", "new.toml", "cases.jsonl")]


def test_a_cascade_that_became_worse_fails_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One recording serves for every threshold; the slice that suffers is named, in each form, and the gate fails."""
    old, new, cases = compared(tmp_path, 0.8, 0.3)
    run, junit, table = (str(tmp_path / name) for name in ("run.db", "gate.xml", "gate.md"))
    assert main(["record", old, cases, "--to", run, "--grader", "exact"]) == 0
    capsys.readouterr()
    assert main(["compare", old, new, cases, "--run", run, "--junit", junit, "--markdown", table]) == 1
    assert "hard" in capsys.readouterr().out
    assert 'failures="2"' in Path(junit).read_text()
    assert "### Regression gate: worse" in Path(table).read_text()
    assert main(["compare", old, new, cases, "--run", run, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["verdict"] for row in found["rows"]}["hard"] == "worse"
    assert found["lost_count"] == 60


def test_the_same_cascade_passes_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every case comes to the same, nothing is worse, and strictly no worse is shown only with cases enough."""
    old, new, cases = compared(tmp_path, 0.8, 0.7)
    run = str(tmp_path / "run.db")
    assert main(["compare", old, new, cases, "--run", run]) == 2
    assert "there is no such recording" in capsys.readouterr().err
    assert main(["record", old, cases, "--to", run, "--grader", "exact"]) == 0
    assert main(["compare", old, new, cases, "--run", run]) == 0
    assert main(["compare", old, new, cases, "--run", run, "--margin", "0.01", "--strict"]) == 1
    more = Path(cases).read_text() + "\n" + json.dumps({"id": "one more", "input": "easy", "expected": "right"})
    Path(cases).write_text(more)
    capsys.readouterr()
    assert main(["compare", old, new, cases, "--run", run]) == 2
    assert f"1 of 121 cases are not in {run} as {old} asks them: fastcascade record" in capsys.readouterr().err
