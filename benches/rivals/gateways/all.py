"""fastcascade's gateway and its rivals, in one run: `all.py [--quick] [--json FILE] [JOB ...]`."""

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import first_bytes
import turns
from contender import Job
from processes import Absent, program
from site_of import site
from upstream import running, version_of

from report import save

JOBS: dict[str, tuple[Job, str]] = {
    "proxy": ("proxy", "a proxy that reads nothing: the limit"),
    "accept": ("accept", "a call through the cascade, the cheap tier's answer is accepted"),
    "escalate": ("escalate", "one escalation: the cheap tier's answer is no JSON"),
    "cache": ("cache", "a kept answer: POST of 2 KB"),
    "mix": ("mix", "the mission's mix, 92/7/1: keys, routes, limits and cache before a page of 2 KB"),
    "stream": ("stream", "a stream of 20 pieces"),
    "tls": ("tls", "TLS with connections kept: GET of a few bytes"),
    "auth": ("auth", "who asks: with keys, over without"),
}
OTHERS = ("first", "start")


def main() -> int:
    """Run what is asked for, one job after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"which: {', '.join((*JOBS, *OTHERS))}; all by default")
    parser.add_argument("--json", metavar="FILE", help="also write every row to this file")
    parser.add_argument("--quick", action="store_true", help="few short rounds: to see that all run, not to quote")
    chosen = parser.parse_args()
    if unknown := set(chosen.jobs) - {*JOBS, *OTHERS}:
        parser.error(f"no job is called {min(unknown)!r}: {', '.join((*JOBS, *OTHERS))}")
    wanted = chosen.jobs or (*JOBS, *OTHERS)
    try:
        wrk, nginx = (
            version_of([program("wrk"), "-v"], r"wrk (?:debian/)?([^\s-]+)"),
            version_of([program("nginx"), "-v"], r"nginx/(\S+)"),
        )
    except Absent as error:
        print(f"nothing can be measured: {error}")
        return 1
    start = time.monotonic()
    print(f"{datetime.now(UTC):%Y-%m-%d}, wrk {wrk}, nginx {nginx}, Python {platform.python_version()}, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as upstream:
        around = site(upstream, Path(folder))
        for name in wanted:
            if name in JOBS:
                job, title = JOBS[name]
                tables[title] = turns.timed(title, job, around, quick=chosen.quick)
        if "first" in wanted:
            tables["first byte"] = first_bytes.table(around, quick=chosen.quick)
        if "start" in wanted:
            tables["start and memory"] = turns.weigh(around, quick=chosen.quick)
    print(f"\n{time.monotonic() - start:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    save(tables, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
