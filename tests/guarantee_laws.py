"""Where cases come from in the Monte Carlo of the guarantee: laws of which it is known what is true of each threshold.

A law is made of bands of score. Within one, the pair of grades and the weight do not depend on the score, so that the
quality above any threshold is a sum over the bands and no estimate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastcascade.evals.outcomes import Floats, Texts
from fastcascade.evals.promises import Guarantee, guarantee

Pair = tuple[float, float, float, float]
"""How right the cheap one is, how right the dear one, the weight, and how likely that is."""


def coin(worse: float, *, dear: float = 0.8, won: float = 0.02) -> list[Pair]:
    """Grades of 0 or 1: the cheap one loses `worse` + `won` of the cases, and wins `won`."""
    lost = worse + won
    return [(0, 1, 1, lost), (1, 0, 1, won), (1, 1, 1, dear - lost), (0, 0, 1, 1 - dear - won)]


def graded(keep: float, better: float = 0.0) -> list[Pair]:
    """Grades between 0 and 1: the cheap one has on average `keep` + `better` of the dear one's."""
    bad = max(1 - keep - better, 0.0) / 0.9
    return [(g * share, g, 1, chance / 2) for g in (0.5, 1.0) for share, chance in ((1, 1 - bad), (0.1, bad))]


def weighed(pairs: Sequence[Pair], weights: Sequence[float]) -> list[Pair]:
    """The same, with each of these weights as often."""
    return [(cheap, dear, w, chance / len(weights)) for cheap, dear, _, chance in pairs for w in weights]


@dataclass(frozen=True)
class Law:
    """Bands of score from 0 to 1, equally wide and equally likely, with what may come of a case in each.

    `kind` says how scores look: spread over the band, all at its lower end, or so, and stretched beyond all measure.
    """

    bands: Sequence[Sequence[Pair]]
    kind: str = "continuous"

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Score, cheap grade, dear grade and weight of n cases."""
        band = rng.integers(0, len(self.bands), n)
        score = (band + (0.0 if self.kind == "discrete" else rng.random(n))) / len(self.bands)
        found = np.empty((n, 3))
        for place, pairs in enumerate(self.bands):
            table = np.array(pairs)
            here = band == place
            found[here] = table[rng.choice(len(table), here.sum(), p=table[:, 3] / table[:, 3].sum()), :3]
        score = np.tan(math.pi * (score - 0.5)) ** 3 if self.kind == "heavy" else score
        return score, found[:, 0], found[:, 1], found[:, 2]

    def false(self, threshold: float | None, keep: float) -> bool:
        """Whether the quality is `keep` of the dear one's, or less, where scores from the threshold on are accepted."""
        if threshold is None:
            return False
        if self.kind == "heavy":
            threshold = math.atan(math.copysign(abs(threshold) ** (1 / 3), threshold)) / math.pi + 0.5
        short = 0.0
        for place, pairs in enumerate(self.bands):
            above = 1 + place - threshold * len(self.bands)
            took = float(above > 1 - 1e-9) if self.kind == "discrete" else min(max(above, 0.0), 1.0)
            short += sum(p * w * (keep * d - took * c - (1 - took) * d) for c, d, w, p in pairs)
        # At the very bound the claim is false.
        return short > -1e-9


def boundary(keep: float, dear: float = 0.8) -> list[Pair]:
    """Grades of 0 or 1, with a quality of just `keep` of the dear one's."""
    return coin((1 - keep) * dear, dear=dear)


GRID = (0.0, 0.25, 0.5, 0.75)
LAWS: dict[str, tuple[Law, float, Sequence[float] | None]] = {
    # what it is: (the law, what is kept, the grid)
    "continuous, no information": (Law([boundary(0.95)]), 0.95, None),
    "three values": (Law([coin(0.06), coin(0.04), coin(0.02)], "discrete"), 0.95, None),
    "three values, a grid": (Law([boundary(0.95)] * 3, "discrete"), 0.95, (0.0, 0.3, 0.6)),
    "all ties": (Law([boundary(0.9)], "discrete"), 0.9, None),
    "heavy tails": (Law([coin(0.08), coin(0.0)], "heavy"), 0.95, None),
    "the score upside down": (Law([coin(0.0), coin(0.08)]), 0.95, GRID),
    "nothing may be lost": (Law([coin(0.0)]), 1.0, GRID),
    "the dear one always wrong": (Law([[(0, 0, 1, 1.0)]]), 0.9, None),
    "between 0 and 1": (Law([graded(0.9)]), 0.9, GRID),
    "between 0 and 1, three values": (Law([graded(0.9, -0.02), graded(0.9), graded(0.9, 0.02)], "discrete"), 0.9, None),
    "weights": (Law([weighed(boundary(0.9), [1, 2, 3])]), 0.9, GRID),
    "heavy weights": (Law([weighed(boundary(0.9), [1] * 9 + [30])]), 0.9, GRID),
    "one threshold": (Law([boundary(0.9)]), 0.9, (0.0,)),
    "one threshold, between 0 and 1": (Law([graded(0.9)]), 0.9, (0.0,)),
    "one threshold, weights": (Law([weighed(boundary(0.9), [1, 2, 3])]), 0.9, (0.0,)),
}


def broken(name: str, n: int, repeats: int, delta: float, seed: int = 0) -> int:
    """How many promises of so many are false."""
    law, keep, grid = LAWS[name]
    rng, count = np.random.default_rng(seed), 0
    for _ in range(repeats):
        score, cheap, dear, weights = law.draw(rng, n)
        found = guarantee(score, cheap, dear, keep=keep, delta=delta, grid=grid, weights=weights)
        count += law.false(found.threshold, keep)
    return count


FAMILIES: dict[str, tuple[list[Law], float]] = {
    "five at the bound": ([Law([boundary(0.9)], "discrete")] * 5, 0.9),
    "two at the bound, three that hand on": (
        [Law([boundary(0.9)])] * 2 + [Law([[(1, 1, 1, 0.8), (0, 0, 1, 0.2)]])] * 3,
        0.9,
    ),
    "one at the bound, four that hand on": (
        [Law([boundary(0.9)], "discrete"), *[Law([[(1, 1, 1, 1.0)]], "discrete")] * 4],
        0.9,
    ),
    "between 0 and 1": ([Law([graded(0.9)])] * 3 + [Law([graded(0.9, 0.1)])] * 2, 0.9),
}


def family(name: str, n: int, rng: np.random.Generator, delta: float) -> tuple[Guarantee, list[bool]]:
    """A guarantee over slices of n cases each, and which of their promises are false."""
    laws, keep = FAMILIES[name]
    drawn = [law.draw(rng, n) for law in laws]
    score, cheap, dear, weights = (np.concatenate(each) for each in zip(*drawn, strict=True))
    slices: Texts = np.repeat(np.array([f"slice {at}" for at in range(len(laws))], dtype=object), n)
    grid = None if name == "five at the bound" else (0.0, 0.5)
    found = guarantee(score, cheap, dear, keep=keep, delta=delta, grid=grid, slices=slices, weights=weights)
    return found, [law.false(found.slices[f"slice {at}"].threshold, keep) for at, law in enumerate(laws)]
