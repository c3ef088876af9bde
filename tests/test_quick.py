"""Frozen dataclasses that are made faster, and are otherwise what they were."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.answers import Answer, Attempt, Spent
from fastcascade.blocks import Message, Text, Thinking, ToolCall
from fastcascade.gates.gate import Verdict
from fastcascade.messages import Delta, Reply, Request, Token, Usage
from fastcascade.quick import quick
from fastcascade.wire.endpoint_turn import Done
from fastcascade.wire.format import Asked

QUICK = [
    Text,
    ToolCall,
    Message,
    Thinking,
    Request,
    Usage,
    Reply,
    Delta,
    Token,
    Spent,
    Attempt,
    Answer,
    Verdict,
    Asked,
    Done,
]


@dataclass(frozen=True, slots=True)
class Slow:
    """One of each kind of field."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)
    d: float = 0.5

    def __post_init__(self) -> None:
        """Bring one into form."""
        object.__setattr__(self, "b", self.b.upper())


@quick
@dataclass(frozen=True, slots=True)
class Fast:
    """The same, made faster."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)
    d: float = 0.5

    def __post_init__(self) -> None:
        """Bring one into form."""
        object.__setattr__(self, "b", self.b.upper())


def told(thing: Slow | Fast) -> tuple[object, ...]:
    """All that can be seen of one."""
    shown = repr(thing).removeprefix(type(thing).__qualname__)
    return thing.a, thing.b, thing.c, thing.d, shown, hash(thing)


@given(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3), st.floats(allow_nan=False))
def test_one_that_is_made_faster_is_what_it_was(a: int, b: str, c: list[int], d: float) -> None:
    """Fields, repr and hash are those of an ordinary frozen dataclass, however it is called."""
    assert told(Fast(a, b, c, d)) == told(Slow(a, b, c, d))
    assert told(Fast(a, d=d)) == told(Slow(a, d=d))
    assert Fast(a, b, c, d) == Fast(a, b, [], d)
    assert told(replace(Fast(a, b), d=d)) == told(replace(Slow(a, b), d=d))


def test_a_default_that_is_made_is_made_anew() -> None:
    """No two objects share a list that neither was given."""
    assert Fast(1).c is not Fast(1).c


@pytest.mark.parametrize("cls", [Fast, *QUICK])
def test_it_stays_frozen(cls: type) -> None:
    """Once made, no field can be set, and no field added; what makes it has the same signature and words."""
    one: object = object.__new__(cls)
    with pytest.raises(FrozenInstanceError):
        setattr(one, fields(cls)[0].name, 1)
    assert not hasattr(one, "__dict__")
    assert list(inspect.signature(cls).parameters) == [each.name for each in fields(cls)]
    made = vars(cls)["__init__"]
    assert made.__qualname__ == f"{cls.__qualname__}.__init__"


def test_it_can_be_copied_and_pickled() -> None:
    """A copy equals the original, and is frozen too."""
    reply = Reply("hello", "m", usage=Usage(1, 2))
    for other in (copy.copy(reply), copy.deepcopy(reply), pickle.loads(pickle.dumps(reply))):
        assert other == reply
        with pytest.raises(FrozenInstanceError):
            setattr(other, "model", "n")  # noqa: B010 - a checker knows that it cannot be set


def test_what_is_missing_is_named() -> None:
    """A call that does not fit is a TypeError, as ever."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Fast()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'e'"):
        Fast(1, e=2)  # type: ignore[call-arg]


def test_a_subclass_is_made_as_it_was() -> None:
    """One with more to it has all its fields, and the defaults that are made."""

    class More(Fast):
        """With a dict."""

    @dataclass(frozen=True, slots=True)
    class Further(Fast):
        e: int = 3

    assert (More(1).b, More(1).c, Further(1, e=4).e, Further(1).b) == ("B", [], 4, "B")
