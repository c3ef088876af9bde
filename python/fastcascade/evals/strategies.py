"""The rules that decide who answers, learned from some cases and applied to others; "auto" chooses among them.

    raw          the best single signal as it is
    calibrated   the same signal through an isotonic curve to P(cheap right)
    learned      P(cheap right) from all signals, slice, answer and how samples agree
    gain         P(cheap right) - P(dear right): what is not won by asking the dear model
    value        the same, for each dollar that the dear model is expected to cost
    router       any of these three from what is known before the cheap model is paid
    always dear, always cheap

The learned ones come "plain", "wide" (signals bent at quantiles and taken by slice) and "mixed" (the mean of both).

Threshold and choice are made on the training cases alone, by scores of models that were fitted without the case in
question (inner folds, pooled): as many cases as there are count, and none flatters itself. "auto" takes the candidate
of the largest saving that keeps the target with the margin; to be chosen, a learned one must save more than a raw one
by an amount that shrinks with the root of the cases. Where always-cheap keeps the target it is taken ("never
escalate"), and where less than `LEAST` of the cost is saved it is always-dear ("do not cascade").
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Aim, Keep, saved
from fastcascade.evals.curves import fit_isotonic, stretched, through
from fastcascade.evals.features import Columns, columns
from fastcascade.evals.logistic import fold_of
from fastcascade.evals.models import Models, Parts, out_of_fold
from fastcascade.evals.outcomes import BEFORE, Floats, Outcomes
from fastcascade.evals.sweep import NEVER, Sweep, sweep
from fastcascade.gates.calibration import Isotonic

__all__ = ["CHEAP", "DEAR", "STRATEGIES", "Rule", "Sight", "learn", "see", "train"]

DEAR: Final = "always dear"
CHEAP: Final = "always cheap"
STRATEGIES: Final = ("auto", "raw", "calibrated", "learned", "gain", "value", "router", DEAR, CHEAP)
KINDS: Final = ("learned", "gain", "value")
SHRINK: Final = 0.1
"""What one step of complexity must bring, in saving, times the root of the number of cases."""
STEPS: Final = {"raw": 0.0, "plain": 1.0, "mixed": 1.5, "wide": 2.0, "router": 2.0}
FOLDS: Final = 5
FOLDS_WORDS: Final = 3


@dataclass(frozen=True, eq=False, slots=True)
class Sight:
    """What rules see of a table: columns known after the cheap answer, those known before, and the raw signals."""

    after: Columns
    before: Columns
    signals: Mapping[str, Floats]

    def __len__(self) -> int:
        """How many cases."""
        return len(self.after.numbers)

    def take(self, places: NDArray[np.intp]) -> "Sight":
        """Some of the cases."""
        signals = {name: each[places] for name, each in self.signals.items()}
        return Sight(self.after.take(places), self.before.take(places), signals)


def see(outcomes: Outcomes) -> Sight:
    """What rules see of a table."""
    after, before = columns(outcomes), columns(outcomes, before=True)
    return Sight(after, before, {name: outcomes.surer(name) for name in outcomes.signals})


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """A rule that is ready.

    Args:
        name: "raw: agreement", say; `DEAR` and `CHEAP` need no score.
        threshold: accept from this score on.
        router: whether it decides before the cheap model is paid.
        saving: what it saved on its training cases, by models that had not seen the case.
        floor: the score of a case that lacks the signal.
        curve, span: from the signal, stretched from its span, to P(cheap right).
        tried: the rule that was best; it is `name`, or what always-dear or always-cheap was better than.
        crossed: its score of each training case, by models that had not seen the case.
        chance: P(cheap right) of each training case, likewise, where it was worked out.
    """

    name: str
    threshold: float
    router: bool = False
    saving: float = 0.0
    floor: float = 0.0
    curve: Isotonic | None = None
    span: tuple[float, float] = (0.0, 1.0)
    models: Mapping[str, Models] = field(default_factory=dict, repr=False)
    tried: str = ""
    crossed: Floats | None = field(default=None, repr=False)
    chance: Floats | None = field(default=None, repr=False)

    def score(self, sight: Sight) -> Floats:
        """The score of each case; more is surer."""
        kind, _, detail = self.name.partition(": ")
        if kind in (DEAR, CHEAP):
            return np.zeros(len(sight))
        if kind in ("raw", "calibrated"):
            signal = sight.signals[detail]
            known = np.where(np.isnan(signal), self.floor, signal)
            return known if self.curve is None else through(self.curve, stretched(known, *self.span))
        if kind == "router":
            return self.models[kind].parts(sight.before).score(detail)
        if detail != "mixed":
            return self.models[detail].parts(sight.after).score(kind)
        both = self.models["plain"].parts(sight.after).mixed(self.models["wide"].parts(sight.after))
        return both.score(kind)

    def accepts(self, sight: Sight) -> NDArray[np.bool_]:
        """Of each case, whether the cheap model's answer stands."""
        return np.asarray(self.score(sight) >= self.threshold)


@dataclass(frozen=True, eq=False, slots=True)
class _Candidate:
    """A score of the training cases, to be cut."""

    name: str
    score: Floats
    router: bool
    steps: float
    floor: float = 0.0
    chance: Floats | None = None

    @property
    def family(self) -> str:
        return self.name.partition(":")[0]


