"""The page on calibration without a recording: what the grades say that decisions have got.

Only labels that somebody drew are looked at, each weighed by how seldom its like is drawn: what was sent in unasked
says nothing of all answers. Scores are as the gate gave them when it decided, behind whatever curve it has, so that a
threshold can be set as it is. No numpy is needed.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.api_calibration_now import share_of
from fastcascade.evals.suggestions import suggest

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.console.asked import Sight
    from fastcascade.telemetry.decisions import Decisions

__all__ = ["FEWEST", "of_labels", "reliability"]

FEWEST: Final = 30
"""Labels below which nothing is drawn or suggested."""
DAYS: Final = 90.0
MOST: Final = 20_000
"""Labeled decisions that are read."""
BINS: Final = 10
Label = tuple[float, float, float]
"""The gate's score, the grade, and how likely it was to be drawn."""


def of_labels(sight: "Sight", wanted: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """One entry to each tier that has a gate and labels; None where there is no label at all. It reads the store."""
    if sight.decisions is None:
        return None
    found, now = [], sight.now()
    for name, cascade in sight.cascades.items():
        gated = [tier.name for tier in cascade.tiers[:-1] if tier.gate is not None]
        labels = _labels(sight.decisions, now, name, gated) if gated else {}
        found += [_tier(sight, wanted, name, cascade, tier, held) for tier, held in labels.items() if held]
    return found or None


def _labels(decisions: "Decisions", now: float, cascade: str, tiers: Sequence[str]) -> dict[str, list[Label]]:
    """The drawn labels of each tier beside the score its gate gave, the last label of a decision alone."""
    from fastcascade.telemetry.export import walk  # noqa: PLC0415 - SQLite, for whoever keeps decisions

    found: dict[str, list[Label]] = {tier: [] for tier in tiers}
    for whole in islice(walk(decisions.path, now - DAYS * 86_400, now + 1, graded=True, cascade=cascade), MOST):
        for tier in tiers:
            grades = [each for each in whole.grades if each.tier == tier and each.propensity]
            scores = [each["score"] for each in whole.attempts if each["tier"] == tier and each["score"] is not None]
            if grades and scores:
                last = max(grades, key=lambda each: each.at)
                found[tier].append((scores[-1], min(1.0, max(0.0, last.score)), last.propensity or 1.0))
    return found


def _tier(
    sight: "Sight", wanted: Mapping[str, Any], name: str, cascade: "Cascade", tier: str, labels: Sequence[Label]
) -> dict[str, Any]:
    promise = sight.settings.promises.quality.get(tier, 0.95)
    said: dict[str, Any] = {
        "cascade": name,
        "tier": tier,
        "n": len(labels),
        "fewest": FEWEST,
        "promise": promise,
        "accept": cascade.tiers[cascade.places[tier]].accept,
    }
    if len(labels) < FEWEST:
        return said
    found = suggest(labels, promise, delta=1 - wanted["confidence"])
    suggestion = {
        each: getattr(found, each) for each in ("threshold", "quality", "low", "high", "n", "accepted", "more", "why")
    }
    return {**said, "bins": reliability(labels), "suggestion": suggestion}


def reliability(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """How good answers were at each tenth of the score; parts without labels are left out."""
    bins: list[list[Label]] = [[] for _ in range(BINS)]
    for label in labels:
        bins[min(BINS - 1, max(0, int(label[0] * BINS)))].append(label)
    found = []
    for held in bins:
        if not held:
            continue
        weights = [1 / propensity for _, _, propensity in held]
        right = share_of([grade for _, grade, _ in held], weights)
        said = sum(w * score for w, (score, _, _) in zip(weights, held, strict=True)) / sum(weights)
        found.append(
            {"said": said, "right": right["value"], "low": right["low"], "high": right["high"], "n": len(held)}
        )
    return found
