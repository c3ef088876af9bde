"""`fastcascade calibrate`: what it prints, and that gates load what it writes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import pytest

from exams import Fixed, driven, exam
from fastcascade.cli import main
from fastcascade.cli.calibrate_fit import settable
from fastcascade.gates import calibration
from fastcascade.gates.calibration import Isotonic, Platt, Slices, calibrate
from fastcascade.gates.gain import Gain
from fastcascade.gates.gate import Gate, Verdict
from fastcascade.gates.learned import Learned
from fastcascade.messages import Reply, Request

HEAD: Final = (
    "question_id,slice,cheap_correct,expensive_correct,cheap_cost_usd,expensive_cost_usd,confidence,judge_score"
)
NAMES: Final = ("confidence", "judge_score")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two signals that tell apart what is right, each a part of it, in two slices that differ."""
    draw = Random(3)
    rows = [HEAD]
    for place in range(1600):
        easy = place % 2
        one, two = draw.random(), draw.random()
        right = int(draw.random() < min(0.99, 0.25 * easy + 0.5 * one + 0.5 * two))
        dear = int(draw.random() < 0.9)
        rows.append(f"q{place},{'easy' if easy else 'hard'},{right},{dear},0.001,0.02,{one:.3f},{two:.3f}")
    path = tmp_path_factory.mktemp("cal") / "outcomes.csv"
    path.write_text("\n".join(rows))
    return str(path)


def told(table: str, to: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The figures of a run that writes its artefact, which has its date, n and fingerprint."""
    assert main(["calibrate", table, "--keep", "0.95", "--to", str(to), "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    artefact = json.loads(to.read_text())
    assert (artefact["n"], artefact["fingerprint"]) == (found["n"], found["fingerprint"])
    assert artefact["date"][:4] == f"{datetime.now(UTC).year}"
    assert sum(each["n"] for each in found["reliability"]) == found["n"]
    return found


@pytest.mark.parametrize("curve", ["isotonic", "platt"])
def test_the_accept_that_is_told_admits_no_more_than_the_promise(
    table: str, curve: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind the curve no score below the promised threshold passes, though steps cannot be told apart there."""
    to = tmp_path / "curve.json"
    found = told(table, to, capsys, "--curve", curve, "--signal", "confidence", "--keep", "0.7")
    loaded = calibration.load(to)
    assert found["verdict"] == "holds" and found["threshold"] > 0
    assert isinstance(loaded, Isotonic | Platt)
    scores = [float(line.split(",")[6]) for line in Path(table).read_text().splitlines()[1:]]
    passed = [score for score in scores if loaded(score) >= found["accept"]]
    assert passed and min(passed) >= found["threshold"]
    assert found["accept_coverage"] == pytest.approx(len(passed) / len(scores))
    assert found["accept_coverage"] <= found["coverage"]
    assert main(["calibrate", table, "--keep", "0.7", "--curve", curve, "--signal", "confidence"]) == 0
    assert f"accept from   {found['accept']} (" in capsys.readouterr().out


def test_a_threshold_within_a_step_is_the_next_step() -> None:
    """A step that a threshold cuts is sent on whole, by the figure as it is printed; on a flat curve nothing is set."""
    score, weight = np.arange(6.0), np.ones(6)
    chance = np.array([0.1, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert settable(chance, score, 2.0, weight) == (0.6666, 2 / 6)
    assert settable(chance, score, 1.0, weight) == (0.3333, 5 / 6)
    assert settable(chance, score, 0.0, weight) == (0.1, 1.0)
    assert settable(np.full(6, 0.5), score, 2.0, weight) == (None, 0.0)
    assert settable(chance, score, None, weight) == (None, 0.0)
    near = np.array([0.2, 0.66666, 0.66667])
    assert settable(near, np.arange(3.0), 2.0, np.ones(3)) == (0.66667, 1 / 3)


@pytest.mark.parametrize("curve", ["isotonic", "platt"])
def test_slices_are_written_and_loaded(
    table: str, curve: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each slice has its shift, slices bring something, and a gate takes the curve of its request."""
    found = told(table, tmp_path / "curve.json", capsys, "--by-slice", "--curve", curve, "--signal", "confidence")
    assert found["shifts"]["easy"] > 0 > found["shifts"]["hard"] and found["brier_fell_interval"][0] > 0
    assert found["ece_after"] < 0.1 and found["brier_after_interval"][0] <= found["brier_after"]
    slices = calibration.load(tmp_path / "curve.json")
    assert isinstance(slices, Slices)
    gate = calibrate(Fixed(Verdict(0.6)), str(tmp_path / "curve.json"))
    easy, hard = (
        driven(gate, where=exam(Reply("4"), Request.of("?", task=task)))[0].score for task in ("easy", "hard")
    )
    assert easy is not None and hard is not None and easy > slices(0.6) > hard


@pytest.mark.parametrize("kind", ["learned", "gain"])
def test_a_combination_is_written_and_loaded(
    table: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It beats the best signal alone, with an interval; its gate has the threshold that carries the promise."""
    found = told(table, tmp_path / "gate.json", capsys, f"--{kind}")
    assert found["worth_it"] and found["area"] > found["signal_area"] and found["saving"] >= found["signal_saving"]
    assert found["verdict"] == "holds" and found["brier_after"] < found["brier_before"]
    gates: list[Gate] = [Fixed(Verdict(0.9), name=name) for name in NAMES]
    gate = (Learned if kind == "learned" else Gain).load(tmp_path / "gate.json", gates)
    assert gate.threshold == found["threshold"] == found["accept"] and set(found["gates"]) == set(NAMES)
    verdict = driven(gate, where=exam(Reply("4"), Request.of("?", task="easy")))[0]
    assert verdict.score is not None and verdict.score > gate.threshold


def test_it_says_when_less_would_do(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One signal where a combination is no better; without a promise a threshold that accepts nothing."""
    few = tmp_path / "few.csv"
    few.write_text("\n".join(Path(table).read_text().splitlines()[:61]))
    words = ["calibrate", str(few), "--learned", "--keep", "0.99", "--to", str(tmp_path / "gate.json")]
    assert main([*words, "--signal", "confidence"]) == 0
    printed = capsys.readouterr().out
    assert "alone is as good here; under about 1,000 cases" in printed or "alone is better here" in printed
    assert "not yet: ask the large tier" in printed
    assert json.loads((tmp_path / "gate.json").read_text())["threshold"] == 1.0


def test_what_is_printed_has_intervals(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after, and of both models where the gain is asked for."""
    assert main(["calibrate", table, "--gain"]) == 0
    printed = capsys.readouterr().out
    for name in ("ece before", "ece after", "brier before", "brier after", "ece of P(dear right)", "gap"):
        row = next(each for each in printed.splitlines() if each.startswith(name))
        assert " to " in row


REFUSED: Final = [
    (["--learned", "--signal", "mine"], "there is no signal 'mine'"),
    (["--signal", "confidence", "--signal", "judge_score"], "weigh several with --learned"),
    (["--by", "customer"], "--by says nothing without --by-slice"),
    (["--learned", "--to", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_done_is_said(
    table: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 2, and one message that names it."""
    assert main(["calibrate", table, *words]) == 2
    assert said in capsys.readouterr().err


def test_slices_are_needed_for_curves_by_slice(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table without them is refused."""
    bare = tmp_path / "bare.csv"
    rows = [line.split(",") for line in Path(table).read_text().splitlines()]
    bare.write_text("\n".join(",".join([row[0], *row[2:]]) for row in rows))
    assert main(["calibrate", str(bare), "--by-slice"]) == 2
    assert "has no slices" in capsys.readouterr().err
