"""Vectors in the core: cosines beside a naive twin, every form they may come in, and what is refused."""

import copy
import math
import pickle
import threading
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade._core import VectorSet, cosine
from fastcascade.errors import ConfigError

core: Any = VectorSet
NAN, INF = math.nan, math.inf

NUMBERS = st.floats(-(2.0**99), 2.0**99, width=32) | st.floats(-1, 1, width=32) | st.just(0.0)


def naive(a: Sequence[float], b: Sequence[float]) -> float:
    """The definition of the cosine."""
    length = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / length


def vectors(dim: int) -> st.SearchStrategy[list[float]]:
    """Vectors that point somewhere."""
    return st.lists(NUMBERS, min_size=dim, max_size=dim).filter(any)


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[list[float]], list[int], list[float]]:
    """Rows, the group of each without gaps, and a query."""
    dim = draw(st.integers(1, 40))
    rows = draw(st.lists(vectors(dim), min_size=1, max_size=8))
    drawn = draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    return rows, [sorted(set(drawn)).index(group) for group in drawn], draw(vectors(dim))


@settings(max_examples=200)
@given(sets(), st.integers(1, 3))
def test_scores_are_the_twins(drawn: tuple[list[list[float]], list[int], list[float]], top: int) -> None:
    """A group's score is the mean of its best cosines, and `best` is the first of the highest."""
    rows, groups, query = drawn
    real = VectorSet(rows, groups, top=top)
    scores = real.scores(query)
    for group, score in enumerate(scores):
        own = [naive(row, query) for row, of in zip(rows, groups, strict=True) if of == group]
        expected = sorted(own, reverse=True)[:top]
        assert score == pytest.approx(math.fsum(expected) / len(expected), abs=1e-5)
    assert real.best(query) == (scores.index(max(scores)), max(scores))
    assert (len(real), real.groups, real.dim) == (len(rows), max(groups) + 1, len(query))
    assert cosine(rows[0], query) == pytest.approx(naive(rows[0], query), abs=1e-6)
    assert -1 <= cosine(query, rows[0]) <= 1


ROWS = [[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]]
SAME: list[Callable[[list[list[float]]], Any]] = [
    lambda rows: rows,
    lambda rows: tuple(tuple(row) for row in rows),
    lambda rows: iter(rows),
    lambda rows: [array("f", row) for row in rows],
    lambda rows: [array("d", row) for row in rows],
    lambda rows: [memoryview(array("f", row)) for row in rows],
    lambda rows: array("f", [*rows[0], *rows[1]]),
    lambda rows: memoryview(array("d", [*rows[0], *rows[1]])),
    lambda rows: np.array(rows, dtype=np.float32),
    lambda rows: np.array(rows, dtype=np.float64),
    lambda rows: np.asfortranarray(np.array(rows, dtype=np.float32)),
    lambda rows: np.array([[x, 9.0] for row in rows for x in row], dtype=np.float32)[:, 0].reshape(2, 3),
    lambda rows: list(np.array(rows, dtype=np.float32)),
]


@pytest.mark.parametrize("form", SAME)
def test_rows_may_come_in_any_form(form: Callable[[list[list[float]]], Any]) -> None:
    """Lists, arrays, views and numpy arrays of either width and any strides are the same rows."""
    real = VectorSet(form(ROWS), [1, 0])
    assert real.scores([1, 2, 3]) == pytest.approx([naive(ROWS[1], ROWS[0]), 1.0], abs=1e-6)


def test_a_query_may_come_in_any_form() -> None:
    """A query is a list, a tuple, an iterator, or a buffer of either width, strides included."""
    real = VectorSet(ROWS, [0, 1])
    doubled = np.array([1.0, 9, 2, 9, 3, 9], dtype=np.float32)[::2]
    forms: list[Any] = [(1, 2, 3), iter([1.0, 2, 3]), array("f", [1, 2, 3]), array("d", [1, 2, 3]), doubled]
    assert all(real.best(form) == real.best([1.0, 2.0, 3.0]) for form in forms)
    assert cosine(doubled, array("d", [2, 4, 6])) == pytest.approx(1.0)


