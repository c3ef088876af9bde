"""The worked figures this project was given, done again: what they claim, what they come to, and why these differ.

Each claim is a total, without the prices behind it. So every reading here says which prices it takes, and there are
two ways to add up. A split charges each request for the one model that answers it: as if it were known beforehand,
at no cost, which that is. A climb charges it for every model it was sent to on the way up: what a cascade pays.
Samples and judges come on top of either, and are in none of the claims.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

__all__ = ["WORKED", "Reading", "Worked", "climb", "split", "worked_document"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The same inputs under one assumption. `values` by name: dollars where it begins with "usd", else shares.

    None is what cannot be reached, or is not stated.
    """

    assuming: str
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Worked:
    """One claim: its inputs as stated, the claimed figures, ours, other readings of it, and why they differ."""

    name: str
    inputs: str
    claimed: Mapping[str, float | None]
    ours: Reading
    readings: tuple[Reading, ...]
    reason: str


def split(requests: float, shares: Sequence[float], usd: Sequence[float]) -> float:
    """Each request pays for the model that answers it alone; `usd` is what one request costs on each."""
    return requests * sum(share * each for share, each in zip(shares, usd, strict=True))


def climb(requests: float, shares: Sequence[float], usd: Sequence[float]) -> float:
    """Each request pays for the model that answers it, and for all before that one."""
    return requests * sum(each * sum(shares[at:]) for at, each in enumerate(usd))


# What a model costs as a share of the dearer one's price, for the same tokens: the list prices of Claude 3 Haiku
# beside Claude 3 Sonnet, and of Claude Haiku 4.5 beside Claude Sonnet 4.5 (2026-11-04).
TWELFTH: Final = 1 / 12
THIRD: Final = 1 / 3
DEAR: Final = 0.01
DAILY: Final = 100_000
MONTHLY: Final = 1_000_000
THREE: Final = (0.6, 0.3, 0.1)
TWO: Final = (0.8, 0.2)
ROUND: Final = (0.0001, DEAR, 0.05)
STATED: Final = (0.0003, DEAR)
ALL_SONNET: Final = DAILY * DEAR
ALL_OPUS: Final = DAILY * 0.05
ALL_DEAR: Final = MONTHLY * DEAR
RATIOS: Final = {"1 %": 0.01, "3 %": 0.03, "1/12": TWELFTH, "1/3": THIRD}


def _costs(assuming: str, usd: float, baseline: float) -> Reading:
    return Reading(assuming, {"usd": usd, "saving": 1.0 - usd / baseline})


def _three(assuming: str, haiku: float, opus: float) -> tuple[Reading, ...]:
    usd = (haiku * DEAR, DEAR, opus * DEAR)
    return (
        _costs(f"split, {assuming}", split(DAILY, THREE, usd), ALL_SONNET),
        _costs(f"climb, {assuming}", climb(DAILY, THREE, usd), ALL_SONNET),
    )


def _two(assuming: str, ratio: float) -> Reading:
    return _costs(f"climb, {assuming}", climb(MONTHLY, TWO, (ratio * DEAR, DEAR)), ALL_DEAR)


def _needed(name: str, ratio: float) -> Reading:
    """Savings are 1 - C / D - rate where all comes to the cheap model; so this rate, if one does."""
    found = {f"rate for {100 * saving:.0f} %": 1.0 - ratio - saving for saving in (0.4, 0.84)}
    return Reading(f"cheap at {name} of dear", {each: rate if rate >= 0 else None for each, rate in found.items()})


def _lines(name: str, ratio: float) -> Reading:
    even = {"break-even": 1.0 - ratio, "saving at 40 %": 0.6 - ratio, "saving at 50 %": 0.5 - ratio}
    return Reading(f"cheap at {name} of dear", even | {"break-even, 3 samples": 1.0 - 3 * ratio})


