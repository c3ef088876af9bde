"""The tables of a report, once for HTML and for Markdown: a title, a head, and rows of texts."""

from dataclasses import dataclass

from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_sums import Bin, Curve, Figure, thin
from fastcascade.evals.report_words import figure, number, value

__all__ = ["Table", "about", "curve", "headline", "histogram", "others", "paths", "reliability", "rules", "slices"]

ROWS_MOST = 25


@dataclass(frozen=True)
class Table:
    """A title, a head, and rows that are as long as the head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def headline(data: ReportData) -> Table:
    """The figures first asked for."""
    return Table(
        "Figures",
        ("figure", f"value ({_level(data)} interval)", "n"),
        tuple((_dollars(name, each.unit), figure(each), f"{each.n:,}") for name, each in data.headline.items()),
    )


def about(data: ReportData) -> Table:
    """Which data."""
    rows = (
        ("outcomes", data.source or "not named"),
        ("fingerprint", data.fingerprint),
        ("cases", f"{data.n:,}"),
        ("date", data.date or "not given"),
        ("threshold", number(data.threshold)),
        *data.facts,
    )
    return Table("Data", ("what", "which"), rows)


def others(data: ReportData) -> Table:
    """The cascade beside the other ways."""
    rows = tuple(
        (each.name, figure(each.quality), figure(each.cost), f"{each.cost.n:,}")
        for each in (data.chosen, *data.baselines)
    )
    return Table("Other ways to answer the same cases", ("way", "mean grade", "cost of 1,000 cases", "n"), rows)


def rules(data: ReportData) -> Table:
    """The rules beside one another."""
    rows = tuple(
        (each.name, figure(each.saving), figure(each.kept), value(each.escalated, "share"), f"{each.saving.n:,}")
        for each in data.rules
    )
    head = ("rule", "saved of always dear", "quality kept of always dear", "goes to the dear model", "n")
    return Table("Rules on cases that they had not seen", head, rows)


def curve(given: Curve, title: str) -> Table:
    """Some of the thresholds; all that are drawn are in the JSON."""
    rows = []
    for at in thin(len(given.cost), ROWS_MOST).tolist() if given.cost else []:
        quality = _ends(given.quality[at], given.quality_low[at], given.quality_high[at], "share")
        cost = _ends(given.cost[at], given.cost_low[at], given.cost_high[at], "dollars")
        rows.append((number(given.threshold[at]), value(given.share[at], "share"), quality, cost, f"{given.n:,}"))
    return Table(title, ("threshold", "goes on", "mean grade", "cost of 1,000 cases", "n"), tuple(rows))


def reliability(data: ReportData) -> Table:
    """The bins of both diagrams."""
    rows = [
        (name, _range(each), number(each.mean), figure(each.right), f"{each.right.n:,}")
        for name, bins in (("before", data.before), ("after", data.after))
        for each in bins
    ]
    rows += [
        (name.rsplit(" ", 1)[-1], "all", "calibration error", figure(e), f"{e.n:,}") for name, e in data.errors.items()
    ]
    return Table("Reliability", ("calibration", "score", "mean score", "how often right", "n"), tuple(rows))


def histogram(data: ReportData) -> Table:
    """The bins of the histogram."""
    rows = tuple(
        (_range(each), f"{each.n_right:,}", f"{each.n_wrong:,}", figure(each.right), f"{each.right.n:,}")
        for each in data.histogram
    )
    return Table("Scores of right and wrong answers", ("score", "right", "wrong", "how often right", "n"), rows)


def slices(data: ReportData) -> Table:
    """The slices."""
    rows = tuple(
        (each.name, figure(each.escalated), figure(each.quality), f"{each.escalated.n:,}") for each in data.slices
    )
    return Table("Slices", ("slice", "goes on", "mean grade", "n"), rows)


def paths(data: ReportData) -> Table:
    """The ways."""
    rows = tuple(
        (each.name, figure(each.share), figure(each.cost), figure(each.spent), figure(each.quality), f"{each.cost.n:,}")
        for each in data.paths
    )
    head = ("path", "share of cases", "cost of 1,000 cases", "share of all spent", "mean grade", "n")
    return Table("Cost by path", head, rows)


def _level(data: ReportData) -> str:
    return f"{100 * data.level:g} %"


def _dollars(name: str, unit: str) -> str:
    return name.replace("cost of a case", "cost of 1,000 cases") if unit == "dollars" else name


def _range(given: Bin) -> str:
    return f"{number(given.low)} to {number(given.high)}"


def _ends(middle: float, low: float, high: float, unit: str) -> str:
    return figure(Figure(middle, low, high, 0, unit))
