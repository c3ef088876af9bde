"""A load that rises step by step, for each contender in turn: what it answers, how late, and what CPU that takes.

Connections: each sends its next request when the last is answered (wrk, a closed loop), so latency is that of so many
clients who wait: at N of them it is N by the rate, whatever the server, and a stall is felt by N requests alone, which
flatters p99.9. Rates: requests come due whether others were answered or not (`steady.py`), so latency there is that of
a rate, stalls and all; but that load is made in Python, takes more CPU than the servers do, and says when it was late.
"""

import asyncio
import http.client
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from contender import Contender
from mission_mix import PAGE, SHOWN, Mix, lua, to_check
from processes import Absent, cpu, memory, program
from steady import Steady, get, loop_factory, percentile

STEPS: Final = (1, 4, 16, 64, 256, 1_000)
RATES: Final = (1_000, 2_000, 5_000, 10_000)
MOST_FAILED: Final = 0.001
KEPT_UP: Final = 0.98
"""Of what came due was answered, and at once: else the rate is beyond it."""
LAG: Final = 5.0
"""Milliseconds at the 99th percentile that the load itself may be late: beyond that latencies are the load's too."""
LATE: Final = 1.0
"""Seconds at the median after which a rate is taken to be beyond it too."""


@dataclass(frozen=True)
class Pace:
    """How much is measured."""

    rounds: int = 3
    seconds: int = 3  # wrk takes whole ones
    steps: Sequence[int] = STEPS
    rates: Sequence[int] = RATES
    warm: int = 2


QUICK: Final = Pace(1, 1, (4, 64), (500,), 1)


@dataclass
class Row:
    """One contender at one step."""

    name: str
    step: int
    samples: list[dict[str, float]] = field(default_factory=list)
    absent: str = ""

    def figures(self) -> dict[str, Any]:
        """Medians of the rounds."""
        if not self.samples:
            return {"name": self.name, "step": self.step, "absent": self.absent or "not measured"}
        names = self.samples[0]
        medians = {name: statistics.median(each[name] for each in self.samples) for name in names}
        return {"name": self.name, "step": self.step, **medians, "rounds": self.samples}


def routed_alike(one: Contender, mix: Mix) -> int:
    """Ask for each route: how many requests the right one answered. Raises `Absent` at the first that it was not."""
    parts = urlsplit(one.url)
    link = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=10)
    asked = to_check(mix)
    try:
        for path, name in asked:
            link.request("GET", path)
            answer = link.getresponse()
            body = answer.read()
            shown = answer.getheader(SHOWN)
            if answer.status != 200 or shown != name or len(body) != len(PAGE):
                said = f"{answer.status}, {len(body)} bytes, by {shown!r} and not {name!r}"
                raise Absent(f"not measured: it routes otherwise: {path} had {said}")
    finally:
        link.close()
    return len(asked)


def started(contenders: Sequence[Contender], mix: Mix, folder: Path) -> None:
    """Start them all and check that they route alike; who does not says why."""
    for one in contenders:
        if one.absent:
            continue
        try:
            one.start(folder)
            if one.role != "part":
                routed_alike(one, mix)
        except (Absent, OSError, http.client.HTTPException) as error:
            one.absent = " ".join(str(error).split())[:300]
            one.end()


def by_connections(contenders: Sequence[Contender], mix: Mix, folder: Path, pace: Pace) -> list[dict[str, Any]]:
    """The table of a closed loop: each step for each contender in each round."""
    script = folder / "mix.lua"
    script.write_text(lua(mix), encoding="utf-8")
    rows = {(one.name, step): Row(one.name, step) for one in contenders for step in pace.steps}
    for one in contenders:
        if one.running is not None:
            _asked(one, 64, pace.warm, script, mix)
    for _ in range(pace.rounds):
        for step, one in itertools.product(pace.steps, contenders):
            _sample(rows[one.name, step], one, lambda one=one, step=step: _asked(one, step, pace.seconds, script, mix))  # type: ignore[misc]
    return [row.figures() for row in rows.values()]


