"""Two gateways with one Redis under steady load, which is killed, frozen, cut off, or loses a primary of its cluster.

    python benches/scenarios/store_away.py [--quick] [--seconds S] [--rate R] [--off closed] [--json FILE] [PART ...]

killed    the one server, with SIGKILL, for `--seconds`; begun again on its port with what it had synced
frozen    the one server, with SIGSTOP, for a third of `--seconds`: connections stay, nothing is answered
cut       one gateway cannot reach it for a third of `--seconds`, the other can: nobody is told, nothing comes through
cluster   three primaries with a replica each: the one is killed that has the news and the buckets of all keys
exact     with the store there: what limits let in, one call for a thousand misses, purges, round trips of hits

The gateways are processes of `fastcascade serve`; requests come at `--rate` to each, whether answered or not: hits,
misses that a provider charges for, keys with limits, a key with a hard budget. The server syncs at every write
(`appendfsync always`): else what it has acknowledged in its last second dies with it. Keys with a hard budget go by
`account_off = "open"`; with `--off closed` they are refused with 503 while the store is away, which is then counted as
asked for. All of it shares the machine's cores, so times are of all together.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parents[1] / "rivals"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

import store_drills
import store_exact
import store_told
from steady import loop_factory

from report import save

DRILLS: Final = ("killed", "frozen", "cut", "cluster")
PARTS: Final = (*DRILLS, "exact")


def main() -> int:
    """Run what is asked for; 1 where something failed or was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which: {', '.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="that the store is away (default: 60)")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second to each gateway (default: 100)")
    parser.add_argument("--off", choices=("open", "closed"), default="open", help="account_off of the gateways")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="some seconds: to see that all run, not to quote")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)!r}: {', '.join(PARTS)}")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}; {chosen.rate:g} requests a second to each of two gateways"
    )
    times = store_drills.QUICK if chosen.quick else store_drills.Times(away=chosen.seconds)
    began, tables = time.monotonic(), {}
    for part in chosen.parts or PARTS:
        tables[part] = _ran(part, chosen, times)
    print(f"\n{time.monotonic() - began:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    save(tables, chosen.json)
    return int(any(store_told.ill(each) for each in tables.values()))


def _ran(part: str, chosen: argparse.Namespace, times: store_drills.Times) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="fastcascade-store-") as folder,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        if part == "exact":
            told = runner.run(store_exact.measured(Path(folder), quick=chosen.quick))
            store_told.exact(told)
            return told
        drill = store_drills.Drill(part, Path(folder), chosen.rate, times, chosen.off)
        told = runner.run(drill.run())
        store_told.drill(told)
        return told


if __name__ == "__main__":
    sys.exit(main())
