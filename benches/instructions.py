"""Instructions per hot call, counted by callgrind and compared with `instructions.json`.

Each case is run with n calls and with 2n; the difference divided by n is what one call takes, start and setup taken
off. Prints every change, and exits with 1 when one is more than a tenth worse. Instructions are not time (a cache miss
is one instruction, too), but they are the same on a busy machine, and a change in them has a cause.

Hashes are seeded anew in every process, and a seed decides how often a table is probed twice, so counts vary. Over five
counts of one difference each: by up to 1.1 % for a Rust case (`tree_hostile`, which lives in a hash set: 3.6 %), over
three by up to 0.3 % for a Python one. So n is such that the difference is `ENOUGH` instructions, beside which what the
setup varies by is nothing, and a Rust case, being cheap, is the median of `RUNS`. Callgrind's processor has AVX2 and no
AVX-512, and no fast way to the clock: the time stands still in all cases that need one.

    python benches/instructions.py                  compare
    python benches/instructions.py --write          keep the new counts
    python benches/instructions.py --only rust tree take_hit
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE / "instructions.json"
WORSE = 1.10
ENOUGH = 8_000_000
FIRST_TRY = 2_000
RUNS = {"rust": 5, "python": 1}
MISSING = (
    "valgrind is not installed: apt-get install valgrind, dnf install valgrind, or leave this check to another machine"
)

Command = Callable[[str, int], list[str]]
# How a case of one side is run, and the names of its cases.
Cases = tuple[Command, list[str]]


def main() -> int:
    """Count, compare or keep, and say by the exit code what came of it."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("cases", nargs="*", help="the cases to count; by default all")
    options.add_argument("--only", choices=["rust", "python"], help="one side alone")
    options.add_argument("--write", action="store_true", help="keep the new counts in instructions.json")
    options.add_argument("--hot", type=Path, help="the built example `hot`; by default it is built")
    asked = options.parse_args()
    if shutil.which("valgrind") is None:
        print(MISSING, file=sys.stderr)
        return 2
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    sides = {side: commands(side, asked.hot) for side in ("rust", "python") if asked.only in (None, side)}
    counts = {side: count(side, cases, asked.cases, kept.get(side, {})) for side, cases in sides.items()}
    now = versions()
    print_versions(kept.get("versions", {}), now)
    worse = sum(compare(side, kept.get(side, {}), counts[side]) for side in sides)
    if asked.write:
        whole = {side: {**kept.get(side, {}), **counts.get(side, {})} for side in ("rust", "python")}
        KEPT.write_text(json.dumps({"versions": now, **whole}, indent=2) + "\n")
        return 0
    if worse:
        print(f"{worse} more than {WORSE - 1:.0%} worse; if that is meant, run again with --write", file=sys.stderr)
    return 1 if worse else 0


def commands(side: str, hot: Path | None) -> Cases:
    """How a case of one side is run, and the names of its cases."""
    if side == "rust":
        binary = str(hot or build())
        names = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True).stdout.split()
        return lambda case, calls: [binary, case, str(calls)], names
    script = [sys.executable, "-X", "utf8", str(HERE / "instructions_calls.py")]
    names = subprocess.run([*script, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return lambda case, calls: [*script, case, str(calls)], names


def build() -> Path:
    """Build the example and say where it lies."""
    command = ["cargo", "build", "--release", "--example", "hot", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, check=True, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return Path(next(message["executable"] for message in reversed(messages) if message.get("executable")))


def count(side: str, cases: Cases, wanted: list[str], kept: dict[str, float]) -> dict[str, float]:
    """Instructions of one call in each case, the empty loop's taken off."""
    command, names = cases
    asked = [case for case in names if case == "empty" or not wanted or case in wanted]
    counts = {case: per_call(command, case, kept.get(case), RUNS[side]) for case in asked}
    empty = counts.pop("empty")
    return {case: round(instructions - empty, 1) for case, instructions in counts.items()}


def per_call(command: Command, case: str, kept: float | None, runs: int) -> float:
    """Instructions of one turn of the loop; without a kept count a first try finds out how many calls are enough."""
    rough = kept if kept is not None else difference(command, case, FIRST_TRY) / FIRST_TRY
    calls = min(max(int(ENOUGH / max(rough, 1.0)), 100), 200_000)
    return statistics.median(difference(command, case, calls) for _ in range(runs)) / calls


def difference(command: Command, case: str, calls: int) -> int:
    """Instructions of so many calls, start and setup taken off."""
    return total(command(case, 2 * calls)) - total(command(case, calls))


def total(command: list[str]) -> int:
    """All instructions that a command takes."""
    with tempfile.TemporaryDirectory() as folder:
        grind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *command]
        fixed = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(grind, check=False, capture_output=True, text=True, env=fixed)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return int(found[1])


def versions() -> dict[str, str]:
    """What else the counts depend on."""

    def first_line(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]

    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "valgrind": first_line("valgrind", "--version"),
        "rustc": first_line("rustc", "--version"),
        "python": platform.python_version(),
    }


def print_versions(before: dict[str, str], after: dict[str, str]) -> None:
    """Say what else has changed: other versions count otherwise."""
    for what, was in before.items():
        if was != after.get(what):
            print(f"{what}: {was} before, {after.get(what)} now")


def compare(side: str, before: dict[str, float], after: dict[str, float]) -> int:
    """Print what has changed; how many cases are too much worse."""
    worse = 0
    for case, now in after.items():
        was = before.get(case)
        if was is None:
            print(f"{side:7}{case:22}{now:12,.1f}  new")
            continue
        ratio = now / was if was else 1.0
        mark = "  WORSE" if ratio > WORSE else ""
        worse += bool(mark)
        if round(ratio, 2) != 1.0:
            print(f"{side:7}{case:22}{was:12,.1f}{now:12,.1f}{ratio - 1:+8.1%}{mark}")
    print(f"{side}: {len(after)} cases, {worse} worse; changes of less than half a hundredth are not shown")
    return worse


if __name__ == "__main__":
    sys.exit(main())
