"""The error rate of the guarantee by Monte Carlo, over laws of which it is known what is true.

`FASTCASCADE_MONTE_CARLO=20` draws twenty times as often; `benches/scale.py --monte-carlo` prints the rates.
"""

import math
import os

import numpy as np
import pytest

from fastcascade.evals.promises import Guarantee, guarantee
from guarantee_laws import FAMILIES, LAWS, Pair, boundary, broken, coin, family, graded, weighed

DELTA = 0.05
TIMES = int(os.environ.get("FASTCASCADE_MONTE_CARLO", "1"))
SHARP = ["three values", "three values, a grid", "all ties", "the score upside down", "one threshold"]
"""Laws that lie at the bound where a threshold is likely to be tried, with the exact test."""


def _most(rate: float, repeats: int) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / repeats)


@pytest.mark.parametrize(("n", "repeats"), [(20, 120), (50, 120), (250, 60)])
@pytest.mark.parametrize("name", LAWS)
def test_promises_are_false_as_seldom_as_said(name: str, n: int, repeats: int) -> None:
    """Few cases or more, tied or not, graded, weighted, nothing to lose: at most 5 % of the promises are false."""
    repeats *= TIMES
    assert broken(name, n, repeats, DELTA) / repeats <= _most(DELTA, repeats)


@pytest.mark.parametrize("name", SHARP)
def test_these_laws_could_be_promised_wrongly(name: str) -> None:
    """Where 40 % may be false, more than 5 % are: the laws lie where a promise can be false, and the count sees it."""
    assert broken(name, 250, 200, 0.4) / 200 > _most(DELTA, 200)


@pytest.mark.parametrize("name", FAMILIES)
def test_slices_together_are_promised_wrongly_as_seldom_as_said(name: str) -> None:
    """With slices at the bound, alone or beside others that hand their share on, runs with a false promise are few."""
    rng, repeats = np.random.default_rng(29), 100 * TIMES
    found = [family(name, 60, rng, DELTA) for _ in range(repeats)]
    assert sum(any(false) for _, false in found) / repeats <= _most(DELTA, repeats)


def test_a_share_that_is_handed_on_is_used_and_costs_what_it_should() -> None:
    """A slice at the bound beside four that are carried is tested at the whole of delta; at 40 % that shows."""
    rng = np.random.default_rng(31)
    found = [family("one at the bound, four that hand on", 200, rng, 0.4) for _ in range(60)]
    assert {each.slices["slice 0"].delta for each, _ in found} == {0.4 / 5, 0.4}
    assert 0.05 < sum(false[0] for _, false in found) / 60 <= _most(0.4, 60)
    assert not any(any(false[1:]) for _, false in found)


def _told(found: Guarantee) -> tuple[object, ...]:
    slices = {name: _told(each) for name, each in found.slices.items()}
    return found.threshold, found.verdict, found.n, found.delta, slices


@pytest.mark.parametrize("pairs", ["coin", "between 0 and 1", "weights"])
def test_no_order_changes_anything(pairs: str) -> None:
    """Sorted by score, by what was lost, either way round, or by turns: the guarantee is the same, slices and all.

    Where grades are 0 or 1 that is to the last digit; else sums are rounded, and the thresholds are the same.
    """
    law = {"coin": coin(0.01), "between 0 and 1": graded(0.9, 0.07), "weights": weighed(coin(0.01), [1, 2, 3])}[pairs]
    rng, n = np.random.default_rng(37), 600
    table = np.array(law)
    drawn = rng.choice(len(table), n, p=table[:, 3])
    cheap, dear, weights = table[drawn, :3].T
    score, slices = rng.integers(0, 30, n) / 30, np.array(["a", "b"], dtype=object)[rng.integers(0, 2, n)]
    lost = np.argsort(cheap - dear, kind="stable")
    half = (n + 1) // 2
    orders = [
        np.arange(n),
        np.argsort(score),
        np.argsort(-score),
        lost,
        lost[::-1],
        np.column_stack([lost[:half], lost[half:][::-1]]).ravel(),
    ]
    found = [
        guarantee(score[at], cheap[at], dear[at], keep=0.9, slices=slices[at], weights=weights[at]) for at in orders
    ]
    assert found[0].verdict == "holds"
    assert all(_told(each) == _told(found[0]) for each in found)
    if pairs == "coin":
        assert all(each == found[0] for each in found)
    assert [each.ratio_low for each in found] == pytest.approx([found[0].ratio_low] * len(orders), abs=1e-9)


PLANS: dict[str, tuple[list[Pair], float, int]] = {
    # what it is: (pairs, what is kept, how few cases are at hand)
    "as good": (coin(0.0), 0.95, 60),
    "slightly worse": (coin(0.008), 0.95, 80),
    "never worse": ([(1, 1, 1, 0.8), (0, 0, 1, 0.2)], 0.95, 20),
    "nothing may be lost": (coin(-0.03, won=0.05), 1.0, 60),
    "between 0 and 1": (graded(0.9, 0.06), 0.9, 60),
    "weights": (weighed(coin(0.0), [1, 2, 3]), 0.9, 60),
}


def _carried(pairs: list[Pair], keep: float, n: int, repeats: int) -> float:
    """How often so many cases carry the claim, all accepted."""
    table, rng = np.array(pairs), np.random.default_rng(41)
    held = 0
    for _ in range(repeats):
        cheap, dear, weights = table[rng.choice(len(table), n, p=table[:, 3]), :3].T
        held += guarantee(np.ones(n), cheap, dear, keep=keep, grid=[0.0], weights=weights).verdict == "holds"
    return held / repeats


@pytest.mark.parametrize("name", PLANS)
def test_the_number_of_cases_that_is_asked_for_is_sane(name: str) -> None:
    """Told the law's own shares, "not yet" asks for a number: half of it carries less than 80 %, twice it more."""
    pairs, keep, few = PLANS[name]
    table = np.array(pairs)
    # Cases in the very proportions of the law: what is asked for then does not hang on luck.
    order = np.repeat(np.arange(len(table)), np.rint(table[:, 3] * few).astype(int))
    cheap, dear, weights = table[order, :3].T
    found = guarantee(np.ones(len(order)), cheap, dear, keep=keep, grid=[0.0], weights=weights)
    assert (found.verdict, found.threshold) == ("not yet", None) and found.more_cases is not None
    n = len(order) + found.more_cases
    assert _carried(pairs, keep, n // 2, 100) < 0.8 <= _carried(pairs, keep, 2 * n, 100)


def test_the_laws_know_what_is_true() -> None:
    """At the bound a claim is false where all are accepted, and true where half of them are."""
    law, keep, _ = LAWS["continuous, no information"]
    assert law.false(0.0, keep) and not law.false(0.5, keep) and not law.false(None, keep)
    assert all(sum(chance for *_, chance in pairs) == pytest.approx(1) for pairs in (boundary(0.9), graded(0.9)))
