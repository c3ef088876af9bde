"""What a cascade costs a day, path by path, beside the dear model alone: arithmetic, with the error of its one rate.

An escalated request pays twice: for the cheap side (its samples and its judge, all of it spent before the gate
decides) and for the dear call. So the escalation rate decides whether a cascade saves anything. With C for the cheap
side and D for the dear call of one request, a rate above 1 - C / D costs more than the dear model alone.

Nothing here is measured: traffic, tokens, prices and the rate are what you say they are. A rate given as k of n has
an interval, and so have the savings; that interval knows nothing of how wrong the other inputs may be, which is what
the sensitivity is for. Neither numpy nor scipy is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.economics_account import Estimate, Moved, PathCost, alerts, percent, verdict
from fastcascade.evals.economics_workload import SHARES, Workload
from fastcascade.evals.live_bounds import exact
from fastcascade.messages import Usage
from fastcascade.prices import MILLION, Price, PriceSheet

__all__ = ["INSTRUCTIONS", "VERDICT", "Estimate", "Moved", "PathCost", "Workload", "estimate"]

INSTRUCTIONS: Final = 250
"""Tokens of a judge's own instructions, where its tokens are not given: an assumption, to be replaced by yours."""
VERDICT: Final = 20
"""Tokens of a judge's verdict, likewise; a judge that thinks or writes reasons takes many more."""
STEPS: Final = (-0.2, -0.1, 0.1, 0.2)
PRICED: Final = ("input", "output", "cache_read", "cache_write", "per_call")


@dataclass(frozen=True, slots=True)
class _Sides:
    """The prices of a workload, and from them what one request costs on either side."""

    cheap: Price
    dear: Price
    judge: Price | None

    def cheap_usd(self, load: Workload) -> float:
        usd = load.samples * _call(self.cheap, load.tokens_in, load.tokens_out, load.prompt_cached)
        if self.judge is not None:
            reads = load.tokens_in + load.tokens_out + INSTRUCTIONS if load.judge_in is None else load.judge_in
            usd += _call(self.judge, reads, VERDICT if load.judge_out is None else load.judge_out, 0.0)
        return usd

    def dear_usd(self, load: Workload) -> float:
        writes = load.tokens_out if load.dear_tokens_out is None else load.dear_tokens_out
        return _call(self.dear, load.tokens_in, writes, load.prompt_cached)

    def account(self, load: Workload) -> tuple[float, float]:
        """What a day costs, and what it costs on the dear model alone."""
        dear = self.dear_usd(load)
        per_request = load.tried * (self.cheap_usd(load) + load.rate * dear) + load.straight * dear
        return load.per_day * per_request, load.per_day * dear


def estimate(
    workload: Workload,
    *,
    cheap: Price | str,
    dear: Price | str,
    judge: Price | str | None = None,
    sheet: PriceSheet | None = None,
) -> Estimate:
    """What a day costs. Models are given by their price, or by name, which is looked up in the sheet.

    Where a provider charges more for long prompts, the price of short ones is used, and an alert says so.
    """
    given = {"cheap": cheap, "dear": dear} | ({} if judge is None else {"judge": judge})
    if sheet is None and any(isinstance(each, str) for each in given.values()):
        sheet = PriceSheet()
    prices = {role: _priced(role, each, sheet) for role, each in given.items()}
    sides = _Sides(prices["cheap"], prices["dear"], prices.get("judge"))
    usd, baseline = sides.account(workload)
    low, high = _interval(workload, sides)
    made = Estimate(
        paths=_paths(workload, sides),
        rate=workload.rate,
        rate_interval=exact(*workload.escalated) if isinstance(workload.escalated, tuple) else None,
        n=workload.escalated[1] if isinstance(workload.escalated, tuple) else None,
        usd_per_day=usd,
        baseline_usd_per_day=baseline,
        saving=_saving(usd, baseline),
        saving_interval=None if low is None or high is None else (low, high),
        saved_by=_saved_by(workload, sides),
        cheap_usd=sides.cheap_usd(workload),
        dear_usd=sides.dear_usd(workload),
        sensitivity=_sensitivity(workload, sides),
        mean_seconds=_seconds(workload),
        dear_seconds=workload.dear_seconds,
        prices=prices,
        models={role: each if isinstance(each, str) else "" for role, each in given.items()},
        sheet_date="" if sheet is None else sheet.date,
    )
    notes = _notes(workload, given, prices, sheet)
    return replace(made, alerts=(*alerts(made), *notes), verdict=verdict(made))


def _call(price: Price, tokens_in: float, tokens_out: float, cached: float) -> float:
    less = 0.0 if price.cache_read is None else price.input - price.cache_read
    return price.estimate(tokens_in, tokens_out) - tokens_in * cached * less / MILLION


