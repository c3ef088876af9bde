"""A threshold with a promise: "quality at least `keep` of always asking the dear model, with confidence 1 - delta".

A case is answered by the cheap model where its score is the threshold or more, and by the dear one otherwise; equal
scores go the same way, and a score that is not a number goes to the dear model. Thresholds are tried one after the
other, from the one that accepts least to the one that accepts all, and the first whose claim cannot be carried ends the
trial: a false claim is then made at most `delta` of the time, however many thresholds there are (fixed-sequence
testing; Angelopoulos and others, "Learn then Test", 2021). Where not even the first is carried, the answer is "not
yet": everything goes to the dear model.

When it holds. The cases are drawn independently, as those to come will be, and the score was not fitted to their
grades. A `grid` given beforehand makes the error rate exact for any score. Without one, the thresholds are those that
accept a fortieth of these cases, two fortieths and so on: they depend on the scores and on no grade. Given the scores,
the claim is then about the average over these very cases, and holds for any score; for cases to come it holds where the
chance of a loss does not fall as the score falls, since what lies above the first false threshold is then a sample of
its own. The promise is of the average, not of each case, and lapses when the cases change. Weights are taken as given:
the claim is about the average over cases that weigh as these do, and a heavy kind of which none is here is not covered.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import ndtri

from fastcascade.errors import ConfigError
from fastcascade.evals.bounds import bets, fair_p, fair_ps, ratio_p, ratio_score, ratio_scores
from fastcascade.evals.outcomes import Floats, Texts
from fastcascade.evals.selective import Selection, selective
from fastcascade.evals.trial import Grid, Steps, Verdict, check, more_at, more_cases

__all__ = ["Guarantee", "Selection", "Verdict", "guarantee", "selective"]

SPARED: Final = 0.1
"""The share of delta that pays for what is not known besides."""
PARTS: Final = 256
"""The lower bound of the ratio is found to such a part of what is seen beyond `keep`."""
LEAPS: Final = 5
"""Trials that a normal approximation leads; then the rest is halved."""


@dataclass(frozen=True)
class Guarantee:
    """What can be promised.

    Args:
        threshold: scores from here on are accepted; None is always-dear (or, over slices, see `slices`).
        coverage: the share of these cases that is accepted.
        quality_ratio: quality of the cascade, by that of the dear model, as seen here.
        ratio_low: its lower bound at 1 - delta, were this threshold the only one tried; `keep` is what is promised.
        n: cases it rests on.
        delta: how often such a promise may be false; the slice's own share of it in a slice.
        keep: the share of the dear model's quality that is promised.
        verdict: "holds", or "not yet": always ask the dear model.
        more_cases: 0 where it holds; else how many more are likely (four times in five) to carry the first threshold,
            if things are as they look; None where no number would do.
        slices: the same of each slice, where there are slices.
    """

    threshold: float | None
    coverage: float
    quality_ratio: float
    ratio_low: float
    n: int
    delta: float
    keep: float
    verdict: Verdict
    more_cases: int | None
    slices: Mapping[str, "Guarantee"] = field(default_factory=dict)


def guarantee(  # noqa: PLR0913 - three columns, and the five terms of a promise
    score: Floats,
    cheap: Floats,
    dear: Floats,
    *,
    keep: float,
    delta: float = 0.05,
    grid: Grid | None = None,
    slices: Texts | None = None,
    weights: Floats | None = None,
) -> Guarantee:
    """The most lenient threshold of which the promise can be made, one for each slice where there are slices.

    Args:
        score: how sure one is of each cheap answer; the more, the surer.
        cheap: how right the cheap model was, 0 to 1.
        dear: how right the dear one was.
        keep: the share of the dear model's quality to keep, above 0 and at most 1.
        delta: how often the promise may be false. Slices share it: each begins with the same part, and one of which
            all thresholds are carried hands its part on. All promises together are then false at most this often.
        grid: thresholds fixed beforehand, in any order; without, a fortieth of the cases more at each step.
        slices: what each case is filed under.
        weights: how much each case counts. Weighted cases, and grades between 0 and 1, are tested by betting, which
            asks for more cases than the exact test of grades that are 0 or 1.
    """
    check(score, {"cheap": cheap, "dear": dear}, delta)
    if not 0 < keep <= 1:
        raise ConfigError(f"keep must be above 0 and at most 1, not {keep!r}")
    if slices is not None and len(slices) != len(score):
        raise ConfigError(f"slices has {len(slices)} cases, and score has {len(score)}")
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, float)
    if weight.shape != score.shape or not (np.isfinite(weight) & (weight >= 0)).all() or not weight.any():
        raise ConfigError("weights must be 0 or more, one to each case, and one above 0")
    names, place = (
        (np.array([""]), weight * 0) if slices is None else np.unique(slices.astype(str), return_inverse=True)
    )
    # What weighs nothing is no case.
    order = np.argsort(np.where(weight > 0, place, len(names)), kind="stable")
    sizes = np.bincount(place[weight > 0].astype(int), minlength=len(names))
    share = delta / np.count_nonzero(sizes)
    chains = {
        str(name): _Chain(_Columns(score[part], cheap[part], dear[part], weight[part]), grid, keep, share)
        for name, part in zip(names, np.split(order, np.cumsum(sizes))[:-1], strict=True)
        if len(part)
    }
    return chains[""].walk(delta) if slices is None else _shared(chains, keep, delta)


def _shared(chains: Mapping[str, "_Chain"], keep: float, delta: float) -> Guarantee:
    """Walk each slice's thresholds; one that comes to the end hands its share to those that have not (Holm's way)."""
    shares: dict[str, float] = {}
    share = delta
    while len(shares) < len(chains):
        share = delta / (len(chains) - len(shares))
        ended = [
            name for name, chain in chains.items() if name not in shares and chain.carried(share) == len(chain.steps)
        ]
        if not ended:
            break
        shares |= dict.fromkeys(ended, share)
    found = {name: chain.walk(shares.get(name, share)) for name, chain in chains.items()}
    total, top, got, took = (
        math.fsum(each) for each in zip(*(c.sums(found[s].threshold) for s, c in chains.items()), strict=True)
    )
    more = [each.more_cases for each in found.values() if each.more_cases is not None]
    return Guarantee(
        None,
        took / total,
        _ratio(got, top),
        min(each.ratio_low for each in found.values()),
        sum(each.n for each in found.values()),
        delta,
        keep,
        "holds" if any(each.verdict == "holds" for each in found.values()) else "not yet",
        min(more) if more else None,
        found,
    )


def _ratio(got: float, top: float) -> float:
    return got / top if top > 0 else math.inf if got > 0 else 1.0


@dataclass(frozen=True, eq=False)
class _Columns:
    """The cases of one slice."""

    score: Floats
    cheap: Floats
    dear: Floats
    weight: Floats


class _Chain:
    """The thresholds of one slice in the order of the trial, with what is needed to test each.

    `delta` tunes the tests and pays for what they do not know; it is settled before the trial, at the least share that
    the slice can have.
    """

    def __init__(self, columns: _Columns, grid: Grid | None, keep: float, delta: float) -> None:
        self.columns, self.keep, self.delta = columns, keep, delta
        self.steps = Steps(columns.score, grid)
        cheap, dear, weight = columns.cheap, columns.dear, columns.weight
        self._weight = weight / weight.max()
        self._binary = bool(((cheap == 0) | (cheap == 1)).all() and ((dear == 0) | (dear == 1)).all())
        self._binary &= bool((weight == weight[0]).all())
        self._lost, self._won = (self.steps.add(each.astype(float)) for each in (dear > cheap, cheap > dear))
        self._p: list[float] = []

    def tester(self, place: int, keep: float) -> Callable[[float], float]:
        """The p-value at a threshold, of as many times the cases as one says."""
        cheap, dear, n = self.columns.cheap, self.columns.dear, len(self.columns.score)
        if self._binary:
            counts = np.array([self._lost[place], self._won[place], dear.sum(), n])

            def count(times: float) -> float:
                lost, won, right, cases = (float(each) for each in np.rint(counts * times))
                return ratio_p(lost, won, right, cases, keep, SPARED * self.delta)

            return count
        loss = self._weight * (keep * dear - np.where(self.steps.first <= place, cheap, dear))

        def bet(times: float) -> float:
            return fair_p(times * np.array([np.log1p(-stake * loss).sum() for stake in self._stakes(n * times, keep)]))

        return bet

    def _stakes(self, n: float, keep: float) -> Floats:
        return bets(n, self.delta, 1 / keep, 1 + keep)

    def carried(self, delta: float) -> int:
        """How many thresholds are carried before the first that is not."""
        if not self._p and not self._binary:
            self._p = self._bet()
        # One after the other, as most trials end early.
        while self._binary and len(self._p) < len(self.steps) and (not self._p or self._p[-1] <= delta):
            self._p.append(self.tester(len(self._p), self.keep)(1.0))
        return next((place for place, p in enumerate(self._p) if p > delta), len(self._p))

    def _bet(self) -> list[float]:
        """The p-values at all thresholds at once: what was won on all cases, and what each that is accepted changes."""
        logs = []
        for stake in self._stakes(len(self.columns.score), self.keep):
            kept = np.log1p(stake * self._weight * (1 - self.keep) * self.columns.dear)
            taken = np.log1p(-stake * self._weight * (self.keep * self.columns.dear - self.columns.cheap))
            logs.append(kept.sum() + self.steps.add(taken - kept))
        return fair_ps(np.array(logs)).tolist() if len(self.steps) else []

    def sums(self, threshold: float | None) -> tuple[float, float, float, float]:
        """Of the slice at this threshold: its weight, the dear model's quality, the cascade's, what is accepted."""
        columns = self.columns
        weight, top = columns.weight, float(columns.weight @ columns.dear)
        if threshold is None:
            return float(weight.sum()), top, top, 0.0
        took = columns.score >= threshold
        return (
            float(weight.sum()),
            top,
            float(weight @ np.where(took, columns.cheap, columns.dear)),
            float(weight @ took),
        )

    def walk(self, delta: float) -> Guarantee:
        """Try the thresholds in turn, and say what came of it."""
        carried, n = self.carried(delta), len(self.columns.score)
        if not carried:
            return Guarantee(None, 0.0, 1.0, 1.0, n, delta, self.keep, "not yet", self._needed(delta))
        threshold = float(self.steps.thresholds[carried - 1])
        total, top, got, took = self.sums(threshold)
        low = self._low(carried - 1, min(_ratio(got, top), 1.0), delta)
        return Guarantee(threshold, took / total, _ratio(got, top), low, n, delta, self.keep, "holds", 0)

    def _low(self, place: int, most: float, delta: float) -> float:
        """How much of the dear model's quality this threshold alone keeps for sure, to a part in `PARTS`."""
        if most <= self.keep:
            return self.keep
        keeps = self.keep + (most - self.keep) * np.arange(PARTS) / PARTS
        scores, shift = self._scores(place, keeps), 0.0
        low, high = 0, PARTS
        for tried in range(PARTS):
            if high - low < 2:
                break
            at = (low + high) // 2
            if scores is not None and tried < LEAPS:
                # Where a normal approximation puts it, once it is moved to where the last trial was.
                near = int(np.searchsorted(scores, float(ndtri(delta)) - shift, side="right")) - 1
                at = min(max(near, low + 1), high - 1)
            p = self.tester(place, float(keeps[at]))(1.0)
            low, high = (at, high) if p <= delta else (low, at)
            if scores is not None:
                shift = float(ndtri(min(max(p, 1e-300), 1 - 1e-16)) - scores[at])
        return float(keeps[low])

    def _scores(self, place: int, keeps: Floats) -> Floats | None:
        """How many standard deviations the quality is short of each share, where grades are 0 or 1."""
        if not self._binary:
            return None
        right, n = float(self.columns.dear.sum()), len(self.columns.score)
        return ratio_scores(self._lost[place], self._won[place], right, n, keeps)

    def _needed(self, delta: float) -> int | None:
        n = len(self.columns.score)
        if not len(self.steps):
            return None
        if not self._binary:
            return more_cases(self.tester(0, self.keep), n, delta)
        score = ratio_score(self._lost[0], self._won[0], self.columns.dear.sum(), n, self.keep)
        # What is paid for the unknown leaves less for the claim.
        return more_at(score, n, delta - SPARED * self.delta)
