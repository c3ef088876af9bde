"""The circuit breaker against its specification, computed from the list of all that happened.

The model knows every call by its number, and so which of them holds a permit and which began before the circuit
opened; the circuit is told times alone.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastcascade.errors import FailureKind
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.window import Tally

FAILURES: list[FailureKind] = ["server", "timeout", "auth", "bug"]
ALIVE: list[FailureKind | None] = [None, "rate_limited", "bad_request"]
SAYS_NOTHING: list[FailureKind] = ["cancelled", "budget"]
KIND = st.sampled_from([*FAILURES, *ALIVE, *SAYS_NOTHING])
# Thousandths: times that floats do not hold exactly, and yet never nearer to each other than what is rounding.
THOUSANDTHS = st.integers(1, 20_000).map(lambda n: n / 1_000)
STEP = st.just(0.0) | THOUSANDTHS | st.sampled_from([0.5, 1.0, 3.0, 3_600.0, 1e6])
SHARE = st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]) | st.integers(1, 100).map(lambda n: n / 100)


@dataclass
class Model:
    """The specification, word by word."""

    breaker: Breaker
    state: str = "closed"
    results: list[tuple[float, bool, bool]] = field(default_factory=list)  # when, failed, slow
    era: int = 0
    eras: dict[int, int] = field(default_factory=dict)  # of each call
    opened: float = 0.0
    permits: set[int] = field(default_factory=set)
    given: float = 0.0  # when the latest permit was
    probed: list[bool] = field(default_factory=list)  # of the probes that succeeded, which were slow
    told: list[tuple[str, str]] = field(default_factory=list)

    def become(self, state: str) -> None:
        self.told.append((self.state, state))
        self.state = state

    def admit(self, call: int, now: float) -> float:
        wait = self.wait(now)
        if wait == 0.0:
            self.eras[call] = self.era
            if self.state == "half-open":
                self.permits.add(call)
                self.given = now
        return wait

    def wait(self, now: float) -> float:
        if self.state == "held open":
            return inf
        if self.state == "open":
            ready = self.opened + self.breaker.cooling
            if now < ready:
                return ready - now
            self.probe()
        if self.state == "half-open":
            lapse = self.given + self.breaker.lapse
            if now >= lapse:
                self.permits.clear()
            elif len(self.permits) + len(self.probed) >= self.breaker.probes:
                return min(1.0, lapse - now)
        return 0.0

    def probe(self) -> None:
        self.become("half-open")
        self.permits, self.probed = set(), []

    def settle(self, call: int, now: float, took: float, kind: FailureKind | None) -> None:
        self.permits.discard(call)
        if kind in SAYS_NOTHING or self.eras[call] != self.era:
            return
        failed = kind in FAILURES
        slow = self.breaker.slow_after is not None and took > self.breaker.slow_after
        if self.state == "closed":
            self.results.append((now, failed, slow))
            if self.too_many(now):
                self.open(now)
        elif self.state == "half-open":
            self.probed.append(slow)
            if failed or reaches(sum(self.probed), self.breaker.probes, self.breaker.slow_rate):
                self.open(now)
            elif len(self.probed) >= self.breaker.probes:
                self.become("closed")
                self.results = []

    def open(self, now: float) -> None:
        self.become("open")
        self.opened = now
        self.era += 1

    def seen(self, now: float) -> list[tuple[float, bool, bool]]:
        if self.breaker.window is None:
            return self.results[-(self.breaker.calls or 0) :]
        tenth = Fraction(self.breaker.window / 10)
        oldest = floor(Fraction(now) / tenth) - 9
        return [each for each in self.results if floor(Fraction(each[0]) / tenth) >= oldest]

    def tally(self, now: float) -> Tally:
        seen = self.seen(now)
        return Tally(len(seen), sum(failed for _, failed, _ in seen), sum(slow for _, _, slow in seen))

    def too_many(self, now: float) -> bool:
        calls, failed, slow = self.tally(now)
        limits = self.breaker
        if calls < limits.minimum:
            return False
        return reaches(failed, calls, limits.failure_rate) or reaches(slow, calls, limits.slow_rate)

    def force(self, to: str | None) -> None:
        state = f"held {to}"
        if to is not None and self.state != state:
            self.become(state)
            self.era += 1
        elif to is None and self.state.startswith("held"):
            self.era += 1
            if self.state == "held open":
                self.probe()
            else:
                self.become("closed")
                self.results = []


class ThreeNumbers(Model):
    """What the three numbers say, in their own words: so many failures one after another."""

    def too_many(self, now: float) -> bool:
        limit = self.breaker.calls or 0
        latest = [failed for _, failed, _ in self.results][-limit:]
        return len(latest) == limit and all(latest)


def reaches(part: int, whole: int, share: float) -> bool:
    """Whether that share is reached, in exact arithmetic."""
    return Fraction(part, whole) >= Fraction(str(share))


class BreakerMachine(RuleBasedStateMachine):
    """A circuit beside its model."""

    form = ""

    @initialize(data=st.data(), start=st.sampled_from([0.0, 12.345, 1e6, 1e9 / 7]))
    def begin(self, data: st.DataObject, start: float) -> None:
        self.breaker = data.draw({"time": by_time(), "count": by_count(), "three": by_three()}[self.form])
        self.circuit = self.breaker.circuit("it")
        self.model = (ThreeNumbers if self.form == "three" else Model)(self.breaker)
        self.told: list[tuple[str, str]] = []
        self.circuit.changed = lambda old, new: self.told.append((old, new))
        self.now = start
        self.calls = 0
        self.out: dict[int, float] = {}  # calls under way: when they began
        self.no_call_before = -inf

    # What can happen.

    @rule(step=STEP)
    def pass_time(self, step: float) -> None:
        self.now += step

    @rule(data=st.data(), late=st.sampled_from([-0.001, 0.0, 0.001]))
    def pass_a_time_that_matters(self, data: st.DataObject, late: float) -> None:
        breaker = self.breaker
        self.now += data.draw(st.sampled_from([breaker.cooling, breaker.lapse, (breaker.window or 10.0) / 10])) + late

    @rule(n=st.integers(1, 5))
    def ask(self, n: int) -> None:
        for _ in range(n):
            self.call()

    def call(self) -> bool:
        before = self.circuit.state
        self.calls += 1
        wait = self.circuit.admit(self.now)
        assert wait == self.model.admit(self.calls, self.now)
        if wait > 0.0:
            return False
        assert before not in ("open", "held open") or (before == "open" and self.now >= self.no_call_before)
        self.out[self.calls] = self.now
        return True

    @precondition(lambda self: self.out)
    @rule(data=st.data(), kind=KIND)
    def end(self, data: st.DataObject, kind: FailureKind | None) -> None:
        self.settle(data.draw(st.sampled_from(sorted(self.out))), kind)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.out)))
        self.circuit.forget(self.out.pop(call))
        self.model.permits.discard(call)

    @rule()
    def admit_and_not_make(self) -> None:
        if self.call():
            del self.out[self.calls]
            self.circuit.forget()
            self.model.permits.discard(self.calls)

    @rule(kinds=st.lists(KIND, max_size=12), step=STEP)
    def traffic(self, kinds: list[FailureKind | None], step: float) -> None:
        for kind in kinds:
            if self.call():
                self.now += step
                self.settle(self.calls, kind)

    @rule(n=st.integers(1, 12), kind=KIND, took=st.sampled_from([0.0, 0.25]), left=st.integers(0, 3))
    def all_at_once(self, n: int, kind: FailureKind | None, took: float, left: int) -> None:
        begun = [self.calls for _ in range(n) if self.call()]
        self.now += took
        for call in begun[left:]:
            self.settle(call, kind)

    @precondition(lambda self: self.circuit.state == "closed")
    @rule(late=st.integers(1, 3), kind=KIND)
    def an_outage(self, late: int, kind: FailureKind | None) -> None:
        """It opens at the very time some calls begin, which end when others have been let out as probes."""
        first = self.calls + 1
        self.ask(late)
        for _ in range(self.breaker.minimum * 2):
            if self.call():
                self.settle(self.calls, "server")
        self.now += self.breaker.cooling + 0.001
        self.ask(2)
        for call in range(first, first + late):
            self.settle(call, kind)
        self.ask(2)

    @precondition(lambda self: self.circuit.state in ("open", "half-open"))
    @rule(data=st.data(), kind=st.sampled_from([None, None, None, "server"]))
    def probes_hang(self, data: st.DataObject, kind: FailureKind | None) -> None:
        """They lapse, others are let out beside them, and one of either kind ends at last."""
        self.now += self.breaker.cooling + 0.001
        for _ in range(2):
            self.ask(5)
            self.now += self.breaker.lapse + 0.001
        self.settle(data.draw(st.sampled_from(sorted(self.out)[-8:])), kind)
        if self.out:
            call = max(self.out)
            self.circuit.forget(self.out.pop(call))
            self.model.permits.discard(call)
        self.ask(5)

    @rule(to=st.sampled_from(["open", "closed"]))
    def hold(self, to: Any) -> None:
        self.circuit.force(to, self.now)
        self.model.force(to)

    @rule(step=THOUSANDTHS)
    def let_go(self, step: float) -> None:
        self.now += step  # what began at the very same instant could not be told apart
        self.circuit.force(None, self.now)
        self.model.force(None)

    @precondition(lambda self: self.circuit.state in ("open", "half-open"))
    @rule()
    def all_is_well_again(self) -> None:
        """From open, `cooling` seconds and `probes` calls later it is closed; lost permits hold up for `lapse`."""
        self.now += self.breaker.cooling if self.circuit.state == "open" else self.breaker.lapse
        self.now += 0.001  # the sum may come out a little low
        for _ in range(self.breaker.probes):
            if self.circuit.state != "closed":
                assert self.call()
                self.settle(self.calls, None)
        assert self.circuit.state == "closed"

    def settle(self, call: int, kind: FailureKind | None) -> None:
        took = self.now - self.out.pop(call)
        counted = self.model.eras[call] == self.model.era and kind not in SAYS_NOTHING
        self.circuit.record(self.now, took, kind)
        self.model.settle(call, self.now, took, kind)
        if self.circuit.state == "open":
            self.no_call_before = self.model.opened + self.breaker.cooling
        elif self.circuit.state == "closed" and counted and self.model.results:
            assert self.circuit.tally == self.model.tally(self.now)

    # What always holds.

    @invariant()
    def it_is_in_the_state_specified(self) -> None:
        if self.circuit.state != self.model.state:
            assert (self.circuit.state, self.told[-3:]) == (self.model.state, self.model.told[-3:])
        assert self.told == self.model.told

    @invariant()
    def probes_are_few(self) -> None:
        assert len(self.model.permits) <= self.breaker.probes


def by_time() -> st.SearchStrategy[Breaker]:
    """Breakers with a window of time."""
    return st.builds(
        lambda rates, window, **more: Breaker(**rates, window=window, **more),
        rates(),
        st.sampled_from([1.0, 3.0, 7.7, 30.0]),
        minimum=st.integers(1, 8),
        cooling=st.sampled_from([0.5, 2.3, 30.0]),
        probes=st.integers(1, 4),
        lapse=st.sampled_from([0.7, 5.1, 60.0]),
    )


def by_count() -> st.SearchStrategy[Breaker]:
    """Breakers with a window of calls."""

    def build(rates: dict[str, Any], calls: int, spare: int, cooling: float, probes: int) -> Breaker:
        minimum = max(1, calls - spare)
        return Breaker(**rates, calls=calls, minimum=minimum, cooling=cooling, probes=probes, lapse=5.1)

    return st.builds(
        build,
        rates(),
        st.integers(1, 12),
        st.integers(0, 8),
        st.sampled_from([0.5, 2.3, 30.0]),
        st.integers(1, 4),
    )


def by_three() -> st.SearchStrategy[Breaker]:
    """Breakers of the three-number form."""
    return st.builds(
        Breaker,
        failure_threshold=st.integers(1, 6),
        recovery_timeout=st.sampled_from([0.5, 2.3, 30.0]),
        half_open_max_calls=st.integers(1, 4),
    )


def rates() -> st.SearchStrategy[dict[str, Any]]:
    """Shares of failed calls, half of them with shares of slow ones."""
    slow = st.fixed_dictionaries({"slow_after": st.sampled_from([0.1, 0.25, 1.0]), "slow_rate": SHARE})
    return st.builds(lambda failing, slow: {"failure_rate": failing, **slow}, SHARE, st.just({}) | slow)


@pytest.mark.parametrize("form", ["time", "count", "three"])
def test_a_circuit_is_as_specified(form: str) -> None:
    """Whatever happens in whatever order, the circuit is in the state that the whole list of events calls for."""
    machine = type("Machine", (BreakerMachine,), {"form": form})
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=30))
