"""`Quota` and `RateLimiter`: a token bucket per client, exact to the nanosecond."""

import copy
import math
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import fastcascade
from fastcascade import Clock, ConfigError, Quota, RateLimiter
from oracles import Buckets

core: Any = fastcascade

CLIENTS: list[Any] = ["ann", b"ann", "bob", 7, ""]
CLIENT = st.integers(0, len(CLIENTS) - 1)
TOKENS = st.floats(0, 12) | st.integers(0, 12).map(float)
# The core counts whole nanoseconds, the twin fractions: a run of some dozen steps stays far below this.
TOLERANCE = 1e-6


class LimiterMachine(RuleBasedStateMachine):
    """A limiter beside its twin; where they differ by a rounding, the twin follows."""

    @initialize(
        n=st.floats(0.1, 1_000) | st.sampled_from([1.0, 3.0, 60.0]),
        per=st.sampled_from([("second", 1), ("minute", 60), (0.5, 0.5), (timedelta(seconds=7), 7), (3_600, 3_600)]),
        burst=st.floats(0.5, 10) | st.sampled_from([1.0, 5.0]),
    )
    def start(self, n: float, per: tuple[Any, float], burst: float) -> None:
        self.clock, self.rate = Clock(), n / per[1]
        self.limiter = RateLimiter(Quota(n, per[0], burst), clock=self.clock)
        self.twin = Buckets(n, per[1], burst)

    @rule(client=CLIENT, cost=TOKENS)
    def admit(self, client: int, cost: float) -> None:
        wait, expected = self.limiter.admit(CLIENTS[client], cost), self.twin.wait(client, cost)
        if math.isinf(wait) or math.isinf(expected):
            assert wait == expected
            return
        assert abs(wait - expected) < TOLERANCE
        if wait == 0:
            self.twin.take(client, cost)

    @rule(client=CLIENT)
    def admit_plainly(self, client: int) -> None:
        if self.twin.burst >= 1:
            wait = self.limiter.admit(CLIENTS[client])
            assert abs(wait - self.twin.wait(client, 1)) < TOLERANCE
            if wait == 0:
                self.twin.take(client, 1)

    @rule(client=CLIENT, reserved=TOKENS, used=TOKENS)
    def settle(self, client: int, reserved: float, used: float) -> None:
        self.limiter.settle(CLIENTS[client], reserved, used)
        self.twin.take(client, used - reserved)

    @rule(client=CLIENT)
    def available(self, client: int) -> None:
        difference = self.limiter.available(CLIENTS[client]) - float(self.twin.available(client))
        assert abs(difference) < TOLERANCE * max(self.rate, 1)

    @rule(seconds=st.floats(0, 20) | st.integers(0, 5).map(float))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.twin.advance(seconds)

    @rule(client=CLIENT, cost=TOKENS)
    def wait_just_long_enough(self, client: int, cost: float) -> None:
        wait = self.limiter.admit(CLIENTS[client], cost)
        if 0 < wait < math.inf:
            self.clock.advance(wait)
            self.twin.advance(wait)
            assert self.limiter.admit(CLIENTS[client], cost) == 0
        if wait < math.inf:
            self.twin.take(client, cost)


TestLimiterMachine = LimiterMachine.TestCase
TestLimiterMachine.settings = settings(max_examples=150, stateful_step_count=40)


@given(st.floats(0.1, 10_000), st.floats(0.001, 100_000), st.floats(0, 1e6))
def test_a_wait_is_exact(n: float, per: float, start: float) -> None:
    """After the wait that was stated the request is admitted, and a microsecond sooner it is not."""
    clock = Clock(start)
    limiter = RateLimiter(Quota(n, per, burst=1), clock=clock)
    assert limiter.admit("ann") == 0
    wait = limiter.admit("ann")
    if wait > 1e-5:
        clock.advance(wait - 1e-6)
        assert 0 < limiter.admit("ann") <= 2e-6
        wait = limiter.admit("ann")
    clock.advance(wait)
    assert limiter.admit("ann") == 0


def test_a_quota_is_a_burst_and_a_rate() -> None:
    """So many at once, then one whenever its time has come, each client on its own."""
    clock = Clock()
    limiter = RateLimiter(Quota(60, "minute", burst=3), clock=clock)
    assert [limiter.admit("ann") for _ in range(5)] == [0, 0, 0, 1, 1]
    assert limiter.admit("bob") == 0
    clock.advance(1)
    assert [limiter.admit("ann"), limiter.admit("ann")] == [0, 1]
    clock.advance(1_000)
    assert [limiter.admit("ann") for _ in range(4)] == [0, 0, 0, 1]


def test_a_refusal_takes_nothing() -> None:
    """However often a client is refused, it is admitted when its first wait is over."""
    clock = Clock()
    limiter = RateLimiter(Quota(1, 10), clock=clock)
    limiter.admit("ann")
    assert {limiter.admit("ann") for _ in range(1_000)} == {10.0}
    clock.advance(10)
    assert limiter.admit("ann") == 0


