"""What has been counted, as Prometheus reads it.

Each worker counts for itself, and puts that on a board that all workers share: whichever is asked tells of all,
told apart by the label `worker`. What the others say is up to `EVERY` seconds old. A worker that takes another's
place begins at zero, which Prometheus takes for the restart that it is.
"""

import itertools
import marshal
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from mmap import mmap
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway import metrics_levels
from fastcascade.gateway.slate import Slate

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache
    from fastcascade.gateway.proxy import Routes
    from fastcascade.gateway.proxy_cache import RouteCache
    from fastcascade.wire.endpoint import Done

__all__ = ["EVERY", "Board", "Metrics", "exposition", "told"]

EVERY: Final = 0.5
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
KINDS: Final = {
    "fastcascade_requests_total": ("counter", "Requests that ended, by path, status, tier and how the answer came."),
    "fastcascade_request_seconds": ("histogram", "Seconds from the head of a request to the end of its answer."),
    "fastcascade_escalations_total": ("counter", "Tries of a tier that were not good enough, by tier."),
    "fastcascade_failures_total": ("counter", "Tries of a tier that failed, by tier."),
    "fastcascade_cost_usd_total": ("counter", "What is known of the cost of all calls, in US dollars."),
    "fastcascade_cost_unknown_total": ("counter", "Answers whose cost is not wholly known."),
    "fastcascade_tokens_total": ("counter", "Tokens of all calls, by kind."),
    "fastcascade_cache_hits_total": ("counter", "Requests answered from the gateway's cache."),
    "fastcascade_cache_misses_total": ("counter", "Requests that were looked for in the gateway's cache in vain."),
    **metrics_levels.KINDS,
    "fastcascade_upstream_up": ("gauge", "1 for an instance of a pool of routes that active checks find alive."),
    "fastcascade_observed_total": ("counter", "What became of observed requests."),
    "fastcascade_observed_spent_usd_total": ("counter", "What looking at them has cost, in US dollars."),
    "fastcascade_observed_saved_usd": ("gauge", "What the cascade would have saved on them, in US dollars."),
    "fastcascade_in_flight": ("gauge", "Requests in work."),
    "fastcascade_draining": ("gauge", "1 while the worker takes leave."),
}
"""Each family, in the order of the text."""

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What one worker counts."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._requests: dict[tuple[str, int, str, str], int] = {}
        self._seconds: dict[str, list[float]] = {}  # by path: one for each bound, one beyond, and the sum
        self._escalated: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._tokens = {"input": 0, "output": 0}
        self.cost = 0.0
        self.unknown = self.hits = self.misses = 0
        self.changes = 0
        self.caches: list[AnswerCache | RouteCache] = []
        self.routes: Routes | None = None
        self.observed: Any = None
        """What observes, if anything does: with `counts`, `spent` and `saved`."""

    def count(self, path: str, status: int, seconds: float | None, tier: str, via: str) -> None:
        """One request has ended; `seconds` are None where it took none, as an answer that is always the same."""
        self.changes += 1
        key = (path, status, tier, via)
        self._requests[key] = self._requests.get(key, 0) + 1
        if seconds is None:
            return
        row = self._seconds.get(path)
        if row is None:
            row = self._seconds[path] = [0.0] * (len(BOUNDS) + 2)
        row[bisect_left(BOUNDS, seconds)] += 1
        row[-1] += seconds

    def tell(self, done: "Done") -> None:
        """What became of one that reached a cascade."""
        answer = done.answer
        if answer is None:
            return
        unknown = False
        for attempt in answer.attempts:
            verdict = attempt.verdict
            if verdict in ("escalate", "abstain"):
                self._escalated[attempt.tier] = self._escalated.get(attempt.tier, 0) + 1
            elif verdict == "failed":
                self._failed[attempt.tier] = self._failed.get(attempt.tier, 0) + 1
            for call in attempt.calls:
                if call.cost_usd is None:
                    unknown = True
                else:
                    self.cost += call.cost_usd
                if call.usage is not None:
                    self._tokens["input"] += call.usage.input
                    self._tokens["output"] += call.usage.output
        self.unknown += unknown

    def packed(self, worker: str, gauges: Mapping[str, float], *, whole: bool = True) -> bytes:
        """All that this worker has counted, for the board: the text is made of it where somebody asks (`told`).

        Not `whole`, it is without histograms, which take most of the room.
        """
        seconds = self._seconds if whole else {}
        return marshal.dumps((worker, self._requests, seconds, list(self._others(gauges))))

    def _others(self, gauges: Mapping[str, float]) -> Iterator[tuple[str, Labels, float]]:
        """All but what is counted by path."""
        for name, label, table in (
            ("fastcascade_escalations_total", "tier", self._escalated),
            ("fastcascade_failures_total", "tier", self._failed),
            ("fastcascade_tokens_total", "kind", self._tokens),
        ):
            for key, n in table.items():
                yield name, ((label, key),), n
        yield "fastcascade_cost_usd_total", (), self.cost
        yield "fastcascade_cost_unknown_total", (), self.unknown
        yield "fastcascade_cache_hits_total", (), self.hits
        yield "fastcascade_cache_misses_total", (), self.misses
        yield from metrics_levels.samples(self.caches)
        if self.routes is not None:
            for (pool, instance), alive in self.routes.samples().items():
                yield "fastcascade_upstream_up", (("pool", pool), ("instance", instance)), int(alive)
        if self.observed is not None:
            for became, n in self.observed.counts.items():
                yield "fastcascade_observed_total", (("became", became),), n
            yield "fastcascade_observed_spent_usd_total", (), self.observed.spent
            yield "fastcascade_observed_saved_usd", (), self.observed.saved
        for name, value in gauges.items():
            yield name, (), value


