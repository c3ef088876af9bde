"""A million recorded cases calibrated, swept, promised and compared; and the guarantee's error by Monte Carlo.

Seconds are processor time of this process, which keeps to one core where the system can bind it.

With --monte-carlo, every law of `tests/guarantee_laws.py` is drawn many times at a risk of 5 %, and the share of false
promises is printed with its exact 95 % interval. Then what is accepted on average where a risk is to be promised,
beside what Hoeffding's, Hoeffding-Bentkus's and a betting p-value would have accepted of the same cases.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fastcascade.evals import bounds
from fastcascade.evals.comparison import compare
from fastcascade.evals.curves import calibrated, fit_isotonic
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.promises import guarantee, selective
from fastcascade.evals.sweep import sweep
from fastcascade.evals.trial import Steps

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
DELTA = 0.05
SLICES = (1, 20, 100, 1000)
N, ALPHA = 974, 0.1  # the case that the power is asked of


def main(argv: list[str] | None = None) -> int:
    """Time, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--monte-carlo", type=int, nargs="?", const=4000, metavar="RUNS",
                        help="draw each law so often, 4000 unless told, and time nothing")  # fmt: skip
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for line in rates(args.monte_carlo) if args.monte_carlo else seconds(args.cases):
        print(line, flush=True)
    return 0


def seconds(n: int) -> Iterator[str]:
    """What each step takes."""
    rng = np.random.default_rng(0)
    score, draw = rng.random(n), rng.random(n)
    dear = (draw < 0.8).astype(float)
    cheap = np.where(draw < 0.06 * (1 - score), 0.0, np.where(draw > 0.98, 1.0, dear))
    outcomes = Outcomes(cheap, dear, np.full(n, 1e-4), np.full(n, 1e-3))
    curve = took(lambda: fit_isotonic(score, cheap))
    swept = took(lambda: sweep(outcomes, score))
    measured = took(lambda: calibrated(score, cheap))
    yield f"{n:,} cases: fit {curve:.2f} s, sweep {swept:.2f} s, calibration measured on folds {measured:.2f} s"
    grades = 0.9 * cheap + 0.1 * rng.random(n), 0.9 * dear + 0.1 * rng.random(n)
    for name, (left, right, weights) in {
        "0 or 1": (cheap, dear, None),
        "between 0 and 1": (*grades, None),
        "weighted": (cheap, dear, rng.integers(1, 4, n).astype(float)),
    }.items():
        for many in SLICES:
            slices = np.array([f"s{each}" for each in range(many)], dtype=object)[rng.integers(0, many, n)]
            if many == 1:
                slices = None
            promised = took(
                lambda: guarantee(score, left, right, keep=0.98, slices=slices, weights=weights)  # noqa: B023 - at once
            )
            together = curve + swept + promised
            yield f"guarantee, {name}, slices {many}: {promised:.2f} s; with fit and sweep {together:.2f} s"
    yield f"compare, 0 or 1: {took(lambda: compare(dear, cheap)):.2f} s"
    yield f"compare, between 0 and 1: {took(lambda: compare(*grades)):.2f} s"


def took(what: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    what()
    return time.process_time() - began


def rates(repeats: int) -> Iterator[str]:
    """The share of false promises under each law, and the power."""
    from guarantee_laws import FAMILIES, LAWS, broken, family  # pyright: ignore[reportMissingImports]

    for name in LAWS:
        for n in (20, 50, 250):
            yield said(f"{name}, n {n}", broken(name, n, repeats, DELTA), repeats)
    for name in FAMILIES:
        rng = np.random.default_rng(1)
        found = sum(any(family(name, 60, rng, DELTA)[1]) for _ in range(repeats))
        yield said(f"slices of 60, {name}", found, repeats)
    yield from power(min(repeats, 1000))


def said(name: str, false: int, repeats: int) -> str:
    """A share with its interval."""
    low, high = (float(end) for end in bounds.exact_interval(false, repeats))
    return f"{name:50} false {false / repeats:.4f} ({low:.4f} to {high:.4f}) of {repeats}"


def power(repeats: int) -> Iterator[str]:
    """What is accepted at a true risk of .02 + .2 (1 - score), if at most `ALPHA` may be wrong."""
    rng = np.random.default_rng(2)
    covered: dict[str, list[float]] = {}
    for _ in range(repeats):
        score = rng.random(N)
        wrong = (rng.random(N) < 0.02 + 0.2 * (1 - score)).astype(float)
        covered.setdefault("exact, as shipped", []).append(selective(score, wrong, ALPHA, DELTA).coverage)
        for name, each in others(score, wrong).items():
            covered.setdefault(name, []).append(each)
    for name, shares in covered.items():
        mean, error = float(np.mean(shares)), float(np.std(shares)) / math.sqrt(repeats)
        yield f"power at n {N}, alpha {ALPHA}: {name:32} accepts {mean:.3f} +- {1.96 * error:.3f} of {repeats} runs"


def others(score: Floats, wrong: Floats) -> dict[str, float]:
    """The same trial with cruder p-values, each from the beginning that suits it best of those in steps of a tenth."""
    steps = Steps(score)
    taken, bad = steps.add(np.ones(N)), steps.add(wrong)
    losses = [wrong[steps.first <= place] for place in range(len(steps))]
    p_values = {
        "Hoeffding": bounds.hoeffding_p(bad / taken, taken, ALPHA),
        "Hoeffding-Bentkus": bounds.hoeffding_bentkus_p(bad / taken, taken, ALPHA),
        "betting": np.array([bounds.betting_p(each, ALPHA, delta=DELTA) for each in losses]),
        "exact, from the very first": bounds.binomial_p(bad, taken, ALPHA),
    }
    found = {}
    for name, chances in p_values.items():
        for tenth in (0, 2, 4, 6) if name != "exact, from the very first" else (0,):
            first = tenth * len(steps) // 10
            stops = np.flatnonzero(chances[first:] > DELTA)
            last = (first + int(stops[0]) if len(stops) else len(steps)) - 1
            found[f"{name}, begun at {tenth / 10:.1f}"] = taken[last] / N if last >= first else 0.0
    return found


if __name__ == "__main__":
    sys.exit(main())
