"""Drawn answers, their labels, and what these say of the quality of all that was accepted."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import betting, exact
from fastcascade.records import known

__all__ = ["BETTER", "Estimate", "Label", "Population", "Sampled", "Source", "Tally", "counted", "estimated"]

Population: TypeAlias = Literal["accepted", "escalated"]
"""A gate accepted it, or sent it up: then the dear reply was paid for already, and grading costs no call."""
Source: TypeAlias = Literal["judge", "dear", "review", "thumb", "regenerated"]

BETTER: Final[tuple[Source, ...]] = ("judge", "dear", "review")
"""Of two labels of one drawn answer the later in this order counts, and of two alike the later one."""
CHOSEN: Final = frozenset({"thumb", "regenerated"})
"""Sources that chose themselves: nobody knows how likely these labels were."""
DIGITS: Final = 4
"""Scores are counted to so many digits, so that what is kept for estimates is bounded."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer that was drawn, and how likely that was.

    Args:
        id: its own.
        slice: the kind of case.
        propensity: how likely it was drawn.
        tier: who said it. Of an escalated one, the tier whose gate sent it up.
        confidence: what that gate made of it.
        asked: input, system, request: as a case has them.
        answer: what was said. Of an escalated one, what the cheap tier said.
        population: which of the two it is of; estimates of one know nothing of the other.
        both: whether the other population was drawn from at that time too: only then do both together speak of all.
        request: a digest of the request's own id, by which feedback finds it.
        cost: dollars for that try, its gate among them; None is unknown.
        dear_tier: who said more, where that was paid for already.
        dear_cost: dollars for that.
        expected: what it said.
    """

    id: str
    slice: str
    propensity: float
    tier: str = ""
    confidence: float | None = None
    asked: Any = None
    answer: str = ""
    population: Population = "accepted"
    both: bool = False
    request: str = ""
    cost: float | None = None
    dear_tier: str = ""
    dear_cost: float | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody made of an answer: a score from 0 to 1. Without a propensity it is no part of an estimate.

    `dear` is the score of the dear tier's reply to the same, where it was graded too; `note` is a person's remark;
    the rest is as in `Sampled`.
    """

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
    population: Population = "accepted"
    both: bool = False
    request: str = ""
    cost: float | None = None
    dear_tier: str = ""
    dear_cost: float | None = None
    dear: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no label."""
        if self.source not in get_args(Source):
            raise ConfigError(
                f"label {self.id!r}: a source is one of {', '.join(get_args(Source))}, not {self.source!r}"
            )
        if not 0 <= self.score <= 1:
            raise ConfigError(f"label {self.id!r}: a score goes from 0 to 1, not {self.score!r}")
        if self.dear is not None and not 0 <= self.dear <= 1:
            raise ConfigError(f"label {self.id!r}: the dear tier's score goes from 0 to 1, not {self.dear!r}")
        if self.population not in get_args(Population):
            raise ConfigError(f"label {self.id!r}: it is of the accepted or the escalated, not {self.population!r}")
        if self.propensity is not None and not 0 < self.propensity <= 1:
            raise ConfigError(f"label {self.id!r}: a propensity is above 0, up to 1, not {self.propensity!r}")
        if self.propensity is not None and self.source in CHOSEN:
            raise ConfigError(f"label {self.id!r}: a {self.source} comes by itself, and has no propensity")

    @classmethod
    def of(cls, sampled: Sampled, score: float, source: Source, **more: Any) -> "Label":
        """Of an answer that was drawn."""
        held: dict[str, Any] = {each.name: getattr(sampled, each.name) for each in fields(sampled)}
        return cls(**{**held, "score": score, "source": source, **more})

    @property
    def key(self) -> str:
        """What it is called among others: of one request there may be a thumb, a regeneration and a review."""
        return self.id if self.propensity is not None else f"{self.source}:{self.id}"

    @property
    def dear_score(self) -> float | None:
        """How good the dear reply was: as graded, or 1 where it was what the other was compared with."""
        return 1.0 if self.dear is None and self.source == "dear" else self.dear

    @property
    def gain(self) -> float | None:
        """What the dear reply was better by, from -1 to 1; None where nobody knows."""
        return None if self.dear_score is None else self.dear_score - self.score

    def case(self) -> dict[str, Any]:
        """As a case: a plain dict, which `load_cases` reads where what was asked is kept."""
        made: dict[str, Any] = {"id": self.key, "slice": self.slice, **(self.asked or {})}
        if self.expected is not None:
            made["expected"] = self.expected
        if self.answer:
            made["candidates"] = {self.tier: self.answer}
        if self.note:
            made["note"] = self.note
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
    labels: Counter[tuple[float, float]] = field(default_factory=Counter)  # by score, or gain, and propensity

    def __iadd__(self, other: "Tally") -> Self:
        """Take another's to its own."""
        self.seen += other.seen
        self.never += other.never
        self.drawn.update(other.drawn)
        self.labels.update(other.labels)
        return self


def estimated(held: Tally, floor: float, confidence: float) -> Estimate:
    """What a tally of scores from 0 to 1 says of their mean."""
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


def counted(label: Label) -> tuple[float, float] | None:
    """What a label is counted under: its score, or what escalating gained, and how likely it was drawn."""
    value = label.score if label.population == "accepted" else label.gain
    return None if value is None or label.propensity is None else (round(value, DIGITS), label.propensity)
