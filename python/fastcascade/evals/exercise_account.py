"""What a drill is made of and comes to: cases that both lanes were asked, and figures with n and interval."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Account", "Drilled", "Exercise", "Figure", "Gated", "Own", "Tried", "Way"]

Went: TypeAlias = Literal["kept", "sent on", "below"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, where it may lie, and how many cases it is of. None is not known; an open end of an interval too."""

    value: float | None
    interval: tuple[float | None, float | None] | None
    n: int


@dataclass(frozen=True, slots=True)
class Tried:
    """What one tier came to with one case: its own reply alone, without what gates ask beside it."""

    grade: float
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Gated:
    """What the cascade itself does with a case: kept by the small lane, sent on, or answered below it (by a rule)."""

    went: Went
    grade: float | None
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Drilled:
    """One case, and what both lanes came to with it."""

    id: str
    small: Tried
    large: Tried
    slice: str = ""
    weight: float = 1.0
    gated: Gated | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One way of answering all the cases: the mean grade, dollars a case, and the seconds of half and of 95 in 100."""

    name: str
    quality: Figure
    usd: Figure
    p50: Figure
    p95: Figure


@dataclass(frozen=True, slots=True)
class Account:
    """The drill on a set of cases. Dollars are of the cases where those of both lanes are known, the same for each way.

    The four counts are of cases that both lanes pass, only one does, or neither.
    """

    n: int
    escalated: int
    rate: Figure
    saving: Figure
    small: Way
    after: Way
    large: Way
    both: int
    only_small: int
    only_large: int
    neither: int


@dataclass(frozen=True, slots=True)
class Own:
    """What the cascade's own gates do with the same cases, as they are set now, the gates' own calls paid for.

    `needless` replies were sent on though they passed, `let_through` were kept though they did not. `rate` is of all
    cases; `below` were answered before they came to the small lane. `ungraded` answers are in no quality.
    """

    rate: Figure
    saving: Figure
    way: Way
    sent_on: int
    needless: int
    let_through: int
    below: int
    ungraded: int


@dataclass(frozen=True, slots=True)
class Exercise:
    """What a drill came to.

    `effective` is the number of equally weighted cases that these are worth. `estimated` dollars were reckoned from the
    length of texts. `left_out` cases are in no figure, by why. `said` is what it means, in sentences.
    """

    small: str
    large: str
    passing: float
    confidence: float
    whole: Account
    effective: float
    slices: dict[str, Account]
    own: Own | None
    left_out: dict[str, int] = field(default_factory=dict)
    estimated: bool = False
    said: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it, for JSON. What is not known is null; keys are only ever added."""
        return asdict(self)