def _paths(load: Workload, sides: _Sides) -> tuple[PathCost, ...]:
    cheap, dear = sides.cheap_usd(load), sides.dear_usd(load)
    accepted = load.tried * (1.0 - load.rate)
    found = (
        ("cache hit", load.cached, 0.0),
        ("rules", load.rules, 0.0),
        ("cheap", accepted, cheap),
        ("escalated", load.tried * load.rate, cheap + dear),
        ("straight to dear", load.straight, dear),
    )
    return tuple(PathCost(name, share, share * load.per_day, each) for name, share, each in found)


def _saving(usd: float, baseline: float) -> float | None:
    return 1.0 - usd / baseline if baseline > 0 else None


def _saved_by(load: Workload, sides: _Sides) -> dict[str, float]:
    """Parts of the saving. They add up to it, as every part is a share of the same cost."""
    dear = sides.dear_usd(load)
    if not dear * load.per_day:
        return {}
    cheap = load.tried * (1.0 - load.rate - sides.cheap_usd(load) / dear)
    return {"cached": load.cached, "rules": load.rules, "cheap": cheap}


def _interval(load: Workload, sides: _Sides) -> tuple[float | None, float | None]:
    """The saving at either end of the rate's interval: it falls with the rate, so the ends are its own ends."""
    if not isinstance(load.escalated, tuple):
        return None, None
    low, high = exact(*load.escalated)
    most, least = (_saving(*sides.account(replace(load, escalated=rate))) for rate in (low, high))
    return least, most


def _sensitivity(load: Workload, sides: _Sides) -> tuple[Moved, ...]:
    """Every input that is there, moved by itself; that which moves the saving most comes first."""
    moved = []
    for name in ("escalated", "cached", "rules", "straight", "samples", "prompt_cached", "tokens_in", "tokens_out",
                 "dear_tokens_out", "judge_in", "judge_out", "per_day"):  # fmt: skip
        value = load.rate if name == "escalated" else getattr(load, name)
        if value and not (name == "samples" and value == 1):
            found = [sides.account(_moved(load, name, value * (1.0 + step))) for step in STEPS]
            moved.append(_row(name, found))
    for role in ("cheap", "dear", "judge"):
        price = getattr(sides, role)
        if price is not None and _call(price, load.tokens_in, load.tokens_out, 0.0):
            found = [replace(sides, **{role: _scaled(price, 1.0 + step)}).account(load) for step in STEPS]
            moved.append(_row(f"{role}_price", found))
    return tuple(sorted(moved, key=lambda each: (-each.swing, -each.usd_swing)))


def _row(name: str, found: list[tuple[float, float]]) -> Moved:
    return Moved(
        name,
        STEPS,
        tuple(_saving(usd, baseline) for usd, baseline in found),
        tuple(baseline - usd for usd, baseline in found),
    )


def _moved(load: Workload, name: str, value: float) -> Workload:
    """The workload with one input at another value, held where it can be: a share at what the others leave."""
    if name == "samples":
        value = max(1.0, value)
    elif name in ("escalated", "prompt_cached"):
        value = min(1.0, value)
    elif name in SHARES:
        value = min(getattr(load, name) + load.tried, value)
    return replace(load, **{name: value})


def _scaled(price: Price, factor: float) -> Price:
    rates: dict[str, Any] = {name: None if (rate := getattr(price, name)) is None else rate * factor for name in PRICED}
    return replace(price, **rates)


def _seconds(load: Workload) -> float | None:
    """The mean over all requests; the cache and rules answer in no time, beside a model."""
    if load.cheap_seconds is None or load.dear_seconds is None:
        return None
    return load.tried * (load.cheap_seconds + load.rate * load.dear_seconds) + load.straight * load.dear_seconds


def _priced(role: str, given: object, sheet: PriceSheet | None) -> Price:
    if isinstance(given, Price):
        return given
    if not isinstance(given, str) or sheet is None:
        raise ConfigError(f"the {role} model must be a Price or a model's name, not {type(given).__name__}")
    if (price := sheet.price(given)) is not None:
        return price
    if sheet.source is None:
        raise ConfigError(
            f"no price for the {role} model {given!r}: genai-prices is not installed; pip install "
            f"'fastcascade[prices]', or give a sheet of your own that lists it"
        )
    where = f"the price sheet of {sheet.date}" if sheet.date else "the price sheet"
    raise ConfigError(f"no price for the {role} model {given!r} in {where}; check its name, or list it in your own")


def _notes(
    load: Workload, given: Mapping[str, Price | str], prices: Mapping[str, Price], sheet: PriceSheet | None
) -> list[str]:
    """What about the prices makes the figures less than exact."""
    notes = []
    for role in ("cheap", "dear"):
        model, price = given[role], prices[role]
        if load.prompt_cached and price.cache_read is None:
            notes.append(f"the {role} model's price says nothing of cached prompts: they are charged as plain input")
        usage = Usage(round(load.tokens_in), round(load.tokens_out))
        if isinstance(model, str) and sheet is not None and (usd := sheet.cost(model, usage)) is not None:
            plain = price.cost(usage)
            if not isclose(usd, plain, rel_tol=1e-6):
                notes.append(f"{model} charges otherwise for prompts this long ({percent(usd / plain - 1.0)} on top)")
    return notes
