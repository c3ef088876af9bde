"""Counts decisions, as Prometheus reads them.

    metrics = Prometheus(cascade)
    subscribe(metrics)
    metrics.text()                                          # what a scrape is answered with

Where an app has `prometheus_client` and serves its own: `REGISTRY.register(metrics.collector())`. The gateway has one
of these in each worker. All that a request moves is counted in one walk under one lock, by rows that are found by what
the event says and made into series when somebody asks (`benches/telemetry.py` has what that takes, and what a metric
of `prometheus_client` for each would).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, get_args
from weakref import ReferenceType, finalize, ref

from fastcascade import notices
from fastcascade.messages import MOST_TOKENS
from fastcascade.telemetry.baseline import baseline_usd
from fastcascade.telemetry.events import Decision, Event
from fastcascade.telemetry.events import Graded as Grade
from fastcascade.telemetry.prometheus_kinds import Sample
from fastcascade.telemetry.prometheus_rows import BOUNDS, Decided, Graded, Names, Rows
from fastcascade.telemetry.prometheus_seen import Seen, by_name, known_slices
from fastcascade.telemetry.prometheus_text import exposition, pack, samples_of, told

if TYPE_CHECKING:
    from fastcascade.answers import Answer
    from fastcascade.cascade import Cascade
    from fastcascade.gateway.settings_seen import Promises
    from fastcascade.notices import Notice

__all__ = ["Prometheus"]

SLICES: Final = 50
REGENERATED: Final = "a regenerated answer"
"""Why a request enters where it does, in the words of `lanes`."""


class Prometheus:
    """A listener to events. Its memory is bounded, whatever clients make up.

    Args:
        cascades: whose breakers, caches and reviews are told of too: one, several, or by name.
        promises: what alerts go by.
        slices: names of slices that have a place beside the first 50; those of the lanes have one anyway.
    """

    def __init__(
        self,
        cascades: "Cascade | Iterable[Cascade] | Mapping[str, Cascade]" = (),
        *,
        promises: "Promises | None" = None,
        slices: Iterable[str] = (),
    ) -> None:
        """Begin at zero, and hear of notices for as long as somebody holds this."""
        self.cascades = by_name(cascades)
        self.changes = 0
        self.seen = Seen(self.cascades, promises)
        self._lock = Lock()
        self._news = Lock()  # of notices alone: one may be made where an event is counted, by a backend's own price
        self._slices = Names(SLICES, (*slices, *known_slices(self.cascades.values())))
        self._words, self._models = Names(40), Names(50)
        self._rows = Rows()
        self._plain, self._decided, self._tried = self._rows.plain, self._rows.decided, self._rows.tried
        self._degraded: dict[tuple[str, str], int] = {}
        self._again: dict[tuple[str, str, str], int] = {}
        self._graded: dict[tuple[str, str, str], Graded] = {}
        self._feedback: dict[tuple[str, str, str], list[float]] = {}
        # To Prometheus a counter that begins above zero has not increased: what alerts go by is there from the start.
        self._notices: dict[tuple[str], int] = {(kind,): 0 for kind in get_args(notices.NoticeKind)}
        for name, cascade in self.cascades.items():
            for tier in cascade.rungs:
                self._rows.new_tried(name, tier.name, "", "accept")
        self._unknown = 0
        finalize(self, notices.subscribe(_heard_by(ref(self))))

    # What it hears.

    def __call__(self, event: Event) -> None:
        """Count a decision or a grade. Any thread may call."""
        if type(event) is not Decision:
            if type(event) is Grade:
                self._grade(event)
            return
        self._lock.acquire()  # on CPython 3.11 this costs half of what `with` does
        try:
            self.changes += 1
            answer = event.answer
            if answer is not None:
                row = self._answered(event, answer)
            else:
                plain = (event.path, event.status, event.layer, event.by, event.detail, event.cascade)
                row = self._plain.get(plain) or self._rows.new_plain(*plain)
            row.n += 1
            seconds = event.seconds
            if seconds is not None:
                histogram = row.times
                histogram[bisect_left(BOUNDS, seconds)] += 1
                histogram[-1] += seconds
        finally:
            self._lock.release()

    def _answered(self, event: Decision, answer: "Answer") -> Decided:  # noqa: C901 - one walk: a call costs as much
        """Count what a cascade came to: its tries, its calls, its cost."""
        request, cascade = answer.request, event.cascade
        kind = self._slices[request.route or request.task]
        told = (event.path, event.status, event.layer, event.by, cascade, kind, answer.tier, answer.via)
        row = self._decided.get(told) or self._rows.new_decided(*told)
        unknown, spent, tried = False, 0.0, self._tried
        for attempt in answer.attempts:
            calls = attempt.calls
            tries = (cascade, attempt.tier, kind, attempt.verdict)
            of = tried.get(tries) or self._rows.new_tried(*tries)
            of.n += 1
            if not calls:
                continue
            of.calls += len(calls)
            took = attempt.latency
            histogram = of.times
            histogram[bisect_left(BOUNDS, took)] += 1
            histogram[-1] += took
            for call in calls:
                cost, usage = call.cost_usd, call.usage
                if cost is None or not 0.0 <= cost < inf:  # one NaN, and a counter says nothing ever after
                    unknown = True
                    of.unpriced += 1
                else:
                    spent += cost
                    of.cost += cost
                if usage is not None and 0 <= usage.input < MOST_TOKENS and 0 <= usage.output < MOST_TOKENS:
                    of.input += usage.input
                    of.output += usage.output
                if call.failure is not None and call.label.rpartition("~")[2].isdigit():
                    of.again += 1
        if unknown:
            self._unknown += 1
        elif event.ladder is not None and (baseline := baseline_usd(answer, event.ladder)) is not None:
            row.baseline += baseline
            row.compared += spent
            row.both += 1
        if answer.degraded:
            _count(self._degraded, (self._rows.cascades[cascade], self._words[answer.degraded]))
        entrance = answer.entrance
        if request.regenerate or (entrance is not None and entrance.why == REGENERATED):
            rows = self._rows
            _count(self._again, (rows.cascades[cascade], rows.tiers[answer.tier], self._models[answer.model]))
        return row

    def _grade(self, event: Grade) -> None:
        if not 0.0 <= event.score <= 1.0:
            return
        propensity, rows = event.propensity, self._rows
        with self._lock:
            cascade, tier = rows.cascades[event.cascade], rows.tiers[event.tier]
            self.changes += 1
            if propensity is not None:
                if 0.0 < propensity <= 1.0:
                    key = (cascade, tier, self._slices[event.slice])
                    if (row := self._graded.get(key)) is None:
                        row = self._graded[key] = Graded()
                    row.add(event.score, 1.0 / propensity)
                return
            told = self._feedback.setdefault((cascade, tier, self._words[event.source]), [0.0, 0.0])
            told[0] += 1
            told[1] += event.score

    def hear(self, notice: "Notice") -> None:
        """Count a notice. It hears of all by itself."""
        with self._news:
            self.changes += 1
            _count(self._notices, (notice.kind,))

    # What it tells.

    def packed(self, worker: str = "", gauges: Mapping[str, float] | None = None, *, whole: bool = True) -> bytes:
        """All that was counted: the text is made of it where somebody asks (`told`).

        Not `whole`, it is without histograms, which take most of the room.
        """
        with self._news:
            heard = dict(self._notices)
        others = [*self.others(), *((name, (), value) for name, value in (gauges or {}).items())]
        with self._lock:
            tables = {
                "decided": self._decided,
                "times": self._rows.times if whole else {},
                "tried": self._tried,
                "tier_times": self._rows.tier_times if whole else {},
                "degraded": self._degraded,
                "again": self._again,
                "graded": self._graded,
                "feedback": self._feedback,
                "notices": heard,
                "unknown": self._unknown,
            }
            return pack(worker, tables, others)

    def others(self) -> Iterable[Sample]:
        """What is not counted here but looked at: breakers, caches, reviews, promises."""
        return self.seen.samples()

    def text(self) -> str:
        """What a scrape is answered with."""
        return exposition([told(self.packed())])

    def collector(self) -> Any:
        """For `prometheus_client.REGISTRY.register`. Raises `ConfigError` where there is no such package."""
        from fastcascade.telemetry.prometheus_client import Collector  # noqa: PLC0415 - an optional package

        return Collector(lambda: samples_of(self.packed())[1])

    async def refresh(self) -> None:
        """Look how many reviews wait. Worth calling every five seconds; oftener it does nothing."""
        if await self.seen.refresh():
            self.changes += 1


def _heard_by(held: "ReferenceType[Prometheus]") -> "Callable[[Notice], object]":
    """What passes notices on, and keeps nobody alive."""

    def hear(notice: "Notice") -> None:
        found = held()
        if found is not None:
            found.hear(notice)

    return hear


def _count(table: Any, key: Any) -> None:
    table[key] = table.get(key, 0) + 1
