"""The verdict on a table of outcomes, and the command that prints it."""

import gzip
import json
import runpy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from fastcascade.cli import evaluate as command
from fastcascade.cli import main
from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Keep
from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.evaluation import KEYS, Evaluation, evaluate
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.report_evaluation import report_of
from fastcascade.evals.strategies import STRATEGIES, Rule, learn, see
from fastcascade.evals.tally import Fold, Tally

BENCH: Final = Path(__file__).parents[1] / "benches" / "quality.py"
HEAD: Final = "question_id,slice,cheap_correct,expensive_correct,cheap_cost_usd,expensive_cost_usd,confidence"


def text(n: int, seed: int = 0, *, worse: bool = False, price: float = 0.05) -> str:
    """A table: the cheap model fails on half of what it is unsure of, and the dear one seldom, or often if worse."""
    rng = np.random.default_rng(seed)
    sure = rng.random(n)
    cheap = (rng.random(n) < np.where(sure < 0.5, 0.5, 0.99)).astype(int)
    dear = (rng.random(n) < (0.4 if worse else 0.97)).astype(int)
    rows = [f"q{at},{'ab'[at % 2]},{cheap[at]},{dear[at]},{price},1,{sure[at]:.4f}" for at in range(n)]
    return "\n".join([HEAD, *rows])


def judged(n: int = 1000, keep: float = 0.95, **how: Any) -> Evaluation:
    """The verdict on such a table."""
    return evaluate(Outcomes.parse(text(n, **how)), keep, repeats=1)


def test_a_cascade_that_is_worth_it_is_recommended() -> None:
    """It says by which rule, how much is saved and kept with intervals around, and the slices' escalation."""
    found = judged()
    assert found.recommendation == "cascade" and found.n == 1000
    assert found.saving_interval[0] < found.saving < found.saving_interval[1] and found.saving > 0.3
    assert found.quality_interval[0] < found.quality_ratio < found.quality_interval[1]
    assert found.quality_ratio >= 0.95 and found.escalation_rate < 0.6 and 0 < found.area < 1
    assert set(found.slices) == {"a", "b"} and found.ece_before is not None and found.ece_after is not None
    assert found.ece_after < found.ece_before


OTHERWISE: Final = [
    ({"worse": True}, "never escalate", "always cheap"),
    ({"price": 0.9}, "do not cascade", "always dear"),
]


@pytest.mark.parametrize(("how", "said", "rule"), OTHERWISE)
def test_a_cascade_that_is_not_worth_it_is_not(how: dict[str, Any], said: str, rule: str) -> None:
    """An inverted pair never escalates, and a cheap model that is not cheap is left out; the figures are theirs."""
    found = judged(600, **how)
    assert (found.recommendation, found.strategy, found.more_cases_needed) == (said, rule, 0)
    assert found.saving == pytest.approx(0.95 if rule == "always cheap" else 0.0)


def test_strategies_are_compared_on_the_same_cases() -> None:
    """Every strategy has its row, the oracle saves most, and a random mix less than a good rule."""
    found = judged()
    rows = {each.strategy: each for each in found.strategies}
    assert set(rows) == {*STRATEGIES, "random mix", "oracle"}
    assert rows["oracle"].saving > rows["auto"].saving > rows["random mix"].saving
    assert rows["always dear"].saving == 0 and rows["always dear"].quality_ratio == 1


def test_few_cases_are_shown_for_what_they_are() -> None:
    """On thirty cases the intervals are wide, and no saving is claimed that they do not carry."""
    found = judged(30)
    wide = found.quality_interval[1] - found.quality_interval[0] > 0.05
    assert found.recommendation == "do not cascade" or (wide and found.more_cases_needed > 0)


def test_the_same_seed_says_the_same() -> None:
    """A verdict is repeatable to the last digit."""
    assert judged(200) == judged(200)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"keep": 0.0}, "keep must be above 0"),
        ({"confidence": 1.0}, "confidence must be from 0.5"),
        ({"strategy": "magic"}, "no strategy 'magic'"),
        ({"folds": 1}, "2 folds and 1 repeat"),
        ({"folds": 50}, "has 60 cases; 100 are needed"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(how: dict[str, Any], said: str) -> None:
    """Each setting out of its range is named."""
    with pytest.raises(ConfigError, match=said):
        evaluate(Outcomes.parse(text(60)), **how)


def test_sums_drawn_anew_scatter_as_they_should() -> None:
    """Mean and spread of drawn sums are those of n independent cases, in blocks too."""
    rng = np.random.default_rng(0)
    for n in (500, 30_000):
        column = rng.random(n)
        sums = resampled(column[:, None], rng)[:, 0]
        assert sums.mean() == pytest.approx(column.sum(), rel=0.01)
        assert sums.std() == pytest.approx(column.std() * n**0.5, rel=0.12)


def run(*args: str) -> int:
    """Run the command."""
    return main(["evaluate", *args])


def test_the_command_prints_exactly_its_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json there is one object of the twelve figures and nothing else."""
    (path := tmp_path / "table.csv").write_text(text(120))
    assert run("--outcomes", str(path), "--keep", "0.9", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert tuple(found) == KEYS and found["n"] == 120


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json there is the verdict first, then each strategy and each slice."""
    (path := tmp_path / "table.csv").write_text(text(120))
    assert run("--outcomes", str(path), "--strategy", "raw") == 0
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("saving", "quality", "oracle", "random mix", "slice", "more cases"))


