"""`Bulkhead`: so many in, some who wait in order and for a while, the rest turned away."""

import sys
from dataclasses import dataclass
from math import ceil
from random import Random
from threading import Event, Lock, Thread
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastcascade.errors import ConfigError
from fastcascade.fallbacks.bulkhead import Bulkhead, Slots, Ticket
from fastcascade.fallbacks.limits import Adaptive

NONSENSE: list[tuple[type, dict[str, Any], str]] = [
    (Bulkhead, {"limit": 0}, "whole limit of 1 or more"),
    (Bulkhead, {"limit": float("inf")}, "whole limit of 1 or more"),
    (Bulkhead, {"limit": 1.5}, "whole limit of 1 or more"),
    (Bulkhead, {"limit": "many"}, "whole limit of 1 or more"),
    (Bulkhead, {"limit": 1, "queue": -1}, "queue must be a whole number"),
    (Bulkhead, {"limit": 1, "patience": 0.0}, "patience must be above 0"),
    (Bulkhead, {"limit": 1, "patience": float("nan")}, "patience must be above 0"),
    (Adaptive, {"initial": 5, "lowest": 6}, "lowest <= initial <= highest"),
    (Adaptive, {"initial": 500}, "lowest <= initial <= highest"),
    (Adaptive, {"highest": 200.5}, "whole numbers"),
    (Adaptive, {"lowest": 0}, "1 <= lowest"),
    (Adaptive, {"spared": 0.1}, "0 <= spared"),
]


@pytest.mark.parametrize(("kind", "given", "message"), NONSENSE)
def test_nonsense_is_refused(kind: type, given: dict[str, Any], message: str) -> None:
    """Settings that would let nobody in, or never let go, are refused when they are made."""
    with pytest.raises(ConfigError, match=message):
        kind(**given)


@dataclass(eq=False)
class Caller:
    """One who asked, as the model sees them."""

    ticket: Ticket
    arrival: int
    priority: int
    until: float
    state: str


