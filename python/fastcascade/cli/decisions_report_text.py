"""The report of decisions as text: each figure with how many it is of, each rate with its interval."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.cli.cut import cut
from fastcascade.cli.decisions_file import HOW
from fastcascade.cli.report import table
from fastcascade.evals.live_bounds import exact

if TYPE_CHECKING:
    from fastcascade.cli.decisions_report_figures import Figures
    from fastcascade.telemetry.decisions import GradedBy, Rung, Saved, Sum

__all__ = ["lines", "pause", "percent", "usd"]

UNNAMED: Final = "(none)"
NAME: Final = 48
MOST: Final = 40
"""Slices that are shown: clients may make up any number of them."""


def lines(found: "Figures") -> list[str]:
    """All of it."""
    if not found.n:
        return [*_head(found), "", "Nothing was recorded in this time. Decisions are kept by a gateway whose file has",
                "", *HOW.splitlines(), "", "while it runs: fastcascade serve cascade.toml"]  # fmt: skip
    made = [*_head(found), *_titled("Where requests were answered", _ways(found.ways, found.n))]
    if found.reached:
        made += _titled("Tries of each tier", _tiers(found.tiers))
        made += _titled(f"By {found.by}", _groups(found.groups, hours=found.by == "hour"))
    made += _titled("Times by layer", _times(found.layers))
    if found.reached:
        made += _titled("Savings against the last tier alone", _saved(found.saved))
        made += _titled("Graded answers", _graded(found.graded))
    for each in found.advice:
        made += ["", f"! {each.text}", f"  {each.command}"]
    return made


def usd(value: float) -> str:
    """Dollars, with the digits that matter."""
    return (
        f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4f}" if abs(value) >= 0.01 or not value else f"{value:.2g}"
    )


def pause(seconds: float | None) -> str:
    """A time; a dash for none."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.2g} ms"


def percent(part: float, whole: float) -> str:
    """A share."""
    return f"{part / whole:.1%}" if whole else "-"


def _head(found: "Figures") -> list[str]:
    begin, end = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(each)) for each in (found.since, found.until))
    many = "1 request" if found.n == 1 else f"{found.n:,} requests"
    said = f"{many}, of which {found.reached:,} reached a cascade" if found.n else "no requests"
    made = [f"{found.file}: {begin} to {end} UTC", said]
    if found.since < found.kept_since:
        kept = time.strftime("%Y-%m-%d %H:%M", time.gmtime(found.kept_since))
        made.append(f"since {kept} UTC every decision is kept; before that there are sums by the hour, and no labels")
    return made


def _titled(title: str, body: Sequence[str]) -> list[str]:
    return ["", title, *body]


def _ways(ways: "Sequence[Sum]", n: int) -> list[str]:
    head = ["path", "n", "share (95 %)", "USD", "USD a request", "unknown cost", "degraded", "failed"]
    rows = []
    for each in ways:
        known = each.reached - each.unknown
        rows.append([
            _named(each.key), f"{each.n:,}", _share(each.n, n), usd(each.cost_usd) if each.reached else "-",
            usd(each.cost_usd / known) if known else "-", f"{each.unknown:,}", f"{each.degraded:,}", f"{each.failed:,}",
        ])  # fmt: skip
    return table(head, rows)


def _tiers(tiers: "Sequence[Rung]") -> list[str]:
    head = ["tier", "tried", "accepted", "not good enough (95 %)", "no answer", "failed"]
    head += ["USD", "unknown", "p50", "p95", "p99"]
    rows = [
        [
            _named(each.tier), f"{each.tried:,}", f"{each.accepted:,}", _share(each.escalated, each.tried),
            f"{each.nothing:,}", f"{each.failed:,}", usd(each.cost_usd), f"{each.unknown:,}",
            *map(pause, (each.p50, each.p95, each.p99)),
        ]
        for each in tiers
    ]  # fmt: skip
    return table(head, rows) if rows else ["none was asked"]


def _groups(groups: "Sequence[Sum]", *, hours: bool) -> list[str]:
    head = ["", "n", "escalated (95 %)", "degraded", "failed", "USD", "USD a request", "unknown", "p50", "p95"]
    rows = []
    for each in groups if hours else groups[:MOST]:
        known = each.reached - each.unknown
        name = time.strftime("%m-%d %H:00", time.gmtime(int(each.key))) if hours else _named(each.key)
        rows.append([
            name, f"{each.n:,}", _share(each.escalated, each.reached), f"{each.degraded:,}", f"{each.failed:,}",
            usd(each.cost_usd), usd(each.cost_usd / known) if known else "-", f"{each.unknown:,}",
            pause(each.p50), pause(each.p95),
        ])  # fmt: skip
    more = 0 if hours else len(groups) - MOST
    return [*table(head, rows), *([f"and {more:,} more; see --json"] if more > 0 else [])]


def _times(layers: "Sequence[Sum]") -> list[str]:
    rows = [[each.key, f"{each.timed:,}", *map(pause, (each.p50, each.p95, each.p99))] for each in layers]
    return table(["layer", "n", "p50", "p95", "p99"], rows)


def _saved(saved: "Saved") -> list[str]:
    if saved.share is None:
        return ["not known: of no request both its cost and that of the last tier are"]
    ends = "" if saved.low is None or saved.high is None else f" (95 %: {saved.low:.1%} to {saved.high:.1%})"
    spent = f"USD {usd(saved.cost_usd)} spent, USD {usd(saved.baseline_usd)} for the last tier alone"
    made = [f"{saved.share:.1%}{ends}: {spent}, n = {saved.n:,}"]
    if saved.left_out:
        made.append(f"left out: {saved.left_out:,} of which one of the two is not known")
    if saved.drawn < saved.n:
        made.append(f"the interval is from {saved.drawn:,} of them")
    return made


def _graded(graded: "Sequence[GradedBy]") -> list[str]:
    head = ["tier", "n", "mean (95 %)", "given, not drawn"]
    rows = [
        [
            _named(each.tier), f"{each.n:,}",
            "-" if each.mean is None else f"{each.mean:.3f} ({each.low:.3f} to {each.high:.3f})", f"{each.given:,}",
        ]
        for each in graded
    ]  # fmt: skip
    return table(head, rows) if rows else ["none: no labels came in this time"]


def _named(name: str) -> str:
    return cut(name, NAME) or UNNAMED


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    low, high = exact(part, whole)
    return f"{part / whole:.1%} ({low:.1%} to {high:.1%})"
