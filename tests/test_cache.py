"""`Cache`: bounded by count and weight, fresh then stale then gone, whatever the policy."""

import copy
import math
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import fastcascade
from fastcascade import Cache, Clock, ConfigError, Key
from oracles import LruCache

core: Any = fastcascade

# No two of these are one key.
KEYS: list[Any] = ["a", "b", "c" * 300, b"a", 1, True, 2**80, ("a", 1), Key("a", 2), ""]
AT = st.integers(0, len(KEYS) - 1)
# Quarters of a second are whole nanoseconds, so the twin's sums are exact.
QUARTERS = st.integers(0, 12).map(lambda n: n / 4)
TAGS = st.frozensets(st.sampled_from(["red", "green", "blue", ""]), max_size=3)


class CacheMachine(RuleBasedStateMachine):
    """A cache beside its twin; the twin of another policy than LRU never evicts, and so knows what may be there."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy, self.values = policy, 0

    @initialize(
        max_items=st.none() | st.integers(0, 6),
        max_weight=st.none() | st.integers(0, 12),
        ttl=st.none() | QUARTERS,
        stale_for=QUARTERS,
    )
    def start(self, max_items: int | None, max_weight: int | None, ttl: float | None, stale_for: float) -> None:
        max_items = 4 if max_items is None and max_weight is None else max_items
        self.clock = Clock()
        self.cache = Cache[int](max_items, max_weight, ttl, stale_for, self.policy, clock=self.clock)
        self.bounds = (math.inf if max_items is None else max_items, math.inf if max_weight is None else max_weight)
        self.twin = LruCache(*self.bounds, ttl, stale_for)

    @property
    def exact(self) -> bool:
        """Whether the twin knows all that is there, and not just what may be."""
        return self.policy == "lru" or self.cache.stats().evictions == 0

    def put_twin(self, *put: Any) -> bool:
        if self.policy == "lru":
            return self.twin.put(*put)
        weight, (max_items, max_weight) = put[3], self.bounds
        fits = weight <= max_weight and max_items > 0
        self.twin.max_items, self.twin.max_weight = (math.inf, math.inf) if fits else (0, 0)
        return self.twin.put(*put)

    @rule(at=AT, ttl=st.none() | QUARTERS, weight=st.integers(0, 7), tags=TAGS)
    def put(self, at: int, ttl: float | None, weight: int, tags: frozenset[str]) -> None:
        self.values += 1
        assert self.cache.put(KEYS[at], self.values, ttl, weight, tags) == self.put_twin(
            at, self.values, ttl, weight, tags
        )

    @rule(at=AT)
    def put_plainly(self, at: int) -> None:
        self.values += 1
        assert self.cache.put(KEYS[at], self.values) == self.put_twin(at, self.values, None, 1, frozenset())

    @rule(at=AT)
    def get(self, at: int) -> None:
        before, found = self.cache.peek(KEYS[at]), self.cache.get(KEYS[at], "none")
        expected = self.twin.get(at)
        assert found == ("none" if expected is None else expected) or (not self.exact and found == "none")
        assert found == (before[0] if before and before[1] == "fresh" else "none")

    @rule(at=AT)
    def peek(self, at: int) -> None:
        found = self.cache.peek(KEYS[at])
        assert found == self.twin.peek(at) or (not self.exact and found is None)
        assert (KEYS[at] in self.cache) == (found is not None and found[1] == "fresh")

    @rule(at=AT)
    def remove(self, at: int) -> None:
        removed, expected = self.cache.remove(KEYS[at]), self.twin.entries.pop(at, None) is not None
        assert removed == expected or (not self.exact and not removed)

    @rule(tag=st.sampled_from(["red", "green", "blue", "", "unknown"]))
    def invalidate(self, tag: str) -> None:
        gone, expected = self.cache.invalidate(tag), self.twin.invalidate(tag)
        assert gone == expected or (not self.exact and gone < expected)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.twin.entries.clear()

    @rule(seconds=QUARTERS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.twin.now += seconds

    @invariant()
    def stay_within_bounds(self) -> None:
        if not hasattr(self, "cache"):
            return
        stats = self.cache.stats()
        assert len(self.cache) == stats.items <= self.bounds[0]
        assert stats.weight <= self.bounds[1]
        assert stats.puts == self.twin.counts["puts"]
        lookups = sum(self.twin.counts[name] for name in ("hits", "stale", "misses"))
        assert stats.hits + stats.stale + stats.misses == lookups
        assert stats.hit_ratio == (stats.hits / lookups if lookups else 0.0)
        if self.exact:
            assert (stats.items, stats.weight) == (len(self.twin.entries), self.twin.weight())
            assert {name: getattr(stats, name) for name in self.twin.counts} == self.twin.counts


def test_any_sequence_of_calls_does_what_the_twin_does(policy: Any) -> None:
    """Whatever is called in whatever order, answers, counts and bounds are those of the naive cache."""
    machine: Any = lambda: CacheMachine(policy)  # noqa: E731 - hypothesis takes any maker of machines, its types do not
    run_state_machine_as_test(machine, settings=settings(max_examples=120, stateful_step_count=50))


def test_fresh_stale_and_gone_are_three_answers(policy: Any) -> None:
    """An entry is fresh until its ttl has passed, stale for the window after it, then gone."""
    clock = Clock()
    cache = Cache[str](max_items=9, ttl=10, stale_for=timedelta(seconds=5), policy=policy, clock=clock)
    cache.put("k", "v")
    assert (cache.get("k"), cache.peek("k")) == ("v", ("v", "fresh"))
    clock.advance(9.999999999)
    assert cache.peek("k") == ("v", "fresh")
    clock.advance(0.000000001)
    assert (cache.get("k"), cache.get("k", "d"), cache.peek("k"), "k" in cache) == (None, "d", ("v", "stale"), False)
    clock.advance(5)
    assert (cache.peek("k"), len(cache), cache.get("k"), len(cache)) == (None, 1, None, 0)
    stats = cache.stats()
    assert (stats.hits, stats.stale, stats.misses, stats.expirations) == (1, 2, 1, 1)


def test_the_least_recently_used_goes_first() -> None:
    """`get` and `put` are uses, `peek`, `in` and a stale `get` are none."""
    cache = Cache[int](max_items=3)
    for key in "abc":
        cache.put(key, 1)
    cache.get("a")
    cache.peek("b")
    assert "b" in cache
    cache.put("d", 1)
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
    cache.put("c", 2)
    cache.put("e", 1)
    assert [key for key in "abcde" if key in cache] == ["c", "d", "e"]


def test_a_ttl_of_the_entry_goes_before_that_of_the_cache(policy: Any) -> None:
    """An entry with a ttl of its own does not go by the cache's, in either direction, and infinity is for ever."""
    clock = Clock()
    cache = Cache[int](max_items=9, ttl=10, policy=policy, clock=clock)
    for key, ttl in [("short", 1), ("own", None), ("long", 100), ("ever", math.inf), ("none", 0)]:
        cache.put(key, 1, ttl=ttl)
    alive = []
    for seconds in (0, 1, 9, 90, 1e9):
        clock.advance(seconds)
        alive.append([key for key in ("short", "own", "long", "ever", "none") if key in cache])
    assert alive == [["short", "own", "long", "ever"], ["own", "long", "ever"], ["long", "ever"], ["ever"], ["ever"]]


