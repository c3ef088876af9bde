"""What the store of decisions costs: in the request's thread, in the writer's, on the disk, and in each query.

A day of decisions is written by a `Writer` and then asked for: half of them answered by rules, of the rest three in ten
escalated from the small model to the large one, over twenty slices, some of them failed or degraded. In the request's
thread and in the writer's, time is that of the thread itself. The writer is fed as fast as it goes. Each query is
the median of several, with the file's pages in memory; `from rows` is the same one over a file that has no sums.

    python benches/decision_store.py [--rows N]
"""

import argparse
import platform
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastcascade import Cascade, Tier
from fastcascade.answers import Answer, Attempt, Spent
from fastcascade.messages import Reply, Request, Text, Usage
from fastcascade.prices import Price
from fastcascade.telemetry import Decision
from fastcascade.telemetry.decisions import Decisions, Writer
from fastcascade.testing import ScriptedBackend

DAY: Final = 86_400
BEGAN: Final = 1_800_000_000.0
USAGE: Final = Usage(400, 120)
TURN: Final = 2_000
"""Decisions between two waits for the writer: its queue is bounded."""
LOOKS: Final = 5
CALLS: Final = 200_000


def main() -> None:
    """Fill a file, ask, and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    options.add_argument("--rows", type=int, default=1_000_000, help="decisions in the file (default: 1,000,000)")
    rows = options.parse_args().rows
    print(f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, Python {platform.python_version()},")
    print(f"SQLite {sqlite3.sqlite_version}, fastcascade {version('fastcascade')}; {rows:,} decisions over a day\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.db"
        asked, worked = filled(path, rows)
        print(f"{'request thread, us a decision':44}{asked * 1e6:10.2f}")
        print(f"{'writer thread, us a decision':44}{worked * 1e6:10.2f}")
        for name, size in sizes(path, rows):
            print(f"{name:44}{size:10.1f}")
        print(f"\n{'ms a query':44}{'with sums':>10}{'from rows':>11}")
        plain = without_sums(path)
        for (name, quick), (_, slow) in zip(queries(path), queries(plain), strict=True):
            print(f"{name:44}{timed(quick, LOOKS) * 1e3:10.1f}{timed(slow, 1) * 1e3:11.0f}")


def processor() -> str:
    """What the machine is called, where it says."""
    told = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in told.read_text().splitlines() if line.startswith("model name")] \
        if told.exists() else []  # fmt: skip
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def filled(path: Path, rows: int) -> tuple[float, float]:
    """Seconds a decision, in the thread that tells of it and in the one that writes."""
    writer, spent, made = Writer(path, megabytes=100_000, days=1_000, now=lambda: BEGAN + DAY, every=0.001), 0.0, 0
    ladder = cascade()
    worker = 0.0
    for some in chunks(ladder, rows):
        began = time.thread_time()
        for each in some:
            writer(each)
        spent += time.thread_time() - began
        made += len(some)
        if not writer.flush(600):
            raise SystemExit("the writer does not come along")
        worker = of_thread("fastcascade-decisions") or worker
    writer.close(600)
    return spent / made, worker / made


def of_thread(name: str) -> float | None:
    """Seconds of the processor that a thread of ours has taken."""
    for each in threading.enumerate():
        if each.name == name:
            return time.clock_gettime(time.pthread_getcpuclockid(each.ident or 0))
    return None


def chunks(ladder: Cascade, rows: int) -> Iterator[list[Decision]]:
    """All decisions, in the order of their times."""
    noise = random.Random(1)
    for first in range(0, rows, TURN):
        yield [decision(ladder, n, BEGAN + n / rows * DAY, noise) for n in range(first, min(rows, first + TURN))]


def cascade() -> Cascade:
    """Rules, a small model and a large one."""
    small, large = (
        Tier(ScriptedBackend(Reply((Text("yes"),), model=name, usage=USAGE), name=name, price=price), name=name)
        for name, price in (("small", Price(0.15, 0.6)), ("large", Price(2.5, 10.0)))
    )
    rules = Tier(ScriptedBackend(Reply((Text("yes"),), model="rules"), name="rules", price=Price(0, 0)), name="rules")
    return Cascade(rules, small, large, name="shop")


def decision(ladder: Cascade, n: int, at: float, noise: random.Random) -> Decision:
    """One of them."""
    kind, tried = noise.random(), []
    if kind < 0.5:
        tried = [attempt("rules", "accept", 0.0, noise)]
    else:
        tried = [attempt("rules", "empty", 0.0, noise)]
        up = kind > 0.85
        tried.append(attempt("small", "escalate" if up else "accept", 0.00013 * noise.lognormvariate(0, 0.7), noise))
        if up:
            tried.append(attempt("large", "accept", 0.0022 * noise.lognormvariate(0, 0.7), noise))
    tier = tried[-1].tier
    request = Request.of("where is it?", task=f"task {min(int(noise.paretovariate(0.6)), 20)}", id=f"r{n}")
    reply = Reply((Text("there"),), model=tier, usage=USAGE)
    short = "below threshold" if noise.random() < 0.01 else ""
    answer = Answer(reply, request, tier, attempts=tuple(tried), degraded=short)
    seconds = sum(each.latency for each in tried)
    status = 503 if noise.random() < 0.002 else 200
    return Decision("dispatch", tier, at, seconds, request.id, status, "/v1/chat/completions", "team", "shop", answer,
                    "", ladder)  # fmt: skip


def attempt(tier: str, verdict: str, cost: float, noise: random.Random) -> Attempt:
    """A try with one call."""
    took = {"rules": 0.0001, "small": 0.4, "large": 1.5}[tier] * noise.lognormvariate(0, 0.5)
    call = Spent(f"{tier}/answer", tier, USAGE, cost, False, 0.0, took)
    return Attempt(tier, verdict, 0.7, "", tier, None, 0.0, took, (call,))  # type: ignore[arg-type] # as said above


def sizes(path: Path, rows: int) -> Iterator[tuple[str, float]]:
    """Bytes a decision: of the whole file, and of the sums among it."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cells, bytes_ = db.execute("SELECT COUNT(*), SUM(LENGTH(paces)) FROM sums").fetchone()
    yield "bytes a decision, the whole file", path.stat().st_size / rows
    yield "  sums for each thousand decisions", cells / rows * 1_000
    yield "  bytes a decision of these for their times", (bytes_ or 0) / rows


