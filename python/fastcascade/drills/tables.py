"""A drill's report for a terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastcascade.cli.report import table

if TYPE_CHECKING:
    from fastcascade.drills.report import Calls, Report, Shift

__all__ = ["lines"]


def lines(report: "Report") -> Iterator[str]:
    """All of it, a line at a time."""
    yield f"{report.scenario}: {report.summary}"
    if report.struck:
        yield f"struck: {', '.join(report.struck)}"
    lasted = f"from {report.start:g} s to {report.end:g} s, {report.requests} requests at {report.rate:g} a second"
    yield f"{lasted}, {report.way}"
    yield ""
    yield from table(["who answered", "before", "during", "after"], [
        [label, *(str(count) if count else "-" for count in counts)] for label, counts in report.served.items()
    ])  # fmt: skip
    yield ""
    yield from _seen(report)
    yield ""
    yield from _shifts(report)
    if report.calls:
        yield ""
        yield from _calls(report)
    if report.notices:
        yield ""
        yield f"notices: {', '.join(f'{kind} {count}' for kind, count in report.notices.items())}"
    yield from (f"note: {note}" for note in report.notes)
    yield ""
    if report.ok:
        yield "held: every promise"
    yield from (f"BROKEN: {each}" for each in report.broken)


def _seen(report: "Report") -> Iterator[str]:
    names = ["requests", "lost", "incomplete", "degraded", "tickets", "latency p50", "latency p99", "latency longest"]
    columns = [
        [
            str(phase.requests),
            str(phase.lost),
            str(phase.incomplete),
            f"{100 * phase.degraded_share:.1f} %",
            str(phase.tickets),
            *(seconds(value) for value in (phase.p50, phase.p99, phase.longest)),
        ]
        for phase in report.phases
    ]
    rows = [[name, *cells] for name, cells in zip(names, zip(*columns, strict=True), strict=True)]
    yield from table(["what callers saw", "before", "during", "after"], rows)


def _shifts(report: "Report") -> Iterator[str]:
    yield f"time to fail over: {_shift(report.failover, 'elsewhere', report.failover_due)}"
    yield f"time to return:    {_shift(report.comeback, 'where they came before', report.comeback_due)}"
    yield f"longest time without any answer: {seconds(report.gap)}"


def _shift(shift: "Shift", where: str, due: float | None) -> str:
    if shift.first is None:
        return f"never: no answer came from {where}"
    whole = "not all while it was watched" if shift.all is None else f"all from {seconds(shift.all)} on"
    promised = "" if due is None else f" ({seconds(due)} promised)"
    return f"first answer from {where} after {seconds(shift.first)}, {whole}{promised}"


def _calls(report: "Report") -> Iterator[str]:
    head = ["calls to", "before", "during", "after", "asked", "for each", "note"]
    yield from table(head, [_line(each) for each in report.calls])
    if report.amplification is not None:
        yield f"calls for each time a pool was asked, during the fault: {report.amplification:.2f} at most"
    yield f"calls before a time that a provider had named: {report.early}; probes: {report.probes}"


def _line(calls: "Calls") -> list[str]:
    each = "-" if calls.each is None else f"{calls.each:.2f}"
    counts = map(str, (calls.before, calls.during, calls.after, calls.asked))
    return [calls.label, *counts, each, "struck" if calls.struck else ""]


def seconds(value: float | None) -> str:
    """A time at the precision it deserves."""
    if value is None:
        return "-"
    if value and abs(value) < 0.1:
        return f"{1000 * value:.2g} ms"
    return f"{value:.1f} s"
