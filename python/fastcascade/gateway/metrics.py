"""What one worker has counted, and the board that tells of all.

Each worker counts for itself, and puts that on a board that all workers share: whichever is asked tells of all,
told apart by the label `worker`. What the others say is up to `EVERY` seconds old. A worker that takes another's
place begins at zero, which Prometheus takes for the restart that it is.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from mmap import mmap
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway.slate import Slate
from fastcascade.telemetry.prometheus import Prometheus
from fastcascade.telemetry.prometheus_kinds import KINDS, Sample
from fastcascade.telemetry.prometheus_seen import breaker_open
from fastcascade.telemetry.prometheus_text import exposition, told

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.gateway.proxy import Routes
    from fastcascade.gateway.settings_seen import Promises

__all__ = ["EVERY", "KINDS", "Board", "Metrics", "exposition", "told"]

EVERY: Final = 0.5
KEYS: Final = 100
"""Keys with a budget that are told of."""


class Metrics(Prometheus):
    """What one worker counts: all that it hears of, and what only a gateway has."""

    def __init__(self, cascades: "Mapping[str, Cascade] | None" = None, *, promises: "Promises | None" = None) -> None:
        """Begin at zero."""
        super().__init__(cascades or {}, promises=promises)
        self.hits = self.misses = 0
        self.routes: Routes | None = None
        self.observed: Any = None
        """What observes, if anything does: with `counts`, `spent` and `saved`."""
        self.spending: Callable[[], Iterable[tuple[str, str, str, float, float]]] | None = None
        """Of keys with a budget: the name, the period, whether it is hard, what is spent, and of how much."""

    @property
    def caches(self) -> list[Any]:
        """Whose levels are told of."""
        return self.seen.caches

    @caches.setter
    def caches(self, caches: Iterable[Any]) -> None:
        self.seen.caches = list(caches)

    @property
    def dropped(self) -> dict[str, Callable[[], float]]:
        """By what for: how many events were dropped there."""
        return self.seen.dropped

    def others(self) -> Iterator[Sample]:
        """What is not counted by request."""
        yield from super().others()
        yield "fastcascade_cache_hits_total", (), self.hits
        yield "fastcascade_cache_misses_total", (), self.misses
        if self.routes is not None:
            yield from self._upstream(self.routes)
        if self.observed is not None:
            for became, n in self.observed.counts.items():
                yield "fastcascade_observed_total", (("became", became),), n
            yield "fastcascade_observed_spent_usd_total", (), self.observed.spent
            yield "fastcascade_observed_saved_usd", (), self.observed.saved
        if self.spending is not None:
            yield from _burnt(self.spending())

    @staticmethod
    def _upstream(routes: "Routes") -> Iterator[Sample]:
        for name, pool in routes.pools.items():
            for each in pool.instances:
                labels = (("pool", name), ("instance", each.name))
                yield "fastcascade_upstream_up", labels, int(each.alive)
                if each.circuit is not None:
                    yield "fastcascade_upstream_breaker_open", labels, breaker_open(each.circuit.state)


def _burnt(spending: Iterable[tuple[str, str, str, float, float]]) -> Iterator[Sample]:
    names: set[str] = set()
    told: set[tuple[tuple[str, str], ...]] = set()
    for key, period, how, spent, budget in spending:
        labels = (("key", key), ("period", period), ("kind", how))
        if (key not in names and len(names) >= KEYS) or labels in told:
            continue
        names.add(key)
        told.add(labels)
        yield "fastcascade_key_spent_usd", labels, spent
        yield "fastcascade_key_budget_usd", labels, budget


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
