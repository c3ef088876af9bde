"""The report of an evaluation: what rules decide, and models say, of cases that they had not seen."""

import numpy as np

from fastcascade.evals.curves import fit_isotonic, stretched, through
from fastcascade.evals.evaluation import Evaluation
from fastcascade.evals.logistic import fold_of
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_parts import Compared
from fastcascade.evals.report_sums import Figure

__all__ = ["report_of"]

FOLDS = 5
METHOD = (
    "Decisions, and all figures of them, are by rules that were learned, chosen and cut on other cases (five folds).",
    "The curve and the histogram are of the rule that was tried; each case was scored by models fitted without it.",
    "The calibration after is by curves that were fitted without the case.",
    "The comparison of rules is of all deals of the folds; the figures above it are of the first deal alone.",
)


def report_of(outcomes: Outcomes, found: Evaluation, *, date: str = "", seed: int = 0) -> ReportData:
    """Work out the report.

    Args:
        outcomes: the cases that were evaluated; those that weigh nothing are left out, as they were there.
        found: what came of it.
        date: shown as it is.
        seed: of the folds that calibrate.
    """
    outcomes = outcomes.counted()
    rule, accepted, n = found.rule, found.accepted, len(outcomes)
    unknown = np.full(len(outcomes), np.nan)
    score = unknown if rule is None or rule.crossed is None else rule.crossed
    chance = None if rule is None or rule.chance is None else rule.chance
    if chance is None and np.isfinite(score).all():
        chance = _crossed(score, outcomes, seed)
    goes = np.ones(len(outcomes), dtype=bool) if accepted is None else ~accepted
    dear = found.recommendation == "do not cascade"
    tried = "" if rule is None or rule.tried in ("", rule.name) else f" What was tried is {rule.tried}."
    return ReportData.of(
        outcomes,
        score,
        np.inf if dear or rule is None else rule.threshold,
        decisions=goes,
        calibrated=chance,
        one_model=dear or (rule is not None and rule.router),
        date=date,
        title="Is a cascade worth it?",
        recommendation=f"{found.recommendation.capitalize()} ({found.strategy}): {found.why}.{tried}",
        level=found.confidence,
        method=METHOD,
        rules=[
            Compared(
                each.strategy,
                Figure(each.saving, *each.saving_interval, n, "share"),
                Figure(each.quality_ratio, *each.quality_interval, n, "share"),
                each.escalation_rate,
            )
            for each in found.strategies
        ],
        facts=_facts(found),
    )


def _facts(found: Evaluation) -> list[tuple[str, str]]:
    facts = [("aim", str(found.aim)), ("more cases needed", f"{found.more_cases_needed:,}")]
    if (took := found.latency) is not None:
        told = "mean {:.2f} s, median {:.2f} s, 95 % under {:.2f} s"
        facts.append(("time", told.format(took.mean, took.p50, took.p95)))
        facts.append(("time of always dear", told.format(took.dear_mean, took.dear_p50, took.dear_p95)))
    return facts


def _crossed(score: Floats, outcomes: Outcomes, seed: int) -> Floats:
    """Each score through a curve that was fitted on the other folds."""
    score = stretched(score, float(score.min()), float(score.max()))
    fold = fold_of(len(score), FOLDS, np.random.default_rng(seed))
    found = np.empty(len(score))
    for each in range(FOLDS):
        train = fold != each
        curve = fit_isotonic(score[train], outcomes.cheap[train], outcomes.weight[train])
        found[~train] = through(curve, score[~train])
    return found
