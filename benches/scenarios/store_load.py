"""What two gateways are asked at a rate that does not wait, and what is told of it by window."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from steady import Outcome, Steady, clock, percentile
from store_site import CHAT, Site

FINE: Final = (200, 402, 429)
HITS: Final = 20
"""Texts that are asked for again and again."""
KINDS: Final = ("hit free", "miss free", "hit money", "miss money", "hit shared", "hit own")
MIX: Final = (0, 4, 5, 0, 4, 5, 1, 4, 5, 3, 0, 4, 5, 0, 4, 5, 2, 0, 1, 3)
"""Of twenty requests: five hits of a key that nothing bounds and two misses; a hit and two misses of one with a hard
budget; five of a key with a limit, asked at both gateways; and five of one asked at this gateway alone."""
PART: Final = 5 / len(MIX)


def limits(rate: float) -> dict[str, dict[str, Any]]:
    """The keys. `rate` is asked of each gateway; each limit lets in three quarters of what is asked of it."""
    both, one = 2 * PART * rate * 0.75, PART * rate * 0.75
    return {
        "free": {},
        "money": {"budget_day": 1_000.0},
        "shared": {"limit": f"{both * 60:.0f}/min burst {max(2, both / 2):.0f}"},
        "own0": {"limit": f"{one * 60:.0f}/min burst {max(2, one / 2):.0f}"},
        "own1": {"limit": f"{one * 60:.0f}/min burst {max(2, one / 2):.0f}"},
    }


def asked(site: Site, key: str, text: str) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps({"model": "any", "messages": [{"role": "user", "content": f"{key} {text}"}]}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {site.keys[key].secret}\r\n"
    return head.encode() + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def requests(site: Site, place: int) -> Callable[[], tuple[bytes, str]]:
    """What one gateway is asked, without end: bytes, and the kind."""
    own = f"own{place}"
    hits = {
        key: itertools.cycle([asked(site, key, f"again {number}") for number in range(HITS)])
        for key in ("free", "money", "shared", own)
    }

    def made() -> Iterator[tuple[bytes, str]]:
        for count, number in enumerate(itertools.cycle(MIX)):
            how, key = KINDS[number].split()
            key = own if key == "own" else key
            yield next(hits[key]) if how == "hit" else asked(site, key, f"new {place} {count}"), f"{how} {key}"

    return made().__next__


class Load:
    """Both gateways under load, and what came of it."""

    def __init__(self, site: Site, rate: float) -> None:
        self.rate = rate
        self.limits = limits(rate)
        self.each = [Steady(port, requests(site, place), rate) for place, port in enumerate(site.ports)]

    async def run(self, seconds: float) -> None:
        """Ask for so long."""
        await asyncio.gather(*(each.run(seconds) for each in self.each))

    @property
    def done(self) -> list[Outcome]:
        """All of it."""
        return [each for steady in self.each for each in steady.done]

    @property
    def lag(self) -> float:
        """How much later than due the load itself came to send, p99 in seconds."""
        return percentile(sorted(lag for each in self.each for lag in each.lags), 0.99)

    def by_key(self) -> Counter[str]:
        """Requests that were answered, by key."""
        return Counter(each.name.split()[1] for each in self.done if each.status == 200)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run, in seconds of `clock`."""

    name: str
    since: float
    until: float


def times(load: Load, window: Window) -> dict[str, Any]:
    """What was asked in it, what failed, and how long it took."""
    due = [each for each in load.done if window.since <= each.due < window.until]
    took = sorted((each.over - each.due) * 1e3 for each in due if each.status == 200)
    return {
        "window": window.name,
        "seconds": window.until - window.since,
        "asked": len(due),
        "failed": dict(Counter(str(each.status) for each in due if each.status not in FINE)),
        "p50": percentile(took, 0.5),
        "p99": percentile(took, 0.99),
        "most": took[-1] if took else float("nan"),
    }


def admitted(load: Load, window: Window) -> dict[str, Any]:
    """How many a second each limit let in, over the exact figure; of the one that both have, by gateway too."""
    found: dict[str, Any] = {"window": window.name}
    length = window.until - window.since
    for key in ("shared", "own0", "own1"):
        exact = float(load.limits[key]["limit"].split("/")[0]) / 60 * length
        counts = [
            sum(e.name == f"hit {key}" and e.status == 200 and window.since <= e.over < window.until for e in each.done)
            for each in load.each
        ]
        found[key] = sum(counts) / exact if exact else float("nan")
        if key == "shared":
            found["by gateway"] = [count / exact if exact else float("nan") for count in counts]
    return found


def by_second(load: Load, key: str, since: float, seconds: int) -> list[int]:
    """How many of a key were let in, second by second."""
    over = [e.over - since for e in load.done if e.name == f"hit {key}" and e.status == 200]
    return [sum(second <= at < second + 1 for at in over) for second in range(seconds)]


def strayed(at: Sequence[float], rate: float, burst: float, window: float) -> tuple[float, float]:
    """The most and least of all windows so long: beyond `burst + rate * window`, and off `rate * window`, as shares.

    A window begins at each admission; the last begins a window before the last.
    """
    most, least, ends = 0, len(at), 0
    for begins, first in enumerate(at):
        while ends < len(at) and at[ends] < first + window:
            ends += 1
        most = max(most, ends - begins)
        if first + window <= at[-1]:
            least = min(least, ends - begins)
    exact = rate * window
    return (most - burst - exact) / exact, least / exact - 1


def now() -> float:
    """The clock that all goes by."""
    return clock()
