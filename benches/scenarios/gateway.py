"""The mission's gateway as a scenario: 92 % exact, 7 % prefix, 1 % regex under rising load, and a region killed.

    python benches/scenarios/gateway.py [--quick] [--json FILE] [--workers N] [respond] [proxied] [rates] [region]

respond   the mix answered by the first layers, with a page of 2 KB, over more and more connections
proxied   the mix passed to one upstream, which has a page of 2 KB, over more and more connections
rates     both at rates that do not wait for answers
region    a primary region killed under half of the load that can be borne, and started again

`fastcascade serve` beside nginx and haproxy, one worker or thread each, in one run; wrk asks. The rivals are Debian's
packages `wrk`, `nginx` and `haproxy`; what is not there is left out, and the table says so. `GATEWAY_RIVALS` names more
folders. Without wrk the load is made in Python, which is its own limit; without nginx the upstream is `placed.py`.

Nobody is measured who does not route alike: before it is asked each contender must answer a request for each route
with 200, the page, and the name of the right route. Granian alone, which ours is built on, stands beside and routes
nothing. CPU is that of the server's whole process tree, user and system, by request; memory what it holds then (PSS).
The load, the servers and the upstream share the machine's cores, so rates and latencies are of all of them together.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parents[1] / "rivals" / "gateways"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "rivals"))

import granian_alone
import haproxy_routes
import nginx_routes
import our_routes
import region
import rising
from contender import Contender
from mission_mix import PAGE, Mix, mix
from processes import Absent, Running, asked, free_port, program
from upstream import NGINX, version_of

from report import save

PARTS: Final = ("respond", "proxied", "rates", "region")
SERVERS: Final = {"fastcascade": our_routes, "nginx": nginx_routes, "haproxy": haproxy_routes}
PARTS_ALONE: Final = {"granian alone": granian_alone}
MOST_RATE: Final = 8_000.0
"""Requests a second of the region's load, made in Python: above it the load itself would be late."""


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which: {', '.join(PARTS)}; all by default")
    parser.add_argument("--json", metavar="FILE", help="also write every row to this file")
    parser.add_argument("--quick", action="store_true", help="few short steps: to see that all run, not to quote")
    parser.add_argument("--workers", type=int, default=1, help="processes or threads of each contender (default: 1)")
    parser.add_argument("--rate", type=float, help="requests a second of the region's load; half of what can be borne")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)!r}: {', '.join(PARTS)}")
    parts = tuple(chosen.parts) or PARTS
    asks = mix()
    shares = ", ".join(f"{share:.1%} {kind}" for kind, share in asks.shares.items())
    print(f"{datetime.now(UTC):%Y-%m-%d}, wrk {_wrk()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}; {asks.routes} routes ({asks.source}): {shares}")  # fmt: skip
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(asks, Path(folder), quick=chosen.quick, workers=chosen.workers)
        tables = scenario.run(parts, chosen.rate)
    print(f"\n{time.monotonic() - start:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    save(tables, chosen.json)
    return 0


class Scenario:
    """One run."""

    def __init__(self, asks: Mix, folder: Path, *, quick: bool, workers: int) -> None:
        self.asks, self.folder, self.quick, self.workers = asks, folder, quick, workers
        self.pace = rising.QUICK if quick else rising.Pace()
        self.tables: dict[str, Any] = {}

    def run(self, parts: tuple[str, ...], rate: float | None) -> dict[str, Any]:
        """The parts, in their order."""
        if "respond" in parts or "rates" in parts:
            self._loads(parts, "respond", self._contenders(lambda each: each.answering(self.asks, self.workers)))
        if "proxied" in parts or "rates" in parts or ("region" in parts and rate is None):
            with behind(self.folder) as there:
                self._loads(
                    parts, "proxied", self._contenders(lambda each: each.passing(self.asks, there, self.workers))
                )
        if "region" in parts:
            self._region(rate or self._half())
        return self.tables

    def _contenders(self, make: Callable[[Any], Contender]) -> list[Contender]:
        found = []
        for name, module in (SERVERS | PARTS_ALONE).items():
            try:
                found.append(make(module))
            except (Absent, ImportError) as error:
                found.append(Contender(name, [], "", absent=" ".join(str(error).split())))
        return found

    def _loads(self, parts: tuple[str, ...], kind: str, contenders: list[Contender]) -> None:
        titles = {"respond": "answered by the first layers", "proxied": "passed to one upstream"}
        try:
            rising.started(contenders, self.asks, self.folder)
            self._said(contenders)
            if kind in parts or (kind == "proxied" and "region" in parts):
                table = rising.by_connections(contenders, self.asks, self.folder, self.pace)
                self.tables[kind] = table
                rising.show(f"{titles[kind]}: rising connections, a closed loop", table, "connections")
            if "rates" in parts:
                table = rising.by_rate(contenders, self.asks, self.pace)
                self.tables[f"{kind} at rates"] = table
                rising.show(f"{titles[kind]}: rising rates, an open loop", table, "asked/s")
        finally:
            for one in contenders:
                one.end()

    def _said(self, contenders: list[Contender]) -> None:
        print()
        for one in contenders:
            routes = "" if one.role == "part" else "; routes as it should"
            said = f"left out: {one.absent}" if one.absent else f"{one.version}, {one.note}{routes}"
            print(f"{one.name:<14}{said}")

    def _half(self) -> float:
        """Half of the most that ours has passed on, so that all have the same."""
        rates = [row["rate"] for row in self.tables["proxied"] if row["name"] == "fastcascade" and "rate" in row]
        return min(MOST_RATE, max(rates, default=1_000.0) / 2)

    def _region(self, rate: float) -> None:
        table = []
        for name, module in SERVERS.items():
            apps = region.Regions(self.folder / f"regions-{name}")
            try:
                apps.start("primary")
                apps.start("secondary")
                one = module.backed(self.asks, apps.places("primary"), apps.places("secondary"))
                rising.started([one], self.asks, self.folder)
                if one.absent:
                    table.append({"name": name, "absent": one.absent})
                    continue
                times = region.QUICK if self.quick else region.Times()
                try:
                    table.append(region.drilled(one, self.asks, apps, rate, times))
                finally:
                    one.end()
            except Absent as error:
                table.append({"name": name, "absent": " ".join(str(error).split())})
            finally:
                apps.end()
        self.tables["region"] = table
        region.show(table)


@contextmanager
def behind(folder: Path) -> Iterator[str]:
    """One upstream with a page, until the end: its host and port."""
    port, home = free_port(), folder / "behind"
    home.mkdir()
    try:
        command = [program("nginx"), "-p", ".", "-c", "nginx.conf"]
        place = f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{PAGE}'; }} }}"
        (home / "nginx.conf").write_text(NGINX.format(body=place), encoding="utf-8")
    except Absent:
        script = str(Path(__file__).with_name("placed.py"))
        command = [sys.executable, script, str(port), "primary", str(home / "ledger"), "0", "0"]
    with Running(command, home, {}) as running:
        running.until(lambda: asked(f"http://127.0.0.1:{port}/", "GET", {}, b"")[0] == 200)
        yield f"127.0.0.1:{port}"


def _wrk() -> str:
    try:
        return version_of([program("wrk"), "-v"], r"wrk (?:debian/)?([^\s-]+)")
    except Absent:
        return "(not there: the load is made in Python)"


if __name__ == "__main__":
    sys.exit(main())
