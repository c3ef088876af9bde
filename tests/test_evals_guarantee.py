"""The guarantee: false as seldom as it says, and not empty where the data can carry it."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats
from fastcascade.evals.promises import Guarantee, guarantee, selective
from fastcascade.evals.trial import Steps

DELTA = 0.05


def _most(rate: float, repeats: int) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / repeats)


def _scores(kind: str, rng: np.random.Generator, n: int) -> Floats:
    """Scores in [0, 1]; the risk below is a function of them."""
    return {"continuous": rng.random(n), "discrete": rng.integers(0, 6, n) / 5, "tied": np.round(rng.random(n), 1)}[
        kind
    ]


def _ordered(order: str, score: Floats, bad: Floats, rng: np.random.Generator) -> np.ndarray:
    places = {"as drawn": np.arange(len(score)), "bad first": np.argsort(-bad), "bad last": np.argsort(bad)}
    return np.asarray(places[order])


@pytest.mark.parametrize("grid", [None, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]])
@pytest.mark.parametrize("kind", ["continuous", "discrete", "tied"])
@pytest.mark.parametrize(("low", "slope"), [(0.1, 0.0), (0.0, 0.3), (0.2, -0.2)])
def test_a_risk_is_promised_wrongly_as_seldom_as_said(
    kind: str, grid: list[float] | None, low: float, slope: float
) -> None:
    """Scores with and without information or upside down: the true risk of what is accepted exceeds alpha rarely."""
    rng, n, alpha, repeats = np.random.default_rng(11), 300, 0.1, 400
    world = _scores(kind, rng, 10_000)
    risks = low + slope * (1 - world)
    broken = 0
    for _ in range(repeats):
        score = _scores(kind, rng, n)
        wrong = (rng.random(n) < low + slope * (1 - score)).astype(float)
        found = selective(score, wrong, alpha, DELTA, grid=grid)
        broken += found.threshold is not None and risks[world >= found.threshold].mean() >= alpha - 1e-9
    assert broken / repeats <= _most(DELTA, repeats)


def test_the_power_of_the_risk_promise() -> None:
    """At n = 974, risk .02 + .2 (1 - s) and alpha .10, at least 45 % are accepted on average."""
    rng, n = np.random.default_rng(3), 974
    covered, broken = [], 0
    for _ in range(1000):
        score = rng.random(n)
        found = selective(score, (rng.random(n) < 0.02 + 0.2 * (1 - score)).astype(float), 0.1, DELTA)
        covered.append(found.coverage)
        # The risk above t is .02 + .1 (1 - t).
        broken += found.threshold is not None and found.threshold < 0.2
    assert np.mean(covered) >= 0.45
    assert broken / 1000 <= _most(DELTA, 1000)


def _answers(rng: np.random.Generator, score: Floats, *, base: float, slope: float) -> tuple[Floats, Floats]:
    """Dear right on .8; the cheap one loses on base + slope (1 - s) of the cases and wins on .02."""
    draw = rng.random(len(score))
    lose = base + slope * (1 - score)
    dear = (draw < 0.8).astype(float)
    cheap = np.where(draw < lose, 0.0, np.where(draw > 0.98, 1.0, dear))
    return cheap, dear


@pytest.mark.parametrize(
    ("kind", "order"), [("continuous", "bad last"), ("discrete", "bad first"), ("tied", "as drawn")]
)
def test_quality_is_promised_wrongly_as_seldom_as_said(kind: str, order: str) -> None:
    """Whatever the scores and the order of the rows, the true ratio is below `keep` at most 5 % of the time."""
    rng, n, keep, repeats = np.random.default_rng(17), 250, 0.95, 100
    world = _scores(kind, rng, 10_000)
    # Losses less wins come to just the margin, .04, where all are accepted and the score says nothing.
    cases = ((0.06, 0.0), (0.02, 0.1))
    grid = [0.0, 0.1, 0.2, 0.4, 0.6, 0.8] if kind == "continuous" else None
    for base, slope in cases:
        broken = 0
        for _ in range(repeats):
            score = _scores(kind, rng, n)
            cheap, dear = _answers(rng, score, base=base, slope=slope)
            places = _ordered(order, score, dear - cheap, rng)
            found = guarantee(score[places], cheap[places], dear[places], keep=keep, delta=DELTA, grid=grid)
            if found.threshold is not None:
                took = world >= found.threshold
                broken += (took * (base + slope * (1 - world) - 0.02)).mean() >= (1 - keep) * 0.8 - 1e-9
        assert broken / repeats <= _most(DELTA, repeats)


@pytest.mark.parametrize("what", ["grades", "weights"])
def test_graded_and_weighted_cases_are_promised_wrongly_as_seldom(what: str) -> None:
    """Grades between 0 and 1, or weights: with a ratio of just `keep` where all are accepted, 5 % at most."""
    rng, n, keep, repeats, broken = np.random.default_rng(23), 300, 0.9, 300, 0
    for _ in range(repeats):
        score = rng.random(n)
        dear = rng.random(n) if what == "grades" else (rng.random(n) < 0.8).astype(float)
        cheap = np.clip(dear * 0.9, 0, 1) if what == "grades" else dear * (rng.random(n) < 0.9)
        cheap = np.where(rng.random(n) < 0.5, cheap, dear * (rng.random(n) < 0.9)) if what == "grades" else cheap
        weights = None if what == "grades" else rng.integers(1, 4, n).astype(float)
        found = guarantee(score, cheap, dear, keep=keep, delta=DELTA, grid=[0.0, 0.5], weights=weights)
        broken += found.threshold == 0.0
    assert broken / repeats <= _most(DELTA, repeats)


def _sample(n: int, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return score, *_answers(rng, score, base=0.0, slope=0.06)


def test_the_promise_is_not_empty() -> None:
    """Where the cheap model loses 6 % at worst and wins 2 %, 1000 cases carry 98 % for most of them."""
    found = guarantee(*_sample(1000), keep=0.98)
    assert found.verdict == "holds" and found.more_cases == 0
    assert found.coverage > 0.5
    assert found.keep <= found.ratio_low <= found.quality_ratio


def test_too_few_cases_are_told_how_many_more() -> None:
    """Thirty cases carry nothing; that many more, drawn alike, carry a promise most of the time."""
    found = guarantee(*_sample(30), keep=0.98)
    assert (found.verdict, found.threshold, found.coverage, found.quality_ratio) == ("not yet", None, 0.0, 1.0)
    assert found.more_cases is not None and 50 < found.more_cases < 2000
    n = 30 + found.more_cases
    assert sum(guarantee(*_sample(n, seed), keep=0.98).verdict == "holds" for seed in range(20)) >= 10


def test_what_no_number_of_cases_would_carry() -> None:
    """Where the cheap model is worse throughout, no number is named."""
    score = np.linspace(0, 1, 200)
    found = guarantee(score, np.zeros(200), np.ones(200), keep=0.98, grid=[0.5])
    assert (found.verdict, found.more_cases) == ("not yet", None)


def test_slices_share_the_error_and_an_unproved_one_goes_dear() -> None:
    """A slice that comes to the end hands its share on; one that cannot be carried accepts nothing."""
    score, cheap, dear = _sample(3000)
    slices = np.array(["easy", "hard", "rare"], dtype=object)[np.where(np.arange(3000) < 20, 2, np.arange(3000) % 2)]
    cheap = np.where(slices == "easy", dear, np.where(slices == "hard", 0.0, cheap))
    found = guarantee(score, cheap, dear, keep=0.95, slices=slices)
    assert {name: each.verdict for name, each in found.slices.items()} == {
        "easy": "holds",
        "hard": "holds" if found.slices["hard"].coverage else "not yet",
        "rare": "not yet",
    }
    assert found.slices["easy"].coverage == 1.0
    assert found.slices["easy"].delta == pytest.approx(DELTA / 3) and found.slices["rare"].delta == DELTA / 2
    assert found.slices["hard"].coverage < 0.1
    assert found.verdict == "holds" and found.threshold is None and found.quality_ratio >= 0.95


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=80), st.randoms())
def test_the_order_of_the_rows_says_nothing(rows: list[tuple[int, bool, bool]], random: Random) -> None:
    """The same rows in another order come to the same guarantee."""

    def found() -> Guarantee:
        score, cheap, dear = np.array(rows, float).T
        return guarantee(score, cheap, dear, keep=0.9)

    first = found()
    random.shuffle(rows)
    assert found() == first


@given(st.lists(st.sampled_from([0.1, 0.2, 0.2, 0.7, math.nan]), min_size=1, max_size=50))
def test_ties_are_taken_whole(scores: list[float]) -> None:
    """Each threshold accepts exactly the cases that score as much or more; one without a score is never accepted."""
    score = np.array(scores)
    steps = Steps(score)
    counts = steps.add(np.ones(len(score)))
    assert [(score >= each).sum() for each in steps.thresholds] == list(counts)
    assert list(steps.thresholds) == sorted(set(steps.thresholds), reverse=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 1.1}, "keep"),
        ({"delta": 0.0}, "delta"),
        ({"cheap": np.ones(3)}, "cheap has 3"),
        ({"dear": np.full(10, 2.0)}, "dear of case 0"),
        ({"weights": np.zeros(10)}, "weights"),
        ({"grid": [math.nan]}, "grid"),
        ({"slices": np.array(["a"], dtype=object)}, "slices has 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    """Columns that do not fit, and terms that are none, are a `ConfigError` that names them."""
    given_ = {"score": np.ones(10), "cheap": np.ones(10), "dear": np.ones(10), "keep": 0.9} | change
    with pytest.raises(ConfigError, match=message):
        guarantee(**given_)  # type: ignore[arg-type]
    for wrong, alpha in ((np.full(10, 0.5), 0.1), (np.ones(10), 1.0)):
        with pytest.raises(ConfigError, match=r"wrong|alpha"):
            selective(np.ones(10), wrong, alpha)


def test_a_risk_that_cannot_be_promised_yet() -> None:
    """Ten right answers do not carry a risk of 10 %, and some 20 to 60 more would; of nothing but mistakes, none."""
    found = selective(np.linspace(0, 1, 10), np.zeros(10), 0.1)
    assert found.verdict == "not yet" and found.more_cases is not None and 10 < found.more_cases < 100
    assert selective(np.linspace(0, 1, 10), np.ones(10), 0.1).more_cases is None
