"""What `Adaptive` and the short queue bring, in a small model of a backend with virtual time.

The backend has workers and a queue of its own in order of arrival; replies differ in length. Callers arrive at random,
in front of real `Slots`. The bounds asserted are wider than what is seen, and the draws are fixed.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log, sqrt
from random import Random
from typing import Any

import pytest

from fastcascade.fallbacks.bulkhead import Bulkhead, Slots, Ticket
from fastcascade.fallbacks.limits import Adaptive

OfTime = Callable[[float], float]


@dataclass(eq=False)
class Job:
    """One call."""

    asked: float
    ticket: Ticket
    begun: float = 0.0
    over: bool = False


@dataclass
class World:
    """Callers, slots and a backend; times in seconds."""

    bulkhead: Bulkhead
    load: OfTime  # calls asked for per second
    workers: OfTime
    length: OfTime = lambda _now: 1.0  # mean seconds of work per reply
    deviation: float = 0.7  # of that, as a share of it
    strict: bool = False  # whether the backend turns away what it has no worker for
    timeout: float = 30.0
    chance: float = 0.0  # the share of calls that fail without a reason
    seed: int = 1
    limits: list[tuple[float, int]] = field(default_factory=list)
    served: list[float] = field(default_factory=list)  # when
    waits: list[float] = field(default_factory=list)  # of those let in
    turned: list[float] = field(default_factory=list)  # how long those waited who were turned away
    asked: int = 0

    def run(self, until: float) -> "World":
        self.draw = Random(self.seed)
        self.slots: Slots = self.bulkhead.slots()
        self.now, self.working = 0.0, 0
        self.events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.backlog: deque[Job] = deque()
        self.ready: list[Job] = []
        self.count = 0
        self.after(0.0, self.arrive)
        self.after(1.0, self.look)
        while self.events[0][0] <= until:
            self.now, _, event, job = heapq.heappop(self.events)
            event(job)
            while self.ready:
                self.woken(self.ready.pop())
        return self

    def after(self, seconds: float, event: Callable[[Any], None], job: Job | None = None) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + seconds, self.count, event, job))

    def look(self, _: None) -> None:
        self.limits.append((self.now, self.slots.limit))
        self.after(1.0, self.look)

    def arrive(self, _: None) -> None:
        self.after(self.draw.expovariate(self.load(self.now)), self.arrive)
        self.asked += 1
        job = Job(self.now, self.slots.enter(self.now))
        if job.ticket.state == "waiting":
            job.ticket.signal.watch(lambda: self.ready.append(job))
            self.after(job.ticket.until - self.now, self.late, job)
        else:
            self.woken(job)

    def late(self, job: Job) -> None:
        if job.ticket.state == "waiting":
            self.slots.give_up(job.ticket, self.now)

    def woken(self, job: Job) -> None:
        if job.ticket.state != "in":
            self.turned.append(self.now - job.asked)
            return
        self.waits.append(self.now - job.asked)
        job.begun = self.now
        if self.strict and self.working >= self.workers(self.now):
            self.after(0.005, self.fail, job)
            return
        self.after(self.timeout, self.fail, job)
        self.backlog.append(job)
        self.work()

    def work(self) -> None:
        spread = sqrt(log(1 + self.deviation**2))
        while self.backlog and self.working < self.workers(self.now):
            job = self.backlog.popleft()
            if not job.over:
                self.working += 1
                middle = log(self.length(self.now)) - spread**2 / 2
                self.after(self.draw.lognormvariate(middle, spread), self.reply, job)

    def reply(self, job: Job) -> None:
        self.working -= 1
        self.end(job, failed=self.draw.random() < self.chance)
        self.work()

    def fail(self, job: Job) -> None:
        self.end(job, failed=True)

    def end(self, job: Job, *, failed: bool) -> None:
        if not job.over:
            job.over = True
            self.slots.leave(job.ticket, self.now, self.now - job.begun, failed)
            if not failed:
                self.served.append(self.now)

    # What was seen.

    def limit(self, begin: float, end: float) -> float:
        found = [limit for now, limit in self.limits if begin <= now < end]
        return sum(found) / len(found)

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= now < end for now in self.served) / (end - begin)


def steady(value: float) -> OfTime:
    """The same at all times."""
    return lambda _now: value


def between(begin: float, end: float, inside: float, outside: float) -> OfTime:
    """One thing for a while, another before and after."""
    return lambda now: inside if begin <= now < end else outside


# initial, workers, deviation, by when
STARTS: list[tuple[int, int, float, float]] = [
    (5, 50, 0.0, 60.0),
    (5, 50, 0.7, 60.0),
    (20, 50, 0.7, 60.0),
    (50, 50, 0.7, 60.0),
    (200, 50, 0.0, 120.0),
    (200, 50, 0.7, 120.0),
    (20, 150, 0.7, 60.0),
    (1, 10, 0.7, 100.0),
    (20, 50, 1.5, 100.0),
]


@pytest.mark.parametrize(("initial", "workers", "deviation", "settled"), STARTS)
def test_the_limit_comes_near_the_capacity(initial: int, workers: int, deviation: float, settled: float) -> None:
    """From below and from above the limit comes to between 0.9 and 2 times the workers, with 90 % of their work done.

    The more workers, the nearer: what is above them is about their root.
    """
    world = World(Bulkhead(Adaptive(initial)), steady(workers * 1.3), steady(workers), deviation=deviation)
    end = settled + 100.0
    world.run(end)
    assert 0.9 * workers <= world.limit(settled, end) <= workers + 3 * sqrt(workers)
    assert world.rate(settled, end) >= 0.9 * workers


@pytest.mark.parametrize("strict", [False, True])
def test_half_of_the_workers_gone_and_back(strict: bool) -> None:
    """When the capacity halves the limit shrinks with it, and it recovers; whether calls are queued or refused."""
    workers = between(150, 300, 25, 50)
    world = World(Bulkhead(Adaptive()), steady(65), workers, strict=strict).run(450)
    before, halved, after = world.limit(80, 150), world.limit(210, 300), world.limit(360, 450)
    assert 0.75 * 50 <= before <= 75 and 0.75 * 50 <= after <= 75
    assert halved <= 0.75 * before and 0.75 * 25 <= halved <= 45
    assert world.rate(210, 300) >= 0.75 * 25 and world.rate(360, 450) >= 0.75 * 50


def test_longer_replies_are_no_queue() -> None:
    """When replies take twice as long without a queue, the limit comes back to where it was."""
    world = World(Bulkhead(Adaptive()), steady(65), steady(50), between(150, 999, 2.0, 1.0)).run(400)
    assert world.limit(250, 400) >= 0.9 * 50 and world.rate(250, 400) >= 0.9 * 25


def test_failures_by_chance_do_not_lower_the_limit() -> None:
    """One call in a hundred that fails for no reason costs no throughput."""
    world = World(Bulkhead(Adaptive()), steady(65), steady(50), chance=0.01).run(200)
    assert world.limit(60, 200) >= 0.9 * 50 and world.rate(60, 200) >= 0.9 * 50


def test_a_dead_backend_is_hardly_asked_and_comes_back() -> None:
    """While all calls time out the limit falls, and when they are answered again it is back within a minute or two."""
    world = World(Bulkhead(Adaptive()), steady(65), between(100, 200, 0, 50), timeout=5.0).run(350)
    assert world.limit(180, 200) <= 0.5 * world.limit(60, 100)
    assert world.rate(270, 350) >= 0.85 * 50


def test_little_traffic_changes_nothing() -> None:
    """A limit that is not reached does not grow, and is not lowered either: nobody waits."""
    world = World(Bulkhead(Adaptive(20)), steady(3), steady(50)).run(400)
    assert world.limit(0, 400) == 20 and not world.turned and not any(world.waits)


# calls that fail of the 104 that are measured, the limit after: it was 50
CUTS: list[tuple[int, int]] = [(0, 75), (3, 75), (4, 54), (11, 44), (26, 37), (104, 37)]


@pytest.mark.parametrize(("failed", "limit"), CUTS)
def test_failures_lower_the_limit_by_their_share(failed: int, limit: int) -> None:
    """A few failures are taken for chance; more lower the limit by their share, at most by a quarter."""
    governor = Adaptive(50).governor()
    for place in range(104):
        assert governor.limit == 50
        governor.observe(50, 1.0, place < failed)
    assert governor.limit == limit


# times the load that can be served, share served at least, seconds until let in, until turned away, on average at most
LOADS: list[tuple[float, float, float, float]] = [
    (0.8, 0.999, 0.1, 0.1),
    (1.05, 0.92, 1.0, 0.1),
    (1.5, 0.64, 1.3, 0.1),
    (4.0, 0.24, 1.3, 0.1),
]


@pytest.mark.parametrize(("load", "share", "let_in", "turned"), LOADS)
def test_an_overload_is_no_pile_up(load: float, share: float, let_in: float, turned: float) -> None:
    """Under a long overload as many are served as can be, without a long wait, and the others are told at once."""
    world = World(Bulkhead(20, queue=100, patience=5.0), steady(20 * load), steady(20)).run(300)
    assert len(world.waits) / world.asked >= share
    assert sum(world.waits) / len(world.waits) <= let_in
    assert sum(world.turned) <= turned * max(1, len(world.turned))
