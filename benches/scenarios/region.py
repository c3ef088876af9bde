"""A primary region killed under load, and back again: two regions of two apps each, behind each contender in turn.

GETs and POSTs come at a steady rate that does not wait for answers. Both apps of the primary are killed at once
(SIGKILL), and started again some seconds later. Every request is followed: what its client heard, who answered, and
for a POST how often it was carried out, which the apps write into a ledger before they answer.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from contender import Contender
from mission_mix import Mix
from processes import Running, asked, free_port
from steady import Outcome, Steady, clock, get, loop_factory, percentile, refused

POSTS: Final = 10  # every so many requests is a POST
WAITS: Final = ("0.002", "0.02")  # seconds that a GET takes, and a POST
LOOK: Final = 0.05
CHECKS: Final = 2
"""Connections to dead instances in one look that may be active checks: one to each, once a second."""
AROUND: Final = (-2, 5)
"""Seconds around the kill, and around the return, that are shown one by one."""


@dataclass(frozen=True)
class Times:
    """Seconds before the kill, from there to the start of the primary again, and from there to the end."""

    before: float = 5.0
    dead: float = 10.0
    after: float = 12.0


QUICK: Final = Times(1.0, 2.5, 3.5)


class Regions:
    """The apps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.ledger = folder / "ledger"
        self.ports = {"primary": (free_port(), free_port()), "secondary": (free_port(), free_port())}
        self._running: dict[int, Running] = {}

    def places(self, region: str) -> list[str]:
        """Hosts and ports."""
        return [f"127.0.0.1:{port}" for port in self.ports[region]]

    def start(self, region: str, *, wait: bool = True) -> None:
        """Start both of one."""
        script = str(Path(__file__).with_name("placed.py"))
        for port in self.ports[region]:
            home = self.folder / f"{port}-{time.monotonic_ns()}"
            home.mkdir()
            command = [sys.executable, script, str(port), region, str(self.ledger), *WAITS]
            self._running[port] = Running(command, home, {})
        for port in self.ports[region] if wait else ():
            self._running[port].until(lambda port=port: asked(f"http://127.0.0.1:{port}/", "GET", {}, b"")[0] == 200)

    def answers(self, region: str) -> bool:
        """Whether all of one are there again; asks each, so it is not for a loop with a load in it."""
        try:
            return all(asked(f"http://127.0.0.1:{port}/", "GET", {}, b"")[0] == 200 for port in self.ports[region])
        except (OSError, HTTPException):
            return False

    def kill(self, region: str) -> None:
        """End both of one without a word."""
        for port in self.ports[region]:
            os.kill(self._running[port].pid, signal.SIGKILL)

    def carried_out(self) -> Counter[str]:
        """POSTs by name, with how often each was."""
        return Counter(self.ledger.read_text(encoding="ascii").split()) if self.ledger.exists() else Counter()

    def end(self) -> None:
        """End all."""
        for each in self._running.values():
            each.end()


@dataclass
class Drill:
    """What happened to one contender, in seconds of `clock`."""

    killed: float = 0.0
    started: float = 0.0  # the primary, again
    back: float = 0.0  # all of it answers again
    refused: tuple[tuple[float, int], ...] = ()  # connections, by the time of the look
    done: Sequence[Outcome] = ()
    lag: float = 0.0


def drilled(one: Contender, mix: Mix, regions: Regions, rate: float, times: Times) -> dict[str, Any]:
    """One contender, which runs already: what it did."""
    before = regions.carried_out()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        drill = runner.run(_drill(one, mix, regions, rate, times))
    return {"name": one.name, "note": one.note, "rate": rate, **figures(drill, regions.carried_out() - before)}


async def _drill(one: Contender, mix: Mix, regions: Regions, rate: float, times: Times) -> Drill:
    loop, drill = asyncio.get_running_loop(), Drill()
    load = Steady(int(urlsplit(one.url).port or 0), _requests(one.name, mix).__next__, rate)
    running = loop.create_task(load.run(times.before + times.dead + times.after))
    looks: list[tuple[float, int]] = []
    looking = loop.create_task(_look(looks))
    await asyncio.sleep(times.before)
    regions.kill("primary")
    drill.killed = clock()
    await asyncio.sleep(times.dead)
    regions.start("primary", wait=False)
    drill.started = clock()
    while not await loop.run_in_executor(None, regions.answers, "primary"):  # noqa: ASYNC110 - a process tells of no event
        await asyncio.sleep(0.02)
    drill.back = clock()
    await running
    looking.cancel()
    drill.refused = tuple((at, now - last) for (_, last), (at, now) in itertools.pairwise(looks))
    drill.done, drill.lag = load.done, percentile(sorted(load.lags), 0.99)
    return drill


async def _look(looks: list[tuple[float, int]]) -> None:
    while True:
        looks.append((clock(), refused()))
        await asyncio.sleep(LOOK)


