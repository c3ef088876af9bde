"""`fastcascade thresholds`: what is read of a recording, what is printed of it, and what is refused."""

import argparse
import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from evals_pieces import PRICE, Counted, Same, cases
from fastcascade import Cascade, ConfigError, Tier
from fastcascade.cli import main, thresholds
from fastcascade.evals.cases import Case
from fastcascade.evals.ladder import ladder_of
from fastcascade.evals.recorder import Recorder
from fastcascade.evals.runs import Runs, Tiered
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.messages import Request
from fastcascade.recording import Recording


class Length(Gate):
    """How long the reply is."""

    name = "length"

    def judge(self, exam: Exam, /) -> Verdict:
        return Verdict(min(1.0, len(exam.reply.text) / 10))


def tiered(draw: Random, hard: float) -> list[Tiered]:
    """Small, middle and large with a case this hard: `sure` tells of the lower two, `noise` and `long` do not."""
    noise = {"noise": draw.random(), "long": 100 * draw.random()}
    return [
        Tiered(
            place,
            "escalate",
            "said",
            {"sure": round(0.9 * (1 - hard) + 0.1 * draw.random(), 2), **noise} if place < 2 else {},
            cost=(0.001, 0.012, 0.036)[place],
            latency=1.0 + place,
            grade=float(draw.random() < 0.97 and hard < (0.4, 0.8, 2.0)[place]),
        )
        for place in range(3)
    ]


def written(path: Path, rows: list[list[Tiered]], tiers: tuple[str, ...] = ("small", "middle", "large")) -> str:
    """A recording that holds these tiers of each case."""
    with Runs(path, make=True) as runs:
        asked = [Case(f"c{n}", f"q{n}?", "a", slice="odd" if n % 2 else "even") for n in range(len(rows))]
        listing = runs.listing("1", tiers, asked)
        for case, listed, row in zip(asked, listing.cases, rows, strict=True):
            runs.finish(listing.cascade, listed.seq, Recording(Request.of(case.id), {}, None), row, "")
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recording of three tiers on enough cases."""
    draw = Random(3)
    return written(tmp_path_factory.mktemp("run") / "run.db", [tiered(draw, draw.random()) for _ in range(1200)])


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What the command prints; it ends well."""
    parser = argparse.ArgumentParser()
    thresholds.add_arguments(parser)
    assert thresholds.execute(parser.parse_args(argv)) == 0
    return capsys.readouterr().out


