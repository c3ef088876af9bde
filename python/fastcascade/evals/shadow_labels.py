"""Drawn answers, their labels, and what these say of the quality of all that was accepted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import betting, exact
from fastcascade.records import known

__all__ = ["BETTER", "Estimate", "Label", "Sampled", "Source", "Tally", "counted", "estimated"]

Source: TypeAlias = Literal["judge", "dear", "review", "thumb", "regenerated"]

BETTER: Final[tuple[Source, ...]] = ("judge", "dear", "review")
"""Of two labels of one drawn answer the later in this order counts, and of two alike the later one."""
CHOSEN: Final = frozenset({"thumb", "regenerated"})
"""Sources that chose themselves: nobody knows how likely these labels were."""
DIGITS: Final = 4
"""Scores are counted to so many digits, so that what is kept for estimates is bounded."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """An accepted answer that was drawn, and how likely that was."""

    id: str
    slice: str
    propensity: float
    tier: str = ""
    confidence: float | None = None
    asked: Any = None  # input, system, request: as a case has them
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody made of an answer: a score from 0 to 1. Without a propensity it is no part of an estimate."""

    id: str
    score: float
    source: Source
    propensity: float | None = None
    slice: str = ""
    tier: str = ""
    confidence: float | None = None
    asked: Any = None
    answer: str = ""
    expected: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no label."""
        if self.source not in get_args(Source):
            raise ConfigError(
                f"label {self.id!r}: a source is one of {', '.join(get_args(Source))}, not {self.source!r}"
            )
        if not 0 <= self.score <= 1:
            raise ConfigError(f"label {self.id!r}: a score goes from 0 to 1, not {self.score!r}")
        if self.propensity is not None and not 0 < self.propensity <= 1:
            raise ConfigError(f"label {self.id!r}: a propensity is above 0, up to 1, not {self.propensity!r}")
        if self.propensity is not None and self.source in CHOSEN:
            raise ConfigError(f"label {self.id!r}: a {self.source} comes by itself, and has no propensity")

    def case(self) -> dict[str, Any]:
        """As a case: a plain dict."""
        made: dict[str, Any] = {"id": self.id, "expected": self.expected, "slice": self.slice, **(self.asked or {})}
        if self.answer:
            made["candidates"] = {self.tier: self.answer}
        made["label"] = {"score": self.score, "source": self.source, "propensity": self.propensity}
        return made


known(Sampled, Label)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The quality of accepted answers, with the interval that holds at this number of labels (not at each look).

    Args:
        quality: self-normalized (Hajek): the mean of the labels, each counted 1/propensity times; None without any.
        horvitz: by the number of answers seen (Horvitz and Thompson): without any bias, and noisier. What was drawn
            and has no label is taken to be like the rest.
        low: the interval's lower end.
        high: its upper end.
        n: labels behind it.
        drawn: answers that were drawn; more than n while labels are to come, or where they failed.
        seen: accepted answers, those at a rate of 0 left out.
        never: accepted answers at a rate of 0, of which it says nothing.
        method: "exact" (Clopper-Pearson), "betting", or "none".
    """

    quality: float | None
    horvitz: float | None
    low: float
    high: float
    n: int
    drawn: int
    seen: int
    never: int
    method: Literal["exact", "betting", "none"]


@dataclass(slots=True)
class Tally:
    """What a slice has come to, as sums."""

    seen: int = 0
    never: int = 0
    drawn: Counter[float] = field(default_factory=Counter)  # by propensity
    labels: Counter[tuple[float, float]] = field(default_factory=Counter)  # by score and propensity

    def __iadd__(self, other: "Tally") -> Self:
        """Take another's to its own."""
        self.seen += other.seen
        self.never += other.never
        self.drawn.update(other.drawn)
        self.labels.update(other.labels)
        return self


def estimated(held: Tally, floor: float, confidence: float) -> Estimate:
    """What a tally says of quality."""
    labels = {key: many for key, many in held.labels.items() if many > 0}
    n, drawn = sum(labels.values()), held.drawn.total()
    if not n:
        return Estimate(None, None, 0.0, 1.0, 0, drawn, held.seen, held.never, "none")
    mass = sum(many / propensity for (_, propensity), many in labels.items())
    right = sum(score * many / propensity for (score, propensity), many in labels.items())
    # What was drawn and has no label is as if it had been drawn less often.
    due = sum(many / propensity for propensity, many in held.drawn.items())
    horvitz = right / held.seen * due / mass if held.seen and due else None
    alike = len({*held.drawn, *(propensity for _, propensity in labels)}) == 1
    if alike and all(score in (0, 1) for score, _ in labels):
        low, high = exact(sum(many for (score, _), many in labels.items() if score == 1), n, confidence)
        return Estimate(right / mass, horvitz, low, high, n, drawn, held.seen, held.never, "exact")
    lowest = 1.0 if alike else min(floor, *(propensity for _, propensity in labels))
    weighted: Counter[tuple[float, float]] = Counter()
    for (score, propensity), many in labels.items():
        weighted[score, 1.0 if alike else lowest / propensity] += many
    low, high = betting(weighted, confidence)
    return Estimate(right / mass, horvitz, low, high, n, drawn, held.seen, held.never, "betting")


def counted(label: Label) -> tuple[float, float]:
    """What a label is counted under."""
    return round(label.score, DIGITS), label.propensity or 1.0
