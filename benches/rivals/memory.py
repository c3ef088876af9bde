"""Bytes per thing, by the resident size of a fresh process before and after building it.

`per_item("caches:fill_dict", 100_000)` starts a new interpreter, calls `caches.fill_dict(100_000)`, which makes the
keys and values and returns a `build` function, measures, calls `build()`, and measures again. So keys and values are
not counted, while everything a library allocates is, whichever allocator it uses.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from harness import Missing

Target = tuple[str, dict[str, Any]]  # "module:function", and what it is called with after the count
_PAGE = os.sysconf("SC_PAGESIZE")


def resident() -> int:
    """Bytes of this process in memory, after giving back what is free."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def per_item(target: str, count: int, **options: Any) -> float:
    """Bytes per item of what `module:function` builds; `Missing` where that cannot be built."""
    if not Path("/proc/self/statm").exists():
        raise Missing("memory is measured on Linux only")
    command = [sys.executable, str(Path(__file__)), target, str(count), json.dumps(options)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False
    )
    if done.returncode:
        raise Missing(done.stderr.strip().split("\n")[-1][:160])
    return float(done.stdout) / count


def table(
    title: str, targets: dict[str, Target], count: int, note: dict[str, str] | None = None, *, span: bool = False
) -> list[dict[str, Any]]:
    """Measure and print one table of bytes per item.

    Hash tables double, so a single size may catch one library half empty and another full: with `span`, four sizes
    across one doubling around `count`, their mean and their range.
    """
    print(f"\n## {title}\n")
    rows: list[dict[str, Any]] = []
    counts = [int(count * factor) for factor in (0.75, 0.89, 1.06, 1.26)] if span else [count]
    for name, (function, options) in targets.items():
        row: dict[str, Any] = {"name": name, "note": (note or {}).get(name, "")}
        rows.append(row)
        try:
            sizes = [per_item(function, size, **options) for size in counts]
        except Missing as why:
            row["absent"] = str(why)
            print(f"{name:<36}  {why}", flush=True)
            continue
        row["bytes"], row["range"] = sum(sizes) / len(sizes), [min(sizes), max(sizes)]
        between = f" ({min(sizes):.0f} to {max(sizes):.0f})" if span else ""
        print(f"{name:<36}{row['bytes']:>10.1f} B{between}  {row['note']}", flush=True)
    return rows


def _child(target: str, count: int, options: dict[str, Any]) -> None:
    module, function = target.split(":")
    build = getattr(importlib.import_module(module), function)(count, **options)
    before = resident()
    kept = build()
    after = resident()
    print(after - before)
    sys.stdout.flush()
    del kept
    os._exit(0)  # some rivals run threads that would hold the process


if __name__ == "__main__":
    try:
        _child(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
    except Exception as error:  # noqa: BLE001 - whatever it is, the table says it in this rival's row
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
