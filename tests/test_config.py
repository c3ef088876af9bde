"""A cascade described in a file: whatever can be said comes to what the constructors would have made."""

import random
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config_pieces import Said, cascades
from fastcascade import config
from fastcascade.config.lines import lines_of
from tomls import Writer

EXAMPLE = Path(__file__).parent / "configs" / "cascade.toml"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # made up
ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-made-up-for-the-tests",
    "EU_KEY": "made-up-for-europe",
    "US_KEY": "made-up-for-america",
    "CALLBACK_SECRET": SECRET,
}
TINY = '[[tiers]]\nbackend = { kind = "rules" }\n'


def state(thing: Any, depth: int = 9) -> Any:
    """All public settings of a thing, as far down as there are any."""
    if isinstance(thing, str | int | float | bool | type(None)) or depth == 0:
        return thing
    if isinstance(thing, Mapping):
        return {key: state(each, depth - 1) for key, each in thing.items()}
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    if isinstance(thing, tuple | list):
        return [state(each, depth - 1) for each in thing]
    names = [*getattr(thing, "__dict__", ()), *(name for kind in type(thing).__mro__ for name in slots(kind))]
    public = sorted({name for name in names if not name.startswith("_") and hasattr(thing, name)})
    told = "" if " at 0x" in repr(thing) else repr(thing)
    return [type(thing).__name__, told, {name: state(getattr(thing, name), depth - 1) for name in public}]


def slots(kind: type) -> tuple[str, ...]:
    """The slots of one class."""
    found: Any = vars(kind).get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that the example names."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


SCALARS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.text("\"'\\\n#[]{}=, a\t\r", max_size=9)
    | st.dates()
    | st.times()
    | st.datetimes()
)
KEYS = (
    st.sampled_from("abc")
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    | st.text("\"'.#= \n", max_size=3)
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=9
    ),
    max_size=4,
)


@settings(max_examples=300)
@given(document=DOCUMENTS, chance=st.randoms(use_true_random=False))
def test_everything_in_a_toml_text_is_found_on_its_line(document: dict[str, Any], chance: random.Random) -> None:
    """The line of each key, table and element is the one it was written on, whatever the style."""
    written = Writer(document, chance)
    assert tomllib.loads(written.text) == document
    assert lines_of(written.text) == written.lines


@settings(max_examples=150)
@given(said=cascades(), chance=st.randoms(use_true_random=False))
def test_a_file_comes_to_what_the_constructors_make(said: Said, chance: random.Random) -> None:
    """A file of valid pieces, however it is written, makes a cascade with the settings that code would give it."""
    loaded, made = config.loads(Writer(said.toml, chance).text), said.made()
    assert state(loaded) == state(made)
