"""What a report says, as plain data: every figure with its n and its interval, every sentence as text."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.report_parts import Baseline, Compared, Parts, Path, Slice
from fastcascade.evals.report_sums import Bin, Curve, Figure, Sums, curve
from fastcascade.evals.report_words import advice, limits_of, method_of

__all__ = ["ReportData"]

BINS: Final = 10
HISTOGRAM: Final = 24


@dataclass(frozen=True)
class ReportData:
    """All that a report shows. `dataclasses.replace` changes a part: a headline from held-out cases, say.

    Args:
        title: the heading.
        recommendation: one sentence.
        source: what the table is called.
        fingerprint: of the outcomes.
        n: how many cases.
        date: when it was made, as the caller writes it.
        level: of all intervals.
        threshold: what the cascade was run with.
        headline: figures by name, in order.
        chosen: what the decisions cost and are worth.
        baselines: always cheap, always dear, oracle.
        curve: all thresholds.
        oracle: the best that could be done after each cheap answer.
        router: a router that sees the prompt alone; empty where none was given.
        before: bins of the score, where it is a probability.
        after: bins of the calibrated score.
        errors: calibration errors by name.
        histogram: bins of the score over its range.
        slices: the largest first; more than thirty are put into one.
        paths: what went which way.
        method: sentences: how it was worked out.
        limits: sentences: what it does not show.
        rules: what other rules come to on the same cases, where that was worked out.
        facts: what else there is to know, as names and texts.
    """

    title: str
    recommendation: str
    source: str
    fingerprint: str
    n: int
    date: str
    level: float
    threshold: float
    headline: dict[str, Figure]
    chosen: Baseline
    baselines: tuple[Baseline, ...]
    curve: Curve
    oracle: Curve
    router: Curve
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    errors: dict[str, Figure]
    histogram: tuple[Bin, ...]
    slices: tuple[Slice, ...]
    paths: tuple[Path, ...]
    method: tuple[str, ...]
    limits: tuple[str, ...]
    rules: tuple[Compared, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(  # noqa: PLR0913  # the parts of a report, each named where it is handed in
        cls,
        outcomes: Outcomes,
        score: Floats,
        threshold: float,
        *,
        decisions: NDArray[np.bool_] | None = None,
        calibrated: Floats | None = None,
        router: Floats | None = None,
        one_model: bool = False,
        date: str = "",
        title: str = "Cascade report",
        recommendation: str = "",
        level: float = 0.95,
        method: Sequence[str] = (),
        limits: Sequence[str] = (),
        rules: Sequence[Compared] = (),
        facts: Sequence[tuple[str, str]] = (),
    ) -> "ReportData":
        """Work out a report.

        Args:
            outcomes: the cases.
            score: of each, more is surer; NaN where there is none.
            threshold: from this score on the cheap answer stays.
            decisions: which cases go on; those below the threshold, and those without a score, where not given.
            calibrated: of each case how likely the cheap answer is right, 0 to 1.
            router: of each case, from the prompt alone, how surely the cheap model does; more is surer.
            one_model: whether it is decided before the cheap model is asked, so that each case pays for one.
            date: shown as it is.
            title: the heading.
            recommendation: one sentence; worked out from the figures where it is empty.
            level: of all intervals.
            method: sentences to add to how it was worked out.
            limits: sentences to add to what it does not show.
            rules: what other rules come to.
            facts: what else there is to know.
        """
        _refuse(outcomes, level, score=score, decisions=decisions, calibrated=calibrated, router=router)
        goes = ~(score >= threshold) if decisions is None else np.asarray(decisions, dtype=bool)
        sums = Sums(outcomes.weight, level)
        parts = Parts(outcomes, goes, sums, one_model=one_model)
        cheap, dear = (outcomes.cheap, outcomes.cheap_cost), (outcomes.dear, outcomes.dear_cost)
        both = (outcomes.dear, outcomes.cheap_cost + outcomes.dear_cost)
        edges = np.linspace(0, 1, BINS + 1)
        pairs = [("before", score), ("after", calibrated)]
        probable = {name: each for name, each in pairs if each is not None and _is_probability(each)}
        binned = {name: tuple(sums.bins(each, outcomes.cheap, edges)) for name, each in probable.items()}
        headline = parts.headline()
        # A report is handed on: it names the file, not the folders of who made it.
        source = outcomes.name.replace("\\", "/").rsplit("/", 1)[-1]
        return cls(
            title=title,
            recommendation=recommendation or advice(headline, threshold, source, len(outcomes)),
            source=source,
            fingerprint=outcomes.fingerprint(),
            n=len(outcomes),
            date=date,
            level=level,
            threshold=float(threshold),
            headline=headline,
            chosen=parts.chosen(),
            baselines=parts.baselines(),
            curve=curve(score, cheap, dear if one_model else both, sums),
            oracle=_oracle(outcomes, sums),
            router=Curve() if router is None else curve(router, cheap, dear, sums),
            before=binned.get("before", ()),
            after=binned.get("after", ()),
            errors={
                f"calibration error {name}": sums.gap(each, outcomes.cheap, edges) for name, each in probable.items()
            },
            histogram=tuple(sums.bins(score, outcomes.cheap, _edges(score))),
            slices=parts.slices(),
            paths=parts.paths(),
            method=(*method_of(level, outcomes.weights is not None, router is not None), *method),
            limits=(*limits_of(outcomes, score, goes, before="before" in binned), *limits),
            rules=tuple(rules),
            facts=tuple(facts),
        )

    def as_dict(self) -> dict[str, object]:
        """The same as mappings, lists, numbers and texts; None where a number is not finite."""
        found = _plain(asdict(self))
        assert isinstance(found, dict)  # noqa: S101  # a dataclass is a mapping here, and says so to the type checker
        return found


def _oracle(outcomes: Outcomes, sums: Sums) -> Curve:
    """The frontier of one who knows both grades once the cheap answer is there: most gained for a dollar first."""
    gain = outcomes.dear - outcomes.cheap
    worth = np.where(gain > 0, -gain / np.maximum(outcomes.dear_cost, np.finfo(float).tiny ** 0.5), 1.0)
    both = outcomes.cheap_cost + outcomes.dear_cost
    best = np.maximum(outcomes.cheap, outcomes.dear)
    # Those that gain nothing never go on: sent or kept, they cost and are worth the same.
    sent = np.where(gain > 0, both, outcomes.cheap_cost)
    return curve(worth, (outcomes.cheap, outcomes.cheap_cost), (best, sent), sums)


def _edges(score: Floats) -> Floats:
    """The edges of the histogram: the range of the score; one bin where all are the same."""
    known = score[np.isfinite(score)]
    if not len(known):
        return np.array([0.0, 1.0])
    low, high = float(known.min()), float(known.max())
    return np.linspace(low, high, HISTOGRAM + 1) if high > low else np.array([low, low])


def _is_probability(score: Floats) -> bool:
    known = score[np.isfinite(score)]
    return bool(len(known)) and float(known.min()) >= 0 and float(known.max()) <= 1


def _refuse(outcomes: Outcomes, level: float, **columns: NDArray[np.generic] | None) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, not {level!r}")
    for name, column in columns.items():
        if column is not None and column.shape != (len(outcomes),):
            raise ConfigError(f"{name} must have one value to each of {len(outcomes)} cases, not {column.shape}")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
