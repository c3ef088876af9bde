"""When a failed call is made again, and how often that may be done in all."""

import threading
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastcascade.errors import ConfigError, Failure, FailureKind
from fastcascade.fallbacks.remedies import REMEDIES, Remedy
from fastcascade.fallbacks.retry import MOST_TIMES, Allowance, Retry, RetryShare

# How long to wait.


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({}, [1, 2, 4, 8, 8, 8]),
        ({"cap": 3}, [1, 2, 3, 3]),
        ({"base": 0.5, "factor": 3, "cap": 60}, [0.5, 1.5, 4.5, 13.5, 40.5, 60]),
        ({"factor": 1}, [1, 1, 1]),
        ({"base": 0}, [0, 0, 0]),
        ({"factor": 1e300, "cap": 9}, [1, 9, 9, 9]),
    ],
)
def test_waits_grow_up_to_the_cap(settings: dict[str, Any], waits: list[float]) -> None:
    """Without jitter each wait is so many times the one before, and never more than the cap."""
    retry = Retry(jitter=0.0, **settings)
    assert [retry.delay(nth) for nth in range(len(waits))] == waits


UNIT = st.floats(0, 1, exclude_max=True)


@given(st.floats(0, 1), UNIT, st.integers(0, 10))
def test_jitter_shortens_a_wait_by_no_more_than_its_part(jitter: float, chance: float, nth: int) -> None:
    """A wait is between 1 - jitter of what stands in the grid and the whole of it, as chance has it."""
    whole = Retry(jitter=0.0).delay(nth)
    wait = Retry(jitter=jitter, random=lambda: chance).delay(nth)
    assert whole * (1 - jitter) <= wait <= whole
    assert wait == pytest.approx(whole * (1 - jitter * chance))


def test_jitter_spreads_evenly() -> None:
    """Chance from 0 to 1 leads to waits that are as likely anywhere in their stretch."""
    chances = iter([0.0, 0.25, 0.5, 0.75])
    retry = Retry(jitter=0.5, random=lambda: next(chances))
    assert [retry.delay(3) for _ in range(4)] == [8, 7, 6, 5]


@given(st.floats(0, 100), UNIT, st.floats(1, 100))
def test_a_providers_wait_is_never_cut_short(seconds: float, chance: float, cap: float) -> None:
    """What a provider says is waited for whole, and up to a tenth or a second longer; or not at all."""
    wait = Retry(cap=cap, random=lambda: chance).rest(seconds)
    if seconds > cap:
        assert wait is None
    else:
        assert wait is not None and seconds <= wait <= seconds + min(1.0, seconds * 0.1)


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [(0, 0), (-1, 0), (4, 4.4), (8, 8.8), (8.1, None), (30, None), (inf, None), (nan, None)],
)
def test_some_waits_of_providers(seconds: float, wait: float | None) -> None:
    """A wait that is longer than the cap, or is no number, is not waited for."""
    assert Retry(random=lambda: 1.0).rest(seconds) == (None if wait is None else pytest.approx(wait))
    assert Retry(cap=30, random=lambda: 1.0).rest(30) == 31


@pytest.mark.parametrize(
    ("nth", "told", "wait"),
    [(0, None, 1.0), (2, None, 4.0), (2, 0.0, 4.0), (2, 0.25, 0.25), (0, 5.0, 5.0), (0, 9, None)],
)
def test_what_a_provider_says_comes_first(nth: int, told: float | None, wait: float | None) -> None:
    """A wait that was told counts; where none was, or that it may be asked at once, our own does."""
    retry = Retry(jitter=0.0, random=lambda: 0.0)
    assert retry.pause(nth, Failure("rate_limited", "slow down", 429, told)) == wait


# Settings.

