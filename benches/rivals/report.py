"""What the scripts share besides the clock: printed tables, command lines, JSON."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print one table."""
    tails = [name for name in ("p50", "p99", "p99.9") if any(name in row for row in rows)]
    print(f"\n## {title}\n")
    head = ["contender", "version", "ns", "min", *tails, "x ours", "x limit"]
    print(f"{head[0]:<36}{head[1]:>14}" + "".join(f"{name:>11}" for name in head[2:]) + "  note")
    for row in rows:
        if "absent" in row:
            print(f"{row['name']:<36}  {row['absent']}")
            continue
        numbers = [f"{row[name]:,.0f}" if row[name] >= 100 else f"{row[name]:.1f}" for name in ("ns", "min", *tails)]
        numbers += [_ratio(row[name]) for name in ("x_ours", "x_limit")]
        print(f"{row['name']:<36}{row['version']:>14}" + "".join(f"{n:>11}" for n in numbers) + f"  {row['note']}")
    sys.stdout.flush()


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def options(about: str) -> argparse.Namespace:
    """`--json FILE` and `--quick`, the two every script takes."""
    parser = argparse.ArgumentParser(description=about.strip().splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="also write every row to this file")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that all run, not to quote")
    return parser.parse_args()


def run(main: Callable[[bool], dict[str, Any]], about: str) -> None:
    """What each script does when it is run alone."""
    chosen = options(about)
    save(main(chosen.quick), chosen.json)


def save(tables: dict[str, Any], path: str | None) -> None:
    """Write the tables with what a reader needs to judge them."""
    if path:
        about = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "compiler": platform.python_compiler(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        }
        with Path(path).open("w", encoding="utf-8") as file:
            json.dump({"about": about, "tables": tables}, file, indent=1)
