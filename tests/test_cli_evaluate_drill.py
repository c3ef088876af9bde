"""`fastcascade evaluate --drill`: a real cascade recorded, what is printed, and what is refused."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fastcascade.cli import evaluate_drill
from fastcascade.errors import ConfigError
from fastcascade.evals.runs import Runs

CASCADE = """
[[tiers]]
name = "rules"
[tiers.backend]
kind = "rules"
faq = {{ "shut?" = "4" }}

[[tiers]]
name = "small"
backend = {{ function = "{module}:small" }}
gate = {{ kind = "consistency", k = 3, early = false }}
accept = 0.9
price = {{ input = 0.0, output = 0.0, per_call = 1.0 }}

[[tiers]]
name = "large"
backend = {{ function = "{module}:large" }}
price = {{ input = 0.0, output = 0.0, per_call = 10.0 }}
"""
MODELS = """
from collections import Counter
from pathlib import Path
from fastcascade.messages import Reply, Usage

ASKED = Counter()
JOURNAL = Path(__file__).with_suffix(".log")

def note(who, text):
    with JOURNAL.open("a", encoding="utf-8") as file:
        file.write(f"{{who}} {{text}}\\n")
    ASKED[who, text] += 1
    return ASKED[who, text]

def small(request):
    kind, times = request.text.split()[0], note("small", request.text)
    said = {{"easy": "4", "hard": str(4 + times), "sly": "5", "shaky": str(3 + times)}}
    return Reply(said.get(kind, "4"), usage=Usage(1, 1))

def large(request):
    note("large", request.text)
    if "fail" in request.text:
        raise ValueError("as told")
    return Reply("The answer is 4.", usage=Usage(1, 1))
""".replace("{{", "{").replace("}}", "}")
KINDS = {"easy": 20, "hard": 5, "sly": 3, "shaky": 2}


class Folder:
    """A cascade, cases and what was asked."""

    def __init__(self, path: Path) -> None:
        self.path, self.module = path, f"drilled_{abs(hash(path))}"
        (path / f"{self.module}.py").write_text(MODELS, encoding="utf-8")
        (path / "cascade.toml").write_text(CASCADE.format(module=self.module), encoding="utf-8")
        self.cases([f"{kind} {at}" for kind, count in KINDS.items() for at in range(count)])

    def cases(self, texts: list[str], **more: object) -> None:
        rows = [{"id": text, "input": text, "expected": "4", "slice": text.split()[0], **more} for text in texts]
        self.rows(rows)

    def rows(self, rows: list[dict[str, object]]) -> None:
        (self.path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    @property
    def asked(self) -> list[str]:
        journal = self.path / f"{self.module}.log"
        return journal.read_text("utf-8").splitlines() if journal.exists() else []

    def drill(self, *given: str) -> int:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        parser.add_argument("--drill")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--confidence", type=float, default=0.95)
        parser.add_argument("--seed", type=int, default=0)
        evaluate_drill.add_arguments(parser)
        return evaluate_drill.execute(parser.parse_args(["--drill", str(self.path / "cases.jsonl"), *given]))

    def recorded(self, *given: str) -> int:
        run = ["--cascade", str(self.path / "cascade.toml"), "--run", str(self.path / "run.db")]
        return self.drill(*run, "--grader", "numeric", *given)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Thirty cases: of the small lane's replies 8 are wrong; its gate sees 5 of these, and doubts 2 that are right."""
    return Folder(tmp_path)