WORKED: Final = (
    Worked(
        "60/30/10 over three models",
        "100,000 requests a day; all on Sonnet $1,000; 60/30/10 split; other prices not stated",
        {"usd": 806.0, "saving": None},
        _costs("climb, Haiku $0.0001, Sonnet $0.01, Opus $0.05", climb(DAILY, THREE, ROUND), ALL_SONNET),
        (
            _costs("split, the same prices", split(DAILY, THREE, ROUND), ALL_SONNET),
            _costs("split, the same, beside all on Opus", split(DAILY, THREE, ROUND), ALL_OPUS),
            _costs("climb, the same, beside all on Opus", climb(DAILY, THREE, ROUND), ALL_OPUS),
            *_three("Haiku 1/12 and Opus 5 times Sonnet", TWELFTH, 5.0),
            *_three("Haiku 1/3 and Opus 5/3 of Sonnet", THIRD, 5 / 3),
        ),
        "$806 is $6 + $300 + $500: exact as a split, if Opus costs five times Sonnet and Haiku a hundredth of it. "
        "Those prices are our reconstruction: one total cannot settle two prices. (With two models only, the cheap "
        "one would have to cost 68 % of Sonnet.) In it no escalated request pays twice. In a cascade the 30 % pay "
        "Haiku too, $3, and the 10 % Haiku and Sonnet, $101: $910. A hundredth is far below list prices: at 1/12 a "
        "cascade saves 2 %. And the baseline is not the best model used, so the two sides differ in quality; beside "
        "all on Opus it is 84 % as a split, which may be where the 84 % below is from.",
    ),
    Worked(
        "80 % trivial, two models",
        "1,000,000 requests a month; all on the dear model $10,000; 80 % trivial; cheap price not stated",
        {"usd": 2240.0, "saving": 0.77},
        _costs("climb, cheap $0.0003, dear $0.01", climb(MONTHLY, TWO, STATED), ALL_DEAR),
        (
            _costs("split, the same prices", split(MONTHLY, TWO, STATED), ALL_DEAR),
            _costs("climb, the same, 3 samples", climb(MONTHLY, TWO, (3 * STATED[0], DEAR)), ALL_DEAR),
            _two("cheap at 1/12 of dear", TWELFTH),
            _two("cheap at 1/3 of dear", THIRD),
        ),
        "$2,240 is $240 + $2,000: a split, with the cheap model at 3 % of the dear one's price, and saves 77.6 %, "
        "not 77 %. A cascade sends all of the million to the cheap model first, $300, so the 20 % pay twice: $2,300, "
        "and that saves 77.0 %. The total and the percentage are of different sums. Both this and the claim above "
        "have a dear request at $0.01, yet their cheap ones differ threefold.",
    ),
    Worked(
        "savings by workload",
        "no inputs are stated",
        {"least": 0.4, "most": 0.84},
        Reading("saving = 1 - C / D - rate", {"least": None, "most": None}),
        tuple(_needed(name, ratio) for name, ratio in RATIOS.items()),
        "Without inputs there is nothing to check, only what it takes: the rates above, where all requests come to the "
        "cheap model once. At 3 %, 40 % is saved at a rate of 57 %, where the rule below says to redesign. At 1/3, "
        "84 % cannot be had without a cache or rules: two thirds is the most.",
    ),
    Worked(
        "alert lines",
        "alert above 40 % escalation, redesign above 50 %; no prices are stated",
        {"warning": 0.4, "redesign": 0.5},
        Reading("break-even = 1 - C / D", {"warning": None, "redesign": None}),
        tuple(_lines(name, ratio) for name, ratio in RATIOS.items()),
        "These lines are not where money is lost: break-even follows from the prices. With a cheap model at 3 % half "
        "the money is still saved at 50 %; with three samples of one at 1/3 a cascade saves at no rate. We keep them "
        "as lines of quality and latency, and print the break-even beside them.",
    ),
)


def worked_document() -> list[dict[str, Any]]:
    """The same for JSON."""
    return [asdict(each) for each in WORKED]