BAD: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (Retry, {"times": 6}, "times from 0 to 5, not 6"),
    (Retry, {"times": -1}, "times from 0 to 5"),
    (Retry, {"times": 2.0}, "times from 0 to 5"),
    (Retry, {"times": True}, "times from 0 to 5"),
    (Retry, {"base": -1}, "base of at least 0, not -1"),
    (Retry, {"base": nan}, "base of at least 0, not nan"),
    (Retry, {"factor": 0.5}, "factor of at least 1, not 0.5"),
    (Retry, {"factor": inf}, "factor of at least 1, not inf"),
    (Retry, {"cap": inf}, "cap of at least 0, not inf"),
    (Retry, {"base": 9}, "begin with 9 seconds and wait at most 8: raise cap"),
    (Retry, {"jitter": 1.5}, "jitter of at least 0 and at most 1, not 1.5"),
    (Retry, {"remedies": {"slow": "retry"}}, "no failure of kind 'slow'; kinds are timeout, "),
    (Retry, {"remedies": {"auth": "wait"}}, "no remedy 'wait' for 'auth'; remedies are retry, "),
    (Retry, {"remedies": {"cancelled": "retry"}}, "kind 'cancelled' nothing can be done but give up"),
    (RetryShare, {"share": 1.5}, "share of at least 0 and at most 1, not 1.5"),
    (RetryShare, {"reserve": -1}, "reserve of at least 0, not -1"),
    (RetryShare, {"refill": nan}, "refill of at least 0, not nan"),
    (RetryShare, {"most": 9}, "most of at least 1 and its reserve of 10, not 9"),
    (RetryShare, {"reserve": 0, "most": 0.5}, "most of at least 1"),
    (RetryShare, {"most": inf}, "most of at least 1"),
    (RetryShare, {"share": 0, "reserve": 0.5}, "allows no retry"),
]


@pytest.mark.parametrize(("made", "given", "said"), BAD, ids=[case[2] for case in BAD])
def test_settings_that_cannot_work(made: Callable[..., Any], given: dict[str, Any], said: str) -> None:
    """A setting that cannot be meant is an error that names it, when it is made."""
    with pytest.raises(ConfigError) as caught:
        made(**given)
    assert said in str(caught.value)


def test_what_it_is_called() -> None:
    """A configuration shows what it is made of, and two of the same settings are the same."""
    assert repr(Retry(times=2, budget=None)) == (
        "Retry(times=2, base=1.0, factor=2.0, cap=8.0, jitter=0.5, budget=None, remedies=None)"
    )
    assert repr(RetryShare(0.2).allowance()) == "<Allowance of 10 retries>"
    assert Retry() == Retry() != Retry(times=0)
    assert hash(Retry()) == hash(Retry(remedies={}))
    assert Retry().times <= MOST_TIMES


@pytest.mark.parametrize("kind", REMEDIES)
def test_the_remedy_of_a_failure(kind: FailureKind) -> None:
    """It is the table's, but for kinds that this retry was told another for."""
    told: dict[FailureKind, Remedy] = {"timeout": "next tier", "cancelled": "give up"}
    assert Retry().remedy(Failure(kind, "x")) == REMEDIES[kind]
    assert Retry(remedies=told).remedy(Failure(kind, "x")) == (told.get(kind) or REMEDIES[kind])


# How many in all.


class AllowanceMachine(RuleBasedStateMachine):
    """An allowance beside a twin that works it out in the open, and beside its law."""

    @initialize(
        share=st.floats(0, 1) | st.sampled_from([0.1, 0.5, 1.0]),
        reserve=st.floats(1, 12) | st.integers(1, 12),
        refill=st.floats(0, 2),
        room=st.none() | st.floats(0, 20),
    )
    def start(self, share: float, reserve: float, refill: float, room: float | None) -> None:
        most = None if room is None else reserve + room
        self.allowance = RetryShare(share, reserve, refill, most).allowance()
        self.share, self.reserve, self.refill = share, reserve, refill
        self.most = reserve if most is None else most
        self.now = 1000.0
        self.tokens = self.allowance.left(self.now)  # it knows no time before it is told one
        assert self.tokens == reserve
        self.calls: list[float] = []
        self.retries: list[float] = []

    def go_on(self, passed: float) -> None:
        """Time goes on, and what it fills up is no more than the reserve."""
        self.tokens = max(self.tokens, min(self.reserve, self.tokens + self.refill * passed))
        self.now += passed

    @rule(passed=st.floats(0, 60) | st.just(0.0))
    def call(self, passed: float) -> None:
        self.go_on(passed)
        self.allowance.deposit(self.now)
        self.tokens = min(self.most, self.tokens + self.share)
        self.calls.append(self.now)

    @rule(many=st.integers(1, 200))
    def many_calls(self, many: int) -> None:
        for _ in range(many):
            self.call(0.0)

    @rule(passed=st.floats(0, 60) | st.just(0.0))
    def retry(self, passed: float) -> None:
        self.go_on(passed)
        granted = self.allowance.withdraw(self.now)
        if abs(self.tokens - 1.0) > 1e-6:  # so near, a rounding decides
            assert granted == (self.tokens > 1.0)
        if granted:
            self.tokens -= 1.0
            self.retries.append(self.now)

    @rule(many=st.integers(1, 30))
    def many_retries(self, many: int) -> None:
        for _ in range(many):
            self.retry(0.0)

    @rule(passed=st.floats(0, 60))
    def look(self, passed: float) -> None:
        self.go_on(passed)
        assert abs(self.allowance.left(self.now) - self.tokens) < 1e-6
        assert -1e-6 < self.tokens <= self.most

    @invariant()
    def the_law_is_kept(self) -> None:
        """Over every stretch up to now; those that ended before were looked at then."""
        if not getattr(self, "retries", None):
            return
        begins = min([*self.calls[:1], *self.retries[:1]])
        earned = self.share * len(self.calls) + self.refill * (self.now - begins)
        assert len(self.retries) <= self.reserve + earned + 1e-6
        for since in {*self.calls[-50:], *self.retries[-50:]}:
            first = sum(1 for at in self.calls if at >= since)
            again = sum(1 for at in self.retries if at >= since)
            assert again <= self.most + self.share * first + self.refill * (self.now - since) + 1e-6