def test_thirty_cases_through_both_lanes(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are those the models were written for, and the cascade's own gates stand beside the perfect one."""
    assert folder.recorded("--json") == 0
    found = json.loads(capsys.readouterr().out)
    whole, own = found["whole"], found["own"]
    assert (found["schema"], found["small"], found["large"], whole["n"]) == (1, "small", "large", 30)
    assert whole["escalated"] == 8 and whole["rate"]["value"] == pytest.approx(8 / 30)
    assert whole["small"]["quality"]["value"] == pytest.approx(22 / 30) and whole["after"]["quality"]["value"] == 1.0
    assert whole["small"]["usd"]["value"] == pytest.approx(1.0) and whole["large"]["usd"]["value"] == pytest.approx(10)
    assert whole["after"]["usd"]["value"] == pytest.approx((30 + 80) / 30)
    assert whole["saving"]["value"] == pytest.approx(1 - 110 / 300) and whole["saving"]["n"] == 30
    assert (own["sent_on"], own["needless"], own["let_through"], own["below"]) == (7, 2, 3, 0)
    assert own["way"]["quality"]["value"] == pytest.approx(27 / 30)
    assert own["way"]["usd"]["value"] == pytest.approx((90 + 70) / 30)
    assert set(found["slices"]) == {"easy", "hard"} and found["slices"]["hard"]["escalated"] == 5
    assert found["recorded"]["asked"] == 30 and found["left_out"] == {} and not found["estimated"]


def test_a_second_drill_pays_nothing(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """All calls are in the file, 90 of the small model with its samples and 30 of the large one; none is made again."""
    assert folder.recorded("--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert len(folder.asked) == 120 and first["recorded"]["spent_usd"] == pytest.approx(90 + 300)
    assert folder.recorded("--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert len(folder.asked) == 120 and second["recorded"]["spent_usd"] == 0.0
    assert second["whole"] == first["whole"] and second["own"] == first["own"]


def test_what_is_printed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Each way with its interval, the rate, the saving, the own gates, the slices, and plain sentences."""
    assert folder.recorded() == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    assert "drill on 30 cases: small lane 'small', flagship 'large'" in out
    for way in ("small lane alone", "failures escalated", "flagship everywhere", "its own gates"):
        assert f"\n{way} " in out
    assert "escalation rate 26.7 % (8 of 30), 95 % interval 12.3 to 45.9 %" in flat
    assert "saving 63.3 % of the flagship's cost, 95 % interval" in flat
    assert "send on 7 of 30, 2 of them needlessly, and let 3 wrong of the 23 that they keep through" in flat
    assert "perfect gate" in flat and "30 of 30 cases recorded" in flat and "\nslice " in out
    assert "30 times do not bound the 95th percentile from above: 72 would" in flat


def test_a_stopped_drill_goes_on(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the cap ends it there are no figures on a part, and the next one asks only what is left."""
    assert folder.recorded("--cap-usd", "100") == 3
    out, err = capsys.readouterr()
    assert out == "" and "no drill on a part" in err and "are left" in err
    before = len(folder.asked)
    assert 0 < before < 120
    assert folder.recorded("--cap-usd", "50", "--json") == 3
    assert json.loads(capsys.readouterr().out)["recorded"]["left"] > 0 and len(folder.asked) == before
    assert folder.recorded() == 0 and len(folder.asked) == 120


def test_without_a_file_it_is_said(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Calls that nothing keeps are told with what they cost, and how they would be kept."""
    folder.cases([f"easy {at}" for at in range(4)])
    assert folder.drill("--cascade", str(folder.path / "cascade.toml"), "--grader", "numeric") == 0
    out, err = capsys.readouterr()
    assert "$52.0000 of calls were made and not kept" in err and "--run run.db" in err
    assert "4 cases show nothing yet" in out and "too few cases for an interval" in out
    assert not (folder.path / "run.db").exists()


def test_rules_and_failures(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """A case the rules answer is drilled all the same; one of which a call failed is left out, and it ends with 1."""
    folder.cases(["shut?", "easy 1", "easy fail", "hard 2"])
    assert folder.recorded("--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]["n"] == 3 and found["own"]["below"] == 1 and sum(found["left_out"].values()) == 1
    with Runs(folder.path / "run.db") as runs:
        assert runs.table("small", "large")["left_out"]["failed"] == 1


def test_what_passes_and_the_lanes_are_chosen(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """--small, --large and --pass are what it goes by, and --confidence widens or narrows."""
    assert folder.recorded("--json", "--small", "small", "--large", "large", "--pass", "1", "--confidence", "0.8") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passing"] == 1.0 and found["confidence"] == 0.8
    low, high = found["whole"]["rate"]["interval"]
    assert 0.123 < low < high < 0.459


JUDGE = """
[[tiers]]
name = "judge"
backend = {{ function = "{module}:judge" }}
price = {{ input = 0.0, output = 0.0, per_call = 0.5 }}
"""
JUDGING = """
import re

def judge(request):
    note("judge", "")
    wrong = re.search(r"<answer>\\s*5\\s*</answer>", request.text)
    return Reply("0.4" if wrong else "0.8", usage=Usage(1, 1))
"""


def test_a_judge_grades(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """A judge's grades are fractions: from 0.75 a reply passes, or from --pass, and quality is their mean."""
    with (folder.path / f"{folder.module}.py").open("a", encoding="utf-8") as file:
        file.write(JUDGING)
    with (folder.path / "cascade.toml").open("a", encoding="utf-8") as file:
        file.write(JUDGE.format(module=folder.module))
    texts = [f"{kind} {letter}" for kind in ("easy", "sly") for letter in "abc"]
    folder.rows([{"id": each, "input": each, "rubric": "it says four"} for each in texts])
    run = ["--cascade", str(folder.path / "cascade.toml"), "--run", str(folder.path / "run.db"), "--json"]
    judged = [*run, "--grader", "judged", "--judge", "judge", "--large", "large"]
    assert folder.drill(*judged) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]["escalated"] == 3 and found["whole"]["small"]["quality"]["value"] == pytest.approx(0.6)
    assert found["whole"]["after"]["quality"]["value"] == pytest.approx(0.8) and found["large"] == "large"
    asked = len(folder.asked)
    assert folder.drill(*judged, "--pass", "0.9") == 0 and len(folder.asked) == asked
    assert json.loads(capsys.readouterr().out)["whole"]["escalated"] == 6


def test_an_interrupt_says_how_to_go_on(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded is kept, and which file to give again is told."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastcascade.evals.recorder.Recorder._work", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.recorded()
    assert "run.db again to go on" in capsys.readouterr().err
    assert folder.recorded() == 0


def test_it_needs_no_numpy(folder: Folder) -> None:
    """A drill, recording and figures, runs where numpy cannot be imported."""
    lines = [
        "import argparse, sys",
        "sys.modules['numpy'] = None",
        "from fastcascade.cli import evaluate_drill",
        "parser = argparse.ArgumentParser()",
        "parser.set_defaults(confidence=0.95, seed=0, json=False, drill=sys.argv.pop(1))",
        "evaluate_drill.add_arguments(parser)",
        "sys.exit(evaluate_drill.execute(parser.parse_args()))",
    ]
    given = [str(folder.path / "cases.jsonl"), "--cascade", str(folder.path / "cascade.toml"), "--grader", "numeric"]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *given], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "escalation rate  26.7 % (8 of 30)" in ended.stdout


def test_candidates_need_no_calls(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers in the file are graded as they are; prices come from a sheet, and without one are told as unknown."""
    wrong = [{"low": "5", "high": "4"}] * 3 + [{"low": "4", "high": "4"}] * 9
    folder.rows([{"id": str(at), "input": "x", "expected": "4", "candidates": each} for at, each in enumerate(wrong)])
    assert folder.drill("--grader", "numeric") == 0
    out = capsys.readouterr().out
    assert "25.0 % (3 of 12)" in out and "saving           unknown" in out and "p50" not in out
    sheet = folder.path / "prices.json"
    sheet.write_text('{"low": {"input": 1, "output": 1}, "high": {"input": 9, "output": 9}}', encoding="utf-8")
    assert folder.drill("--grader", "numeric", "--prices", str(sheet), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["estimated"] and found["own"] is None and found["recorded"] is None and folder.asked == []
    assert found["whole"]["saving"]["value"] == pytest.approx(1 - (12 + 27) / 108)


def test_ungraded_and_weightless_cases_are_counted(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be graded is left out and counted; what weighs nothing is not even asked."""
    rows = [
        {"id": text, "input": text, "expected": "4", "grader": "numeric" if at < 3 else None, "weight": int(at != 1)}
        for at, text in enumerate(["easy 0", "easy 1", "hard 2", "easy 3"])
    ]
    folder.rows([{name: value for name, value in row.items() if value is not None} for row in rows])
    run = ["--cascade", str(folder.path / "cascade.toml"), "--run", str(folder.path / "run.db")]
    assert folder.drill(*run) == 0
    out, err = capsys.readouterr()
    assert "drill on 2 cases" in out and "left out of every figure: 1 ungraded" in out
    assert "1 of 4 cases" in err and not any("easy 1" in line for line in folder.asked)


def test_mistakes_are_told_before_a_call(folder: Folder) -> None:
    """What is wrong with the options, the cases or the cascade is told, and nothing was asked."""
    cascade = str(folder.path / "cascade.toml")
    one = folder.path / "one.toml"
    one.write_text(f'[[tiers]]\nname = "only"\nbackend = {{ function = "{folder.module}:small" }}\n', encoding="utf-8")
    for given, said in (
        (["--cascade", cascade], "does not say how replies are graded"),
        (["--cascade", cascade, "--grader", "numerik"], "numerik"),
        (["--cascade", cascade, "--grader", "numeric", "--small", "tiny"], "no tier 'tiny'"),
        (["--cascade", cascade, "--grader", "numeric", "--small", "large", "--large", "small"], "stands above"),
        (["--cascade", cascade, "--grader", "numeric", "--judge", "tiny"], "--judge: there is no tier 'tiny'"),
        (["--cascade", str(one), "--grader", "numeric"], "one tier for both, 'only'"),
        (["--cascade", "none.toml", "--grader", "numeric"], "none.toml"),
        (["--grader", "numeric"], "no case has candidates"),
        (["--grader", "numeric", "--judge", "small"], "without --cascade there is none"),
        (["--grader", "numeric", "--cap-usd", "1"], "--cap-usd is of calls"),
        (["--grader", "numeric", "--run", "run.db"], "--run is of calls"),
    ):
        with pytest.raises(ConfigError, match=said):
            folder.drill(*given)
    for option, value in (("--cap-usd", "-1"), ("--pass", "0"), ("--pass", "1.1"), ("--concurrency", "0")):
        with pytest.raises(SystemExit, match="2"):
            folder.drill(option, value)
    folder.rows([])
    with pytest.raises(ConfigError, match="no cases"):
        folder.recorded()
    assert folder.asked == []
