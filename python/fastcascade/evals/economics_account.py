"""What an estimate came to: its figures, the lines it crosses, and what that means in a sentence."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from fastcascade.evals.live_bounds import Interval
from fastcascade.prices import Price

__all__ = ["DAYS", "REDESIGN", "WARN", "Estimate", "Moved", "PathCost", "alerts", "percent", "usd", "verdict"]

DAYS: Final = 30
"""Days of a month."""
WARN: Final = 0.4
REDESIGN: Final = 0.5
"""Escalation rates above which to look at a cascade, and to build it anew. They are about what it is for: money is
lost at `Estimate.break_even`, which may lie above or below them."""


@dataclass(frozen=True, slots=True)
class PathCost:
    """One way through the cascade: its share of all requests, how many a day, and what one of them costs."""

    name: str
    share: float
    per_day: float
    usd_each: float

    @property
    def usd_per_day(self) -> float:
        """What this path costs a day."""
        return self.per_day * self.usd_each


@dataclass(frozen=True, slots=True)
class Moved:
    """One input moved by each of `steps` (-0.2 is 20 % less), all others held: the saving, and dollars saved a day."""

    input: str
    steps: tuple[float, ...]
    saving: tuple[float | None, ...]
    usd: tuple[float, ...]

    @property
    def swing(self) -> float:
        """From the least saving to the most; rounded, so that what does not move it is 0."""
        known = [each for each in self.saving if each is not None]
        return round(max(known) - min(known), 9) if known else 0.0

    @property
    def usd_swing(self) -> float:
        """The same of dollars saved a day."""
        return max(self.usd) - min(self.usd)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a workload costs a day. A saving is a share of `baseline_usd_per_day`: all requests to the dear model.

    `rate` is of the requests that come to the cheap model. Intervals, at 95 %, are there where it was measured on `n`
    cases, and hold if these were drawn at random from the traffic. `saved_by` splits the saving: what the cache and
    the rules bring, and what the cheap model brings once its samples, its judge and the escalations are paid.
    `mean_seconds` is over all requests, None where no times were given.
    """

    paths: tuple[PathCost, ...]
    rate: float
    rate_interval: Interval | None
    n: int | None
    usd_per_day: float
    baseline_usd_per_day: float
    saving: float | None
    saving_interval: Interval | None
    saved_by: dict[str, float]
    cheap_usd: float
    dear_usd: float
    sensitivity: tuple[Moved, ...]
    mean_seconds: float | None
    dear_seconds: float | None
    prices: dict[str, Price]
    models: dict[str, str]
    sheet_date: str
    alerts: tuple[str, ...] = ()
    verdict: str = ""

    @property
    def break_even(self) -> float | None:
        """The escalation rate above which the cheap model costs more than it saves: 1 - C / D.

        C is one request's cheap side, samples and judge included, D its dear call. Zero or less: it saves at no rate.
        None where the dear model costs nothing. Cache, rules and what is sent straight do not move it.
        """
        return 1.0 - self.cheap_usd / self.dear_usd if self.dear_usd > 0 else None

    @property
    def usd_per_month(self) -> float:
        """What 30 days cost."""
        return DAYS * self.usd_per_day

    @property
    def tried(self) -> float:
        """The share of all requests that comes to the cheap model."""
        return sum(each.share for each in self.paths if each.name in ("cheap", "escalated"))

    @property
    def pays_both(self) -> float:
        """The share of all requests that pays, and waits for, both models."""
        return next(each.share for each in self.paths if each.name == "escalated")

    def document(self) -> dict[str, Any]:
        """All of it, for JSON. What is not known is null; keys are only ever added."""
        paths = [asdict(each) | {"usd_per_day": each.usd_per_day} for each in self.paths]
        moved = [asdict(each) | {"swing": each.swing, "usd_swing": each.usd_swing} for each in self.sensitivity]
        return asdict(self) | {
            "paths": paths,
            "sensitivity": moved,
            "usd_per_month": self.usd_per_month,
            "baseline_usd_per_month": DAYS * self.baseline_usd_per_day,
            "break_even": self.break_even,
            "pays_both": self.pays_both,
        }


def alerts(made: Estimate) -> tuple[str, ...]:
    """The lines it crosses, or may have crossed where the rate is known from few cases."""
    found = []
    high = made.rate if made.rate_interval is None else made.rate_interval[1]
    rate = percent(made.rate)
    if made.rate > REDESIGN:
        found.append(f"redesign: {rate} escalate, above {percent(REDESIGN)}; most requests pay for a reply not used")
    elif made.rate > WARN:
        found.append(f"warning: {rate} escalate, above {percent(WARN)}")
    for line, name in ((REDESIGN, "redesign"), (WARN, "warning")):
        if made.rate <= line < high:
            found.append(
                f"not settled: from n = {made.n} the rate may be as high as {percent(high)}, above the {name} line of "
                f"{percent(line)}; count more cases"
            )
            break
    if made.saving is not None and made.saving < 0:
        found.append(f"loss: it costs {percent(-made.saving)} more than the dear model alone")
    return tuple(found)


def verdict(made: Estimate) -> str:
    """Whether it pays, in a sentence."""
    even, saving = made.break_even, made.saving
    if even is None or saving is None:
        return f"Nothing to save: {'the dear model costs nothing' if even is None else 'there are no requests'}."
    if made.tried <= 0:
        return f"No request comes to the cheap model; what is saved, {percent(saving)}, is the cache's and the rules'."
    if even <= 0:
        return (
            f"The cheap model pays at no escalation rate: its side costs {usd(made.cheap_usd)} a request with samples "
            f"and judge, the dear model {usd(made.dear_usd)}; take fewer samples, a cheaper judge or a cheaper model."
        )
    if made.rate >= even:
        much = "more than it saves" if made.rate > even else "what it saves"
        return f"The cheap model costs {much}: {percent(made.rate)} escalate, and it pays below {percent(even)}."
    return _paying(made, even, saving)


def _paying(made: Estimate, even: float, saving: float) -> str:
    low, high = made.rate_interval or (made.rate, made.rate)
    if high > even:
        return (
            f"Not settled: the cheap model pays below {percent(even)} of escalation, and from n = {made.n} the rate is "
            f"somewhere between {percent(low)} and {percent(high)}; count more cases."
        )
    less = made.baseline_usd_per_day - made.usd_per_day
    return (
        f"It pays: {percent(saving)} saved, {usd(less)} a day and {usd(DAYS * less)} in {DAYS} days, and would until "
        f"{percent(even)} escalate."
    )


def percent(share: float) -> str:
    """A share with one digit behind the point."""
    return f"{100 * share:.1f} %"


def usd(amount: float) -> str:
    """Dollars and cents; with four digits that count where it is less than ten cents."""
    size = abs(amount)
    if size < 1e-12:  # what is left of rounding
        return "$0.00"
    said = f"{size:,.2f}" if size >= 0.1 else f"{size:.4g}" if size >= 1e-4 else f"{size:.3e}"
    return f"{'-' if amount < 0 else ''}${said}"