def told(packed: bytes) -> str:
    """All lines of a worker, family by family, without their heads."""
    worker, requests, seconds, others = marshal.loads(packed)  # noqa: S302 - a fellow worker has written it
    lines: list[str] = []
    for name, labels, value in itertools.chain(_by_path(requests, seconds), others):
        said = ",".join(f'{key}="{_escaped(text)}"' for key, text in (("worker", worker), *labels))
        lines.append(f"{name}{{{said}}} {value:.12g}\n")
    return "".join(lines)


def _by_path(
    requests: Mapping[tuple[str, int, str, str], int], seconds: Mapping[str, list[float]]
) -> Iterator[tuple[str, Labels, float]]:
    for (path, status, tier, via), n in requests.items():
        labels = (("path", path), ("status", str(status)), ("tier", tier), ("via", via))
        yield "fastcascade_requests_total", labels, n
    for path, row in seconds.items():
        total = 0.0
        for bound, counted in zip((*map(str, BOUNDS), "+Inf"), row, strict=False):
            total += counted
            yield "fastcascade_request_seconds_bucket", (("path", path), ("le", bound)), total
        yield "fastcascade_request_seconds_sum", (("path", path),), row[-1]
        yield "fastcascade_request_seconds_count", (("path", path),), total


def exposition(texts: Iterable[str]) -> str:
    """The whole text of what workers have said: all samples of a family stand together, below its head."""
    lines: dict[str, list[str]] = {name: [] for name in KINDS}
    for text in texts:
        for line in text.splitlines(keepends=True):
            name = line.partition("{")[0]
            family = name if name in lines else name.rpartition("_")[0]
            if family in lines:
                lines[family].append(line)
    return "".join(
        f"# HELP {name} {KINDS[name][1]}\n# TYPE {name} {KINDS[name][0]}\n{''.join(said)}"
        for name, said in lines.items()
        if said
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Board:
    """What processes with one parent share; each writes in one place, and reads all.

    A place begins with a number that is odd while it is written, and with the length: a reader who finds the number
    odd, or another after reading, reads again.
    """

    HEAD: Final = struct.Struct("=II")

    def __init__(self, places: int, size: int = 512 * 1024) -> None:
        """Make it, before the processes are made; memory is taken when it is written."""
        self.places, self.size = places, size
        self._memory = mmap(-1, places * size)
        self.slate = Slate(places)
        """Where they tell one another what was purged."""

    def write(self, place: int, said: bytes) -> bool:
        """Put something in one's place; False where it is too long, and what was there stays."""
        if len(said) > self.size - self.HEAD.size:
            return False
        at = place * self.size
        number = self.HEAD.unpack_from(self._memory, at)[0] | 1
        self.HEAD.pack_into(self._memory, at, number, 0)
        self._memory[at + self.HEAD.size : at + self.HEAD.size + len(said)] = said
        self.HEAD.pack_into(self._memory, at, (number + 1) & 0xFFFFFFFF, len(said))
        return True

    def clear(self, place: int) -> None:
        """Take off what is there, of one who is gone."""
        self.HEAD.pack_into(self._memory, place * self.size, 0, 0)

    def read(self) -> dict[int, bytes]:
        """All there is, by place."""
        found: dict[int, bytes] = {}
        for place in range(self.places):
            at = place * self.size
            for _ in range(8):
                number, length = self.HEAD.unpack_from(self._memory, at)
                said = self._memory[at + self.HEAD.size : at + self.HEAD.size + length]
                if not number & 1 and self.HEAD.unpack_from(self._memory, at) == (number, length):
                    if said:
                        found[place] = said
                    break
        return found
