"""What the regression gate found, for people and for CI: Markdown for a pull request, JUnit XML, text for a terminal.

What users wrote (names of slices and of cases) is shown as it is, and never as markup.
"""

import math
import re
from typing import Final
from xml.etree import ElementTree as ET

from fastcascade.evals.comparison import OVERALL, Change, Comparison, Flip, Row

__all__ = ["junit", "markdown", "text"]

UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What XML 1.0 has no place for, what drives a terminal, and what turns the direction of a line."""
MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@$=^\"'&<>])")
HEAD: Final = ("slice", "n", "old", "new", "difference", "verdict")
LONGEST: Final = 80
UNITS: Final = {"cost": "dollars a case", "latency": "seconds a case"}


def markdown(found: Comparison) -> str:
    """For a pull request: the table first, then how sure it is, then the cases that flipped, folded away."""
    lines = [f"### Regression gate: {found.verdict}", "", _row(HEAD), "|---|--:|--:|--:|---|---|"]
    lines += [
        _row(_cells(row, _escaped(row.name) if row is not found.overall else "**overall**")) for row in found.rows
    ]
    if found.changes:
        lines += ["", _row(("", "n", "old", "new", "change (95 %)")), "|---|--:|--:|--:|---|"]
        lines += [_row((_measured(each), str(each.n), *_means(each), _changed(each))) for each in found.changes]
    lines += ["", *_terms(found)]
    for title, flips, count in _flips(found):
        if count:
            lines += ["", f"<details><summary>{title}: {_listed(flips, count)}</summary>", ""]
            lines += [_row(("case", "slice", "old", "new")), "|---|---|--:|--:|"]
            lines += [_row((_escaped(f.case), _escaped(f.slice), f"{f.old:.3g}", f"{f.new:.3g}")) for f in flips]
            lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def junit(found: Comparison, name: str = "fastcascade compare", *, strict: bool = False) -> str:
    """For CI: one test case for each row. Worse is a failure; what is not shown is skipped, or a failure if strict."""
    failed = [row for row in found.rows if row.verdict == "worse" or (strict and row.verdict == "not shown")]
    skipped = [row for row in found.rows if row.verdict == "not shown" and not strict]
    counts = {"tests": len(found.rows), "failures": len(failed), "errors": 0, "skipped": len(skipped)}
    suites = ET.Element("testsuites", {key: str(value) for key, value in counts.items()})
    suite = ET.SubElement(suites, "testsuite", {"name": _clean(name), **suites.attrib})
    for row in found.rows:
        # A slice may be called "overall" too.
        group = "all cases" if row is found.overall else "slice"
        case = ET.SubElement(suite, "testcase", {"classname": f"{_clean(name)}.{group}", "name": _clean(row.name)})
        said = _sentence(row, found)
        if row in failed:
            ET.SubElement(case, "failure", {"type": row.verdict, "message": said}).text = said
        elif row in skipped:
            ET.SubElement(case, "skipped", {"message": said})
        ET.SubElement(case, "system-out").text = said
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def text(found: Comparison) -> str:
    """For a terminal: the same, in columns."""
    rows = [HEAD, *(_cells(row, _short(row.name)) for row in found.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = [f"{found.verdict}: the worst of {OVERALL} and {len(found.slices)} slices", ""]
    for row in rows:
        # Numbers stand to the right, so that they can be compared.
        cells = [
            cell.rjust(width) if 1 <= place <= 3 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    if found.changes:
        lines.append("")
        lines += [
            f"{_measured(each)}: {' -> '.join(_means(each))}, {_changed(each)}, 95 %, n={each.n}"
            for each in found.changes
        ]
    lines += ["", *_terms(found)]
    for title, flips, count in _flips(found):
        if count:
            lines += ["", f"{title}: {_listed(flips, count)}"]
            lines += [f"  {_short(f.case)}{f'  ({_short(f.slice)})' if f.slice else ''}" for f in flips]
    return "\n".join(lines) + "\n"


def _cells(row: Row, name: str) -> tuple[str, ...]:
    difference = f"{100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
    return name, str(row.n), f"{100 * row.old:.1f}", f"{100 * row.new:.1f}", difference, _said(row)


def _said(row: Row) -> str:
    if row.verdict == "no worse":
        return "no worse (lower, by less than the margin)" if row.lower else "no worse"
    if row.verdict == "worse":
        return "worse"
    if row.more_cases is None:
        return "not shown; it looks worse"
    return f"not shown; about {row.more_cases} more cases needed"


def _sentence(row: Row, found: Comparison) -> str:
    _, n, old, new, difference, verdict = _cells(row, "")
    return f"{verdict}: quality {old} -> {new} points, {difference}, n={n}, margin {_points(found.margin)}"


def _terms(found: Comparison) -> list[str]:
    sure = f"{100 * (1 - found.delta):.4g} %"
    return [
        f"Quality is in points of 100; {found.overall.n} cases, paired, by {_test(found)}.",
        f"No worse: lower by less than {_points(found.margin)}; worse: lower at all.",
        f"Each of the two is said with {sure} confidence over the whole table.",
        f"Each end in brackets holds with {sure} confidence, for its row alone.",
    ]


def _test(found: Comparison) -> str:
    return "an exact test" if found.test == "exact" else "betting"


def _points(margin: float) -> str:
    return f"{100 * margin:.4g} points"


def _means(each: Change) -> tuple[str, str]:
    return f"{each.old:.4g}", f"{each.new:.4g}"


def _measured(each: Change) -> str:
    return f"{each.name}, {UNITS[each.name]}" if each.name in UNITS else each.name


def _changed(each: Change) -> str:
    if math.isnan(each.change):
        return "no share can be given"
    return f"{100 * each.change:+.1f} % ({100 * each.low:+.1f} to {100 * each.high:+.1f})"


def _flips(found: Comparison) -> tuple[tuple[str, tuple[Flip, ...], int], ...]:
    return ("right to wrong", found.lost, found.lost_count), ("wrong to right", found.won, found.won_count)


def _listed(flips: tuple[Flip, ...], count: int) -> str:
    return str(count) if count == len(flips) else f"{count}, of which the first {len(flips)}"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _clean(raw: str) -> str:
    return UNPRINTABLE.sub("\ufffd", raw)


def _short(raw: str) -> str:
    """One line of it, and not a long one."""
    line = " ".join(_clean(raw).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _escaped(raw: str) -> str:
    """As it is, in a cell of a table: neither Markdown nor HTML. In code nobody is notified of an @."""
    plain = _short(raw)
    # An entity is plain text to every renderer; a backslash is one more character in some.
    inner = MARKUP.sub(lambda found: f"&#{ord(found[1])};", plain)
    return f"<code>{inner}</code>" if inner else ""
