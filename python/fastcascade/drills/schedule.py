"""Drills in production: now and then the primary is treated as off, for a share of the requests.

    drill = ScheduledDrill(share=0.01, every=86_400.0, lasting=60.0)
    detach = drill.attach(cascade)
    drill.reports[-1]

Nothing is broken for it: those requests pass by the primary as if its breaker were open, and everybody else goes on as
ever. No breaker, no budget for retries and no active check is touched, as long as somebody else can answer.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from fastcascade.answers import Answer
from fastcascade.backends.backend import Backend
from fastcascade.drills.load import label_of, served_by
from fastcascade.drills.primary import chosen, is_local
from fastcascade.drills.report import percentile
from fastcascade.drills.scenarios import SCENARIOS, Scenario, scenario_of
from fastcascade.drills.views import View, seen_through, views_of
from fastcascade.effects import Effect, Outcome
from fastcascade.entry.pool import Pool
from fastcascade.errors import AnswerError, ConfigError
from fastcascade.messages import Request
from fastcascade.notices import notify

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Drilled", "ScheduledDrill", "detached"]

FITTING: Final = ("primary off", "all regions off")
KEPT: Final = 100
"""Reports that are kept, and latencies of each."""
LEAST: Final = 20
"""Requests on which a share is judged at least, so that the first few do not end a drill."""


@dataclass(slots=True)
class Drilled:
    """What came of one drill in production. `began` is in seconds since 1970."""

    scenario: str
    struck: tuple[str, ...]
    began: float
    requests: int = 0  # that were drilled
    lost: int = 0
    degraded: int = 0
    served: Counter[str] = field(default_factory=Counter)
    others: int = 0  # requests in the same time that were not
    others_degraded: int = 0
    aborted: str = ""  # why it ended early
    over: bool = False
    latencies: "deque[float]" = field(default_factory=lambda: deque(maxlen=KEPT), repr=False)

    @property
    def excess(self) -> float:
        """Requests that were degraded beyond the share that was so among those not drilled."""
        return self.degraded - self.requests * (self.others_degraded / self.others if self.others else 0.0)

    @property
    def p50(self) -> float | None:
        """Seconds that half of the last requests took at most."""
        return percentile(self.latencies, 50)

    @property
    def p99(self) -> float | None:
        """Seconds that nearly all of the last requests took at most."""
        return percentile(self.latencies, 99)

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        names = ("scenario", "struck", "began", "requests", "lost", "degraded", "others", "others_degraded", "aborted")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {**found, "served": dict(self.served), "p50": self.p50, "p99": self.p99}


class ScheduledDrill:
    """Treats the primary as off for a share of requests, for a while, again and again.

    It goes by the requests that come: no thread and no timer is behind it. Each process drills by itself.

    Args:
        scenario: "primary off", or "all regions off", which has nothing left but the chain of fallbacks.
        share: the part of the requests that are drilled; chosen by the request's `id`, the same in every process, or
            drawn where it has none.
        every: seconds from the beginning of a drill to that of the next.
        lasting: seconds it lasts.
        first: seconds after it is attached until the first.
        degraded: the share of drilled requests that may be degraded beyond those not drilled; above it, the drill is
            ended and a notice made. A lost request ends it at once.
        tier: the tier whose primary it is; the first that asks anybody by default.
        draw: gives numbers from 0 to 1; for tests.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        scenario: str | Scenario = "primary off",
        *,
        share: float = 0.01,
        every: float = 86_400.0,
        lasting: float = 60.0,
        first: float = 300.0,
        degraded: float = 0.05,
        tier: str = "",
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Check the settings."""
        self.scenario = scenario_of(scenario)
        if SCENARIOS.get(self.scenario.name) is not self.scenario or self.scenario.name not in FITTING:
            msg = f"a drill in production is one of {', '.join(FITTING)}, not {self.scenario.name!r}: nothing is broken"
            raise ConfigError(msg)
        for name, bad in (
            ("share", not 0 < share <= 1),
            ("lasting", not lasting > 0),
            ("every", not every > lasting),
            ("first", not first >= 0),
            ("degraded", not 0 <= degraded <= 1),
        ):
            if bad:
                msg = f"a scheduled drill's {name} cannot be {locals()[name]!r}"
                raise ConfigError(msg)
        self.share = share
        self.every = every
        self.lasting = lasting
        self.first = first
        self.degraded = degraded
        self.tier = tier
        self.reports: deque[Drilled] = deque(maxlen=KEPT)
        self._draw = draw
        self._lock = Lock()
        self._since: float | None = None  # when the first request came, by the driver's clock
        self._number = -1  # of the drill under way, or the last
        self._current: Drilled | None = None
        self._cascade: Cascade | None = None
        self._views: dict[int, View] = {}
        self._struck: tuple[str, ...] = ()

    @property
    def current(self) -> Drilled | None:
        """The drill under way, if there is one."""
        return self._current

    # On and off.

    def attach(self, cascade: "Cascade") -> Callable[[], None]:
        """Drill this cascade from now on; comes to what takes it off again."""
        if self._cascade is not None or isinstance(cascade, _Attached):
            raise ConfigError("one scheduled drill for each cascade, and one cascade for each drill")
        if self.tier and self.tier not in cascade.places:
            msg = f"there is no tier {self.tier!r}; there are: {', '.join(cascade.places)}"
            raise ConfigError(msg)
        tiers = [self.tier] if self.tier else list(cascade.places)
        struck = chosen(_spots(cascade), self.scenario.whom, tiers)
        if not struck:
            raise ConfigError("nothing of this cascade can be off: all of its tiers are local")
        self._views = {}
        out = frozenset(id(each.backend) for each in struck)
        for tier in cascade.rungs:
            view = views_of(tier.backend, out)
            if view is not None:
                self._views[id(tier.backend)] = view
        self._struck = tuple(each.label for each in struck)
        self._cascade, self._since, self._number = cascade, None, -1
        kind = type(cascade)
        vars(cascade)["drill"] = self
        # Another class and not another method on the object: a copy with other thresholds must run its own flow.
        attached = type(kind.__name__, (_Attached, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})
        cascade.__class__ = cast("type[Cascade]", attached)
        return self.detach

    def detach(self) -> None:
        """Leave the cascade as it was. A drill under way ends."""
        cascade, self._cascade = self._cascade, None
        if cascade is not None:
            detached(cascade)
        self.stop("detached")

    def stop(self, why: str = "stopped by hand") -> None:
        """End the drill under way, if there is one; the next begins at its time."""
        with self._lock:
            ended = self._end(why)
        _tell_end(ended)

    # What the cascade runs.

    def through(
        self, flow: Generator[Effect, Outcome, Answer], request: Request, now: float
    ) -> Generator[Effect, Outcome, Answer]:
        """The flow of a request, drilled or not."""
        drilled = None if self._cascade is None else self._enter(request, now)
        if drilled is None:
            return flow
        report, chosen = drilled
        return self._watched(flow, report, chosen=chosen)

    def _watched(
        self, flow: Generator[Effect, Outcome, Answer], report: Drilled, *, chosen: bool
    ) -> Generator[Effect, Outcome, Answer]:
        try:
            answer = yield from (seen_through(flow, self._views) if chosen else flow)
        except AnswerError as error:
            self._note(report, error.answer, chosen=chosen, lost=True)
            raise
        self._note(report, answer, chosen=chosen, lost=False)
        return answer

    def _enter(self, request: Request, now: float) -> tuple[Drilled, bool] | None:
        """The drill that a request falls into, and whether it is one of the share; drills begin and end here."""
        begun: Drilled | None = None
        with self._lock:
            if self._since is None:
                self._since = now
            number, into = divmod(now - self._since - self.first, self.every)
            due = number >= 0 and into < self.lasting
            ended = None if due and number == self._number else self._end("")
            if due and number != self._number:
                self._number = int(number)
                begun = self._current = Drilled(self.scenario.name, self._struck, time.time())
            current = self._current
        _tell_end(ended)
        if begun is not None:
            who = ", ".join(self._struck)
            what = f"{100 * self.share:g} % of requests find {who} off, for {self.lasting:g} s"
            notify("drill", self.scenario.name, f"a scheduled drill begins: {what}")
        return None if current is None else (current, self._chosen(request))

    def _chosen(self, request: Request) -> bool:
        if not request.id:
            return self._draw() < self.share
        digest = blake2b(f"{self._number}:{request.id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64

    def _note(self, report: Drilled, answer: Answer, *, chosen: bool, lost: bool) -> None:
        degraded = lost or bool(answer.degraded)
        ended = None
        with self._lock:
            if not chosen:
                report.others += 1
                report.others_degraded += degraded
                return
            report.requests += 1
            report.lost += lost
            report.degraded += degraded
            report.served["lost" if lost else served_by(answer)] += 1
            report.latencies.append(answer.latency)
            if self._current is report and self._is_too_much(report):
                ended = self._end(
                    f"{report.degraded} of {report.requests} requests were degraded, and {report.lost} lost"
                )
        _tell_end(ended)

    def _is_too_much(self, report: Drilled) -> bool:
        return report.lost > 0 or report.excess > self.degraded * max(report.requests, LEAST)

    def _end(self, why: str) -> Drilled | None:
        """Close the book of the drill under way. Requests that it still has under way are written down later."""
        report, self._current = self._current, None
        if report is not None:
            report.over, report.aborted = True, why
            self.reports.append(report)
        return report

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"ScheduledDrill({self.scenario.name!r}, share={self.share:g}, every={self.every:g}, "
            f"lasting={self.lasting:g})"
        )


class _Attached:
    """What a cascade with a scheduled drill does besides."""

    drill: ScheduledDrill

    def flow(
        self, request: Request, now: float = 0.0, *, replaying: bool = False, **settings: Any
    ) -> Generator[Effect, Outcome, Answer]:
        """As the cascade's own, seen through the drill."""
        flow: Generator[Effect, Outcome, Answer] = super().flow(  # type: ignore[misc] # the cascade is behind us
            request, now, replaying=replaying, **settings
        )
        return flow if replaying else self.drill.through(flow, request, now)


