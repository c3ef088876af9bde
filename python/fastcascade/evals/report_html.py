"""A report as one HTML file: nothing is fetched, nothing runs, and the policy in its head says so."""

from base64 import b64encode
from hashlib import sha256
from typing import Final

from fastcascade.evals import plots, report_tables
from fastcascade.evals.plot_parts import clean
from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_tables import Table

__all__ = ["DARK", "LIGHT", "html_of"]

LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1a1d21",
    "muted": "#565d66",
    "rule": "#c9ced4",
    "shade": "#f3f5f7",
    "c1": "#0b5cad",
    "c2": "#a34700",
    "c3": "#1b6e3c",
    "c4": "#7a3e9d",
    "c5": "#b00040",
}
"""The colors on paper; each of them is readable as text on `paper` and on `shade`."""
DARK: Final = {
    "paper": "#14171a",
    "ink": "#e8eaed",
    "muted": "#a9b1ba",
    "rule": "#3c434b",
    "shade": "#1e2226",
    "c1": "#7ab8ff",
    "c2": "#ffab70",
    "c3": "#7fd69a",
    "c4": "#d3a6ff",
    "c5": "#ff8fae",
}
"""The same at night."""


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--{name}:{color};" for name, color in colors.items())


SERIES: Final = "".join(f".f{at}{{fill:var(--c{at})}}.s{at}{{stroke:var(--c{at})}}" for at in range(1, 6))
STYLE: Final = f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:54rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}}
h1{{font-size:1.6rem;line-height:1.25;margin:.2rem 0 1rem}}
h2{{font-size:1.2rem;margin:2.2rem 0 .6rem;break-after:avoid}}
.advice{{border-left:.3rem solid var(--c1);padding:.6rem .9rem;background:var(--shade);font-size:1.1rem;margin:0}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;width:100%;font-size:.86rem;margin:.5rem 0;font-variant-numeric:tabular-nums}}
caption{{text-align:left;font-weight:600;padding:.3rem 0}}
th,td{{text-align:left;vertical-align:top;padding:.28rem .6rem .28rem 0;border-bottom:1px solid var(--rule)}}
thead th{{color:var(--muted);font-weight:600}}
tbody th{{font-weight:400}}
td:last-child,th:last-child{{padding-right:0}}
.tail td:last-child,.tail th:last-child{{text-align:right;white-space:nowrap}}
figure{{margin:.5rem 0 0}}
figcaption,.note{{color:var(--muted);font-size:.9rem}}
summary{{cursor:pointer;color:var(--c1)}}
summary:focus-visible,.wide:focus-visible{{outline:2px solid var(--c1);outline-offset:2px}}
svg.plot{{display:block;width:100%;height:auto;max-width:54rem}}
svg text{{fill:var(--ink);font:12px system-ui,sans-serif}}
svg text.small{{font-size:11px}}
svg .middle{{text-anchor:middle}}
svg .end{{text-anchor:end}}
svg path{{fill:none;stroke-width:1.5}}
svg .grid{{stroke:var(--rule);stroke-width:1}}
svg .axis,svg .ink{{stroke:var(--ink)}}
svg .muted{{stroke:var(--muted)}}
svg .thick{{stroke-width:2.5}}
svg .dash{{stroke-dasharray:7 4}}
svg .dots{{stroke-dasharray:1.5 4;stroke-linecap:round;stroke-width:2.5}}
svg .mixed{{stroke-dasharray:9 3 2 3}}
{SERIES.replace(".f", "svg .f").replace(".s", "svg .s")}
svg .band{{fill-opacity:.2}}
svg .soft{{fill-opacity:.55}}
svg .line{{fill:none}}
svg .hollow{{fill:var(--paper)}}
@media print{{
:root{{color-scheme:light;{_variables(LIGHT)}}}
@page{{margin:15mm}}
body{{max-width:none;padding:0;font-size:10.5pt}}
.wide{{overflow:visible}}
table{{font-size:8.5pt}}
thead{{display:table-header-group}}
tr,figure,.advice{{break-inside:avoid}}
summary{{display:none}}
*{{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
}}
"""


def html_of(data: ReportData) -> str:
    """The whole page."""
    parts = [
        f"<h1>{clean(data.title)}</h1>",
        f'<p class="advice">{clean(data.recommendation)}</p>',
        _table(report_tables.headline(data)),
        *([_table(report_tables.rules(data))] if data.rules else []),
        _table(report_tables.about(data), tail=False),
        "<h2>How it was worked out</h2>",
        _list(data.method),
        "<h2>What it does not show</h2>",
        _list(data.limits),
        *_figures(data),
    ]
    digest = b64encode(sha256(STYLE.encode()).digest()).decode()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{clean(data.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _figures(data: ReportData) -> list[str]:
    """The plots, each with the table of its numbers."""
    found = [
        _section(
            "Quality against cost",
            plots.quality_cost(data),
            "The nearer to the upper left, the better. The band is the interval of each threshold alone.",
            report_tables.others(data),
            report_tables.curve(data.curve, "Thresholds"),
            report_tables.curve(data.oracle, "Oracle at each budget"),
            report_tables.curve(data.router, "Prompt router"),
        )
    ]
    if data.before or data.after:
        found.append(
            _section(
                "Reliability",
                plots.reliability(data),
                "On the dashed diagonal a score says how often the cheap answer is right. Whiskers are intervals.",
                report_tables.reliability(data),
            )
        )
    if data.histogram:
        found.append(
            _section(
                "Scores of right and wrong answers",
                plots.histogram(data),
                "The less the upper and the lower half are alike, the more the score knows.",
                report_tables.histogram(data),
            )
        )
    if data.slices:
        found.append(
            _section(
                "Escalation by slice",
                plots.slices(data),
                "The share of cases that go on. Whiskers are intervals.",
                report_tables.slices(data),
            )
        )
    found.append(
        _section(
            "Cost by path",
            plots.cost_by_path(data),
            "Dollars for 1,000 cases that go this way. Whiskers are intervals.",
            report_tables.paths(data),
        )
    )
    return found


def _section(title: str, plot: str, caption: str, *tables: Table) -> str:
    # Details stand open: closed ones would be left out on paper.
    below = "".join(_table(each) for each in tables if each.rows)
    return (
        f"<section>\n<h2>{title}</h2>\n<figure>{plot}\n<figcaption>{caption}</figcaption></figure>\n"
        f"<details open><summary>The numbers</summary>{below}</details>\n</section>"
    )


def _table(table: Table, *, tail: bool = True) -> str:
    head = "".join(f'<th scope="col">{clean(each)}</th>' for each in table.head)
    rows = "".join(
        f'<tr><th scope="row"><bdi>{clean(row[0])}</bdi></th>'
        + "".join(f"<td>{clean(each)}</td>" for each in row[1:])
        + "</tr>"
        for row in table.rows
    )
    style = ' class="tail"' if tail else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{clean(table.title)}"><table{style}>'
        f"<caption>{clean(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{clean(each)}</li>' for each in sentences)}</ul>"
