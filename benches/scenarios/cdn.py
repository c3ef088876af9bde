"""A CDN's levels on a real trace: 96 % answered by the edge in 10 ms, some by the shield in 40, by the origin in 200.

    python benches/scenarios/cdn.py             # --quick: a few hundred requests, to see that all runs
    python benches/scenarios/cdn.py --trace cloudphysics_w106 --requests 40000 --edge 19600 --json cdn.json

Edges are processes, each with the memory level of `Levels`; a Redis that they share is the shield; the origin is a
process that counts what it is asked. With `--site gateways` edges are `fastcascade serve` with a route that keeps
answers in memory, and `Levels` stand behind each, for the gateway's routes do not share what they keep. Distances
between them are made, by processes that pass bytes on later, and are assumptions, told in the output, as is which edge
a request comes to; all else is measured.

A first request for a key can be no hit, so most traces forbid 96 % to any cache. Before the run, all traces are put
through a model of the levels, cold and warm. The run is on the window of the trace whose edge hits, by that model, are
the fewest that reach the reference (where none does: the most), behind caches that are warm with all that came before;
how all other windows fare is told too.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import cdn_told
from cdn_books import Books
from cdn_model import EDGE, JOINED, ORIGIN, SHIELD, TARGET, Shares, Site, chosen, figures
from cdn_processes import Skipped
from cdn_run import Run
from cdn_sites import Settings
from cdn_traces import MADE, TRACES, Trace

EDGE_SHARES: Final = (0.01, 0.10, 0.25, 0.50, 1.0)
SHIELD_SHARES: Final = (0.10, 0.25, 0.50, 1.0)
REFERENCE: Final = {"edge": "reference: 96 %, about 10 ms", "shield": "about 40 ms", "origin": "about 200 ms"}
QUICK: Final = {"requests": 240, "clients": 2, "distances": "2,3,5", "size": 512}
CUT: Final = 4_000
"""Requests of a trace that are taken with --quick."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", default="cache2k_ormbusy", choices=(*TRACES, MADE), help=f"{MADE} is made up")
    parser.add_argument("--requests", type=int, default=40_000, help="in the window that is run (default: 40000)")
    parser.add_argument(
        "--edge", type=int, metavar="ITEMS", help="entries of each edge (default: three quarters of the keys)"
    )
    parser.add_argument("--at", type=int, metavar="N", help="run the window that begins there, not the one chosen")
    parser.add_argument("--edges", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16, help="of all edges; each asks when it has its answer")
    parser.add_argument("--distances", default="10,30,160", metavar="A,B,C",
                        help="round trips in ms: client to edge, edge to shield, edge to origin")  # fmt: skip
    parser.add_argument("--size", type=int, default=4096, help="bytes of a body (default: 4096)")
    parser.add_argument("--site", choices=("levels", "gateways"), default="levels",
                        help="edges are the memory of `Levels`, or `fastcascade serve`")  # fmt: skip
    parser.add_argument("--only", choices=("model", "run"), help="leave the other part out")
    parser.add_argument("--quick", action="store_true", help=f"the first {CUT:,} requests of traces; {QUICK}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there")
    args = parser.parse_args()
    if args.quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    found: dict[str, Any] = {"about": _about(), "options": {name: str(value) for name, value in vars(args).items()}}
    try:
        code = _main(args, found)
    except Skipped as why:
        print(f"skipped: {why}")
        found["skipped"], code = str(why), 0
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1, default=_plain), encoding="utf-8")
    return code


def _main(args: argparse.Namespace, found: dict[str, Any]) -> int:
    most = CUT if args.quick else None
    of = _trace(args.trace, args.edges, most)
    if args.only != "run":
        names = (MADE,) if args.trace == MADE else TRACES
        found["model"] = [
            figures(_trace(name, args.edges, most), edge_shares=EDGE_SHARES, shield_shares=SHIELD_SHARES)
            for name in names
        ]
        cdn_told.model_tables(found["model"], args.edges)
    if args.only == "model":
        return 0
    settings = _settings(args, of)
    found["window"] = _window(settings)
    with tempfile.TemporaryDirectory(prefix="cdn-") as folder:
        run = Run(settings, Path(folder))
        try:
            asyncio.run(run.run())
        finally:
            run.stop()
    return _report(run, found)


