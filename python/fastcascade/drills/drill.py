"""A drill in this process: a cascade, a load, a fault that comes and goes, and what callers saw of it.

report = Drill(cascade, "primary off", stand_in=True).run()
print(report)
assert report.ok, report.broken
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from fastcascade.drills import invariants
from fastcascade.drills.load import Told, asked, steadily, told
from fastcascade.drills.report import Calls, Report, gap_of, home_of, phases_of, served_of, shifts_of
from fastcascade.drills.scenarios import Scenario, scenario_of
from fastcascade.drills.twin import Twin
from fastcascade.entry.pool import Pool
from fastcascade.errors import ConfigError
from fastcascade.messages import Ask
from fastcascade.notices import Notice, log, notify, subscribe
from fastcascade.testing.virtual import run_virtual

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Drill"]

SETTLING: Final = 1.25
"""It is watched for so much longer than it may take to come back."""
CLEANING: Final = 0.25
TURNS: Final = 40
"""So often, so many seconds are given to what was cancelled, and to a stale answer's refresh, to come to their end."""
FEWEST: Final = 20
"""Requests a phase should have, to say anything."""


class Drill:
    """Runs a scenario on a copy of a cascade: same settings, own state, each backend behind faults.

    The cascade itself is not touched, and one that serves traffic meanwhile does not notice, but for two things:
    notices made in a drill are heard by all subscribers, between two of kind "drill"; and with `stand_in=False` its
    backends are asked.

    Args:
        cascade: the one to drill.
        scenario: a name of `SCENARIOS`, or a `Scenario` of your own.
        requests: what is asked, again and again; by default made-up questions, half of them new each time.
        rate: requests a second.
        virtual: whether time is virtual, so that minutes pass in a moment: for backends that reply at once, are
            scripted, or stood in for. Otherwise it takes as long as it takes.
        stand_in: whether stand-ins reply for all backends but local ones, such as rules. Then no provider is called,
            and gates and semantic routes are left out: nothing can be said of a stand-in's quality.
        latency: seconds in which stand-ins reply.
        before: seconds until the fault begins.
        lasting: seconds it lasts.
        after: seconds it is watched from then on; by default what it takes to come back, and a quarter more.
        most: requests in all, at most; the rate is lowered to fit.
        within: seconds in which others are to answer; by default what the pool's active checks promise, where a pool
            with a second priority loses its first.
        amplification: calls to an instance for each time its pool is asked, at most.
        tier: the name of the tier whose primary is struck, and where requests enter; the first that asks anybody by
            default.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        cascade: "Cascade",
        scenario: str | Scenario,
        *,
        requests: Sequence[Ask] | None = None,
        rate: float = 5.0,
        virtual: bool = True,
        stand_in: bool = False,
        latency: float = 0.3,
        before: float = 60.0,
        lasting: float = 120.0,
        after: float | None = None,
        most: int | None = None,
        within: float | None = None,
        amplification: float = 1.1,
        tier: str = "",
    ) -> None:
        """Check the settings."""
        _above_zero(rate=rate, before=before, lasting=lasting, amplification=amplification)
        _above_zero(after=after, within=within, most=most)
        if not latency >= 0:
            msg = f"a drill's latency is in seconds, 0 or above, not {latency!r}"
            raise ConfigError(msg)
        self.cascade = cascade
        self.scenario = scenario_of(scenario)
        self.requests = requests
        self.virtual = virtual
        self.latency = latency if stand_in else None
        self.within = within
        self.amplification = amplification
        self.tier = tier
        if virtual and not stand_in and (real := _real(cascade)):
            msg = f"{real!r} is asked over a network, which takes real time: stand_in=True, or virtual=False"
            raise ConfigError(msg)
        self._made()
        twin = self.twin
        if self.scenario.store and not twin.reviewed:
            msg = f"{self.scenario.name!r} needs a Review among the cascade's fallbacks, and this one has none"
            raise ConfigError(msg)
        if tier and tier not in cascade.places:
            msg = f"there is no tier {tier!r}; there are: {', '.join(cascade.places)}"
            raise ConfigError(msg)
        if not self.struck:
            raise ConfigError("nothing of this cascade can be off: all of its tiers are local")
        self.due = twin.recovery(self.scenario, lasting, 1.0 / rate)
        self.start, self.end = before, before + lasting
        self.last = self.end + (SETTLING * self.due if after is None else after)
        self.most = most
        self.rate = rate if most is None else min(rate, most / self.last)
        if self.rate < rate:
            self.due = twin.recovery(self.scenario, lasting, 1.0 / self.rate)

    def _made(self) -> None:
        """Make what one run uses up."""
        self._said: list[str] = []
        self._notices: list[Notice] = []
        self._clock: Any = None
        self.twin = Twin(self.cascade, self.latency, self._now)
        self.struck = self.twin.strike(self.scenario.whom, self.tier)

    def run(self) -> Report:
        """Do it. Inside a running event loop that loop stands still meanwhile."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run()
        found: list[Report] = []
        errors: list[BaseException] = []

        def apart() -> None:
            try:
                found.append(self._run())
            except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
                errors.append(error)

        thread = Thread(target=apart, name="drill")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return found[0]

    def _run(self) -> Report:
        if self._clock is not None:
            self._made()  # it has been run before
        name = self.scenario.name
        notify("drill", name, "a drill begins; what is heard until its end is of its making")
        try:
            with self._listening():
                return run_virtual(self._main()) if self.virtual else asyncio.run(self._main())
        finally:
            notify("drill", name, "the drill has ended")

    def _now(self) -> float:
        return self._clock.time() if self._clock is not None else 0.0

    async def _main(self) -> Report:
        loop = self._clock = asyncio.get_running_loop()
        began, twin = loop.time(), self.twin
        start, end = began + self.start, began + self.end
        for place in self.struck:
            self.scenario.set_on(place.backend.plan, start, end)
        if self.scenario.store:
            twin.store.off = lambda: start <= loop.time() < end
        requests = asked(self.requests)
        ticked = began

        async def one() -> Told:
            nonlocal ticked
            now = loop.time()
            twin.quotas.advance(now - ticked)
            ticked = now
            request = replace(next(requests), min_tier=self.tier) if self.tier else next(requests)
            return await told(twin.cascade, request, streaming=self.scenario.streams)

        all_told = await steadily(one, self.rate, began + self.last, self.most)
        for _ in range(TURNS):
            await asyncio.sleep(CLEANING)
            if not twin.busy():
                break
        return self._report(all_told, began, loop.time())

    # What came of it.

    def _report(self, all_told: list[Told], began: float, now: float) -> Report:
        twin, start, end = self.twin, began + self.start, began + self.end
        labels = set[str]().union(*(twin.labels(place) for place in self.struck))
        failover, comeback = shifts_of(all_told, start, end, lambda each: each.label in labels, peers=self._has_peers())
        phases = tuple(phases_of(all_told, began, start, end, began + self.last))
        usual = phases[0].p99 or 0.0
        home = home_of(all_told, start)
        back = self.due + usual if home and self.last - self.end >= self.due else None
        due = self._failover_due()
        places = [each for each in twin.places if not each.local]
        calls = tuple(
            Calls(
                each.label,
                each.struck,
                each.backend.between(began, start),
                each.backend.between(start, end),
                each.backend.between(end, now),
                each.group.between(start, end),
            )
            for each in places
        )
        pooled = [each for each, place in zip(calls, places, strict=True) if place.group.pool is not None]
        heard = [notice for notice in self._notices if notice.kind != "drill"]
        broken = [
            *invariants.untested([each for each in calls if each.struck]),
            *invariants.lost(all_told),
            *invariants.late(all_told, virtual=self.virtual),
            *invariants.amplified(twin, all_told, start, end, self.amplification),
            *invariants.early(places),
            *invariants.unkept(twin, all_told),
            *invariants.failed_over(failover, due, usual + 1.0 / self.rate),
            *invariants.not_back(comeback, back),
            *(invariants.unwell(twin, home, now) if back is not None else ()),
            *invariants.leaked(all_told, self._said),
        ]
        return Report(
            self.scenario.name,
            self.scenario.summary,
            tuple(each.label for each in self.struck),
            self.start,
            self.end,
            self.rate,
            self._way(),
            phases,
            served_of(all_told, start, end),
            failover,
            comeback,
            gap_of(all_told, start),
            back,
            due,
            calls,
            max((each.each for each in pooled if each.each is not None), default=None),
            sum(place.backend.early() for place in places),
            sum(place.backend.probes for place in places),
            dict(Counter(notice.kind for notice in heard)),
            tuple(self._notes(phases, home, labels & home - {each.label for each in all_told if each.began >= end})),
            tuple(broken),
        )

    def _failover_due(self) -> float | None:
        """What is asked for, or what the active checks of the primary's pool promise, where there is somebody else."""
        pool = self.struck[0].group.pool
        if self.within is not None:
            return self.within
        if not self.scenario.dead or pool is None or pool.health is None:
            return None
        others = [each for each in self.twin.places if each.group.pool is pool and not each.struck]
        return pool.health.within if others and self._probed() else None

    def _probed(self) -> bool:
        """Whether active checks can find those who are struck."""
        return all(hasattr(each.backend, "probe") for each in self.struck)

    def _way(self) -> str:
        time = "in virtual time" if self.virtual else "in real time"
        return f"{time}, {'asking the backends' if self.latency is None else f'stand-ins reply in {self.latency:g} s'}"

    def _has_peers(self) -> bool:
        """Whether others of the same priority are left, so that it is for the balancer to say who is asked."""
        first = self.struck[0]
        peers = [each for each in self.twin.places if each.group is first.group and each.priority == first.priority]
        return not all(each.struck for each in peers)

    def _notes(self, phases: Sequence[Any], home: set[str], away: set[str]) -> Iterator[str]:
        if self.latency is not None and any(tier.gate is not None for tier in self.cascade.tiers):
            yield "gates are left out, since stand-ins reply"
        if phases[0].degraded:
            yield f"{phases[0].degraded} of {phases[0].requests} answers were degraded before the fault began"
        if any(phase.requests < FEWEST for phase in phases):
            yield f"a phase has fewer than {FEWEST} requests, which says little: raise the rate, or the time"
        if self.scenario.dead and not self._probed():
            yield "who is struck has no probe, so that only calls can find out: see that they have a timeout"
        for label in sorted(away):
            yield f"{label} answered nothing after the fault: its peers did; a balancer may take it for slow still"
        if not home:
            yield "nobody but a cache answered before the fault, so that nothing is said of a return"
        elif self.last - self.end < self.due:
            yield f"watched for {self.last - self.end:g} s, and a return may take {self.due:.0f} s: it is not judged"

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear every notice and every line of the log."""
        ear = _Ear(self._said)
        end = subscribe(self._hear)
        log.addHandler(ear)
        try:
            yield
        finally:
            log.removeHandler(ear)
            end()

    def _hear(self, notice: Notice) -> None:
        self._notices.append(notice)
        self._said.append(f"{notice.about}: {notice.text}")


class _Ear(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.INFO)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


def _above_zero(**settings: float | None) -> None:
    for name, value in settings.items():
        if value is not None and not value > 0:
            msg = f"a drill's {name} must be above zero, not {value!r}"
            raise ConfigError(msg)


def _real(cascade: "Cascade") -> str:
    """The name of a backend that has an address, if there is one."""
    for tier in cascade.rungs:
        backend: Any = tier.backend
        for each in [one.backend for one in backend.instances] if isinstance(backend, Pool) else [backend]:
            if hasattr(each, "base_url"):
                return str(each.name)
    return ""