def test_what_costs_more_than_the_burst_is_never_admitted() -> None:
    """A cost above the burst is `math.inf`, takes nothing, and one at the burst passes."""
    limiter = RateLimiter(Quota(10, burst=5), clock=Clock())
    assert limiter.admit("ann", 5.0001) == math.inf
    assert (limiter.available("ann"), limiter.admit("ann", 5)) == (5, 0)


def test_settling_corrects_in_both_directions() -> None:
    """Less used is given back, more is owed, and nobody gains more than the burst."""
    clock = Clock()
    limiter = RateLimiter(Quota(10, burst=10), clock=clock)
    limiter.admit("ann", 8)
    limiter.settle("ann", 8, 3)
    assert limiter.available("ann") == 7
    limiter.settle("ann", 3, 23)
    assert limiter.available("ann") == -13
    assert limiter.admit("ann", 1) == pytest.approx(1.4)
    assert limiter.admit("ann", 0) == pytest.approx(1.3)
    limiter.settle("ann", 100, 0)
    assert limiter.available("ann") == 10
    assert [limiter.admit("ann", 10), limiter.admit("ann", 1)] == [0, pytest.approx(0.1)]


def test_idle_clients_are_forgotten_and_limited_ones_never() -> None:
    """A flood of newcomers does not outgrow the bound, nor free a client that has to wait."""
    clock = Clock()
    limiter = RateLimiter(Quota(1, "hour", burst=2), max_clients=1_600, clock=clock)
    limited = [f"limited {n}" for n in range(50)]
    for client in limited:
        assert [limiter.admit(client) for _ in range(3)] == [0, 0, 3_600]
    for n in range(50_000):
        limiter.admit(n)
        assert len(limiter) <= 1_600
    assert all(limiter.admit(client) > 0 for client in limited)
    clock.advance(3 * 3_600)
    assert all(limiter.admit(client) == 0 for client in limited)


def test_the_number_of_clients_is_bounded_as_stated() -> None:
    """No more clients are remembered than `max_clients`, also when that is a small number."""
    limiter = RateLimiter(Quota(1, "hour"), max_clients=3, clock=Clock())
    for client in range(1_000):
        limiter.admit(client)
    assert len(limiter) <= 3


def test_when_all_are_limited_a_newcomer_waits() -> None:
    """A table full of clients that must wait lets nobody in before the first of them may go."""
    clock = Clock()
    limiter = RateLimiter(Quota(1, 60), max_clients=16, clock=clock)
    waits = [limiter.admit(n) for n in range(2_000)]
    assert len(limiter) <= 16
    assert {wait for wait in waits if wait} == {60.0}
    clock.advance(60)
    assert limiter.admit("newcomer") == 0


def test_memory_follows_the_clients_that_are_short() -> None:
    """Once all buckets are full again, newcomers take the places of the old."""
    clock = Clock()
    limiter = RateLimiter(Quota(1, burst=1), clock=clock)
    held = []
    for round_ in range(5):
        for n in range(20_000):
            limiter.admit((round_ * 20_000) + n)
        held.append(limiter.memory)
        clock.advance(10)
    assert held[0] < 64 * 20_000 * 2
    assert held[-1] <= 2 * held[0]
    assert len(limiter) <= 2 * 20_000 + 16


def test_a_client_is_told_by_type_and_content() -> None:
    """A text, bytes and a number that look alike are three clients."""
    limiter = RateLimiter(Quota(1, "day"), clock=Clock())
    assert [limiter.admit(client) for client in ("1", b"1", 1)] == [0, 0, 0]
    assert all(limiter.admit(client) > 0 for client in ("1", b"1", 1))


PERIODS = (
    st.sampled_from(["second", "minute", "hour", "day"])
    | st.floats(1e-3, 1e6)
    | st.timedeltas(timedelta(seconds=1), timedelta(days=9))
)


@given(st.floats(1, 1e6), PERIODS, st.none() | st.floats(1e-3, 1e3))
def test_quotas_are_pickled_copied_and_compared(n: float, per: Any, burst: float | None) -> None:
    """A quota survives pickling, copying and `repr`, is equal to itself and hashes alike."""
    quota = Quota(n, per, burst)
    for same in (
        pickle.loads(pickle.dumps(quota)),
        copy.copy(quota),
        copy.deepcopy(quota),
        eval(repr(quota)),
        Quota(n, per, burst),
    ):
        assert same == quota
        assert hash(same) == hash(quota)
        assert (same.n, same.per, same.burst) == (quota.n, quota.per, quota.burst)