def by_rate(contenders: Sequence[Contender], mix: Mix, pace: Pace) -> list[dict[str, Any]]:
    """The table of rates: a contender that does not keep up with one is not asked for more."""
    rows = {(one.name, rate): Row(one.name, rate) for one in contenders for rate in pace.rates}
    beyond: set[str] = set()
    for rate, one in itertools.product(pace.rates, contenders):
        row = rows[one.name, rate]
        if one.name in beyond:
            row.absent = "beyond it"
            continue
        for _ in range(pace.rounds):
            _sample(row, one, lambda one=one, rate=rate: _paced(one, mix, rate, pace.seconds))  # type: ignore[misc]
        if any(each["rate"] < KEPT_UP * rate or each["p50"] > LATE * 1e3 for each in row.samples):
            beyond.add(one.name)
    return [row.figures() for row in rows.values()]


def _sample(row: Row, one: Contender, load: Any) -> None:
    if one.running is None or one.absent:
        row.absent = one.absent
        return
    before = cpu(one.running.pid)
    try:
        done = load()
    except Absent as error:
        row.absent = str(error)
        return
    time.sleep(0.1)  # what is written when all is answered
    taken = cpu(one.running.pid) - before
    row.samples.append({**done, "us": taken / max(1.0, done["requests"]) * 1e6, "mb": memory(one.running.pid)})


def _asked(one: Contender, connections: int, seconds: int, script: Path, mix: Mix) -> dict[str, float]:
    try:
        wrk = program("wrk")
    except Absent:
        return _paced(one, mix, None, seconds, connections)
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), one.url]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"^FIGURES (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        raise Absent(f"wrk says nothing: {(ran.stdout + ran.stderr).strip()[-200:]}")
    done: dict[str, float] = json.loads(found[1])
    return {**done, "rate": done["requests"] / done["seconds"]}


def _paced(one: Contender, mix: Mix, rate: float | None, seconds: float, most: int = 1_000) -> dict[str, float]:
    asked = itertools.cycle([(get(path), "") for path, _ in mix.asked])
    load = Steady(int(urlsplit(one.url).port or 0), asked.__next__, rate, most)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(load.run(seconds))
    good = [each for each in load.done if each.status == 200 and each.body == len(PAGE)]
    times = sorted((each.over - each.due) * 1e3 for each in good)
    taken = max((each.over for each in good), default=0.0) - min((each.due for each in good), default=0.0)
    figures = {"requests": float(len(load.done)), "seconds": taken, "failed": float(len(load.done) - len(good))}
    figures |= {name: percentile(times, part) for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}
    return {**figures, "rate": len(good) / taken if taken else 0.0, "lag": percentile(sorted(load.lags), 0.99) * 1e3}


def show(title: str, table: Sequence[dict[str, Any]], step: str) -> None:
    """Print one, by step."""
    lag = any("lag" in row for row in table)
    heads = ["req/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "us CPU", "MB", *(["lag ms"] if lag else [])]
    print(f"\n## {title}   (load {os.getloadavg()[0]:.1f})\n")
    print(f"{step:>12}  {'contender':<14}" + "".join(f"{head:>11}" for head in heads))
    for row in sorted(table, key=lambda row: row["step"]):  # stable: contenders stay in their order
        if "absent" in row:
            print(f"{row['step']:>12,}  {row['name']:<14}  {row['absent']}")
            continue
        cells = [f"{row['rate']:,.0f}", *(f"{row[name]:.2f}" for name in ("p50", "p99", "p99.9"))]
        cells += [f"{row['failed']:,.0f}", f"{row['us']:.1f}", f"{row['mb']:.0f}"]
        cells += [f"{row['lag']:.2f}"] if lag and "lag" in row else []
        late = "  (the load itself was late)" if row.get("lag", 0.0) > LAG else ""
        print(f"{row['step']:>12,}  {row['name']:<14}" + "".join(f"{cell:>11}" for cell in cells) + late)
    for name in dict.fromkeys(row["name"] for row in table):
        rated = [row for row in table if row["name"] == name and "absent" not in row]
        if rated and not lag:
            best = max(rated, key=lambda row: row["rate"])
            print(f"{name}: grows until {best['step']:,} connections, {best['rate']:,.0f} requests/s")
    sys.stdout.flush()
