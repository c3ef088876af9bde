"""The regression gate: whether a new cascade answers the same cases no worse than the old one, overall and by slice.

Every case was put to both, so what is tested is the difference on each case. A row is

    no worse     proved: its mean quality is above the old one's less the margin
    worse        proved: its mean quality is below the old one's, and was not shown to be within the margin
    not shown    neither; with how many more cases are expected to show that it is no worse

"No worse" is claimed first overall, and only if that holds for slices, by Holm's rule; "worse" by Holm's rule over all
rows. Each of the two claims is wrong anywhere in the table with a risk of at most delta. A row may be lower by less
than the margin and proved so: it is "no worse", and `lower` says that.
How the tests work, and when they hold, stands in `paired`. Intervals of quality are the same tests turned round: each
end holds with confidence 1 - delta for that row alone. Intervals of cost are bootstrap percentiles, 95 %; those hold
about, from some thirty cases on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats
from fastcascade.evals.paired import Pairs, holm

__all__ = ["OVERALL", "Change", "Comparison", "Flip", "Row", "Verdict", "compare", "judge"]

Verdict: TypeAlias = Literal["no worse", "worse", "not shown"]

OVERALL: Final = "overall"
SHOWN: Final = 20
"""Flips that are listed each way; all are counted."""
RIGHT: Final = 0.5
"""A graded answer from here on counts as right where flips are listed; the tests use the grades."""
DRAWS: Final = 2000
BLOCKS: Final = 2000
"""More cases than this are drawn in so many blocks, cases filed into them at random."""


@dataclass(frozen=True, slots=True)
class Row:
    """Quality of the old and the new on all cases, or those of one slice.

    `low` and `high` are the ends of the difference, new less old. `p` is the p-value of "no worse", before any
    allowance for the other rows.
    """

    name: str
    n: int
    old: float
    new: float
    low: float
    high: float
    p: float
    verdict: Verdict
    lower: bool = False
    more_cases: int | None = None

    @property
    def difference(self) -> float:
        """New less old."""
        return self.new - self.old


@dataclass(frozen=True, slots=True)
class Flip:
    """A case that one answered right and the other wrong."""

    case: str
    slice: str
    old: float
    new: float


@dataclass(frozen=True, slots=True)
class Change:
    """How a mean changed, as a share of the old one: 0.1 is a tenth more. NaN where the old one is 0."""

    name: str
    n: int
    old: float
    new: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the regression gate found. `lost` went from right to wrong, `won` from wrong to right: the first of each."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    lost: tuple[Flip, ...]
    won: tuple[Flip, ...]
    lost_count: int
    won_count: int
    margin: float
    delta: float
    test: Literal["exact", "betting"]

    @property
    def overall(self) -> Row:
        """The row of all cases."""
        return self.rows[0]

    @property
    def slices(self) -> tuple[Row, ...]:
        """The rows of the slices."""
        return self.rows[1:]

    @property
    def verdict(self) -> Verdict:
        """Of the whole: worse if any row is, no worse if every row is."""
        found = {row.verdict for row in self.rows}
        return "worse" if "worse" in found else "not shown" if "not shown" in found else "no worse"

    def exit_code(self, *, strict: bool = False) -> int:
        """1 where any row is worse; 2 where something is not shown, if that is to count; else 0."""
        return {"worse": 1, "not shown": 2 if strict else 0, "no worse": 0}[self.verdict]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: what is not a number is null."""
        found = asdict(self) | {"verdict": self.verdict, "n": self.overall.n}
        for each in found["changes"]:
            each.update({key: None for key, value in each.items() if isinstance(value, float) and math.isnan(value)})
        return found