def _trace(name: str, edges: int, most: int | None) -> Trace:
    try:
        return Trace(name, edges, most)
    except ImportError:
        raise Skipped("traces are files of numpy: pip install numpy") from None
    except SystemExit as why:  # how the inputs of benches say that there is no data
        raise Skipped(str(why)) from None
    except FileNotFoundError as why:
        raise Skipped(f"there is no {why.filename}") from None


def _settings(args: argparse.Namespace, of: Trace) -> Settings:
    items, size = args.edge or of.items(0.75), min(args.requests, len(of))
    near, middle, far = (float(each) / 1e3 for each in args.distances.split(","))
    told = Settings(of, items, 0, size, max(1, args.clients // args.edges), (near, middle, far), args.size,
                    args.site == "gateways")  # fmt: skip
    since: int = chosen(Site(of, items, timed=told.timed), size)[0] if args.at is None else args.at
    return replace(told, since=since, until=min(since + size, len(of)))


def _window(told: Settings) -> dict[str, Any]:
    """Which window is run, and how it stands among the others."""
    of, size = told.trace, told.until - told.since
    site = Site(of, told.items, timed=told.timed)
    others = sorted(chosen(site, size)[1])
    shares, good = site.shares(told.since, told.until), sum(each >= TARGET for each in others)
    print(
        f"\n## the run: {of.name}, requests {told.since:,} to {told.until:,} of {len(of):,}, behind all before\n\n"
        f"{of.edges} edges of {told.items:,} entries each, {told.items / of.distinct:.0%} of {of.distinct:,} keys; "
        f"the shield keeps all; {told.clients} clients at each edge\nby the model this window has {shares} % "
        f"edge/shield/origin; windows of this size have {others[0]:.1%} to {others[-1]:.1%} edge hits,\n"
        f"{others[len(others) // 2]:.1%} in the middle, and {good} of {len(others)} have {TARGET:.0%}"
    )
    return {"trace": of.name, "since": told.since, "until": told.until, "items": told.items, "model": shares,
            "windows": others}  # fmt: skip


def _report(run: Run, found: dict[str, Any]) -> int:
    told, books = run.settings, Books(run)
    near, middle, far = (1e3 * each for each in told.distances)
    print(
        f"assumed: {near:g} ms round trip client-edge, {middle:g} edge-shield, {far:g} edge-origin, so that levels are "
        f"{near:g}, {near + middle:g} and {near + middle + far:g} ms away;\n"
        f"measured, idle: {', '.join(f'{1e3 * each:.1f}' for each in run.measured)} ms. "
        f"A body has {told.size:,} bytes, good for a day\n"
        f"warmed with {run.warmed:,} requests in {run.warm_seconds:.0f} s; the window took {run.seconds:.1f} s, "
        f"{len(run.asked) / run.seconds:,.0f} requests/s; processor: {run.processor()}"
    )
    levels = cdn_told.by_level(run.asked)
    cdn_told.run_table(levels, REFERENCE)
    calls = run.after["calls"] - run.before["calls"]
    print(
        f"\norigin calls: {calls:,} of {len(run.asked):,} requests, {1 - calls / len(run.asked):.2%} avoided, "
        f"{(len(run.asked) - calls) * told.size / 1e6:.1f} MB of {len(run.asked) * told.size / 1e6:.1f}"
    )
    model: Shares = found["window"]["model"]
    beside = ", ".join(
        f"{name} {100 * levels[name]['share']:.2f} ({100 * model.of(level):.2f})"
        for name, level in (("edge", EDGE), ("shield", SHIELD), ("joined", JOINED), ("origin", ORIGIN))
    )
    print(f"measured, and by the model in brackets, in %: {beside}")
    for line, good in books.lines:
        print(f"{'ok' if good else 'WRONG':<7}{line}")
    found |= {"levels": levels, "origin": {"before": run.before, "after": run.after}, "books": books.lines,
              "seconds": run.seconds, "edges": run.stats, "exact": books.exact,
              "distances": {"told": told.distances, "measured": run.measured}}  # fmt: skip
    if books.exact:
        found["asked"] = [[each.edge, each.key, each.level, each.right] for each in run.asked]
    return int(not all(good for _, good in books.lines))


def _about() -> dict[str, Any]:
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
            "load": os.getloadavg(), "when": time.strftime("%Y-%m-%d")}  # fmt: skip


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


if __name__ == "__main__":
    sys.exit(main())