@dataclass(frozen=True, slots=True)
class _Spot:
    backend: Backend
    label: str
    tier: str
    group: Backend
    priority: int
    region: str
    local: bool


def _spots(cascade: "Cascade") -> list[_Spot]:
    found = []
    for tier in cascade.rungs:
        backend = tier.backend
        if isinstance(backend, Pool):
            for each in backend.instances:
                label, local = label_of(tier.name, each.name), is_local(each.backend)
                found.append(_Spot(each.backend, label, tier.name, backend, each.priority, each.region, local))
        else:
            found.append(_Spot(backend, tier.name, tier.name, backend, 0, "", is_local(backend)))
    return found


def detached(cascade: "Cascade") -> "Cascade":
    """This cascade without a scheduled drill, where it has one."""
    if isinstance(cascade, _Attached):
        vars(cascade).pop("drill", None)
        cascade.__class__ = type(cascade).__mro__[2]
    return cascade


def _tell_end(report: Drilled | None) -> None:
    if report is None:
        return
    ended = f"{report.requests} requests drilled, {report.degraded} degraded, {report.lost} lost"
    if report.aborted:
        notify("drill", report.scenario, f"a scheduled drill was ended early: {report.aborted}")
    else:
        notify("drill", report.scenario, f"a scheduled drill has ended: {ended}")
