"""Times contenders that each have a process of their own, in turns, and prints what came of it.

Machines drift, so every round runs each contender once, and what counts is the ratio of two rows within a round. Two
clocks are read: CPU time of the whole process, with what the library does in threads or leaves for later, and wall
time. The ratios are of CPU time, which other processes on the machine disturb less.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

ROUNDS = 7
BUDGET = 0.18  # seconds a contender may take of one round
FEWEST = 5  # calls in a turn
PATIENCE = 240  # characters of a reason that are shown

# Nothing asks the network for anything but the loopback server: litellm would fetch a price list when imported.
SETTINGS = {
    "PYTHONHASHSEED": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "OPENAI_API_KEY": "made-up",
    "ANTHROPIC_API_KEY": "made-up",
    "NO_PROXY": "127.0.0.1",
}


@dataclass
class Row:
    """A contender: `module:function`, which is called with `arguments` and gives what is timed.

    `expect` is what it must answer. `against` names the row it is laid over (a bare SDK call), of which the difference
    is shown. `process` names whose process it runs in, its module's by default.
    """

    name: str
    where: str
    arguments: tuple[Any, ...] = ()
    expect: Any = None
    role: Literal["limit", "rival", "ours"] = "rival"
    against: str = ""
    process: str = ""
    note: str = ""
    samples: list[dict[str, float]] = field(default_factory=list)
    version: str = ""
    absent: str = ""
    calls: int = 0

    @property
    def key(self) -> str:
        """What the worker keeps it under."""
        return json.dumps([self.where, *self.arguments])


class Workers:
    """The processes, started when they are first needed."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[str]] = {}

    def ask(self, row: Row, **more: Any) -> dict[str, Any]:
        module, function = row.where.split(":")
        name = row.process or module
        process = self._running.get(name) or self._start(name)
        asked = {"key": row.key, "module": module, "function": function, "arguments": row.arguments, **more}
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            del self._running[name]
            return {"absent": f"its process ended with status {process.wait()}"}
        return dict(json.loads(reply))

    def _start(self, name: str) -> "subprocess.Popen[str]":
        worker = str(Path(__file__).with_name("worker.py"))
        environment = {**os.environ, **SETTINGS}
        process = subprocess.Popen(
            [sys.executable, worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._running[name] = process
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
        for process in self._running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def timed(title: str, rows: Sequence[Row], workers: Workers, quick: bool) -> list[dict[str, Any]]:
    """Set up and check everybody, time them in turns, and print the table."""
    rounds, budget = (3, BUDGET / 6) if quick else (ROUNDS, BUDGET)
    for row in rows:
        _set_up(row, workers, budget)
    for _ in range(rounds):
        for row in rows:
            if not row.absent:
                _turn(row, workers)
    table = [_figures(row, rows) for row in rows]
    _show(title, table)
    return table


def _set_up(row: Row, workers: Workers, budget: float) -> None:
    reply = workers.ask(row)
    if "absent" not in reply and row.expect is not None and reply["said"] != row.expect:
        reply = {"absent": f"not timed: it answered {reply['said']!r}, not {row.expect!r}"}
    if "absent" not in reply:
        row.version = reply["version"]
        reply = workers.ask(row, times=FEWEST)
        if "absent" not in reply:  # the first calls warm it up, the next say how many fit into a turn
            reply = workers.ask(row, times=max(FEWEST, min(200, int(budget * 5e8 / reply["wall"]))))
    if "absent" in reply:
        row.absent = " ".join(str(reply["absent"]).split())[:PATIENCE]
    else:
        row.calls = max(FEWEST, int(budget * 1e9 / reply["wall"]))


def _turn(row: Row, workers: Workers) -> None:
    reply = workers.ask(row, times=row.calls)
    if "absent" in reply:
        row.absent = f"stopped: {reply['absent']}"[:PATIENCE]
    else:
        row.samples.append(reply)


def _figures(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    about = {"name": row.name, "role": row.role, "note": row.note}
    if row.absent:
        return {**about, "absent": row.absent}
    cpu = [sample["cpu"] / 1e3 for sample in row.samples]
    wall = [sample["wall"] / 1e3 for sample in row.samples]
    figures = {
        **about,
        "version": row.version,
        "us_cpu": statistics.median(cpu),
        "us_cpu_min": min(cpu),
        "us_wall": statistics.median(wall),
        "rounds": row.samples,
        "calls": row.calls * len(cpu),
    }
    ours = next((other for other in rows if other.role == "ours" and not other.absent), None)
    if ours:
        figures["x_ours"] = statistics.median(
            one / two["cpu"] * 1e3 for one, two in zip(cpu, ours.samples, strict=True)
        )
    bare = next((other for other in rows if other.name == row.against and not other.absent), None)
    if bare:
        figures["us_over"] = statistics.median(
            one - two["cpu"] / 1e3 for one, two in zip(cpu, bare.samples, strict=True)
        )
    return figures


def _show(title: str, table: Sequence[dict[str, Any]]) -> None:
    over = any("us_over" in row for row in table)
    heads = ["us CPU", "min", "us wall", *(["over bare"] if over else []), "x ours"]
    print(f"\n## {title}\n")
    print(f"{'contender':<40}{'version':>12}" + "".join(f"{head:>11}" for head in heads) + "  note")
    for row in table:
        if "absent" in row:
            print(f"{row['name']:<40}  left out: {row['absent']}")
            continue
        names = ["us_cpu", "us_cpu_min", "us_wall", *(["us_over"] if over else []), "x_ours"]
        figures = "".join(f"{_short(row.get(name)):>11}" for name in names)
        print(f"{row['name']:<40}{row['version']:>12}{figures}  {row['note']}")
    sys.stdout.flush()


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"