def _requests(name: str, mix: Mix) -> Any:
    gets = itertools.cycle([get(path) for path, _ in mix.asked])
    whose = "".join(letter for letter in name if letter.isalnum())
    path = mix.asked[0][0]
    for number in itertools.count(1):
        if number % POSTS:
            yield next(gets), ""
        else:
            about = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 64\r\nx-name: {whose}{number}\r\n\r\n"
            yield about.encode() + b"x" * 64, f"{whose}{number}"


def figures(drill: Drill, carried: Counter[str]) -> dict[str, Any]:
    """What is told of a drill."""
    done, killed = drill.done, drill.killed
    gets, posts = [each for each in done if not each.name], [each for each in done if each.name]
    lost = [each for each in posts if each.status != 200]
    secondary = [each.over for each in done if each.region == "secondary" and each.over >= killed]
    returned = [each.over for each in done if each.region == "primary" and each.over > drill.started]
    quiet = [at for at, count in drill.refused if killed < at < drill.started and count > CHECKS]
    return {
        "gets": len(gets),
        "gets_failed": sum(each.status != 200 for each in gets),
        "posts": len(posts),
        "posts_failed": len(lost),
        "posts_failed_carried_out": sum(carried[each.name] > 0 for each in lost),
        "posts_lost": sum(each.status == 200 and not carried[each.name] for each in posts),
        "posts_twice": sum(count > 1 for count in carried.values()),
        "failed_statuses": dict(Counter(str(each.status) for each in done if each.status != 200)),
        "first_secondary": min(secondary, default=killed - 1.0) - killed if secondary else None,
        "last_failure": max((each.over for each in done if each.status != 200), default=killed) - killed,
        "asked_no_more": max(quiet, default=killed) - killed,
        "refused": sum(count for at, count in drill.refused if killed < at < drill.started),
        "started_in": drill.back - drill.started,
        "first_return": min(returned) - drill.back if returned else None,
        "last_secondary": max(secondary, default=drill.back) - drill.back,
        "lag": drill.lag * 1e3,
        "seconds": _by_second(done, killed, "kill") + _by_second(done, drill.back, "return"),
    }


def _by_second(done: Sequence[Outcome], zero: float, what: str) -> list[dict[str, Any]]:
    rows = []
    for second in range(*AROUND):
        due = [each for each in done if zero + second <= each.due < zero + second + 1]
        times = sorted((each.over - each.due) * 1e3 for each in due if each.status == 200 and not each.name)
        where = Counter(each.region for each in due)
        rows.append(
            {
                "around": what, "second": second, "requests": len(due), "p50": percentile(times, 0.5),
                "p99": percentile(times, 0.99), "most": percentile(times, 1.0),
                "failed": sum(each.status != 200 for each in due),
                "primary": where["primary"], "secondary": where["secondary"],
            }
        )  # fmt: skip
    return rows


def show(table: Sequence[dict[str, Any]]) -> None:
    """Print it."""
    heads = ("GETs", "failed", "POSTs", "failed", "done", "twice", "2nd s", "quiet s", "refused", "back s", "all s")
    print(f"\n## a primary region killed under load, and back   (load {os.getloadavg()[0]:.1f})\n")
    print(f"{'contender':<14}{'req/s':>8}" + "".join(f"{head:>10}" for head in heads) + "  note")
    names = ("gets", "gets_failed", "posts", "posts_failed", "posts_failed_carried_out", "posts_twice")
    names += ("first_secondary", "asked_no_more", "refused", "first_return", "last_secondary")
    for row in table:
        if "absent" in row:
            print(f"{row['name']:<14}  left out: {row['absent']}")
            continue
        cells = [f"{row[name]:.3f}" if isinstance(row[name], float) else f"{row[name]!s}" for name in names]
        print(f"{row['name']:<14}{row['rate']:>8,.0f}" + "".join(f"{each:>10}" for each in cells) + f"  {row['note']}")
        if row["failed_statuses"]:
            print(f"{'':<14}failed: {json.dumps(row['failed_statuses'])}")
    print(
        "done: failed POSTs that were carried out, though clients heard otherwise; twice: POSTs carried out twice;\n"
        "2nd: from the kill to the first answer of the secondary; quiet: to the last of more refused connections than "
        "checks make;\nback: from when the primary answers again to its first answer here; all: to the secondary's last"
    )
    print("\np99 of GETs in ms (failed requests, share by the secondary), by the second they were due in\n")
    shown = [row for row in table if "absent" not in row]
    print(f"{'':<16}" + "".join(f"{row['name']:>26}" for row in shown))
    for rows in zip(*(row["seconds"] for row in shown), strict=True):
        if not any(each["requests"] for each in rows):
            continue  # a quick run ends before
        cells = [
            f"{each['p99']:,.1f} ({each['failed']}, {each['secondary'] / max(1, each['requests']):.0%})"
            for each in rows
        ]
        print(f"{rows[0]['around']:>8} {rows[0]['second']:>+4} s  " + "".join(f"{cell:>26}" for cell in cells))
    sys.stdout.flush()