def train(outcomes: Outcomes, aim: Aim | None = None, strategy: str = "auto", seed: int = 0) -> Rule:
    """The rule of one strategy, learned from these cases."""
    return learn(outcomes, see(outcomes), aim or Keep(), np.random.default_rng(seed), (strategy,))[strategy]


def learn(
    outcomes: Outcomes,
    sight: Sight,
    aim: Aim,
    rng: np.random.Generator,
    wanted: Collection[str] = STRATEGIES,
) -> dict[str, Rule]:
    """The rules of several strategies, learned from the same cases and the same models."""
    if unknown := [each for each in wanted if each not in STRATEGIES]:
        raise ConfigError(f"no strategy {unknown[0]!r}; there are: {', '.join(STRATEGIES)}")
    models: dict[str, Models] = {}
    candidates = _raw(sight)
    if {"auto", *KINDS, "router"} & set(wanted):
        candidates += _learned(outcomes, sight, rng, models)
    ready = [_cut(each, outcomes, aim) for each in candidates]
    found: dict[str, Rule] = {DEAR: Rule(DEAR, NEVER, tried=DEAR), CHEAP: Rule(CHEAP, -math.inf, tried=CHEAP)}
    for strategy in wanted:
        if strategy in found:
            continue
        family = "raw" if strategy == "calibrated" else strategy
        able = [each for each in ready if family in ("auto", each[0].family)]
        if not able:
            found[strategy] = found[DEAR]
            continue
        best, curve, place, _ = max(able, key=lambda each: each[3])
        found[strategy] = _rule(best, curve, place, aim, models)
        if strategy == "calibrated" and found[strategy].name not in (DEAR, CHEAP):
            found[strategy] = _calibrated(best, outcomes, aim)
    return {each: found[each] for each in wanted}


def _raw(sight: Sight) -> list[_Candidate]:
    """Each signal as it is; where it is missing it is as unsure as any."""
    found = []
    for name, signal in sight.signals.items():
        known = np.isfinite(signal)
        if known.any():
            floor = float(signal[known].min())
            score = np.where(known, signal, floor)
            found.append(_Candidate(f"raw: {name}", score, name in BEFORE, STEPS["raw"], floor))
    return found


def _learned(outcomes: Outcomes, sight: Sight, rng: np.random.Generator, models: dict[str, Models]) -> list[_Candidate]:
    """The learned scores of the training cases; fills in the models that were fitted to all of them."""
    wordy = sight.before.words is not None
    fold = fold_of(len(outcomes), min(FOLDS_WORDS if wordy else FOLDS, len(outcomes)), rng)
    found, parts = [], dict[str, Parts]()
    # Words alone are what a router sees; there is nothing more to see afterwards.
    for name in () if sight.after.words is not None else ("plain", "wide"):
        models[name] = Models(sight.after, outcomes, fold, wide=name == "wide")
        parts[name] = out_of_fold(models[name], sight.after, outcomes, fold)
    if parts:
        parts["mixed"] = parts["plain"].mixed(parts["wide"])
    for name, each in parts.items():
        found += [
            _Candidate(f"{kind}: {name}", each.score(kind), router=False, steps=STEPS[name], chance=each.cheap)
            for kind in KINDS
        ]
    if sight.before.seen:
        models["router"] = Models(sight.before, outcomes, fold, wide=False)
        before = out_of_fold(models["router"], sight.before, outcomes, fold)
        steps = STEPS["router"]
        found += [
            _Candidate(f"router: {kind}", before.score(kind), router=True, steps=steps, chance=before.cheap)
            for kind in KINDS
        ]
    return found


def _cut(candidate: _Candidate, outcomes: Outcomes, aim: Aim) -> tuple[_Candidate, Sweep, int, float]:
    """The cut of a candidate, and what it is worth in the choice."""
    curve = sweep(outcomes, candidate.score, router=candidate.router)
    place = aim.cut(curve)
    return candidate, curve, place, aim.value(curve, place) - SHRINK * candidate.steps / math.sqrt(len(outcomes))


def _rule(candidate: _Candidate, curve: Sweep, place: int, aim: Aim, models: Mapping[str, Models]) -> Rule:
    saving = saved(curve, place)
    made = Rule(
        candidate.name,
        float(curve.thresholds[place]),
        candidate.router,
        saving,
        candidate.floor,
        models=models,
        tried=candidate.name,
        crossed=candidate.score,
        chance=candidate.chance,
    )
    if place == 0 or not aim.pays(saving):
        return replace(made, name=DEAR, threshold=NEVER, saving=0.0)
    if place == len(curve.thresholds) - 1:
        return replace(made, name=CHEAP, threshold=-math.inf)
    return made


def _calibrated(candidate: _Candidate, outcomes: Outcomes, aim: Aim) -> Rule:
    """The same signal as a probability. A curve that never falls repairs the number, not the order."""
    span = float(candidate.score.min()), float(candidate.score.max())
    score = stretched(candidate.score, *span)
    bent = fit_isotonic(score, outcomes.cheap, outcomes.weight)
    known = replace(candidate, name=f"calibrated: {candidate.name.partition(': ')[2]}", score=through(bent, score))
    curve = sweep(outcomes, known.score, router=candidate.router)
    made = _rule(known, curve, aim.cut(curve), aim, {})
    return made if made.name in (DEAR, CHEAP) else replace(made, curve=bent, span=span)