def test_the_command_names_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that is not there, or is none, ends with 2 and says why; a share out of range is a usage error."""
    assert run("--outcomes", str(tmp_path / "none.csv")) == 2
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--outcomes", "x", "--keep", "98")


def test_names_of_strategies_are_the_same_everywhere() -> None:
    """The command offers what there is, without importing numpy to know it."""
    assert command.NAMES == STRATEGIES


def test_a_claim_that_falls_short_asks_for_more_cases() -> None:
    """A claim stands where the interval lies above what is to be kept; the nearer it comes, the more are needed."""
    outcomes = Outcomes.parse(text(150))
    found = evaluate(outcomes, 0.5, strategy="always cheap", repeats=1)
    assert (found.recommendation, found.more_cases_needed) == ("never escalate", 0)
    ratio, low = found.quality_ratio, found.quality_interval[0]
    needed = [
        evaluate(outcomes, keep, strategy="always cheap", repeats=1).more_cases_needed
        for keep in (low - 0.02, (low + ratio) / 2, ratio - 0.005)
    ]
    assert needed[0] == 0 < needed[1] < needed[2]


def test_the_bench_of_real_outcomes_prints_a_line_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the tables it has a reference for, and skips with a reason where there is no folder."""
    quality = runpy.run_path(str(BENCH))
    with gzip.open(tmp_path / "aqua_codex30_gpt4.csv.gz", "wt") as file:
        file.write(text(60))
    (tmp_path / "other.csv.gz").write_bytes(b"")
    assert quality["main"](["--data", str(tmp_path), "--keep", "0.95"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["table", "aqua_codex30_gpt4"]
    assert quality["main"](["--data", str(tmp_path / "none")]) == 0
    assert "skipped" in capsys.readouterr().out


def test_cases_that_weigh_nothing_are_no_cases() -> None:
    """The verdict is that on the others, its report too, and too few of them are refused by their number."""
    outcomes = Outcomes.parse(text(160))
    some = np.arange(160) % 2 == 0
    weighed = replace(outcomes, weights=some.astype(float))
    found, other = evaluate(weighed, 0.9, repeats=1), evaluate(outcomes.take(some), 0.9, repeats=1)
    assert found.n == 80 and found.document() == other.document()
    assert report_of(weighed, found).n == 80
    with pytest.raises(ConfigError, match="has 3 cases; 10 are needed"):
        evaluate(replace(outcomes, weights=(np.arange(160) < 3).astype(float)), 0.9)


def tallied(outcomes: Outcomes, cuts: Sequence[float]) -> Tally:
    """Decisions by the confidence alone, cut elsewhere on each fold."""
    tally, sight = Tally(outcomes), see(outcomes)
    same = Fold(outcomes, sight, np.arange(len(outcomes)))
    for at, cut in enumerate(cuts):
        places = np.flatnonzero(np.arange(len(outcomes)) % len(cuts) == at)
        tally.add(Rule("raw: confidence", cut), Fold(outcomes, sight, places), same)
    return tally


def test_an_interval_knows_that_rules_differ() -> None:
    """Rules that cut in different places make it wider by what other cases would have changed, by the jackknife."""
    outcomes = Outcomes.parse(text(400))
    alike, apart = tallied(outcomes, [0.5] * 5), tallied(outcomes, [0.3, 0.4, 0.5, 0.6, 0.7])
    assert not alike.unsettled().any()
    saved = [1 - 0.05 - float((outcomes.signals["confidence"] < cut).mean()) for cut in (0.3, 0.4, 0.5, 0.6, 0.7)]
    assert apart.unsettled()[0] == pytest.approx(2 * np.std(saved))
    wide = [np.diff(each.row("raw", 0.95, np.random.default_rng(0)).saving_interval)[0] for each in (alike, apart)]
    assert wide[1] > 2 * wide[0]
    low, high = tallied(outcomes, [0.01, 0.99] * 2).row("raw", 0.95, np.random.default_rng(0)).saving_interval
    assert -0.05 < low < 0 and high == pytest.approx(0.95), "no more than always-cheap, no less than the least rule"


def test_the_interval_of_a_saving_holds_for_learning_anew() -> None:
    """Over tables of one kind it holds what is saved on average in nine of ten and more."""
    found = []
    for seed in range(60):
        outcomes, rng = Outcomes.parse(text(300, 100 + seed)), np.random.default_rng(seed)
        tally, sight = Tally(outcomes), see(outcomes)
        same, dealt = Fold(outcomes, sight, np.arange(300)), rng.permutation(300) % 5
        for each in range(5):
            inside = np.flatnonzero(dealt != each)
            rule = learn(outcomes.take(inside), sight.take(inside), Keep(0.95), rng, ("raw",))["raw"]
            tally.add(rule, Fold(outcomes, sight, np.flatnonzero(dealt == each)), same)
        row = tally.row("raw", 0.95, rng)
        found.append((row.saving, *row.saving_interval))
    saving, low, high = np.array(found).T
    assert ((low <= saving.mean()) & (saving.mean() <= high)).mean() >= 0.88


def test_a_score_that_goes_with_the_weights_knows_nothing() -> None:
    """Where heavy cases have high scores, and right and wrong are drawn apart from both, no order is found."""
    beyond = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        score, n = rng.random(300), 300
        cheap, dear = (rng.random(n) < 0.6).astype(float), (rng.random(n) < 0.9).astype(float)
        cost = np.full(n, 0.1), np.ones(n)
        table = Outcomes(cheap, dear, *cost, {"confidence": score}, {"confidence": 1}, weights=1 + 9 * score)
        beyond.append(tallied(table, [0.5]).informed())
    assert abs(np.mean(beyond)) < 0.3 and np.mean(np.array(beyond) > 1.645) < 0.12
