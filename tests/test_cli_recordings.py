"""Commands that read a recording: they leave it as it was, and say what of it they compare."""

import json
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from fastcascade.cli import main
from fastcascade.evals.evaluation import evaluate
from fastcascade.evals.sources import outcomes_of

CASCADE: Final = """
[[tiers]]
name = "small"
backend = {{ function = "{module}:small" }}
gate = "{module}:sure"
accept = {accept}
price = {{ input = 1.0, output = 1.0 }}

[[tiers]]
name = "large"
backend = {{ function = "{module}:large" }}
price = {{ input = 100.0, output = 100.0 }}
"""
MODELS: Final = """
from fastcascade.messages import Reply, Usage

def small(request):
    return Reply("right" if "easy" in request.text else "wrong", usage=Usage(10, 1))

def large(request):
    if "fail" in request.text:
        raise ValueError("as told")
    return Reply("right", usage=Usage(10, 1))

def sure(request, reply):
    return 0.9 if reply.text == "right" else 0.4
"""


def recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Two cascades that differ in where they accept, cases, and their recording, in which twenty of 40 failed."""
    module = f"models_{abs(hash(folder))}"
    (folder / f"{module}.py").write_text(MODELS, encoding="utf-8")
    for name, accept in (("old", 0.8), ("new", 0.3)):
        (folder / f"{name}.toml").write_text(CASCADE.format(module=module, accept=accept), encoding="utf-8")
    lines = [
        json.dumps({"id": f"{kind}{place}", "input": f"{kind} {place}", "expected": "right", "slice": kind})
        for place in range(10)
        for kind in ("easy", "hard", "easy and fail", "hard and fail")
    ]
    (folder / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    old, new, cases, run = (str(folder / name) for name in ("old.toml", "new.toml", "cases.jsonl", "run.db"))
    assert main(["record", old, cases, "--to", run, "--grader", "exact"]) == 1
    capsys.readouterr()
    return [old, new, cases, run]


def test_comparing_leaves_the_recording_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is read of a recording later is the same after a comparison that failed, and after one on fewer cases."""
    old, new, cases, run = recorded(tmp_path, capsys)
    other = tmp_path / "other.toml"
    before = outcomes_of(run)
    other.write_text(Path(new).read_text().replace('name = "small"', 'name = "tiny"'))
    assert main(["compare", old, str(other), cases, "--run", run]) == 2
    assert "40 of 40 cases are not in" in capsys.readouterr().err
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(Path(cases).read_text().splitlines()[:12]))
    assert main(["compare", old, new, str(few), "--run", run]) in (0, 1)
    after = outcomes_of(run)
    assert len(after) == 20 and (after.fingerprint(), after.told()) == (before.fingerprint(), before.told())


def test_what_of_a_recording_was_compared_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which tiers, and how many cases are in no figure and why: in the text, and beside JSON on the error stream."""
    run = recorded(tmp_path, capsys)[-1]
    told, report = "small, then large; left out: 20 failed", str(tmp_path / "report.md")
    found = outcomes_of(run)
    assert found.told() == found.take(np.arange(5)).told() == told
    evaluated = evaluate(found, 0.98)
    monkeypatch.setattr("fastcascade.evals.evaluation.evaluate", lambda *_, **__: evaluated)  # once will do
    for command in (["evaluate", "--outcomes", run, "--report", report], ["calibrate", run], ["admit", run]):
        assert main(command) == 0
        out, err = capsys.readouterr()
        assert told in out and told not in err
        assert (f"written: {report}" in err) is (command[0] == "evaluate")
        assert main([*command, "--json"]) == 0
        out, err = capsys.readouterr()
        assert told in err and told not in out and json.loads(out)


def test_cases_are_no_outcomes_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever gives the cases, or a shadow's log, in place of what came of them is told what to do first."""
    line, log = json.dumps({"id": "a", "input": "2+2", "expected": "4"}), '{"sampled": {}, "seen": {"": 7}}'
    table = "id,input,expected\na,2+2,4\n"
    for name, text, said in (
        ("cases.jsonl", line, "looks like cases"),
        ("cases.txt", f"\ufeff\n{line}", "looks like cases"),
        ("cases.ndjson.gz", "packed", "looks like cases"),
        ("shadow.jsonl", log, "looks like the log of a shadow"),
        ("cases.csv", table, "this looks like cases, which `fastcascade record` asks first"),
    ):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert main(["evaluate", "--outcomes", str(path)]) == 2
        assert said in capsys.readouterr().err
