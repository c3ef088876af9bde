"""Labels from both sides of a threshold, each with how likely it came to be there."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from fastcascade.evals.shadow_labels import Label, Population, Sampled

__all__ = ["Pair", "drawn_alike", "paired"]

Pair: TypeAlias = tuple[float, float, float]


def drawn_alike(held: Iterable[Label | Sampled]) -> list[tuple[Label, float]]:
    """Drawn labels that speak of all answers of one time together, and the propensity of each.

    If answers that escalated were drawn at all, labels of the time before, or after, tell of one side alone, and are
    left out. What was drawn and has no label is taken to be like the rest of its side: there it is as if less had
    been drawn.
    """
    held = [each for each in held if each.propensity is not None]
    both = any(each.population == "escalated" for each in held)
    if both:
        held = [each for each in held if each.both]
    drawn: Counter[Population] = Counter()
    labeled: Counter[Population] = Counter()
    for each in held:
        drawn[each.population] += 1
        labeled[each.population] += type(each) is Label
    share = {name: labeled[name] / many if both else 1.0 for name, many in drawn.items()}
    return [
        (each, each.propensity * share[each.population])
        for each in held
        if isinstance(each, Label) and each.propensity is not None
    ]


def paired(held: Iterable[Label | Sampled]) -> list[Pair]:
    """(confidence, score, propensity) of them, where there is a confidence."""
    return [
        (each.confidence, each.score, propensity)
        for each, propensity in drawn_alike(held)
        if each.confidence is not None
    ]
