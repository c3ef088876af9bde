"""Where to begin, and after each tier: stop, go on, or skip. Computation alone; microseconds.

    Threshold      the gate decides: stop at the first reply that is good enough (the default)
    ExpectedGain   escalate where the quality to be gained is worth more than it costs
    Everything     never stop before the last tier, to record what each would have said

A policy is told what is known, and nothing of what is to come: its decision depends on its arguments alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import erfc, exp, isfinite, sqrt
from typing import Any, Final, Protocol, TypeAlias

from fastcascade.errors import ConfigError

__all__ = ["Everything", "ExpectedGain", "Ladder", "Plan", "Policy", "Standing", "Threshold"]

SPREAD: Final = 0.2
NIL: Final = 1e-9
"""A gain in probability below this is rounding, not gain."""
ALL_SETS: Final = 6
"""With more tiers ahead than this, sets of at most `LARGEST` are weighed: all would double with each tier."""
LARGEST: Final = 3
REMEMBERED: Final = 512
"""Tables kept for ladders met before; qualities that differ per request would fill memory."""


@dataclass(slots=True)
class Standing:
    """All that is known when a tier has been tried."""

    position: int  # the tier just tried
    last: int  # the highest tier this request may use
    score: float | None  # its calibrated score; None where it abstained or failed
    accepted: bool  # the score reached the threshold, or there is no gate
    failed: bool  # it gave no reply
    best: float | None  # the best score of any reply so far in this request
    spent_usd: float
    tried: frozenset[int]


@dataclass(frozen=True, slots=True)
class Ladder:
    """What is known of the tiers beforehand, tier by tier."""

    names: tuple[str, ...]
    quality: tuple[float | None, ...]  # the probability of being right; None where unknown
    cost: tuple[float | None, ...]  # US dollars that this request is expected to cost; None where unknown
    accept: tuple[float, ...]


class Policy(Protocol):
    """Decides which tier is next."""

    def first(self, entry: int, last: int, ladder: Ladder, /) -> int:
        """The tier to begin with: the entry tier, or one above it."""
        ...

    def after(self, standing: Standing, ladder: Ladder, /) -> int | None:
        """The next tier, which may lie further up; None to stop with the best reply so far."""
        ...


class Threshold:
    """Stop at the first reply that is accepted; else go up one tier."""

    def first(self, entry: int, _last: int, _ladder: Ladder, /) -> int:
        """The entry tier."""
        return entry

    def after(self, standing: Standing, _ladder: Ladder, /) -> int | None:
        """One up, unless the reply was accepted."""
        return None if standing.accepted else _up(standing)

    def __repr__(self) -> str:
        """Show how it was made."""
        return "Threshold()"


class Everything:
    """Try every tier, accepted or not: for recording what each of them would have answered, and at what cost."""

    def first(self, entry: int, _last: int, _ladder: Ladder, /) -> int:
        """The entry tier."""
        return entry

    def after(self, standing: Standing, _ladder: Ladder, /) -> int | None:
        """One up, to the last."""
        return _up(standing)

    def __repr__(self) -> str:
        """Show how it was made."""
        return "Everything()"


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiers worth running next, in order, what they are expected to gain, and what they all cost.

    The gain is over the best reply so far, or over nothing where there is none to speak for.
    """

    tiers: tuple[int, ...]
    gain: float
    usd: float


Quality: TypeAlias = Mapping[str, float] | Callable[[str, float | None], float | None]
# A set of tiers: the set without its last tier (by number), that tier, the mean and the deviation of the best of
# the set, what of that lies above certainty, and the tier to run first.
_Set: TypeAlias = tuple[int, int, float, float, float, int]