def test_thresholds_are_printed_for_all_tiers(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A promise that holds has each tier with its score and threshold, what is saved, and that scores are raw."""
    printed = told(capsys, run, "--keep", "0.93")
    assert printed.startswith("1,200 cases: 600 to choose by, 600 to judge\n")
    assert [line.split()[:2] for line in printed.splitlines()[3:6]] == [
        ["small", "sure"],
        ["middle", "sure"],
        ["large", "-"],
    ]
    assert "promise  93 % of large's quality at least, with 95 % confidence" in printed
    assert "dollars a case in place of 0.036" in printed and "s a case in place of 3" in printed
    assert "Thresholds are of raw scores" in printed


def test_the_document_has_every_figure(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON there is a threshold to each tier but the last, and the figures are those of the library's call."""
    found = json.loads(told(capsys, run, "--keep", "0.93", "--json", "--seed", "2"))
    assert found["verdict"] == "holds" and found["more_cases"] == 0 and found["n"] == found["n_learning"] == 600
    small, middle, large = found["tiers"]
    assert [small["threshold"], middle["threshold"]] == found["thresholds"] and large["threshold"] is None
    assert small["answered"] + middle["answered"] + large["answered"] == pytest.approx(1)
    assert found["saving_interval"][0] < found["saving"] < found["saving_interval"][1]
    assert found["quality_ratio"] > found["ratio_low"] >= found["keep"] == 0.93
    assert found["confidence"] == pytest.approx(0.95)


def test_a_gate_that_is_named_is_gone_by(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A tier goes by the score that one names, also where that is none from 0 to 1; one that tells nothing is out."""
    named = ["--gate", "small=noise", "--gate", "middle=long"]
    found = json.loads(told(capsys, run, *named, "--keep", "0.96", "--json"))
    assert [each["gate"] for each in found["tiers"]] == ["noise", "long", ""]
    assert found["tiers"][0]["taken_out"] or found["tiers"][0]["answered"] < 0.1


def test_what_cannot_be_promised_is_not_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few cases, and a ladder that nothing is cheaper on, are told apart; JSON has null for what is no number."""
    draw = Random(4)
    rows = [tiered(draw, draw.random()) for _ in range(40)]
    few = written(tmp_path / "few.db", rows)
    printed = told(capsys, few)
    assert "not yet: ask large alone; about" in printed and "more cases are needed; 98 % of large's" in printed
    assert printed.count("take it out") == 2 and "saves" not in printed
    found = json.loads(told(capsys, few, "--json"))
    assert found["thresholds"] == [None, None] and found["more_cases"] > 0
    assert [each["taken_out"] for each in found["tiers"]] == [True, True, False]
    dear = written(tmp_path / "dear.db", [[replace(each, cost=1.0) for each in row] for row in rows])
    assert "not yet: no setting costs less than large alone" in told(capsys, dear)
    never = [[replace(each, grade=float(each.place == 2)) for each in row] for row in rows]
    assert "no number of cases would do" in told(capsys, written(tmp_path / "never.db", never), "--keep", "0.9999")


def test_cases_that_tell_too_little_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case counts only if every tier was asked, answered, was graded, and has a known cost; why not is printed."""
    draw = Random(5)
    rows = [tiered(draw, draw.random()) for _ in range(20)]
    rows[1] = rows[1][:2]
    rows[2][1] = replace(rows[2][1], failure="server_error: down")
    rows[3][2] = replace(rows[3][2], grade=None)
    rows[4][0] = replace(rows[4][0], cost=None)
    rows[5] = []
    rows[6][0] = replace(rows[6][0], signals={"other": 0.5, "sure": None}, grade=-1.0)
    path = written(tmp_path / "run.db", rows)
    head = told(capsys, path).splitlines()[0]
    assert head.startswith("15 cases: ")
    assert head.endswith("; left out: 1 failed, 2 not asked, 1 ungraded, 1 of unknown cost")
    ladder = ladder_of(path, {"small": "sure"})
    assert ladder.ids is not None and list(ladder.ids) == ["c0", *(f"c{n}" for n in range(6, 20))]
    assert math.isnan(ladder.score[1, 0]) and ladder.right[1, 0] == 0.0
    assert not np.isnan(np.delete(ladder.score, 1, 0)).any()


def test_a_cascade_that_was_recorded_is_read(tmp_path: Path) -> None:
    """Grades, costs, times and raw scores of every tier are those that its models and gates came to."""
    asked, path = cases(4), tmp_path / "run.db"
    small, middle, large = (
        Counted(name, lambda _, said=said: said, lambda _: None)  # type: ignore[misc]
        for name, said in (("small", "wrong"), ("middle", "3"), ("large", "3"))
    )
    ladder = Cascade(
        Tier(small, gate=Length(), price=PRICE), Tier(middle, gate=Length(), price=PRICE), Tier(large, price=PRICE)
    )
    with Runs(path, make=True) as runs:
        asyncio.run(Recorder(ladder, runs, version="1", grader=Same()).run(asked))
    found = ladder_of(path)
    assert found.tiers == ("small", "middle", "large") and found.gates == ("length", "length")
    assert found.right.tolist() == [[0.0, 1.0, 1.0]] * 4
    assert found.score.tolist() == [[0.5, 0.1]] * 4
    assert found.cost.ravel().tolist() == pytest.approx([0.002] * 12)
    assert found.learning is not None and found.learning.sum() == 2
    assert list(found.slices if found.slices is not None else ()) == ["even", "odd"] * 2


def test_the_gate_is_chosen_by_the_half_that_chooses(tmp_path: Path) -> None:
    """A signal that tells everything of the judging half, and nothing of the other, is not the one gone by."""
    draw = Random(6)
    rows = [tiered(draw, draw.random()) for _ in range(400)]
    learning = ladder_of(written(tmp_path / "first.db", rows)).learning
    assert learning is not None
    for row, chooses in zip(rows, learning, strict=True):
        row[0] = replace(row[0], signals={**row[0].signals, "peeks": 0.5 if chooses else row[0].grade})
    path = written(tmp_path / "second.db", rows)
    found = ladder_of(path)
    again = found.learning
    assert found.gates[0] == "sure"
    assert again is not None and again.tolist() == learning.tolist()


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ({"tiny": "sure"}, "no tier 'tiny' that has a gate was recorded; there are: small, middle"),
        ({"large": "sure"}, "no tier 'large' that has a gate"),
        ({"small": "surely"}, "the tier 'small' has no signal 'surely'; there are: sure, noise, long"),
    ],
)
def test_gates_that_are_not_there_are_refused(run: str, gates: dict[str, str], said: str) -> None:
    """A tier or a signal that was not recorded is refused, with what there is."""
    with pytest.raises(ConfigError, match=said):
        ladder_of(run, gates)


def test_recordings_that_are_no_ladder_are_refused(tmp_path: Path) -> None:
    """Nothing recorded, one tier, no case that is whole, no score to go by: each says what is wrong."""
    draw = Random(8)
    rows = [tiered(draw, draw.random()) for _ in range(4)]
    with pytest.raises(ConfigError, match="there is no such recording"):
        ladder_of(tmp_path / "none.db")
    with Runs(tmp_path / "empty.db", make=True):
        pass
    single = [[row[2]] for row in rows]
    bare = [[replace(each, signals={"long": 5.0}) for each in row] for row in rows]
    cut = [row[:1] for row in rows]
    for name, said in (
        ("empty", "nothing was recorded yet"),
        (written(tmp_path / "single.db", single, ("large",)), "a ladder needs two tiers"),
        (written(tmp_path / "bare.db", bare), "the tier 'small' has no signal from 0 to 1 to go by, but: long"),
        (written(tmp_path / "cut.db", cut), "no case that all tiers answered and that was graded: 4 not asked"),
    ):
        with pytest.raises(ConfigError, match=said):
            ladder_of(tmp_path / (f"{name}.db" if name == "empty" else name))


def test_a_first_tier_without_a_score_is_named_with_the_way_around_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`calibrate` compares the first tier; where that is rules, which nothing scores, it says how to name another."""
    draw = Random(8)
    rows = [[replace(row[0], signals={}), *row[1:]] for row in (tiered(draw, draw.random()) for _ in range(4))]
    assert main(["calibrate", written(tmp_path / "ruled.db", rows)]) == 2
    assert "the tier 'small' has no gate that scores it; try --cheap middle" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--gate", "small"], ["--gate", "=sure"], ["--keep", "2"], ["--seed", "x"]])
def test_options_that_make_no_sense_are_refused(run: str, given: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """What an option cannot be is said before anything is read."""
    with pytest.raises(SystemExit):
        told(capsys, run, *given)
    with pytest.raises(ConfigError, match="--seed must be 0 or more"):
        told(capsys, run, "--seed", "-1")
