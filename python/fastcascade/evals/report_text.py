"""A report as Markdown and as JSON: the same figures as in the HTML."""

import json

from fastcascade.evals import report_tables
from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_tables import Table

__all__ = ["json_of", "markdown_of", "plain"]

SPECIAL = frozenset("\\`*_{}[]<>#|~&$")


def markdown_of(data: ReportData) -> str:
    """The whole report, with a table in the place of each plot."""
    tables = [
        report_tables.rules(data),
        report_tables.others(data),
        report_tables.curve(data.curve, "Thresholds"),
        report_tables.curve(data.oracle, "Oracle at each budget"),
        report_tables.curve(data.router, "Prompt router"),
        report_tables.reliability(data),
        report_tables.histogram(data),
        report_tables.slices(data),
        report_tables.paths(data),
    ]
    parts = [
        f"# {plain(data.title)}",
        f"**{plain(data.recommendation)}**",
        _table(report_tables.headline(data)),
        _table(report_tables.about(data)),
        "## How it was worked out",
        "\n".join(f"- {plain(each)}" for each in data.method),
        "## What it does not show",
        "\n".join(f"- {plain(each)}" for each in data.limits),
    ]
    for table in tables:
        if table.rows:
            parts += [f"## {plain(table.title)}", _table(table)]
    return "\n\n".join(parts) + "\n"


def json_of(data: ReportData) -> str:
    """All numbers, not rounded; null where one is not known, and for the threshold that keeps nothing."""
    return json.dumps(data.as_dict(), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return "".join(f"\\{each}" if each in SPECIAL else each for each in line)


def _table(table: Table) -> str:
    rows = [table.head, ("---",) * len(table.head), *(tuple(map(plain, each)) for each in table.rows)]
    return "\n".join(f"| {' | '.join(each)} |" for each in rows)
