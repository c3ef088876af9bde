"""What a drill found: figures, and which promises were broken."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, inf
from typing import Any, Final

from fastcascade.drills.load import Told

__all__ = [
    "SCHEMA",
    "Calls",
    "Phase",
    "Report",
    "Shift",
    "gap_of",
    "home_of",
    "percentile",
    "phases_of",
    "served_of",
    "shifts_of",
]

SCHEMA: Final = 1
WHEN: Final = ("before", "during", "after")


@dataclass(frozen=True, slots=True)
class Phase:
    """What callers saw of requests that began before, during or after the fault. Times are in seconds."""

    name: str
    seconds: float
    requests: int
    lost: int
    incomplete: int  # streams that broke off when their beginning had been seen, and said so
    degraded: int
    tickets: int
    p50: float | None
    p99: float | None
    longest: float | None

    @property
    def degraded_share(self) -> float:
        """How many of them were degraded."""
        return self.degraded / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Shift:
    """How long it took to go over to others, or back.

    `first` is the seconds until the first answer from there; `all` those until all answers came from there. None
    is never, while it was looked at.
    """

    first: float | None
    all: float | None


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one instance, in each phase. `asked` is how often its pool, or its tier, was asked during the fault."""

    label: str
    struck: bool
    before: int
    during: int
    after: int
    asked: int

    @property
    def each(self) -> float | None:
        """Calls to it during the fault for each time that its pool was asked."""
        return self.during / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class Report:
    """What callers saw of a drill, and which promises were broken."""

    scenario: str
    summary: str
    struck: tuple[str, ...]
    start: float
    end: float
    rate: float
    way: str  # in virtual time or not, with stand-ins or not
    phases: tuple[Phase, ...]
    served: Mapping[str, tuple[int, ...]]
    failover: Shift
    comeback: Shift
    gap: float | None  # the longest time between two answers, from the beginning of the fault on
    comeback_due: float | None = None  # seconds in which it is promised
    failover_due: float | None = None
    calls: tuple[Calls, ...] = ()
    amplification: float | None = None  # the largest of the calls for each time a pool was asked
    early: int = 0  # calls before a time that a provider had named
    probes: int = 0
    notices: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all that is promised held."""
        return not self.broken

    @property
    def requests(self) -> int:
        """How many there were in all."""
        return sum(phase.requests for phase in self.phases)

    @property
    def lost(self) -> int:
        """How many have no answer."""
        return sum(phase.lost for phase in self.phases)

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        found = asdict(self)
        for phase, made in zip(self.phases, found["phases"], strict=True):
            made["degraded_share"] = phase.degraded_share
        for calls, made in zip(self.calls, found["calls"], strict=True):
            made["each"] = calls.each
        return {"schema": SCHEMA, "ok": self.ok, "requests": self.requests, "lost": self.lost, **found}

    def text(self) -> list[str]:
        """The same for a terminal, in lines of plain ASCII."""
        from fastcascade.drills.tables import lines  # noqa: PLC0415 - only who prints needs it

        return list(lines(self))

    def __str__(self) -> str:
        """The tables."""
        return "\n".join(self.text())


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def phase_of(told: Told, start: float, end: float) -> int:
    """Whether a request began before, during or after the fault."""
    return (told.began >= start) + (told.began >= end)


def phases_of(all_told: Sequence[Told], began: float, start: float, end: float, last: float) -> Iterator[Phase]:
    """What callers saw in each phase."""
    for number, seconds in enumerate((start - began, end - start, last - end)):
        held = [each for each in all_told if phase_of(each, start, end) == number]
        took = [each.took for each in held if each.ended < inf]
        yield Phase(
            WHEN[number],
            seconds,
            len(held),
            sum(bool(each.lost) for each in held),
            sum(each.incomplete for each in held),
            sum(bool(each.degraded) for each in held),
            sum(bool(each.ticket) for each in held),
            percentile(took, 50),
            percentile(took, 99),
            max(took, default=None),
        )


def served_of(all_told: Sequence[Told], start: float, end: float) -> dict[str, tuple[int, ...]]:
    """Who answered how many, in each phase; the lost have nobody."""
    counted = [Counter(_by(each) for each in all_told if phase_of(each, start, end) == at) for at in range(len(WHEN))]
    return {label: tuple(each[label] for each in counted) for label in sorted(set().union(*counted), key=_last)}


def _by(told: Told) -> str:
    return "lost" if told.lost else told.label


def _last(label: str) -> tuple[bool, bool, str]:
    return label == "lost", label in ("stale", "static", "review"), label


def shifts_of(
    all_told: Sequence[Told], start: float, end: float, struck: Callable[[Told], bool], *, peers: bool = False
) -> tuple[Shift, Shift]:
    """How long it took to go over to others, and then back to who answered before the fault.

    Those who were struck must have answered again, unless they have `peers`, any of whom will do.
    """
    spoken = [each for each in all_told if not each.kept]
    during = [each for each in spoken if start <= each.began < end]
    after = [each for each in spoken if each.began >= end]
    home = home_of(all_told, start)
    mine = {each.label for each in spoken if each.label in home and struck(each)}
    back = mine if mine and not peers else home

    def elsewhere(told: Told) -> bool:
        return not told.lost and not struck(told)

    def at_home(told: Told) -> bool:
        return not told.lost and told.label in home

    over = _shift(during, start, elsewhere, elsewhere)
    return over, _shift(after, end, lambda told: not told.lost and told.label in back, at_home)


def home_of(all_told: Sequence[Told], start: float) -> set[str]:
    """Who answered before the fault."""
    return {each.label for each in all_told if each.began < start and not each.lost and not each.kept}


def _shift(
    told: Sequence[Told], since: float, arrived: Callable[[Told], bool], settled: Callable[[Told], bool]
) -> Shift:
    first = min((each.ended for each in told if arrived(each)), default=None)
    if first is None:
        return Shift(None, None)
    last = max((each.began for each in told if not settled(each)), default=None)
    if last is None:
        return Shift(first - since, first - since)
    # All from there: from the first on that began when nobody any more was served elsewhere.
    then = min((each.ended for each in told if each.began > last), default=None)
    return Shift(first - since, None if then is None else max(first, then) - since)


def gap_of(all_told: Sequence[Told], start: float) -> float | None:
    """The longest time in which no answer came, from the beginning of the fault on."""
    came = sorted(each.ended for each in all_told if not each.lost and each.ended >= start)
    if not came:
        return None
    return max(later - earlier for earlier, later in zip([start, *came], came, strict=False))
