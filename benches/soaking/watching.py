"""What processes hold while they live: memory, descriptors, threads, tasks; and whether that grows."""

import re
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

MOST_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class Held:
    """What one process held at a time; memory in bytes."""

    at: float
    pss: int
    rss: int
    descriptors: int
    threads: int
    tasks: int
    blocks: int
    kinds: Counter[str]


@dataclass(slots=True)
class Watch:
    """Samples of each process, by pid, oldest first."""

    folder: Path
    samples: dict[int, list[Held]] = field(default_factory=dict)

    def look(self, pids: list[int]) -> None:
        """Take a sample of each."""
        for pid in pids:
            with suppress(OSError, KeyError):  # it has ended
                self.samples.setdefault(pid, []).append(held(pid, self.folder))


def held(pid: int, folder: Path) -> Held:
    """What a process holds now; tasks and blocks are what it said last, 0 before it has said so."""
    rollup = dict(_pairs(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    status = dict(_pairs(Path(f"/proc/{pid}/status").read_text()))
    tasks = blocks = 0
    with suppress(OSError, ValueError):
        tasks, blocks = map(int, (folder / f"held-{pid}").read_text().split())
    kinds: Counter[str] = Counter()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed by now
            kinds[re.sub(r":.*", "", str(each.readlink()))] += 1
    pss, rss = rollup["Pss"] * 1024, rollup["Rss"] * 1024
    return Held(time.monotonic(), pss, rss, kinds.total(), status["Threads"], tasks, blocks, kinds)


def _pairs(text: str) -> Any:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdigit():
            yield name, int(number[0])


def slope(points: list[tuple[float, float]]) -> float:
    """How much it grows in ten minutes: the median of the slopes of all pairs (Theil 1950, Sen 1968)."""
    points = points[:: len(points) // MOST_POINTS + 1]
    slopes = [(b - a) / (y - x) for (x, a), (y, b) in combinations(points, 2) if y > x]
    return 600 * statistics.median(slopes) if slopes else 0.0


def growth(samples: list[Held], name: str, since: float) -> float:
    """The slope of one thing that a process holds, from a time on."""
    return slope([(each.at, float(getattr(each, name))) for each in samples if each.at >= since])