def compare(  # noqa: PLR0913 - each has a default, and is named
    old: ArrayLike,
    new: ArrayLike,
    *,
    slices: ArrayLike | None = None,
    margin: float = 0.02,
    delta: float = 0.05,
    weights: ArrayLike | None = None,
    ids: Sequence[str] | None = None,
    cost_old: ArrayLike | None = None,
    cost_new: ArrayLike | None = None,
    latency_old: ArrayLike | None = None,
    latency_new: ArrayLike | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare quality per case, 0 to 1, of an old and a new cascade on the same cases in the same order.

    Args:
        old: how right the old one was.
        new: how right the new one was.
        slices: what each case is filed under; "" where there is none, which is no row of its own.
        margin: how much lower the mean quality may be and count as no worse; choose it before looking.
        delta: the risk of claiming anywhere "no worse" wrongly, and likewise "worse".
        weights: how much each case counts. With weights, the test is by betting.
        ids: what the cases are called, for the lists of flips; their numbers from 0 by default.
        cost_old: dollars for each case with the old one; with `cost_new`.
        cost_new: dollars for each case with the new one.
        latency_old: seconds for each case with the old one; with `latency_new`.
        latency_new: seconds for each case with the new one.
        seed: of the bootstrap.
    """
    if not 0.0 < margin < 1.0:
        raise ConfigError(f"margin must be above 0 and below 1, not {margin!r}: no data can show a margin of 0 or less")
    if not 0.0 < delta < 0.5:
        raise ConfigError(f"delta must be above 0 and below 0.5, not {delta!r}")
    before, after = _column("old", old, None, 1.0), _column("new", new, None, 1.0)
    n = len(before)
    if len(after) != n or not n:
        raise ConfigError(f"old has {n} cases and new has {len(after)}; both need the same cases, at least one")
    weight = None if weights is None else _column("weights", weights, n, math.inf)
    filed = np.full(n, "", dtype=object) if slices is None else np.asarray(slices, dtype=object)
    named = [str(each) for each in range(n)] if ids is None else ids
    if len(filed) != n or len(named) != n:
        raise ConfigError(f"there are {n} cases, and {len(filed)} slices and {len(named)} ids")
    rows, exact = _rows(before, after, weight, _places(filed), (margin, delta))
    flips = [
        np.flatnonzero(each) for each in ((before >= RIGHT) & (after < RIGHT), (before < RIGHT) & (after >= RIGHT))
    ]
    lost, won = (
        tuple(Flip(str(named[at]), str(filed[at]), float(before[at]), float(after[at])) for at in each[:SHOWN].tolist())
        for each in flips
    )
    changes = []
    for name, first, second in (("cost", cost_old, cost_new), ("latency", latency_old, latency_new)):
        if first is not None and second is not None:
            columns = (_column(f"{name}_old", first, n, math.inf), _column(f"{name}_new", second, n, math.inf))
            changes.append(_change(name, *columns, np.ones(n) if weight is None else weight, seed))
        elif first is not second:
            raise ConfigError(f"{name} needs both {name}_old and {name}_new")
    test: Literal["exact", "betting"] = "exact" if exact else "betting"
    return Comparison(rows, tuple(changes), lost, won, len(flips[0]), len(flips[1]), margin, delta, test)


def _column(name: str, values: ArrayLike, n: int | None, most: float) -> Floats:
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} must be numbers, one to each case") from None
    if found.ndim != 1 or (n is not None and len(found) != n):
        raise ConfigError(f"{name} must be one number to each of {n or 'the'} cases, not of shape {found.shape}")
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0) & (found <= most)))
    if len(bad):
        ends = "from 0 to 1" if most == 1.0 else "0 or more"
        raise ConfigError(f"{name} of case {bad[0]} must be {ends}, not {float(found[bad[0]])!r}")
    if name == "weights" and not found.sum() > 0:
        raise ConfigError("the cases weigh nothing: one weight must be above 0")
    return found


def _places(filed: NDArray[np.object_]) -> Mapping[str, NDArray[np.intp]]:
    """Which cases each slice has, the slices by name."""
    names, inverse = np.unique(filed.astype(str), return_inverse=True)
    parts = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return {str(name): part for name, part in zip(names, parts, strict=True) if name}


def judge(pairs: Sequence[Pairs], margin: float, delta: float) -> tuple[Floats, list[bool], list[bool]]:
    """Of all cases, then the slices: the p-values of "no worse", which are shown to be, and which to be lower."""
    chances = np.array([each.above(-margin) for each in pairs])
    first = bool(chances[0] <= delta)
    held = [first, *(first and each for each in holm(chances[1:], delta))]
    return chances, held, holm(np.array([each.below(0.0) for each in pairs]), delta)


def _rows(
    old: Floats, new: Floats, weights: Floats | None, places: Mapping[str, NDArray[np.intp]], bars: tuple[float, float]
) -> tuple[tuple[Row, ...], bool]:
    """The rows, and whether the overall test was exact."""
    margin, delta = bars
    # A slice that weighs nothing has no mean.
    if weights is not None:
        places = {name: at for name, at in places.items() if weights[at].sum() > 0}
    parts = [np.arange(len(old)), *places.values()]
    pairs = [Pairs(new[at] - old[at], None if weights is None else weights[at]) for at in parts]
    chances, held, lower = judge(pairs, margin, delta)
    rows = []
    for name, at, pair, p, fine, less in zip((OVERALL, *places), parts, pairs, chances, held, lower, strict=True):
        before, after = (float(np.average(each[at], weights=pair.weights)) for each in (old, new))
        verdict: Verdict = "no worse" if fine else "worse" if less else "not shown"
        # The last slice to be shown is tested at delta, the first at delta shared by all; what is asked is enough.
        shared = delta if name == OVERALL or len(parts) < 2 else delta / (len(parts) - 1)
        more = pair.more(-margin, shared) if verdict == "not shown" else None
        ends = pair.low(delta), pair.high(delta)
        rows.append(Row(name, len(at), before, after, *ends, float(p), verdict, less, more))
    return tuple(rows), pairs[0].exact


def _change(name: str, old: Floats, new: Floats, weights: Floats, seed: int) -> Change:
    n, draw = len(old), np.random.default_rng(seed)
    columns = np.stack([old * weights, new * weights, weights])
    sums = columns.sum(axis=1)
    if n > BLOCKS:
        block = draw.integers(BLOCKS, size=n)
        columns = np.stack([np.bincount(block, column, BLOCKS) for column in columns])
    size = columns.shape[1]
    drawn = columns @ draw.multinomial(size, np.full(size, 1 / size), size=DRAWS).T
    means = float(sums[0] / sums[2]), float(sums[1] / sums[2])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = drawn[1] / drawn[0] - 1
    kept = ratios[np.isfinite(ratios)]
    if not means[0] or not len(kept):
        return Change(name, n, *means, math.nan, math.nan, math.nan)
    low, high = np.quantile(kept, (0.025, 0.975))
    return Change(name, n, *means, means[1] / means[0] - 1, float(low), float(high))