class ExpectedGain:
    """Go on where the expected gain in quality exceeds `lam` times the cost; skip what does not pay.

    `lam` is what a dollar is worth in quality: at 10, one cent must bring ten points of probability. Every set of
    tiers further up is weighed: the expected maximum of their qualities and of the best score so far, less `lam`
    times what they cost together. If no set is worth more than stopping, stop; else run the lowest tier of the
    best set, and decide anew with its score. This is cascade routing (Dekoninck, Baader and Vechev, "A unified
    approach to routing and cascading for LLMs", ICML 2025), with two differences: qualities are probabilities, so
    what lies above 1 does not count as gain; and tiers run in the ladder's order, nothing below being gone back to.

    It needs scores that are probabilities: attach a calibration to the gates. A tier's `accept` plays no part,
    except where there is nothing to weigh: a reply without a gate is taken; after one that no gate could judge, or
    a failure, stopping is no choice while there are tiers left. Where the cost or the quality of a tier ahead is
    not known, that one decision is `Threshold`'s; `check` tells beforehand.

    With more than six tiers ahead, sets of at most three are weighed; as each step decides anew, no tier is out
    of reach. The largest of three or more is taken for normal (Clark 1961), which is near but not exact.

    Args:
        lam: quality per US dollar.
        quality: how often each tier is right, by name, over what the ladder says; or a function of a tier's name
            and the best score so far (None before the first), such as a calibration learned from records.
        spread: how far a tier's chance to be right with one request lies from its quality, as a standard
            deviation; one for all or by name. At 0 only the difference between the qualities counts.
        route: whether to begin above the entry tier where that is the better plan.
    """

    def __init__(
        self,
        lam: float,
        quality: Quality | None = None,
        *,
        spread: float | Mapping[str, float] = SPREAD,
        route: bool = True,
    ) -> None:
        """Check the settings."""
        if not (isfinite(lam) and lam >= 0):
            msg = f"lam must be zero or more, in quality per US dollar, not {lam!r}"
            raise ConfigError(msg)
        for name, value in quality.items() if isinstance(quality, Mapping) else ():
            if not 0.0 <= value <= 1.0:
                msg = f"the quality of tier {name!r} must be from 0 to 1, not {value!r}"
                raise ConfigError(msg)
        for value in spread.values() if isinstance(spread, Mapping) else (spread,):
            if not 0.0 <= value <= 1.0:
                msg = f"spread is a standard deviation of probabilities, from 0 to 1, not {value!r}"
                raise ConfigError(msg)
        self.lam = lam
        self.quality = quality
        self.spread = spread
        self.route = route
        self._tables: dict[tuple[object, ...], tuple[_Set, ...] | None] = {}

    def check(self, ladder: Ladder) -> None:
        """Raise `ConfigError` for a tier that could be escalated to and cannot be weighed."""
        for position, name in enumerate(ladder.names):
            if position == 0:
                continue  # nothing escalates to the lowest
            if not callable(self.quality) and self._prior(ladder, position, None) is None:
                msg = f"tier {name!r} has no quality to weigh; set Tier(quality=...) or ExpectedGain(quality=...)"
                raise ConfigError(msg)
            if ladder.cost[position] is None:
                msg = f"tier {name!r} has no known cost to weigh; set Tier(price=...) or install fastcascade[prices]"
                raise ConfigError(msg)

    def first(self, entry: int, last: int, ladder: Ladder, /) -> int:
        """The lowest tier of the best set, or the entry tier where that cannot be told."""
        if not self.route or entry >= last:
            return entry
        found = self._best(None, tuple(range(entry, last + 1)), ladder)
        return entry if found is None else found[0]

    def after(self, standing: Standing, ladder: Ladder, /) -> int | None:
        """The lowest tier of the best set; None where no set is worth more than stopping."""
        if standing.score is None and standing.accepted:
            return None
        ahead = tuple(range(standing.position + 1, standing.last + 1))
        if not standing.tried.isdisjoint(ahead):
            ahead = tuple(position for position in ahead if position not in standing.tried)
        best = standing.best
        if not ahead or (best is not None and best >= 1.0):
            return None
        found = self._best(best, ahead, ladder)
        if found is None:
            return None if standing.accepted else ahead[0]
        return found[0] if found[0] >= 0 else None

    def plan(self, best: float | None, ahead: tuple[int, ...], ladder: Ladder) -> Plan | None:
        """What `first` and `after` go by: which of the tiers ahead to run, given the best score so far.

        None where something is not known; a plan without tiers says stop.
        """
        found = self._best(best, ahead, ladder)
        if found is None:
            return None
        table = self._table(best, ahead, ladder) or ()
        tiers: list[int] = []
        at = found[1]
        while at:
            tiers.append(table[at - 1][1])
            at = table[at - 1][0]
        return Plan(tuple(reversed(tiers)), found[2], found[3])

    def _best(self, best: float | None, ahead: tuple[int, ...], ladder: Ladder) -> tuple[int, int, float, float] | None:
        """The tier to run (-1: none), the number of its set, its gain and its cost; None where not all is known."""
        table = self._table(best, ahead, ladder)
        if table is None:
            return None
        costs = ladder.cost
        lam = self.lam
        worth = -1e300 if best is None else NIL
        chosen = (-1, 0, 0.0, 0.0)
        spent = [0.0]
        for parent, tier, mean, deviation, above, run in table:
            cost = costs[tier]
            if cost is None:  # each tier has a set of its own, and these come first
                return None
            usd = spent[parent] + cost
            spent.append(usd)
            if best is None:
                gain = mean - above
            else:
                # What it could gain at most, before the exact figure is worked out.
                if (mean - best if mean > best else 0.0) + 0.39895 * deviation - lam * usd < worth:
                    continue
                gain = _excess(mean, deviation, best) - above
            value = gain - lam * usd
            if value > worth or (value == worth and usd < chosen[3]):
                worth = value
                chosen = (run, len(spent) - 1, gain, usd)
        return chosen

    def _table(self, best: float | None, ahead: tuple[int, ...], ladder: Ladder) -> tuple[_Set, ...] | None:
        # A function's qualities are the key themselves: a calibration in steps comes to the same ones again.
        known = self._means(best, ahead, ladder) if callable(self.quality) else ladder.quality
        key = (ladder.names, known, ahead)
        try:
            return self._tables[key]
        except KeyError:
            if len(self._tables) >= REMEMBERED:
                self._tables.clear()
            means = self._means(best, ahead, ladder) if known is ladder.quality else known
            table = self._tables[key] = None if None in means else self._build(means, ahead, ladder.names)
            return table

    def _means(self, best: float | None, ahead: tuple[int, ...], ladder: Ladder) -> tuple[float | None, ...]:
        return tuple([self._prior(ladder, tier, best) for tier in ahead])

    def _build(self, means: Any, ahead: tuple[int, ...], names: tuple[str, ...]) -> tuple[_Set, ...]:
        spread = self.spread
        if isinstance(spread, Mapping):
            spreads = [spread.get(names[tier], SPREAD) for tier in ahead]
        else:
            spreads = [spread] * len(ahead)
        sets: list[_Set] = []
        for parent, index, lowest in _subsets(len(ahead)):
            mean, deviation = means[index], spreads[index]
            if parent:
                _, _, others, deviations, _, _ = sets[parent - 1]
                mean, deviation = _larger(others, deviations, mean, deviation)
            sets.append((parent, ahead[index], mean, deviation, _excess(mean, deviation, 1.0), ahead[lowest]))
        return tuple(sets)

    def _prior(self, ladder: Ladder, position: int, best: float | None) -> float | None:
        quality = self.quality
        if quality is None:
            return ladder.quality[position]
        name = ladder.names[position]
        if isinstance(quality, Mapping):
            return quality.get(name, ladder.quality[position])
        return quality(name, best)

    def __repr__(self) -> str:
        """Show how it was made."""
        return f"ExpectedGain(lam={self.lam!r}, quality={self.quality!r}, spread={self.spread!r}, route={self.route!r})"


