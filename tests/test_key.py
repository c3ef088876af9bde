"""`Key`: equal for the same content, and for nothing else."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcascade
from fastcascade import Cache, Key

core: Any = fastcascade

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4)
PARTS = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def canon(part: Any) -> object:
    """What a key depends on, spelled so that equal means the same key."""
    if isinstance(part, list):
        return ("list", [canon(item) for item in part])
    if isinstance(part, dict):
        return ("dict", sorted((repr(canon(key)), canon(value)) for key, value in part.items()).__repr__())
    if isinstance(part, float):
        return ("float", repr(part + 0.0))
    return (type(part).__name__, repr(part))


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, max_size=3))
def test_keys_are_equal_just_when_their_parts_are(a: list[object], b: list[object]) -> None:
    """Two keys are equal just when content and types are."""
    same = canon(a) == canon(b)
    assert (Key(*a) == Key(*b)) == same
    assert not same or hash(Key(*a)) == hash(Key(*b))


@given(st.dictionaries(st.text(max_size=3), PARTS, max_size=5), st.randoms())
def test_the_order_of_a_dict_does_not_count(part: dict[str, object], random: Any) -> None:
    """The same items in another order are the same key."""
    items = list(part.items())
    random.shuffle(items)
    assert Key(part) == Key(dict(items))


DIFFERENT: list[tuple[object, ...]] = [
    (),
    ("",),
    (b"",),
    (None,),
    (0,),
    (0.0,),
    (False,),
    ("0",),
    (b"0",),
    ((),),
    ({},),
    ("", ""),
    ("ab",),
    ("a", "b"),
    (("a", "b"),),
    (("a",), "b"),
    ({"a": "b"},),
    ({"b": "a"},),
    ((("a", "b"),),),
    ("a\0b",),
    (2**64,),
    (-(2**64),),
    (1,),
    (1.0,),
    (True,),
    ("1",),
    (float("inf"),),
    (float("nan"),),
]


def test_types_and_nesting_count() -> None:
    """Keys of parts that differ only in type, boundary or nesting all differ."""
    assert len({Key(*parts) for parts in DIFFERENT}) == len(DIFFERENT)


def test_a_tuple_stands_for_the_key_of_its_parts() -> None:
    """A cache finds under `("a", 1)` what was put under `Key("a", 1)`."""
    cache = Cache[str](max_items=9)
    cache.put(Key("a", 1), "value")
    assert cache.get(("a", 1)) == "value"
    assert cache.get("a") is None


def test_a_cache_tells_its_kinds_of_key_apart() -> None:
    """A text, bytes, numbers, truth values and tuples never meet in a cache."""
    keys: list[Any] = ["1", b"1", 1, True, 2**70, ("1",), (1,), (b"1",), (), "", b"", Key(Key()), "1" * 300, b"1" * 300]
    cache = Cache[int](max_items=99)
    for at, key in enumerate(keys):
        cache.put(key, at)
    assert [cache.get(key) for key in keys] == list(range(len(keys)))


def test_numbers_of_any_size_are_parts() -> None:
    """A number too long for Python to print is a part like any other."""
    assert Key(10**5_000) != Key(10**5_000 + 1)
    assert Key(10**5_000) == Key(10**5_000)


def test_long_and_short_texts_are_told_apart() -> None:
    """A change anywhere in a text of any length makes another key."""
    texts = ["x" * n for n in range(0, 600, 7)] + ["x" * n + "y" for n in range(0, 600, 7)]
    cache = Cache[int](max_items=len(texts))
    for at, text in enumerate(texts):
        cache.put(text, at)
    assert [cache.get(text) for text in texts] == list(range(len(texts)))


def test_a_key_means_nothing_in_another_process() -> None:
    """Two processes digest the same parts differently."""
    code = "import fastcascade; print(hash(fastcascade.Key('a')), hash(fastcascade.Key('a')))"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] != runs[1]
    assert all(len(set(run.split())) == 1 for run in runs)


def test_a_key_cannot_be_pickled() -> None:
    """Pickling is refused with the reason."""
    with pytest.raises(TypeError, match="another process"):
        pickle.dumps(Key("a"))


def test_a_key_does_not_show_its_parts() -> None:
    """Neither `repr` nor `str` of a key says what it was made of."""
    assert "hunter2" not in f"{Key('hunter2')!r} {Key('hunter2')}"


def test_a_key_compares_with_anything() -> None:
    """A key is equal to no object of another class."""
    assert Key("a") != "a"
    assert Key("a") != ("a",)
    assert Key() != object()


def nested(depth: int) -> list[Any]:
    """A list in a list, so many deep."""
    part: list[Any] = []
    for _ in range(depth):
        part = [part]
    return part


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
RING: dict[str, Any] = {}
RING["self"] = [RING]

REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: Key(nested(100_000)), RecursionError, ["nested", "100"]),
    (lambda: Key(CYCLE), RecursionError, ["nested"]),
    (lambda: Key({"a": RING}), RecursionError, ["nested"]),
    (lambda: Key(object()), TypeError, ["object"]),
    (lambda: Key([1, {2, 3}]), TypeError, ["set"]),
    (lambda: Key({"a": {"b": bytearray()}}), TypeError, ["bytearray"]),
    (lambda: Key(1j), TypeError, ["complex"]),
    (lambda: Key("\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: Key(["a", {"\udfff": 1}]), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Key(part=1), TypeError, ["part"]),
    (lambda: core.Cache(1).get(1.5), TypeError, ["key", "float"]),
    (lambda: core.Cache(1).put(None, 1), TypeError, ["key", "NoneType"]),
    (lambda: core.Cache(1).get(["a"]), TypeError, ["key", "list"]),
    (lambda: core.Cache(1).get({"a": 1}), TypeError, ["key", "dict"]),
    (lambda: core.Cache(1).get((object(),)), TypeError, ["key", "object"]),
    (lambda: core.Cache(1).get("\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Cache(1).get((CYCLE,)), RecursionError, ["nested"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_a_part_is_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """A part of the wrong kind, too deep or without UTF-8 is refused by name."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []


def test_parts_may_be_nested_a_hundred_deep() -> None:
    """Whatever a request body nests in earnest is taken."""
    assert Key(nested(99)) == Key(nested(99)) != Key(nested(98))