TestAllowance = AllowanceMachine.TestCase
TestAllowance.settings = settings(max_examples=150, stateful_step_count=25)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60),
    st.floats(0, 1),
    st.floats(1, 5),
    st.floats(0, 2),
)
def test_threads_may_come_out_of_order(
    steps: list[tuple[bool, float]], share: float, reserve: float, refill: float
) -> None:
    """Where one comes with a time before another's, no second is counted twice."""
    allowance = RetryShare(share, reserve, refill).allowance()
    calls = grants = 0
    for again, now in steps:
        if again:
            grants += allowance.withdraw(now)
        else:
            allowance.deposit(now)
            calls += 1
    times = [now for _, now in steps] or [0.0]
    assert grants <= reserve + share * calls + refill * (max(times) - min(times)) + 1e-6


def test_one_who_comes_late_takes_nothing_away() -> None:
    """A retry with a time before another's is granted as if it came with that."""
    allowance = RetryShare(share=0.0, reserve=3, refill=1.0).allowance()
    assert [allowance.withdraw(now) for now in (100.0, 50.0, 99.0, 100.0)] == [True, True, True, False]


def granted(allowance: Allowance, now: float) -> int:
    """How many retries there are, all taken."""
    count = 0
    while allowance.withdraw(now):
        count += 1
    return count


@pytest.mark.parametrize(("share", "kept"), [(RetryShare(), 10), (RetryShare(most=100), 100), (RetryShare(0.5, 0), 1)])
def test_good_traffic_does_not_save_up(share: RetryShare, kept: int) -> None:
    """An hour of calls that went well leaves no more retries than are kept at most."""
    allowance = share.allowance()
    for second in range(3600):
        for _ in range(20):
            allowance.deposit(float(second))
    assert granted(allowance, 3600.0) == kept


@pytest.mark.parametrize("calls", [101, 1001, 10_001])
def test_an_outage_is_not_made_worse(calls: int) -> None:
    """When every call fails, and each asks for all the retries it may, its share of them and the reserve is granted."""
    allowance = Retry().allowance()
    retries = 0
    for _ in range(calls):
        allowance.deposit(5.0)
        retries += sum(allowance.withdraw(5.0) for _ in range(3))
    if calls > 500:
        assert calls + retries <= 1.1 * calls
    assert retries == (calls - 1) * 8 // 100 + 10  # what the first call earns has no room beside a full reserve


def test_little_traffic_can_retry() -> None:
    """A service of a call now and then has its reserve back in time, and no more than that."""
    allowance = RetryShare(share=0.0, reserve=3, refill=0.1).allowance()
    assert granted(allowance, 0.0) == 3
    assert [granted(allowance, now) for now in (9.0, 10.0, 10.5, 30.0, 1e9)] == [0, 1, 0, 2, 3]


def test_without_a_budget_every_retry_is_granted() -> None:
    """No budget is no bound, however long it goes on."""
    allowance = Retry(budget=None).allowance()
    allowance.deposit(0.0)
    assert all(allowance.withdraw(0.0) for _ in range(1000))
    assert allowance.left(0.0) == inf


def test_places_do_not_share_unless_told() -> None:
    """Each allowance is a count of its own, though the configuration is one."""
    retry = Retry()
    one, other = retry.allowance(), retry.allowance()
    assert (granted(one, 0.0), granted(other, 0.0)) == (10, 10)


def test_threads_share_one_count() -> None:
    """Whatever threads do at once, no deposit is lost and no retry granted twice."""
    allowance = RetryShare(share=0.5, reserve=5, refill=0.0, most=10_000).allowance()
    grants: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(2000):
            allowance.deposit(1.0)
        grants.append(sum(allowance.withdraw(1.0) for _ in range(1000)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(grants) + granted(allowance, 1.0) == 4 * 1000 + 5