def _up(standing: Standing) -> int | None:
    """The next tier up that was not tried already, as one that was started early may have been."""
    position = standing.position + 1
    while position in standing.tried:
        position += 1
    return position if position <= standing.last else None


@cache
def _subsets(count: int) -> tuple[tuple[int, int, int], ...]:
    """Every set of so many tiers: the number of the set without its last (from 1; 0 is none), its last, its first."""
    numbers: dict[tuple[int, ...], int] = {(): 0}
    sets = []
    for size in range(1, (count if count <= ALL_SETS else LARGEST) + 1):
        for members in combinations(range(count), size):
            sets.append((numbers[members[:-1]], members[-1], members[0]))
            numbers[members] = len(sets)
    return tuple(sets)


def _excess(mean: float, deviation: float, bound: float) -> float:
    """How far a normal value lies above a bound, in expectation, counting 0 where it lies below."""
    if deviation <= 0.0:
        return mean - bound if mean > bound else 0.0
    z = (mean - bound) / deviation
    return deviation * (0.3989422804014327 * exp(-0.5 * z * z) + 0.5 * z * erfc(-0.7071067811865476 * z))


def _larger(mean: float, deviation: float, other: float, others: float) -> tuple[float, float]:
    """Mean and deviation of the larger of two independent normal values (Clark 1961)."""
    apart = sqrt(deviation * deviation + others * others)
    if apart <= 0.0:
        return max(mean, other), 0.0
    z = (mean - other) / apart
    share = 0.5 * erfc(-0.7071067811865476 * z)
    density = 0.3989422804014327 * exp(-0.5 * z * z)
    first = mean * share + other * (1.0 - share) + apart * density
    second = (
        (mean * mean + deviation * deviation) * share
        + (other * other + others * others) * (1.0 - share)
        + (mean + other) * apart * density
    )
    return first, sqrt(max(0.0, second - first * first))