def without_sums(path: Path) -> Path:
    """The same file as the version before would have it."""
    plain = path.with_name("plain.db")
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(plain)) as other:
        db.backup(other)
        other.execute("DELETE FROM sums")
        other.execute("UPDATE folded SET sealed = 0")
        other.commit()
    return plain


def queries(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What the report, top and the console ask; a day that ends between two minutes."""
    read, since, until = Decisions(path), BEGAN + 17.5, BEGAN + DAY
    yield "sums by slice, the day", lambda: read.sums(since, until, by="slice")
    yield "sums by layer, the day", lambda: read.sums(since, until, by="layer")
    yield "sums by way, the day", lambda: read.sums(since, until, by="way")
    yield "sums by hour, the day", lambda: read.sums(since, until, by="hour")
    yield "sums by tier, the day, of one slice", lambda: read.sums(since, until, by="tier", slice="task 1")
    yield "sums by slice, the last 15 minutes", lambda: read.sums(until - 880, until, by="slice")
    yield "funnel, the day", lambda: read.funnel(since, until)
    yield "savings, the day", lambda: read.savings(since, until)
    yield "savings, the day, of one slice", lambda: read.savings(since, until, slice="task 1")
    yield "page of 50", lambda: read.page(limit=50)
    yield "one, by its id", lambda: read.one("r7")


def timed(call: Callable[[], object], looks: int) -> float:
    """Seconds, the middle of several."""
    took = []
    for _ in range(looks):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    main()
