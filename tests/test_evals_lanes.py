"""An admission is tried on a recording as a threshold is: every tier was asked, wherever the lanes let a case in."""

import json
from pathlib import Path
from typing import Final

import pytest

from fastcascade.cli import main
from fastcascade.evals.admitted import Admission, AdmissionRow

MODELS: Final = """
from fastcascade.messages import Reply, Usage

def small(request):
    return Reply("right" if "easy" in request.text else "wrong", usage=Usage(input=10, output=1))

def large(request):
    return Reply("right", usage=Usage(input=10, output=1))
"""
TIERS: Final = """
[prices]
source = false
[[tiers]]
name = "small"
backend = { function = "lane_models:small" }
price = { input = 1.0, output = 1.0 }
[[tiers]]
name = "large"
backend = { function = "lane_models:large" }
price = { input = 100.0, output = 100.0 }
"""


def test_lanes_are_tried_on_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not admitted is recorded with both tiers, and can earn it; lanes of another file need no new call."""
    (tmp_path / "lane_models.py").write_text(MODELS, encoding="utf-8")
    row = AdmissionRow("easy", 900, 0.9, 0.9, 0.985, "admitted", 0.8)
    Admission((row,), keep=0.98, delta=0.05, n=900, date="2026-01-31").dump(tmp_path / "admitted.json")
    (tmp_path / "old.toml").write_text('[lanes]\nadmitted = "admitted.json"\n' + TIERS, encoding="utf-8")
    (tmp_path / "new.toml").write_text(TIERS, encoding="utf-8")
    cases = [
        json.dumps({"id": f"{kind}{place}", "input": f"{kind} {place}", "expected": "right", "slice": kind})
        for place in range(60)
        for kind in ("easy", "hard")
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(cases), encoding="utf-8")
    old, new, asked, run = (str(tmp_path / name) for name in ("old.toml", "new.toml", "cases.jsonl", "run.db"))
    assert main(["record", old, asked, "--to", run, "--grader", "exact"]) == 0
    assert main(["admit", run, "--keep", "0.9", "--to", str(tmp_path / "admitted.json")]) == 0
    earned = Admission.load(tmp_path / "admitted.json")
    assert {row.slice: (row.n, row.verdict) for row in earned.rows} == {
        "easy": (60, "admitted"),
        "hard": (60, "refused"),
    }
    assert main(["compare", old, new, asked, "--run", run]) == 1
    capsys.readouterr()
    assert main(["compare", new, old, asked, "--run", run, "--json"]) == 0
    found = {row["name"]: (row["old"], row["new"]) for row in json.loads(capsys.readouterr().out)["rows"]}
    assert found["hard"] == (0.0, 1.0) and found["easy"] == (1.0, 1.0)
