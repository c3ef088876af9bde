"""A million cases go through, and what is done per case is done for all at once."""

import numpy as np
import pytest

from fastcascade.evals import bounds
from fastcascade.evals.curves import fit_isotonic, through
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.evals.promises import guarantee
from fastcascade.evals.sweep import sweep


def _table(n: int, slices: int) -> tuple[Floats, Floats, Floats, Texts]:
    rng = np.random.default_rng(43)
    score, draw = rng.random(n), rng.random(n)
    dear = (draw < 0.8).astype(float)
    cheap = np.where(draw < 0.06 * (1 - score), 0.0, np.where(draw > 0.98, 1.0, dear))
    names = np.array([f"s{each}" for each in range(slices)], dtype=object)
    return score, cheap, dear, names[rng.integers(0, slices, n)]


def test_a_million_cases_are_calibrated_swept_and_promised() -> None:
    """From scores to a promise for each of 20 slices; the true ratio is .9875, and the bounds lie just below it."""
    n = 1_000_000
    score, cheap, dear, slices = _table(n, 20)
    chance = through(fit_isotonic(score, cheap), score)
    assert chance.mean() == pytest.approx(cheap.mean(), abs=0.002)
    found = sweep(Outcomes(cheap, dear, np.full(n, 1e-4), np.full(n, 1e-3)), score)
    assert found.ratio[found.keep(0.98)] > 0.98
    promised = guarantee(score, cheap, dear, keep=0.98, slices=slices)
    assert promised.n == n and promised.coverage > 0.99
    assert all(0.98 <= each.ratio_low < each.quality_ratio < 0.995 for each in promised.slices.values())


@pytest.mark.parametrize("n", [2_000, 200_000])
@pytest.mark.parametrize("slices", [1, 8])
def test_tests_are_made_per_threshold_and_not_per_case(n: int, slices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many the cases are, a slice takes a test for each of 40 thresholds, and a dozen for its bound."""
    made: list[float] = []
    real = bounds.ratio_p

    def counted(lost: float, won: float, right: float, cases: float, keep: float, spare: float) -> float:
        made.append(keep)
        return real(lost, won, right, cases, keep, spare)

    monkeypatch.setattr("fastcascade.evals.promises.ratio_p", counted)
    score, cheap, dear, names = _table(n, slices)
    assert guarantee(score, cheap, dear, keep=0.95, slices=names).verdict == "holds"
    assert slices < len(made) <= slices * (40 + 12)


@pytest.mark.parametrize("n", [500, 5_000, 50_000])
def test_the_bound_of_the_ratio_is_where_the_test_turns(n: int) -> None:
    """It is found by a few leaps: at it the claim is carried, and one part in 256 further on it is not."""
    score, cheap, dear, _ = _table(n, 1)
    found = guarantee(score, cheap, dear, keep=0.95, grid=[0.0])
    part = (min(found.quality_ratio, 1.0) - 0.95) / 256
    for keep, verdict in ((found.ratio_low, "holds"), (found.ratio_low + 1.001 * part, "not yet")):
        assert guarantee(score, cheap, dear, keep=keep, grid=[0.0]).verdict == verdict
