"""The figures of `fastcascade report`, and what they suggest to do next."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastcascade.cli.decisions_file import Source
from fastcascade.evals.live_bounds import exact

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import By, GradedBy, Rung, Saved, Sum

__all__ = ["Advice", "Figures", "figures"]

ESCALATION: Final = 0.4
"""The share of requests above which one is warned, where no file says another."""
UNKNOWN: Final = 0.01
FAILED: Final = 0.05
FEW: Final = 20
"""Tries below which a tier that never accepts may be chance."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What stands out, and the command to run next."""

    text: str
    command: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a span of time.

    Args:
        file: the store.
        since: its beginning, in seconds since 1970.
        until: its end.
        kept_since: since when single decisions are kept; before that there are sums by the hour.
        by: what `groups` are by.
        n: all requests.
        reached: how many reached a cascade.
        ways: them by where they were answered.
        layers: them by layer.
        groups: them by slice, hour or tier.
        tiers: what became of the tries of each tier.
        saved: against the last tier alone.
        graded: how good answers were.
        advice: what to do next.
    """

    file: str
    since: float
    until: float
    kept_since: float
    by: "By"
    n: int
    reached: int
    ways: "list[Sum]"
    layers: "list[Sum]"
    groups: "list[Sum]"
    tiers: "list[Rung]"
    saved: "Saved"
    graded: "list[GradedBy]"
    advice: list[Advice]


def figures(source: Source, since: float, until: float, by: "By", cascade: str) -> Figures:
    """Read them from the store, while others may write it."""
    decisions = source.decisions
    ways = decisions.sums(since, until, by="way", cascade=cascade)
    tiers = decisions.funnel(since, until, cascade=cascade)
    graded = decisions.graded(since, until, cascade=cascade)
    return Figures(
        str(decisions.path),
        since,
        until,
        decisions.kept_since(),
        by,
        sum(each.n for each in ways),
        sum(each.reached for each in ways),
        ways,
        decisions.sums(since, until, by="layer", cascade=cascade),
        decisions.sums(since, until, by=by, cascade=cascade),
        tiers,
        decisions.savings(since, until, cascade=cascade),
        graded,
        [*_escalating(source, ways, tiers), *_unpriced(source, ways), *_failing(source, ways), *_poor(source, graded)],
    )


def _escalating(source: Source, ways: "list[Sum]", tiers: "list[Rung]") -> list[Advice]:
    promised = source.promises.escalation if source.promises is not None else ESCALATION
    n, up = sum(each.reached for each in ways), sum(each.escalated for each in ways)
    found = []
    next_ = f"fastcascade record {source.cascade} CASES --to run.db, then fastcascade thresholds run.db"
    if n and up / n > promised:
        low, high = exact(up, n)
        sure = "" if low > promised else ", though that may be chance"
        share = f"{up / n:.1%} of {n:,} requests escalate (95 %: {low:.1%} to {high:.1%})"
        found.append(Advice(f"{share}, above the line of {promised:.0%}{sure}: fit the thresholds anew", next_))
    for each in tiers[:-1]:
        if each.tried >= FEW and not each.accepted:
            text = f"{each.tier} never accepted, in {each.tried:,} tries: it costs time and money for nothing"
            found.append(Advice(f"{text}; fit its threshold, or leave it out", next_))
    return found


def _unpriced(source: Source, ways: "list[Sum]") -> list[Advice]:
    n, unknown = sum(each.reached for each in ways), sum(each.unknown for each in ways)
    if not n or unknown / n <= UNKNOWN:
        return []
    text = f"of {unknown:,} of {n:,} requests the cost is not known: see which tiers have no price"
    return [Advice(text, f"fastcascade doctor {source.cascade}")]


def _failing(source: Source, ways: "list[Sum]") -> list[Advice]:
    n, failed = sum(each.reached for each in ways), sum(each.failed for each in ways)
    if not n or exact(failed, n)[0] <= FAILED:
        return []
    text = f"{failed:,} of {n:,} requests got no answer: see who can be asked"
    return [Advice(text, f"fastcascade doctor {source.cascade} --online")]


def _poor(source: Source, graded: "list[GradedBy]") -> list[Advice]:
    promised = source.promises.quality if source.promises is not None else {}
    found = []
    for each in graded:
        line = promised.get(each.tier)
        if line is None or each.mean is None or each.mean >= line:
            continue
        sure = "" if each.high < line else ", though that may be chance"
        text = f"the answers of {each.tier} are right {each.mean:.1%} of the time, of {each.n:,} that were graded"
        said = f"{text}; {line:.1%} is promised{sure}"
        command = f"fastcascade export {source.said} --graded --to graded.csv, then fastcascade calibrate graded.csv"
        found.append(Advice(said, command))
    return found
