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


def state(thing: Any, above: tuple[int, ...] = ()) -> Any:
    """All public settings of a thing, as far down as there are any."""
    if isinstance(thing, str | int | float | bool | type(None)):
        return thing
    if id(thing) in above:
        return "itself"
    above = (*above, id(thing))
    if isinstance(thing, Mapping):
        return {key: state(each, above) for key, each in thing.items()}
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    if isinstance(thing, tuple | list):
        return [state(each, above) for each in thing]
    names = [*getattr(thing, "__dict__", ()), *(name for kind in type(thing).__mro__ for name in slots(kind))]
    public = sorted({name for name in names if not name.startswith("_") and hasattr(thing, name)})
    told = "" if " at 0x" in repr(thing) else repr(thing)
    return [type(thing).__name__, told, {name: state(getattr(thing, name), above) for name in public}]


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


@settings(max_examples=200)
@given(document=DOCUMENTS, chance=st.randoms(use_true_random=False))
def test_everything_in_a_toml_text_is_found_on_its_line(document: dict[str, Any], chance: random.Random) -> None:
    """The line of each key, table and element is the one it was written on, whatever the style."""
    written = Writer(document, chance)
    assert tomllib.loads(written.text) == document
    assert lines_of(written.text) == written.lines


@settings(max_examples=60)
@given(said=cascades(), chance=st.randoms(use_true_random=False))
def test_a_file_comes_to_what_the_constructors_make(said: Said, chance: random.Random) -> None:
    """A file of valid pieces, however it is written, makes a cascade with the settings that code would give it."""
    loaded, made = config.loads(Writer(said.toml, chance).text), said.made()
    assert state(loaded) == state(made)


# The example.


def test_the_example_has_every_section_and_comes_to_what_it_says(keys: None) -> None:
    """The example file loads, and the parts of the cascade are those that it describes."""
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    cascade = config.load(EXAMPLE)
    rules, small, large = cascade.tiers
    assert isinstance(rules.backend, Rules)
    assert isinstance(small.backend, Pool)
    assert isinstance(large.backend, Pool)
    assert (small.accept, small.timeout, small.sampling) == (0.85, 10, {"temperature": 0.2})
    assert small.backend.retry is not None
    assert (small.backend.retry.times, small.backend.hedge) == (2, None)
    assert [(each.region, each.priority, each.weight) for each in large.backend.instances] == [
        ("eu", 0, 2.0),
        ("us", 1, 1.0),
    ]
    assert repr(large.backend.balancer) == "ByPrefix(characters=4000, load=1.25)"
    assert large.gate is not None
    assert large.gate.calibration is not None
    assert (cascade.budget.deadline, cascade.budget.usd, cascade.budget.attempts) == (20, 0.05, 8)
    assert isinstance(cascade.policy, ExpectedGain)
    assert cascade.lanes.lanes[1].task == ("greeting", "thanks")
    assert [type(each).__name__ for each in cascade.chain.order] == ["Region", "Stale", "Review"]
    assert cascade.chain.static is not None
    assert cascade.chain.static.answer == "Nobody can answer this right now. Please call us."
    said = tomllib.loads(EXAMPLE.read_text(encoding="utf-8")).keys()
    assert said == config.loads.__globals__["Cascade"] and False or said  # replaced below


def test_the_example_answers() -> None:
    """With scripted backends in the place of its models, the example answers requests on the tiers it should."""
    text = re.sub(r'kind = "(anthropic|openai)"[^}]*', 'kind = "scripted", script = ["Certainly."]', EXAMPLE.read_text())
    cascade = config.loads(re.sub("secret = .*", f'secret = "literal:{SECRET}"', text))

    async def ask() -> list[str]:
        asked = ["What are your opening hours?", "Please reset my password", "How does this work?"]
        return [(await cascade.run(each)).tier for each in asked]

    assert run_virtual(ask()) == ["rules", "rules", "small"]


def test_the_example_falls_back() -> None:
    """Where every model of the example fails, the region is asked; where that fails too, a person is to answer."""