BAD_SETS: list[tuple[Any, Any, type[Exception], str]] = [
    ([], [], ConfigError, "at least one row"),
    ([[]], [0], ConfigError, "from 1 to 65536 dimensions, not 0"),
    ([[1.0], [0.0]], [0, 0], ConfigError, "row 1 is all zeros"),
    ([[1.0, NAN]], [0], ConfigError, "row 0 is not finite at place 1"),
    ([[1.0], [INF]], [0, 0], ConfigError, "row 1 is not finite at place 0"),
    ([[1e300]], [0], ConfigError, "row 0 is not finite at place 0"),
    ([[1.0, 2.0], [1.0]], [0, 0], ConfigError, "row 1 has 1 dimensions, not 2"),
    ([[1.0]], [0, 0], ConfigError, "1 rows and 2 group numbers"),
    ([[1.0]], [1], ConfigError, "group 0 has no row"),
    ([[1.0]], [-1], ConfigError, "a group is a number from 0 on, not -1"),
    ([[1.0]], ["a"], ConfigError, "a group is a number from 0 on, not 'a'"),
    ([[1.0]], 3, TypeError, "groups is a list of numbers, not int"),
    (array("f", [1, 2, 3]), [0, 1], ConfigError, "3 numbers, which 2 groups do not divide"),
    (np.ones((1, 1, 1)), [0], ConfigError, "rows has 3 axes"),
    (np.ones((1, 2), dtype=np.int32), [0], TypeError, 'a buffer of "i"'),
    (b"abcd", [0], TypeError, 'a buffer of "B"'),
    (7, [0], TypeError, "rows is a buffer or a list of rows, not int"),
    (["ab"], [0], TypeError, "row 0 is a buffer or a list of numbers, not str"),
    ([["a"]], [0], TypeError, "each of the numbers of row 0 is a number, not str"),
]


@pytest.mark.parametrize(("rows", "groups", "kind", "said"), BAD_SETS)
def test_bad_sets_are_refused(rows: Any, groups: Any, kind: type[Exception], said: str) -> None:
    """What cannot be a set is refused when it is built, the row or group at fault named."""
    with pytest.raises(kind, match=said.replace("[", r"\[")):
        VectorSet(rows, groups)
    with pytest.raises(ConfigError, match="top is 0"):
        VectorSet([[1.0]], [0], top=0)


BAD_QUERIES: list[tuple[Any, type[Exception], str]] = [
    ([1.0], ValueError, "has 1 dimensions, not 2"),
    ([1.0, 2.0, 3.0], ValueError, "has 3 dimensions, not 2"),
    ([NAN, 1.0], ValueError, "is not finite at place 0"),
    (array("f", [1, -INF]), ValueError, "is not finite at place 1"),
    ([0.0, 0.0], ValueError, "is all zeros"),
    (np.ones((1, 2)), ValueError, "has 2 axes"),
    ("ab", TypeError, "a list of numbers, not str"),
    (3, TypeError, "a list of numbers, not int"),
    ([None, 1], TypeError, "a number, not NoneType"),
]


@pytest.mark.parametrize(("query", "kind", "said"), BAD_QUERIES)
def test_bad_queries_are_refused(query: Any, kind: type[Exception], said: str) -> None:
    """A query that is no direction, or of another size, is an error that says which, here and in `cosine`."""
    real = VectorSet([[1.0, 2.0]], [0])
    for ask in (real.best, real.scores):
        with pytest.raises(kind, match=f"the query .*{said}|numbers of the query .*{said}"):
            ask(query)
    with pytest.raises(kind, match=f"second vector .*{said}"):
        cosine([1.0, 2.0], query)
    if len(np.shape(query)) == 1 and len(query) == 2:
        with pytest.raises(kind, match=f"first vector .*{said}"):
            cosine(query, [1.0, 2.0])


def test_a_set_is_bound_to_its_process() -> None:
    """A set says what it is and cannot be pickled or changed."""
    real = VectorSet(ROWS, [0, 1])
    assert repr(real) == "<VectorSet of 2 rows in 2 groups, 3 dimensions>"
    assert real.memory < 1_000
    for copied in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="build it from its rows"):
            copied(real)
    with pytest.raises(AttributeError):
        core.__setattr__(real, "dim", 4)


def test_a_large_set_is_asked_from_many_threads() -> None:
    """Where others may run meanwhile, the answers are the same."""
    rows = np.random.default_rng(7).standard_normal((1_200, 384)).astype(np.float32)
    real = VectorSet(rows, [at // 100 for at in range(1_200)])
    queries = rows[::97] + np.float32(0.01)
    expected = [real.best(query) for query in queries]
    found: list[list[tuple[int, float]]] = [[] for _ in range(4)]

    def ask(into: list[tuple[int, float]]) -> None:
        into.extend(real.best(query) for query in queries)

    threads = [threading.Thread(target=ask, args=(into,)) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert [group for group, _ in expected] == [at // 100 for at in range(0, 1_200, 97)]
