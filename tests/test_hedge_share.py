"""`Hedge` by percentile, and the ration of second calls."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.fallbacks.hedge import Hedge
from fastcascade.fallbacks.latencies import ERROR, Latencies

ROUNDING = 1e-6


def seen(count: int, seconds: float = 2.0) -> Latencies:
    """So many calls that took so long."""
    latencies = Latencies()
    for _ in range(count):
        latencies.add(seconds)
    return latencies


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({}, "a hedge needs `after`"),
    ({"after": 0.0}, "after > 0"),
    ({"after": float("nan")}, "after > 0"),
    ({"likely": 0.0}, "0 < likely <= 1"),
    ({"likely": 1.5}, "0 < likely <= 1"),
    ({"percentile": 0.0}, "between 0 and 100"),
    ({"percentile": 100}, "between 0 and 100"),
    ({"after": 1.0, "share": 0.0}, "0 < share <= 1"),
    ({"after": 1.0, "share": 1.1}, "0 < share <= 1"),
    ({"percentile": 95, "burst": 0.5}, "burst >= 1"),
    ({"percentile": 95, "burst": float("inf")}, "burst >= 1"),
    ({"percentile": 95, "least": 0}, "least >= 1"),
]


@pytest.mark.parametrize(("settings", "message"), NONSENSE)
def test_nonsense_is_refused(settings: dict[str, Any], message: str) -> None:
    """A hedge that could never be meant is refused when it is built, and the message says why."""
    with pytest.raises(ConfigError, match=message):
        Hedge(**settings)


CASES: list[tuple[Hedge, float | None, Latencies | None, float | None]] = [
    (Hedge(after=3.0), None, None, 3.0),
    (Hedge(after=3.0), 0.1, seen(100), 3.0),
    (Hedge(likely=0.7), None, None, None),
    (Hedge(likely=0.7), 0.3, None, 0.0),
    (Hedge(likely=0.7), 0.4, None, None),
    (Hedge(after=3.0, likely=0.7), 0.4, None, 3.0),
    (Hedge(percentile=95), None, None, None),
    (Hedge(percentile=95), None, seen(19), None),
    (Hedge(percentile=95), None, seen(20), 2.0),
    (Hedge(percentile=95, least=5), None, seen(5), 2.0),
    (Hedge(after=3.0, percentile=95), None, seen(19), 3.0),
    (Hedge(after=3.0, percentile=95), None, seen(20), 2.0),
    (Hedge(likely=0.7, percentile=95), 0.1, seen(20), 0.0),
]


@pytest.mark.parametrize(("hedge", "quality", "latencies", "wait"), CASES)
def test_when_the_second_call_is_started(
    hedge: Hedge, quality: float | None, latencies: Latencies | None, wait: float | None
) -> None:
    """At once where the first is likely to be wrong, else after the percentile once that is known, or `after`."""
    found = hedge.stagger(quality, latencies)
    assert found == wait or (found and wait and abs(found - wait) <= wait * ERROR + ROUNDING)


SHARES: list[tuple[Callable[[], Hedge], bool]] = [
    (lambda: Hedge(after=1.0), True),
    (lambda: Hedge(likely=0.5), True),
    (lambda: Hedge(percentile=95, share=1.0), True),
    (lambda: Hedge(percentile=95), False),
    (lambda: Hedge(after=1.0, share=0.5), False),
]


@pytest.mark.parametrize(("build", "all_may"), SHARES)
def test_who_may_have_a_second_call(build: Callable[[], Hedge], all_may: bool) -> None:
    """By default every call may have a second one, but with a percentile they are rationed."""
    allowance = build().allowance()
    for _ in range(1_000):
        allowance.deposit(0.0)
    assert (sum(allowance.withdraw(0.0) for _ in range(1_000)) == 1_000) is all_may


@given(
    share=st.floats(0.001, 0.999) | st.sampled_from([0.05, 0.1, 0.5]),
    burst=st.floats(1.0, 5.0) | st.sampled_from([1.0, 10.0]),
    steps=st.lists(st.integers(0, 30) | st.just(None), max_size=60),
    since=st.integers(0, 60),
)
def test_second_calls_stay_within_the_share(share: float, burst: float, steps: list[int | None], since: int) -> None:
    """In any stretch of traffic second calls are at most share x first calls + burst, and no fewer than may be."""
    allowance = Hedge(percentile=95, share=share, burst=burst).allowance()
    held, first, second = burst, 0, 0
    for place, step in enumerate(steps):
        if place == since:
            first = second = 0
        if step is None:
            granted = allowance.withdraw(float(place))
            if abs(held - 1) > ROUNDING:
                assert granted is (held >= 1)
            held -= granted
            second += granted
        else:
            for _ in range(step):
                allowance.deposit(float(place))
                held = min(held + share, burst)
            first += step
    assert second <= share * first + burst + ROUNDING


@pytest.mark.parametrize(("burst", "least", "most"), [(1.0, 0.4, 0.6), (10.0, 0.88, 1.0)])
def test_what_the_burst_is_for(burst: float, least: float, most: float) -> None:
    """Of the second calls that 5 percent want at random, a burst of 1 grants half and the default nine tenths."""
    draw, allowance = Random(7), Hedge(percentile=95, burst=burst).allowance()
    wanted = granted = 0
    for _ in range(100_000):
        allowance.deposit(0.0)
        if draw.random() < 0.05:
            wanted += 1
            granted += allowance.withdraw(0.0)
    assert least <= granted / wanted <= most


def test_a_hedge_shows_how_it_was_made() -> None:
    """The text of a hedge makes the same hedge, and equal hedges are equal."""
    hedge = Hedge(after=1.0, percentile=95)
    assert eval(repr(hedge)) == hedge and hash(hedge) == hash(Hedge(after=1.0, percentile=95))