def test_a_quota_says_what_it_is() -> None:
    """The parts of a quota read as they were given, the period in seconds, the burst `n` by default."""
    assert (Quota(5).n, Quota(5).per, Quota(5).burst) == (5, 1, 5)
    assert [Quota(1, per).per for per in ("second", "minute", "hour", "day", 2.5, timedelta(hours=2))] == [
        1,
        60,
        3_600,
        86_400,
        2.5,
        7_200,
    ]
    assert Quota(5) == Quota(5, "second", 5) == Quota(5, 1.0, 5.0)
    assert len({Quota(5), Quota(6), Quota(5, "minute"), Quota(5, burst=1)}) == 4
    assert Quota(5) != 5
    assert RateLimiter(Quota(5)).quota == Quota(5)


def test_a_limiter_is_neither_pickled_nor_copied() -> None:
    """Pickling and copying are refused with the reason."""
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="RateLimiter cannot be pickled; each process"):
            attempt(RateLimiter(Quota(1)))


def limiter() -> Any:
    """A limiter of which the types know nothing."""
    return RateLimiter(Quota(1))


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.Quota(), TypeError, ["n"]),
    (lambda: core.Quota("1"), TypeError, ["n", "str"]),
    (lambda: core.Quota(0), ConfigError, ["quota", "0"]),
    (lambda: core.Quota(-1), ConfigError, ["quota", "-1"]),
    (lambda: core.Quota(math.nan), ConfigError, ["quota", "NaN"]),
    (lambda: core.Quota(math.inf), ConfigError, ["quota", "inf"]),
    (lambda: core.Quota(1, per="week"), ConfigError, ["per", "minute", "week"]),
    (lambda: core.Quota(1, per=""), ConfigError, ["per"]),
    (lambda: core.Quota(1, per=0), ConfigError, ["period"]),
    (lambda: core.Quota(1, per=math.inf), ConfigError, ["period"]),
    (lambda: core.Quota(1, per=math.nan), ValueError, ["NaN"]),
    (lambda: core.Quota(1, per=-1), ValueError, ["-1"]),
    (lambda: core.Quota(1, per=[]), TypeError, ["list"]),
    (lambda: core.Quota(1, per="\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Quota(1, burst=0), ConfigError, ["burst", "0"]),
    (lambda: core.Quota(1, burst=-2), ConfigError, ["burst", "-2"]),
    (lambda: core.Quota(1, burst=math.nan), ConfigError, ["burst", "NaN"]),
    (lambda: core.Quota(1, burst=math.inf), ConfigError, ["burst", "inf"]),
    (lambda: core.Quota(1, burst="5"), TypeError, ["burst", "str"]),
    (lambda: core.Quota(1e-9, "day", 1e9), ConfigError, ["century"]),
    (lambda: core.Quota(1, rate=5), TypeError, ["rate"]),
    (lambda: core.Quota(1, 1, 1, 1), TypeError, ["positional"]),
    (lambda: core.RateLimiter(), TypeError, ["quota"]),
    (lambda: core.RateLimiter(5), TypeError, ["quota", "int"]),
    (lambda: core.RateLimiter(Quota(1), 5), TypeError, ["positional"]),
    (lambda: core.RateLimiter(Quota(1), max_clients=0), ConfigError, ["max_clients", "0"]),
    (lambda: core.RateLimiter(Quota(1), max_clients=-1), (ValueError, OverflowError), ["max_clients"]),
    (lambda: core.RateLimiter(Quota(1), max_clients=1.5), TypeError, ["max_clients", "float"]),
    (lambda: core.RateLimiter(Quota(1), clock=1), TypeError, ["clock", "int"]),
    (lambda: core.RateLimiter(Quota(1), size=1), TypeError, ["size"]),
    (lambda: limiter().admit(), TypeError, ["client"]),
    (lambda: limiter().admit(None), TypeError, ["NoneType"]),
    (lambda: limiter().admit(1.5), TypeError, ["float"]),
    (lambda: limiter().admit("\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: limiter().admit("a", "1"), TypeError, ["cost", "str"]),
    (lambda: limiter().admit("a", None), TypeError, ["cost", "None"]),
    (lambda: limiter().admit("a", math.nan), ValueError, ["cost", "NaN"]),
    (lambda: limiter().admit("a", math.inf), ValueError, ["cost", "inf"]),
    (lambda: limiter().admit("a", -1), ValueError, ["cost", "-1"]),
    (lambda: limiter().admit("a", 1, 1), TypeError, ["2", "3"]),
    (lambda: limiter().admit("a", price=1), TypeError, ["price", "cost"]),
    (lambda: limiter().admit("a", client="b"), TypeError, ["client", "twice"]),
    (lambda: limiter().settle("a", 1), TypeError, ["used"]),
    (lambda: limiter().settle("a", -1, 1), ValueError, ["reserved", "-1"]),
    (lambda: limiter().settle("a", 1, math.nan), ValueError, ["used", "NaN"]),
    (lambda: limiter().settle("a", "1", 1), TypeError, ["reserved", "str"]),
    (lambda: limiter().available(None), TypeError, ["client", "NoneType"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Arguments of the wrong kind, size, number or name are named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