def test_what_is_too_heavy_is_not_kept(policy: Any) -> None:
    """A value heavier than the whole cache is refused and takes the older value of its key with it."""
    cache = Cache[str](max_weight=10, policy=policy)
    assert cache.put("k", "light", weight=3)
    assert not cache.put("k", "heavy", weight=11)
    assert (cache.get("k"), len(cache), cache.stats().weight) == (None, 0, 0)
    assert not Cache[str](max_items=0, policy=policy).put("k", "v")


def test_tags_are_replaced_with_their_entry(policy: Any) -> None:
    """An entry put again carries just its new tags."""
    cache = Cache[int](max_items=9, policy=policy)
    cache.put("k", 1, tags=["old", "both", "both"])
    cache.put("k", 2, tags=("new", "both"))
    cache.put("other", 3, tags={"both"})
    assert (cache.invalidate("old"), cache.get("k")) == (0, 2)
    assert (cache.invalidate("both"), len(cache)) == (2, 0)
    assert cache.invalidate("new") == 0


def test_any_value_comes_out_as_the_object_that_went_in(policy: Any) -> None:
    """Values need not be hashable or comparable; None can be told from a miss by `peek`."""
    values: list[Any] = [None, [], {}, object(), Cache, lambda: 1]
    cache = Cache[Any](max_items=9, policy=policy)
    for at, value in enumerate(values):
        cache.put(at, value)
    assert all(cache.get(at) is value for at, value in enumerate(values))
    assert (cache.peek(0), cache.peek(99), cache.get(0, 7)) == ((None, "fresh"), None, None)
    default = object()
    assert cache.get(99, default) is default


