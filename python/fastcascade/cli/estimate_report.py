"""What `fastcascade estimate` prints: cost by path, what the saving hangs on, and the worked figures."""

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Final

from fastcascade.cli.report import table
from fastcascade.evals.economics import Estimate, Workload
from fastcascade.evals.economics_account import DAYS, percent, usd
from fastcascade.evals.economics_worked import WORKED, Worked

__all__ = ["text", "worked_text"]

WIDTH: Final = 100
NAMES: Final = {
    "escalated": "escalation rate",
    "cached": "share cached",
    "rules": "share by rules",
    "straight": "share straight to dear",
    "samples": "samples",
    "prompt_cached": "prompt cached",
    "tokens_in": "tokens in",
    "tokens_out": "tokens out",
    "dear_tokens_out": "tokens out, dear",
    "judge_in": "tokens in, judge",
    "judge_out": "tokens out, judge",
    "per_day": "requests a day",
    "cheap_price": "price of cheap",
    "dear_price": "price of dear",
    "judge_price": "price of judge",
}


def text(load: Workload, made: Estimate) -> list[str]:
    """All of it."""
    size = f"{load.tokens_in:,.0f} tokens in and {load.tokens_out:,.0f} out"
    lines = [
        f"{load.per_day:,.0f} requests a day, in the mean {size}",
        "",
        *_models(load, made),
        "",
        *_paths(load, made),
        "",
        *_figures(load, made),
    ]
    if made.saving is not None:
        lines += ["", *_sensitivity(made)]
    if made.alerts:
        lines += ["", *(line for each in made.alerts for line in _paragraph(each))]
    return [*lines, "", *_paragraph(made.verdict)]


def _models(load: Workload, made: Estimate) -> Iterable[str]:
    for role, price in made.prices.items():
        extra = f"; {load.samples:g} replies a request" if role == "cheap" and load.samples > 1 else ""
        read = "" if price.cache_read is None or not load.prompt_cached else f", ${price.cache_read:g} from its cache"
        yield f"{role:<6}  {made.models[role]}, ${price.input:g} in{read} and ${price.output:g} out{extra}"
    days = " and ".join(sorted({price.date or "a day not known" for price in made.prices.values()}))
    yield f"Prices are US dollars per million tokens, of {days}."


def _paths(load: Workload, made: Estimate) -> list[str]:
    rows = [
        [each.name, percent(each.share), f"{each.per_day:,.0f}", usd(each.usd_each), *_spans(each.usd_per_day)]
        for each in made.paths
    ]
    each = usd(made.usd_per_day / load.per_day) if load.per_day else "-"
    rows.append(["all", percent(1.0), f"{load.per_day:,.0f}", each, *_spans(made.usd_per_day)])
    alone = _spans(made.baseline_usd_per_day)
    rows.append(["dear alone", percent(1.0), f"{load.per_day:,.0f}", usd(made.dear_usd), *alone])
    return table(["path", "share", "requests", "each", "a day", f"{DAYS} days"], rows)


def _spans(per_day: float) -> tuple[str, str]:
    return usd(per_day), usd(DAYS * per_day)


def _figures(load: Workload, made: Estimate) -> Iterable[str]:
    """Each figure with what it was counted on."""
    sure = "taken as given" if made.n is None else f"n = {made.n}, 95 % interval {_interval(made.rate_interval)}"
    yield f"escalation  {percent(made.rate)} of what comes to the cheap model ({sure})"
    if made.saving is not None:
        sure = f" (95 % interval {_interval(made.saving_interval)}, of the rate alone)" if made.saving_interval else ""
        yield f"saved       {percent(made.saving)} of the dear model alone{sure}"
        parts = [f"{name} {100 * share:.1f}" for name, share in made.saved_by.items() if share or name == "cheap"]
        yield f"            in points: {', '.join(parts)}"
    if made.break_even is not None:
        even = percent(made.break_even) if made.break_even > 0 else "at no rate"
        both = f"1 - {usd(made.cheap_usd)} / {usd(made.dear_usd)}"
        yield f"break-even  {even} of escalation, above which the cheap model loses money: {both}"
    if made.mean_seconds is not None and load.dear_seconds is not None:
        yield (
            f"latency     {made.mean_seconds:.2f} s in the mean, {load.dear_seconds:.2f} s with the dear model alone; "
            f"{percent(made.pays_both)} of all wait for both"
        )


def _sensitivity(made: Estimate) -> list[str]:
    head = ["saved, if by itself", *(f"{step:+.0%}".replace("%", " %") for step in made.sensitivity[0].steps)]
    rows = [
        [NAMES[each.input], *("-" if saving is None else percent(saving) for saving in each.saving),
         f"{usd(min(each.usd))} to {usd(max(each.usd))}"]
        for each in made.sensitivity
    ]  # fmt: skip
    return table([*head, "saved a day"], rows)


def worked_text() -> list[str]:
    """Each claim, what it comes to, and why."""
    lines = [
        "Worked figures of this project, done again",
        "",
        *_paragraph(
            "split: each request pays for the model that answers it, as if that were known beforehand. climb: it pays "
            "for all models on its way up, as in a cascade. Neither has samples or judges, unless it says so."
        ),
    ]
    for each in WORKED:
        lines += ["", *_paragraph(f"{each.name}: {each.inputs}"), "", *_claim(each), "", *_paragraph(each.reason)]
    return lines


def _claim(worked: Worked) -> list[str]:
    """The claim, ours, and the other readings, in one table where their columns are the same."""
    names = list(worked.ours.values)
    rows = [["claimed", *_cells(names, worked.claimed)]]
    if any(value is not None for value in worked.ours.values.values()):
        rows.append([f"ours: {worked.ours.assuming}", *_cells(names, worked.ours.values)])
    same = [each for each in worked.readings if list(each.values) == names]
    rows += [[each.assuming, *_cells(names, each.values)] for each in same]
    lines = table(["reading", *names], rows)
    if others := [each for each in worked.readings if each not in same]:
        columns = list(others[0].values)
        rest = [[each.assuming, *_cells(columns, each.values)] for each in others]
        lines += ["", *table([worked.ours.assuming, *columns], rest)]
    return lines


def _cells(names: Iterable[str], values: Mapping[str, float | None]) -> list[str]:
    found = [(name, values.get(name)) for name in names]
    return ["-" if value is None else usd(value) if name.startswith("usd") else percent(value) for name, value in found]


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def _paragraph(said: str) -> list[str]:
    return wrap(said, WIDTH, break_long_words=False, break_on_hyphens=False)