class Dictated:
    """In a governor's place: says what the test wants."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, busy: int, took: float, failed: bool) -> int:
        return self.limit


class BulkheadMachine(RuleBasedStateMachine):
    """A bulkhead beside a list of callers that is searched from end to end."""

    @initialize(limit=st.integers(1, 3), queue=st.integers(0, 9), patience=st.sampled_from([1.0, 4.0]))
    def start(self, limit: int, queue: int, patience: float) -> None:
        self.slots = Bulkhead(Adaptive(limit), queue, patience).slots("eu")
        self.governor = Dictated(limit)
        self.slots._governor = self.governor  # type: ignore[assignment] # noqa: SLF001
        self.limit, self.queue, self.patience = limit, queue, patience
        self.now, self.service, self.since, self.refused = 0.0, 0.0, 0.0, 0
        self.callers: list[Caller] = []

    def having(self, state: str) -> list[Caller]:
        return [caller for caller in self.callers if caller.state == state]

    def refuse(self, caller: Caller) -> None:
        caller.state = "refused"
        self.refused += 1

    def put_out_late(self) -> None:
        for caller in self.having("waiting"):
            if caller.until <= self.now:
                self.refuse(caller)

    def places(self) -> int:
        if not self.having("waiting") or self.now - self.since <= self.patience:
            return self.queue
        return min(self.queue, max(3, ceil(self.limit * self.patience * 0.2 / (self.service or 1.0))))

    @rule(priority=st.integers(-1, 2), patience=st.none() | st.sampled_from([0.0, 0.5, 2.0, 9.0]))
    def enter(self, priority: int, patience: float | None) -> None:
        caller = Caller(
            self.slots.enter(self.now, priority, patience), len(self.callers), priority, float("inf"), "refused"
        )
        wait = self.patience if patience is None else min(patience, self.patience)
        if len(self.having("in")) < self.limit:
            caller.state = "in"
        else:
            self.put_out_late()
            waiting = self.having("waiting")
            last = min(waiting, key=lambda other: (other.priority, -other.arrival), default=None)
            if wait > 0 and len(waiting) >= self.places() and last and last.priority < priority:
                self.refuse(last)
                caller.state = "waiting"
            elif wait > 0 and len(waiting) < self.places():
                caller.state = "waiting"
            else:
                self.refused += 1
            if caller.state == "waiting":
                caller.until = self.now + wait
                if not self.having("waiting"):
                    self.since = self.now
        self.callers.append(caller)

    @precondition(lambda self: self.callers)
    @rule(
        data=st.data(), took=st.none() | st.sampled_from([0.1, 1.0, 3.0]), failed=st.booleans(), limit=st.integers(1, 4)
    )
    def leave(self, data: st.DataObject, took: float | None, failed: bool, limit: int) -> None:
        caller = data.draw(st.sampled_from(self.having("in") or self.callers))
        self.governor.limit = limit
        self.slots.leave(caller.ticket, self.now, took, failed)
        if caller.state == "in" and took is not None:
            self.limit = limit
            if not failed or took > self.service:
                self.service += (took - self.service) * 0.1 if self.service else took
        self.is_gone(caller)

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.having("waiting") or self.callers))
        self.slots.give_up(caller.ticket, self.now)
        self.is_gone(caller)

    def is_gone(self, caller: Caller) -> None:
        before, caller.state = caller.state, "refused" if caller.state == "refused" else "left"
        if before == "in" and self.having("waiting"):
            self.put_out_late()
            while len(self.having("in")) < self.limit and self.having("waiting"):
                best = max(self.having("waiting"), key=lambda other: (other.priority, -other.arrival))
                best.state = "in"

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0]))
    def advance(self, seconds: float) -> None:
        self.now += seconds

    @rule(turns=st.integers(4, 14), took=st.sampled_from([0.5, 2.0]))
    def be_busy(self, turns: int, took: float) -> None:
        """More come than leave, for so long that the queue is no burst any more."""
        for turn in range(turns):
            self.enter(0, None)
            self.enter(turn % 2, None)
            self.all_is_as_in_the_model()
            self.advance(0.5)
            leaving = self.having("in")[0]
            self.slots.leave(leaving.ticket, self.now, took)
            self.limit = self.governor.limit
            self.service += (took - self.service) * 0.1 if self.service else took
            self.is_gone(leaving)
            self.all_is_as_in_the_model()

    @rule()
    def hint(self) -> None:
        hint = self.slots.hint(self.now)
        self.put_out_late()
        ahead = len(self.having("waiting")) + 1 + max(0, len(self.having("in")) - self.limit)
        assert hint == pytest.approx(ahead * (self.service or 1.0) / self.limit)

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        if not hasattr(self, "callers"):
            return
        for caller in self.callers:
            assert caller.ticket.state == caller.state
            assert caller.ticket.signal.given is (caller.state != "waiting")
            if caller.state == "waiting":
                assert caller.ticket.until == caller.until
        slots = self.slots
        waiting = len(self.having("waiting"))
        assert (slots.busy, slots.waiting) == (len(self.having("in")), waiting)
        assert (slots.limit, slots.refused) == (self.limit, self.refused)
        assert waiting <= self.queue and (not waiting or slots.busy >= slots.limit)

    def teardown(self) -> None:
        for caller in getattr(self, "callers", []):
            self.slots.give_up(caller.ticket, self.now)
            assert caller.ticket.state in {"left", "refused"} and caller.ticket.signal.given
        if hasattr(self, "callers"):
            assert (self.slots.busy, self.slots.waiting) == (0, 0)


TestBulkheadModel = BulkheadMachine.TestCase
TestBulkheadModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def full(queue: int = 2, patience: float = 5.0) -> tuple[Slots, Ticket]:
    """Slots with one call in and no room for another."""
    slots = Bulkhead(1, queue, patience).slots("eu")
    return slots, slots.enter(0.0)


def test_who_matters_more_takes_the_place_of_the_last() -> None:
    """In a full queue a newcomer of higher priority puts out the lowest, latest one, which is told."""
    slots, inside = full()
    first, second = slots.enter(0.0, 1), slots.enter(0.0, 0)
    told: list[str] = []
    second.signal.watch(lambda: told.append(second.state))
    assert slots.enter(0.0, 0).state == "refused"
    third = slots.enter(0.0, 2)
    assert told == ["refused"] and slots.refused == 2
    slots.leave(inside, 1.0)
    assert (third.state, first.state) == ("in", "waiting")


def test_a_slot_given_to_one_who_leaves_at_that_moment_goes_on() -> None:
    """Who gives up after being let in passes the slot to the next, and a second leave does nothing."""
    slots, inside = full()
    first, second = slots.enter(0.0), slots.enter(0.0)
    slots.leave(inside, 1.0, 1.0)
    assert first.state == "in"
    slots.give_up(first, 1.0)
    assert (first.state, second.state, slots.busy) == ("left", "in", 1)
    slots.leave(first, 1.0, 1.0)
    slots.leave(inside, 1.0, 1.0)
    assert slots.busy == 1


def test_a_queue_that_never_empties_is_kept_short() -> None:
    """Once a queue has not been empty for a patience, no more may join than are served in a fifth of it, but three."""
    slots, inside = full(queue=10, patience=4.0)
    early = [slots.enter(0.0) for _ in range(10)]
    assert slots.waiting == 10
    for ticket in early[:8]:
        slots.give_up(ticket, 3.0)
    late = [slots.enter(3.0) for _ in range(5)]
    assert slots.waiting == 7
    assert slots.enter(4.5).state == "refused" and slots.waiting == 5
    for ticket in late[:3]:
        slots.give_up(ticket, 4.5)
    assert [slots.enter(4.5).state for _ in range(2)] == ["waiting", "refused"]
    slots.leave(inside, 9.0)
    slots.enter(9.0)
    assert [slots.enter(9.0).state for _ in range(11)] == ["waiting"] * 10 + ["refused"]


def test_who_is_late_is_not_let_in() -> None:
    """A slot that gets free at or after the end of a wait goes to the next whose time is not over."""
    slots, inside = full()
    late, patient = slots.enter(0.0, 9, patience=1.0), slots.enter(0.0)
    assert late.until == 1.0 and patient.until == 5.0
    slots.leave(inside, 1.0)
    assert (late.state, patient.state) == ("refused", "in")


def test_signals_are_given_when_the_lock_is_free() -> None:
    """Whoever is woken can use the same slots at once, in the thread that woke them."""
    slots, inside = full()
    waiting = slots.enter(0.0)
    waiting.signal.watch(lambda: slots.leave(waiting, 1.0))
    slots.leave(inside, 1.0)
    assert (slots.busy, waiting.state) == (0, "left")


def test_the_hint_grows_with_the_queue() -> None:
    """A newcomer is told the time that those before them need, at the pace of late."""
    slots = Bulkhead(2, 3).slots()
    tickets = [slots.enter(0.0) for _ in range(5)]
    assert slots.hint(0.0) == 2.0
    slots.leave(tickets[0], 1.0, 4.0)
    assert slots.hint(1.0) == 6.0
    assert slots.hint(100.0) == 2.0


def test_what_is_shown() -> None:
    """Settings, slots and tickets show what they are, and a settings' text makes the same again."""
    slots, inside = full()
    slots.enter(0.0)
    assert repr(slots) == "<Slots 'eu': 1 of 1 in, 1 waiting>" and repr(inside) == "<Ticket in>"
    bulkhead = Bulkhead(Adaptive(10, highest=40), queue=5)
    assert eval(repr(bulkhead)) == bulkhead and hash(bulkhead) == hash(Bulkhead(Adaptive(10, highest=40), queue=5))
    assert "at 10" in repr(Adaptive(10).governor())


def test_no_wake_up_is_lost_between_threads() -> None:
    """With threads that enter, leave and give up at once, never too many are in, and everyone's wait ends."""
    slots, lock = Bulkhead(3, queue=100, patience=1000.0).slots(), Lock()
    inside = most = 0
    lost: list[int] = []

    def work(seed: int) -> None:
        nonlocal inside, most
        draw = Random(seed)
        for _ in range(1_000):
            ticket = slots.enter(0.0, draw.randrange(3))
            if ticket.state == "waiting":
                woken = Event()
                ticket.signal.watch(woken.set)
                if draw.random() < 0.3:
                    slots.give_up(ticket, 0.0)
                    continue
                if not woken.wait(20):
                    lost.append(seed)
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
            slots.leave(ticket, 0.0, 1.0)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not lost and most <= 3 and (slots.busy, slots.waiting) == (0, 0)