def test_the_memory_stated_follows_the_entries(policy: Any) -> None:
    """More entries hold more memory, tags more again, and clearing gives it back."""
    cache = Cache[int](max_items=20_000, policy=policy)
    empty = cache.stats().memory
    for at in range(20_000):
        cache.put(at, at)
    plain = cache.stats().memory
    for at in range(20_000):
        cache.put(at, at, tags=[str(at % 100)])
    assert empty < plain < cache.stats().memory
    # At least a digest and a pointer, at most a few hundred bytes an entry.
    assert 24 < (plain - empty) / 20_000 < 300
    cache.clear()
    assert cache.stats().memory < plain / 2


def test_statistics_are_of_their_moment() -> None:
    """What `stats` returned does not change afterwards and shows its numbers."""
    cache = Cache[int](max_items=2)
    cache.put("a", 1)
    stats = cache.stats()
    cache.get("a")
    assert (stats.hits, cache.stats().hits) == (0, 1)
    assert "hits=1" in repr(cache.stats())
    assert "1 items" in repr(cache)
    with pytest.raises(AttributeError):
        setattr(stats, "hits", 5)  # noqa: B010 - not a mistake that mypy lets one write


def test_a_cache_is_neither_pickled_nor_copied() -> None:
    """Pickling and copying are refused with the reason, also of its statistics and its clock."""
    cache = Cache[int](max_items=1, clock=Clock())
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Cache cannot be pickled; each process"):
            attempt(cache)
    for part in (cache.stats(), Clock()):
        with pytest.raises(TypeError, match=type(part).__name__):
            pickle.dumps(part)


def test_a_clock_stands_still_until_it_is_moved() -> None:
    """A clock begins where it is told to and moves by what it is told, durations included."""
    clock = Clock()
    assert clock.now() == clock.now() == 1_000.0
    clock.advance(0.5)
    clock.advance(timedelta(minutes=1))
    assert clock.now() == 1_060.5
    assert Clock(7).now() == 7.0


def test_a_clock_at_the_end_of_time_stays_there() -> None:
    """Moving a clock further than time goes does not bring it back to the beginning."""
    clock = Clock(1_000)
    clock.advance(math.inf)
    assert clock.now() > 1e9
    clock.advance(10)
    assert clock.now() > 1e9


