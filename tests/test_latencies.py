"""`Latencies`: percentiles of recent calls, in memory that does not grow."""

from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.fallbacks.latencies import ENDS, ERROR, SHORTEST, Latencies

SECONDS = st.floats(SHORTEST, ENDS[-1]) | st.sampled_from(ENDS) | st.sampled_from([0.2, 1.0, 60.0])
ROUNDING = 1e-9

EDGES: list[tuple[float, float]] = [
    (0.0, SHORTEST),
    (-1.0, SHORTEST),
    (SHORTEST / 2, SHORTEST),
    (float("nan"), SHORTEST),
    (ENDS[-1] * 100, ENDS[-1] * (1 + ERROR)),
    (float("inf"), ENDS[-1] * (1 + ERROR)),
]


@given(seen=st.lists(SECONDS, min_size=1, max_size=120), percentile=st.integers(0, 100), window=st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_percentiles_are_those_of_the_recent_calls(seen: list[float], percentile: int, window: int) -> None:
    """Every percentile is within 5 percent of what numpy finds in the calls of the last two windows."""
    latencies = Latencies(window)
    for seconds in seen:
        latencies.add(seconds)
    begun = len(seen) % window
    recent = seen[-min(len(seen), window + begun) :]
    assert latencies.count == len(recent)
    found = latencies.at(percentile)
    # Where a rank is whole, a rounding decides on which side of it numpy looks.
    exact = [
        np.percentile(recent, min(max(percentile + shift, 0.0), 100.0), method="inverted_cdf")
        for shift in (-1e-7, 1e-7)
    ]
    assert found is not None
    assert min(abs(found - value) / value for value in exact) <= ERROR + ROUNDING


@given(first=SECONDS, then=SECONDS)
def test_what_was_before_is_forgotten(first: float, then: float) -> None:
    """After two windows of other latencies nothing is left of those before."""
    latencies, only = Latencies(20), Latencies(20)
    for _ in range(20):
        latencies.add(first)
    for _ in range(40):
        latencies.add(then)
        only.add(then)
    assert [latencies.at(each) for each in (1, 50, 99)] == [only.at(each) for each in (1, 50, 99)]


@pytest.mark.parametrize(("seconds", "found"), EDGES)
def test_what_lies_outside_the_scale_counts_as_its_end(seconds: float, found: float) -> None:
    """Latencies that are too short, too long or none at all are counted, and break nothing."""
    latencies = Latencies()
    latencies.add(seconds)
    assert latencies.at(50) == found and latencies.count == 1


def test_nothing_seen_has_no_percentile() -> None:
    """Without a call there is no percentile, and a window of none is refused."""
    assert Latencies().at(95) is None
    assert "0 calls" in repr(Latencies())
    with pytest.raises(ConfigError, match="1 call or more"):
        Latencies(0)


def test_no_call_is_lost_between_threads() -> None:
    """Four threads that add at once are all counted."""
    latencies = Latencies(100_000)

    def add() -> None:
        for _ in range(5_000):
            latencies.add(1.0)

    threads = [Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latencies.count == 20_000
