"""A job for all who take part in it: started, checked, asked in turns, and what came of it.

Machines drift, so each round asks every contender once, and what counts is the ratio of two within a round: CPU of the
server's whole process tree, by the requests it answered. Whoever is not asked waits, with its connections closed.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from contender import Contender, Job
from load import CONNECTIONS, load
from processes import Absent, cpu, memory
from site_of import Site

MODULES = ("with_nginx", "with_granian", "ours", "with_firstpass", "with_portkey", "with_litellm")
ROUNDS, SECONDS, WARM = 7, 3, 2
QUICK_ROUNDS, QUICK_SECONDS, QUICK_WARM = 3, 1, 1  # wrk takes whole seconds
LONGER = 4  # a slow one's turn, so that its ends count less
MOST_FAILED = 0.001
SAID = 200


def entered(job: Job, site: Site) -> list[Contender]:
    """All that have this job; what cannot take part says why."""
    found: list[Contender] = []
    for module in MODULES:
        try:
            found += cast("list[Contender]", import_module(module).contenders(job, site))
        except (Absent, ImportError) as error:
            name = module.removeprefix("with_")
            found.append(Contender(name, [], "", absent=_short(error)))
    return found


def timed(title: str, job: Job, site: Site, *, quick: bool) -> list[dict[str, Any]]:
    """The table of one job."""
    rows = entered(job, site)
    try:
        for row in rows:
            _or_absent(row, lambda row=row: _set_up(row, site, quick=quick))  # type: ignore[misc]
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            for row in rows:
                _or_absent(row, lambda row=row: _turn(row, site, quick=quick))  # type: ignore[misc]
    finally:
        for row in rows:
            row.end()
    table = [_figures(row, rows) for row in rows]
    _show(title, table)
    return table


def _or_absent(row: Contender, do: Callable[[], object]) -> None:
    if not row.absent:
        try:
            do()
        except Absent as error:
            row.absent = _short(error)
            row.end()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:SAID]


def _set_up(row: Contender, site: Site, *, quick: bool) -> None:
    row.start(site.folder)
    load(row, (QUICK_WARM if quick else WARM) * (LONGER if row.slow else 1), site.folder)


def _turn(row: Contender, site: Site, *, quick: bool) -> None:
    assert row.running is not None
    seconds = (QUICK_SECONDS if quick else SECONDS) * (LONGER if row.slow else 1)
    calls = site.upstream.count() if row.calls is not None else 0
    before = cpu(row.running.pid)
    done = load(row, seconds, site.folder)
    _idle(row)
    taken = cpu(row.running.pid) - before
    if done.failed > MOST_FAILED * done.requests:
        raise Absent(f"not measured: {done.failed} of {done.requests} requests failed")
    served = float(done.requests)
    sample = {"rate": done.requests / done.seconds, "p50": done.p50, "p99": done.p99}
    if row.calls is not None:
        calls = site.upstream.count() - calls
        sample["calls"] = calls / done.requests
        # wrk goes away in the midst of 64 requests, which may have been asked upstream already, and were paid for.
        beyond = calls - row.calls * done.requests
        if not -0.01 * calls <= beyond <= 2 * CONNECTIONS * row.calls + 0.01 * done.requests:
            raise Absent(f"not measured: {sample['calls']:.2f} calls upstream a request, not {row.calls:g}")
        served = max(served, calls / row.calls) if row.calls else served
    sample["us"] = taken / served * 1e6
    row.samples.append(sample)


def _idle(row: Contender) -> None:
    """Wait until it has done what wrk left behind: receipts, metrics, answers to nobody."""
    assert row.running is not None
    last = cpu(row.running.pid)
    for _ in range(20):
        time.sleep(0.1)
        now = cpu(row.running.pid)
        if now - last < 0.02:
            return
        last = now


def _figures(row: Contender, rows: Sequence[Contender]) -> dict[str, Any]:
    about: dict[str, Any] = {"name": row.name, "role": row.role, "version": row.version, "note": row.note}
    if row.absent or not row.samples:
        return {**about, "absent": row.absent or "no round was measured"}
    us = [each["us"] for each in row.samples]
    figures = {
        **about,
        "us": statistics.median(us),
        "us_least": min(us),
        "us_most": max(us),
        **{name: statistics.median(each[name] for each in row.samples) for name in ("rate", "p50", "p99")},
        "rounds": row.samples,
    }
    if row.calls is not None:
        figures["calls"] = statistics.median(each["calls"] for each in row.samples)
    ours = next((each for each in rows if each.role == "ours" and not each.absent), None)
    if ours is not None:
        ratios = [one["us"] / two["us"] for one, two in zip(row.samples, ours.samples, strict=True)]
        figures |= {"x_ours": statistics.median(ratios), "x_ours_least": min(ratios), "x_ours_most": max(ratios)}
    over = next((each for each in rows if each.name == row.over and not each.absent), None)
    if over is not None:
        figures["us_over"] = statistics.median(
            one["us"] - two["us"] for one, two in zip(row.samples, over.samples, strict=True)
        )
    return figures


def _show(title: str, table: Sequence[dict[str, Any]]) -> None:
    over = any("us_over" in row for row in table)
    heads = [
        "us CPU",
        "from-to",
        *(["over"] if over else []),
        "x ours",
        "from-to",
        "req/s",
        "p50 ms",
        "p99 ms",
        "calls",
    ]
    print(f"\n## {title}   (load {os.getloadavg()[0]:.1f})\n")
    print(f"{'contender':<33}{'version':>9}" + "".join(f"{head:>13}" for head in heads) + "  note")
    for row in table:
        if "absent" in row:
            print(f"{row['name']:<33}  left out: {row['absent']}")
            continue
        cells = [number(row["us"]), f"{number(row['us_least'])}-{number(row['us_most'])}"]
        cells += [number(row.get("us_over"))] if over else []
        cells += [number(row.get("x_ours")), _span(row, "x_ours"), number(row["rate"])]
        cells += [number(row["p50"]), number(row["p99"]), number(row.get("calls"))]
        said = "".join(f"{cell:>13}" for cell in cells)
        print(f"{row['name']:<33}{row['version']:>9}{said}  {row['note']}")
    sys.stdout.flush()


def _span(row: dict[str, Any], name: str) -> str:
    return f"{number(row[name + '_least'])}-{number(row[name + '_most'])}" if name in row else "-"


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def weigh(site: Site, *, quick: bool) -> list[dict[str, Any]]:
    """Start to the first right answer, and memory then and after some requests."""
    rows = entered("start", site)
    for _ in range(2 if quick else 5):
        for row in rows:
            _or_absent(row, lambda row=row: _weighed(row, site))  # type: ignore[misc]
    table = []
    for row in rows:
        about = {"name": row.name, "role": row.role, "version": row.version, "note": row.note}
        if row.absent:
            table.append({**about, "absent": row.absent})
            continue
        names = ("seconds", "cpu", "mb", "mb_after")
        table.append({**about, **{name: statistics.median(each[name] for each in row.samples) for name in names}})
    print(f"\n## start to the first right answer; memory of the tree (PSS)   (load {os.getloadavg()[0]:.1f})\n")
    heads = ("s", "s CPU", "MB", "MB after load")
    print(f"{'contender':<33}{'version':>9}" + "".join(f"{head:>15}" for head in heads))
    for row in table:
        if "absent" in row:
            print(f"{row['name']:<33}  left out: {row['absent']}")
        else:
            said = "".join(f"{row[name]:>15.3f}" for name in ("seconds", "cpu"))
            print(f"{row['name']:<33}{row['version']:>9}{said}" + f"{row['mb']:>15.0f}{row['mb_after']:>15.0f}")
    return table


def _weighed(row: Contender, site: Site) -> None:
    seconds = row.start(site.folder)
    assert row.running is not None
    pid = row.running.pid
    sample = {"seconds": seconds, "cpu": cpu(pid), "mb": memory(pid)}
    load(row, QUICK_SECONDS * (LONGER if row.slow else 1), site.folder)
    row.samples.append({**sample, "mb_after": memory(pid)})
    row.end()