def test_types_may_be_written_in_brackets() -> None:
    """`Cache[int]` is what it says at run time too."""
    assert Cache[int](1).put("a", 1)


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.Cache(), ConfigError, ["max_items", "max_weight"]),
    (lambda: core.Cache(ttl=5), ConfigError, ["max_items", "max_weight"]),
    (lambda: core.Cache("1"), TypeError, ["max_items", "str"]),
    (lambda: core.Cache(1.5), TypeError, ["max_items", "float"]),
    (lambda: core.Cache(-1), (ValueError, OverflowError), ["max_items"]),
    (lambda: core.Cache(max_weight=-1), (ValueError, OverflowError), ["max_weight"]),
    (lambda: core.Cache(max_weight=2**64), (ValueError, OverflowError), ["max_weight"]),
    (lambda: core.Cache(1, ttl="1"), TypeError, ["ttl", "str"]),
    (lambda: core.Cache(1, ttl=-1), ValueError, ["ttl", "-1"]),
    (lambda: core.Cache(1, ttl=math.nan), ValueError, ["ttl", "NaN"]),
    (lambda: core.Cache(1, ttl=timedelta(seconds=-1)), ValueError, ["ttl", "-1"]),
    (lambda: core.Cache(1, stale_for=None), TypeError, ["stale_for", "NoneType"]),
    (lambda: core.Cache(1, stale_for=-0.5), ValueError, ["stale_for", "-0.5"]),
    (lambda: core.Cache(1, policy="LRU"), ConfigError, ["policy", "lru", "LRU"]),
    (lambda: core.Cache(1, policy=None), TypeError, ["policy", "None"]),
    (lambda: core.Cache(1, policy="\ud800"), UnicodeEncodeError, ["policy", "surrogates"]),
    (lambda: core.Cache(1, clock=1.0), TypeError, ["clock", "float"]),
    (lambda: core.Cache(1, size=1), TypeError, ["size"]),
    (lambda: core.Cache(1, 1, 1, 1, "lru", Clock()), TypeError, ["positional"]),
    (lambda: core.Cache(1, max_items=1), TypeError, ["max_items"]),
    (lambda: core.Cache(1).get(), TypeError, ["key"]),
    (lambda: core.Cache(1).get("a", 1, 2), TypeError, ["2", "3"]),
    (lambda: core.Cache(1).get("a", fallback=1), TypeError, ["fallback", "default"]),
    (lambda: core.Cache(1).get("a", key="a"), TypeError, ["key", "twice"]),
    (lambda: core.Cache(1).peek(), TypeError, ["key"]),
    (lambda: core.Cache(1).peek(None), TypeError, ["key", "NoneType"]),
    (lambda: core.Cache(1).remove(1.5), TypeError, ["key", "float"]),
    (lambda: core.Cache(1).put("a"), TypeError, ["value"]),
    (lambda: core.Cache(1).put("a", 1, ttl="1"), TypeError, ["ttl", "str"]),
    (lambda: core.Cache(1).put("a", 1, ttl=math.nan), ValueError, ["ttl", "NaN"]),
    (lambda: core.Cache(1).put("a", 1, ttl=-1), ValueError, ["ttl", "-1"]),
    (lambda: core.Cache(1).put("a", 1, weight=-1), (ValueError, OverflowError), ["weight"]),
    (lambda: core.Cache(1).put("a", 1, weight=2**32), (ValueError, OverflowError), ["weight"]),
    (lambda: core.Cache(1).put("a", 1, weight=1.0), TypeError, ["weight", "float"]),
    (lambda: core.Cache(1).put("a", 1, weight=None), TypeError, ["weight", "NoneType"]),
    (lambda: core.Cache(1).put("a", 1, tags="red"), TypeError, ["tags", "red"]),
    (lambda: core.Cache(1).put("a", 1, tags=7), TypeError, ["tags", "int"]),
    (lambda: core.Cache(1).put("a", 1, tags=["red", 7]), TypeError, ["tags", "int"]),
    (lambda: core.Cache(1).put("a", 1, tags=[b"red"]), TypeError, ["tags", "bytes"]),
    (lambda: core.Cache(1).put("a", 1, tags=["\ud800"]), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Cache(1).put("a", 1, tag="red"), TypeError, ["tag"]),
    (lambda: core.Cache(1).put("a", 1, 1, 1, (), 1), TypeError, ["positional"]),
    (lambda: core.Cache(1).invalidate(7), TypeError, ["tag", "int"]),
    (lambda: core.Cache(1).invalidate(["red"]), TypeError, ["tag", "list"]),
    (lambda: core.Cache(1).invalidate("\ud800"), UnicodeEncodeError, ["tag", "surrogates"]),
    (lambda: core.Cache(1).clear(1), TypeError, ["clear", "argument"]),
    (lambda: core.CacheStats(), TypeError, ["CacheStats"]),
    (lambda: core.Clock(-1), ValueError, ["start", "-1"]),
    (lambda: core.Clock("now"), TypeError, ["start", "str"]),
    (lambda: core.Clock().advance(-0.1), ValueError, ["seconds", "-0.1"]),
    (lambda: core.Clock().advance(math.nan), ValueError, ["seconds", "NaN"]),
    (lambda: core.Clock().advance(None), TypeError, ["seconds", "NoneType"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Arguments of the wrong kind, size, number or name are named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []


def test_a_failed_put_changes_nothing() -> None:
    """When the tags cannot be read, the entry stays as it was."""
    cache = Cache[int](max_items=9)
    cache.put("k", 1, tags=["t"])
    with pytest.raises(TypeError):
        core.Cache.put(cache, "k", 2, tags=["t", 7])
    assert (cache.get("k"), cache.invalidate("t")) == (1, 1)
