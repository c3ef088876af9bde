"""`fastcascade bench`: the user's own microbenchmark."""

import argparse
import json
import random
import sys
from collections.abc import Iterable

from fastcascade._core import DEBUG_BUILD
from fastcascade.cli.document import Document, Rival, Row, document
from fastcascade.cli.jobs import jobs, workload
from fastcascade.cli.options import seconds
from fastcascade.cli.report import bars, number, table, warn
from fastcascade.cli.rivals import compare
from fastcascade.cli.routefile import load
from fastcascade.cli.timing import run

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "time every call of the hot path on your routes or the built-in table"
WARNED = 5  # odd routes that are named
EPILOG = """\
A routes file holds one route a line: 'METHOD /path' or '/path', with {param} and {rest...};
're:' and a regular expression; '*' for whatever is left; '#' and a comment. A file that ends in
.json holds a mapping with such routes as its keys.

Figures are nanoseconds. 'loop' is the mean of a tight loop less an empty one: trust it first. The
percentiles time each call on its own; the clock's cost is taken off, its step and jitter are not, and
are printed above them. The keys of --json are described in fastcascade/cli/document.py.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--routes", metavar="FILE", help="your routes (default: a built-in table of 200)")
    parser.add_argument("--json", action="store_true", help="write JSON instead of tables")
    parser.add_argument("--vs", action="store_true", help="also time the installed rivals on the same routes")
    parser.add_argument("--seconds", type=seconds, default=6.0, metavar="N",
                        help="how long to measure, and as long again with --vs (default: 6)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which requests are made (default: 1)")


def execute(args: argparse.Namespace) -> int:
    """Measure, then show."""
    rng = random.Random(args.seed)
    routes = load(args.routes)
    work = workload(routes, rng)
    if DEBUG_BUILD:
        warn("this is a debug build, many times slower than a release; these figures say nothing about fastcascade")
    for warning in routes.warnings[:WARNED]:
        warn(warning)
    if len(routes.warnings) > WARNED:
        warn(f"and {len(routes.warnings) - WARNED} more like these")
    todo = jobs(work, rng)
    timers = run(todo, args.seconds)
    rivals = compare(work, rng, args.seconds) if args.vs else []
    result = document(work, todo, timers, rivals, args.seed, args.seconds)
    print(json.dumps(result, indent=1) if args.json else "\n".join(text(result)))
    return 0


def text(result: Document) -> Iterable[str]:
    """The tables."""
    yield from _about(result)
    python = {(row["call"], row["case"]): row for row in result["rows"] if row["side"] == "python"}
    rust = {(row["call"], row["case"]): row for row in result["rows"] if row["side"] == "rust"}
    head = ["ns per call from Python", "loop", "mean", "p50", "p90", "p99", "p99.9", "n", "note"]
    yield from table(head, [_line(row) for row in python.values()])
    if rust:
        yield ""
        head = ["the same inside Rust", "mean", "p50", "p90", "p99", "p99.9", "n", "crossing"]
        yield from table(head, [_inside(row, python[key]) for key, row in rust.items()])
        yield "crossing: loop from Python less mean inside: the call, its arguments, its result (groups too), their end"
    plain = not _can_write("▁█")
    for title, side in (("from Python", python), ("inside Rust", rust)):
        counts = [(_name(row), [count for _, count in row["histogram"]]) for row in side.values()]
        if counts:
            yield ""
            yield f"histogram {title}: % of single timings that took so many ns and fewer than the next column"
            yield from bars(counts, plain=plain)
    if result["rivals"]:
        yield ""
        yield from _rivals(result["rivals"])


def _about(result: Document) -> Iterable[str]:
    python, machine, routes = result["python"], result["machine"], result["routes"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in routes["kinds"].items() if count)
    mix = ", ".join(f"{100 * part:.0f} % {kind}" for kind, part in routes["mix"].items()) or "none"
    where = f"{machine['system']}, {machine['processor']}, {machine['cores']} cores, load {number(machine['load'])}"
    yield f"fastcascade {result['version']}, {python['implementation']} {python['version']}, {where}"
    yield f"routes: {routes['source']}, {routes['count']} ({kinds}); asked with {routes['method']}; mix: {mix}"
    if routes["other_methods"] or routes["barren"]:
        others, barren = f"{routes['other_methods']} take other methods", f"{routes['barren']} are hidden behind others"
        yield f"        {others}, {barren} or could not be sampled: in the table, not asked for"
    for side, timer in (("Python", result["timer_ns"]["python"]), ("Rust", result["timer_ns"]["rust"])):
        if timer["cost"] or side == "Python":
            cost = f"reading it costs {timer['cost']} ns (subtracted), ticks by {timer['step']} ns"
            stray = f"strays by {timer['jitter']} ns at its p99"
            yield f"clock in {side}: {cost}, {stray}: smaller differences mean nothing"
    yield "all take turns; each turn begins with as many calls that are not counted, so caches are warm; collector off;"
    yield "every text a new object; loop: tight loops, in processor time where that is counted finely"
    yield ""


def _name(row: Row) -> str:
    return f"{row['call']} {row['case']}"


def _line(row: Row) -> list[str]:
    points = [row["p50_ns"], row["p90_ns"], row["p99_ns"], row["p999_ns"]]
    return [_name(row), *map(number, (row["loop_ns"], row["mean_ns"], *points)), f"{row['n']:,}", row["note"]]


def _inside(row: Row, outside: Row) -> list[str]:
    points = [row["p50_ns"], row["p90_ns"], row["p99_ns"], row["p999_ns"]]
    crossing = (outside["loop_ns"] or 0) - row["mean_ns"]
    return [_name(row), *map(number, (row["mean_ns"], *points)), f"{row['n']:,}", number(crossing)]


def _rivals(rivals: list[Rival]) -> Iterable[str]:
    head = ["rival", "job", "version", "its ns", "ours ns", "its/ours", "ours", "calls", "note"]
    lines = []
    for row in rivals:
        if row["absent"] is None and row["ratio"] is not None:
            notes = [row["note"], f"{row['left_out']} routes left out" if row["left_out"] else ""]
            notes.append(f"other answer for {row['other']} of {row['checked']}" if row["other"] else "")
            lines.append([row["name"], row["job"], row["version"], number(row["ns"]), number(row["ours_ns"]),
                          f"{row['ratio']:.2f}", row["ours"], f"{row['calls']:,}",
                          "; ".join(filter(None, notes))])  # fmt: skip
    yield "rivals, each in turns with ours on the same requests (tight loops in processor time;"
    yield "its/ours above 1: ours is faster)"
    yield from table(head, lines, left=2)
    yield "a slow rival gets few calls in a turn and ours as few, which is why ours is slower beside it; ours reads"
    yield "the params where Router.match stands, as the rival makes them"
    absent = dict.fromkeys((row["name"], row["job"], row["absent"]) for row in rivals if row["absent"])
    for name, job, why in absent:
        yield f"{name}, {job}: {why}"


def _can_write(sample: str) -> bool:
    try:
        sample.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
