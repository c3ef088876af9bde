"""fastcascade's model cascade and its rivals, in one run: `all.py [--quick] [--json FILE] [BENCH ...]`."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import decisions
import footprint
import instant
import loopback
import outage
import resilience
from server import running
from turns import Workers

from report import save

BENCHES = ("instant", "decisions", "resilience", "loopback", "outage", "footprint")


def main() -> int:
    """Run what is asked for, one bench after the other; the rivals' processes are kept between them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"which: {', '.join(BENCHES)}; all by default")
    parser.add_argument("--json", metavar="FILE", help="also write every row to this file")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that all run, not to quote")
    chosen = parser.parse_args()
    if unknown := set(chosen.benches) - set(BENCHES):
        parser.error(f"no bench is called {min(unknown)!r}: {', '.join(BENCHES)}")
    wanted = chosen.benches or BENCHES
    start = time.monotonic()
    tables: dict[str, Any] = {}
    # Footprints first: nothing of ours runs beside them.
    if "footprint" in wanted:
        tables |= footprint.tables(chosen.quick)
    with Workers() as workers:
        if "instant" in wanted:
            tables |= instant.tables(workers, chosen.quick)
        if "decisions" in wanted:
            tables |= decisions.tables(workers, chosen.quick)
        if "resilience" in wanted:
            tables |= resilience.tables(workers, chosen.quick)
        if "loopback" in wanted:
            with running() as url:
                tables |= loopback.tables(workers, chosen.quick, url)
    if "outage" in wanted:
        with Workers() as workers:  # fresh ones, that hold nothing open
            tables |= outage.tables(workers, chosen.quick)
    print(f"\n{time.monotonic() - start:.0f} s in all")
    save(tables, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
