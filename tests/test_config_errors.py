"""What is wrong with a file is told at once: each mistake with its line, its path, and what may have been meant."""

import copy
import datetime as dt
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config_pieces import Said, cascades
from fastcascade import ConfigError, config
from tomls import Writer

TIER = """
    [[tiers]]
    name = "a"
    backend = { kind = "rules", faq = { hi = "ho" } }
"""
HERE = __name__
SECRET = "sk-made-up-0123456789abcdef"
NUMBER = 7


def mistakes(text: str) -> list[str]:
    """The lines of the error that a text comes to."""
    with pytest.raises(ConfigError) as caught:
        config.loads(dedent(text).lstrip("\n"), where="c.toml")
    return str(caught.value).split("\n")


def broken(_request: object) -> str:
    """A function to be named in files."""
    return ""


class Fussy:
    """A backend that is never content."""

    def __init__(self, model: str, url: str = "") -> None:
        msg = f"cannot reach {url} for {model}"
        raise OSError(msg)


CASES: dict[str, tuple[str, list[str]]] = {
    "several at once": (
        """
        [budget]
        dedline = 20
        usd = "much"

        [[tiers]]
        name = "small"
        backend = { kind = "rules", faq = { a = "b" } }
        timout = 10
        accept = 3
        """,
        [
            "line 2: budget.dedline: no such setting; did you mean 'deadline'?",
            "line 3: budget.usd: must be a number or false, not a text",
            "line 8: tiers[0].timout: no such setting; did you mean 'timeout'?",
            "line 9: tiers[0].accept: tier 'small': accept cannot be 3",
        ],
    ),
    "several of one constructor": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        pool = { breaker = { failure_rate = 3, probes = 0 } }
        """,
        [
            "line 4: tiers[0].pool.breaker.failure_rate: breaker: failure_rate is a share above 0 and up to 1, n...",
            "line 4: tiers[0].pool.breaker.probes: breaker: probes is a whole number from 1 to 1000000, not 0",
        ],
    ),
    "no tiers": (
        """
        [budget]
        usd = 1
        """,
        [
            "line 1: 'tiers' is missing",
        ],
    ),
    "nothing": (
        """

        """,
        [
            "line 1: 'tiers' is missing",
        ],
    ),
    "an empty list of tiers": (
        """
        tiers = []
        """,
        [
            "line 1: a cascade needs at least one tier: Cascade(Tier(backend))",
        ],
    ),
    "one table where several are wanted": (
        """
        [tiers]
        name = "a"
        """,
        [
            "line 1: tiers: must be a list of tables, not a table; write [[tiers]]",
        ],
    ),
    "several where one is wanted": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [[budget]]
        usd = 1
        """,
        [
            "line 4: budget: must be a table or false, not a list; write [budget], once",
        ],
    ),
    "no backend": (
        """
        [[tiers]]
        name = "a"
        """,
        [
            "line 1: tiers[0]: 'backend' is missing, or 'instances' for several places",
        ],
    ),
    "two ways to say whom to ask": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [[tiers.instances]]
        backend = { kind = "rules", faq = { a = "b" } }
        """,
        [
            "line 4: tiers[0].instances: a tier has either 'backend' or 'instances'",
        ],
    ),
    "an unknown kind, and what else is wrong with it": (
        """
        [[tiers]]
        backend = { kind = "rule", faqs = { a = "b" } }
        """,
        [
            "line 2: tiers[0].backend.kind: no such kind: 'rule'; did you mean 'rules'? There are: anthropic, di...",
            "line 2: tiers[0].backend.faqs: no such setting; did you mean 'faq'?",
        ],
    ),
    "no kind": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        gate = { k = 3 }
        """,
        [
            "line 4: tiers[0].gate: 'kind' is missing; kinds are: command, consistency, gain, hedging, judge,...",
        ],
    ),
    "a kind of which there is one more letter": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        policy = 3
        gate = { kinds = "hedging" }
        """,
        [
            "line 4: tiers[0].policy: no such setting here; it is one of the whole file: put it before the first...",
            "line 5: tiers[0].gate.kinds: no such setting; did you mean 'kind'? Kinds are: command, consistency,...",
        ],
    ),
    "a setting one table too high": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        retry = { times = 2 }
        [hedge]
        after = 1
        """,
        [
            "line 4: tiers[0].retry: no such setting here; it belongs in 'tiers[0].pool'",
        ],
    ),
    "a word that is none": (
        """
        abstain = "acept"
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        quota = { n = 1, per = "fortnight" }
        """,
        [
            "line 1: abstain: no such value: 'acept'; did you mean 'accept'? There are: escalate, accept",
            "line 5: tiers[0].quota.per: no such value: 'fortnight'; there are: second, minute, hour, day",
        ],
    ),
    "tiers that are not there": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }

        [lanes]
        large = "b"
        rules = [
        { start = "a", task = "x" },
        { start = "aa", end = "a", task = "y" },
        ]
        [policy]
        kind = "expected gain"
        lam = 1
        quality = { a = 0.5, c = 0.5 }
        """,
        [
            "line 6: lanes.large: no such tier: 'b'; there are: a",
            "line 9: lanes.rules[1].start: no such tier: 'aa'; did you mean 'a'? There are: a",
            "line 14: policy.quality.c: no such tier: 'c'; there are: a",
        ],
    ),
    "a tier that is named, beside one whose name is in doubt": (
        """
        [[tiers]]
        nme = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [lanes]
        large = "a"
        """,
        ["line 2: tiers[0].nme: no such setting; did you mean 'name'?"],
    ),
    "a tier that is named, beside one whose name cannot be known": (
        """
        [[tiers]]
        backend = { kind = "rules" }
        accept = 2
        [lanes]
        large = "rules"
        """,
        [
            "line 2: tiers[0].backend: 'rules' has no rules; give it patterns or a faq",
            "line 3: tiers[0].accept: tier '?': accept cannot be 2",
        ],
    ),
    "a secret that is called a key": (
        """
        [[tiers]]
        backend = { kind = "rules", faq = { hi = "ho" } }
        [[fallbacks]]
        kind = "review"
        store = "sqlite:r.db"
        key = "plain"
        """,
        ["line 6: fallbacks[0].key: a secret may not stand in the file; ..."],
    ),
    "two tiers of one name": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }

        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        """,
        [
            "line 6: tiers[1].name: another tier is called 'a' already, that of line 1; give one a 'name'",
        ],
    ),
    "two tiers without a name": (
        """
        [[tiers]]
        backend = { kind = "rules", faq = { a = "b" } }
        [[tiers]]
        backend = { kind = "rules", faq = { a = "b" } }
        """,
        [
            "line 3: tiers[1]: another tier is called 'rules' already, that of line 1; give one a 'name'",
        ],
    ),
    "links that are never reached": (
        """
        fallbacks = [
        "static",
        "stale",
        ]
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        """,
        [
            "line 3: fallbacks[1]: nothing is ever asked after Static, which always answers; put it last",
        ],
    ),
    "links that are never reached, beside other mistakes": (
        """
        fallbacks = [
        "static",
        { kind = "stale", par = "all" },
        ]
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        """,
        [
            "line 3: fallbacks[1].par: no such setting; did you mean 'per'?",
            "line 3: fallbacks[1]: nothing is ever asked after Static, which always answers; put it last",
        ],
    ),
    "parts that do not go together": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [hedge]
        after = 1
        [policy]
        kind = "expected gain"
        lam = 1
        """,
        [
            "line 1: a hedge starts the next tier, and a policy that weighs costs may skip it: choose one",
        ],
    ),
    "a budget in money, and a price that is not known": (
        """
        [budget]
        usd = 1
        [[tiers]]
        name = "a"
        backend = { kind = "scripted", script = ["x"] }
        [prices]
        source = false
        """,
        [
            "line 3: tiers[0]: a budget in money needs the price of every tier, and that of 'a' is not known; gi...",
        ],
    ),
    "settings of a review, of which those of the desk are some": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [[fallbacks]]
        kind = "review"
        wen = ["failed"]
        sla = -1
        lease = "long"
        """,
        [
            "line 4: fallbacks[0]: 'store' is missing",
            "line 6: fallbacks[0].wen: no such setting; did you mean 'when'?",
            "line 8: fallbacks[0].lease: must be a number, not a text",
        ],
    ),
    "a store of no kind": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        [[fallbacks]]
        kind = "review"
        store = "mongo:reviews"
        """,
        [
            "line 6: fallbacks[0].store: 'mongo' cannot be imported: ModuleNotFoundError: No module named 'mongo'",
        ],
    ),
    "functions that are not there": (
        """
        tiers = [
        { backend = "test_config_errors:brokn" },
        { backend = "no_such_module:f" },
        { backend = "test_config_errors:NUMBER" },
        ]
        """,
        [
            "line 2: tiers[0].backend: 'test_config_errors' has no 'brokn'; did you mean 'broken'?",
            "line 3: tiers[1].backend: 'no_such_module' cannot be imported: ModuleNotFoundError: No module named...",
            "line 4: tiers[2].backend: 'test_config_errors:NUMBER' is no backend, but int",
        ],
    ),
    "a class of one's own that raises": (
        """
        [[tiers]]
        backend = { kind = "test_config_errors:Fussy", model = "m", url = "u" }
        """,
        [
            "line 2: tiers[0].backend: OSError: cannot reach u for m",
        ],
    ),
    "a kind that makes something else": (
        """
        [[tiers]]
        backend = { kind = "test_config_errors:broken", _request = 1 }
        """,
        [
            "line 2: tiers[0].backend._request: no such setting; there are: kind",
        ],
    ),
    "one of several parts": (
        """
        [[tiers]]
        backend = { kind = "scripted", script = [
        { slw = 3 },
        { slow = "x" },
        { slow = 1, fault = "cut" },
        ] }
        """,
        [
            "line 3: tiers[0].backend.script[0].slw: no such setting: 'slw'; did you mean 'slow'? There are: rep...",
            "line 4: tiers[0].backend.script[1].slow: must be a number, not a text",
            "line 5: tiers[0].backend.script[2]: must be a table with one key, of: reply, fault, slow, cut, stall",
        ],
    ),
    "a pair of three": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        gate = { kind = "weighted", weights = [["hedging", 1, 2]] }
        """,
        [
            "line 4: tiers[0].gate.weights[0]: must have 2 elements, not 3",
        ],
    ),
    "true for what needs to be told more": (
        """
        [[tiers]]
        name = "a"
        backend = { kind = "rules", faq = { hi = "ho" } }
        pool = { hedge = true }
        price = true
        """,
        [
            "line 4: tiers[0].pool.hedge: a hedge needs `after`, in seconds, `likely`, a probability, or `percen...",
            "line 5: tiers[0].price: must be a table or false, not true",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_each_mistake_is_told_with_its_line_and_its_path(text: str, expected: list[str]) -> None:
    """The error has one line for each mistake, in the order of the file; three dots stand for what follows."""
    said = [each.removeprefix("c.toml, ") for each in mistakes(text)]
    assert len(said) == len(expected)
    for each, wanted in zip(said, expected, strict=True):
        begins = wanted.endswith("...")
        assert (each[: len(wanted) - 3] + "..." if begins else each) == wanted


def test_a_number_that_is_too_large_is_told() -> None:
    """A whole number that no float can hold is no number of seconds."""
    said = mistakes(TIER + f"timeout = 1{'0' * 400}")
    assert said == ["c.toml, line 4: tiers[0].timeout: must be a number or false, not a whole number; it is too large"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = \nb = 1", r"line 1, column 5"),
        ("x = 1\n\n[[tiers]\nname = 3", r"line 3, column \d+"),
        ('a = """x\n\n', "line 3"),
        ("a = 1\na = 2\n", r"line 2, column \d+"),
        ("a = " + "[" * 50_000, "nested too deep"),
        ("a = " + "1" * 5000, ""),
    ],
    ids=["no value", "a bracket", "a text without end", "a key twice", "depth", "a number"],
)
def test_what_is_no_toml_is_told_with_its_place(text: str, place: str) -> None:
    """An error of TOML itself has its line and column, as far as they are known."""
    with pytest.raises(ConfigError) as caught:
        config.loads(text, where="c.toml")
    assert re.match(rf"c\.toml(, {place}: not TOML: \w|: not TOML: {place})", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No file, a folder, and what is not UTF-8 are errors that name it; a mark of byte order is none."""
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe4"')
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbfbudgt = 1")
    for name, problem in (
        ("none.toml", "cannot be read: No such file or directory"),
        ("latin.toml", "not UTF-8 at byte 5; save it as UTF-8"),
        ("marked.toml", "line 1: budgt: no such setting; did you mean 'budget'?"),
        ("", "cannot be read: "),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path / name))}[:,] {problem}"):
            config.load(tmp_path / name)


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind whose package is missing says what to install, at its place."""
    for name in [each for each in sys.modules if each.startswith(("redis", "fastcascade.stores.redis"))]:
        monkeypatch.delitem(sys.modules, name)  # another test may have loaded them
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    (said,) = mistakes(TIER + '[[fallbacks]]\nkind = "review"\nstore = "redis://localhost"')
    assert said.startswith("c.toml, line 6: fallbacks[0].store: ")
    assert "pip install 'fastcascade[redis]'" in said


# Secrets.

KEYED = '[[tiers]]\nbackend = {{ kind = "openai", model = "m", api_key = {} }}\n'
REFUSED = "c.toml, line 2: tiers[0].backend.api_key: "


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (f'"{SECRET}"', "a secret may not stand in the file; write 'env:NAME' for a variable of the environment, or "),
        ('"plain"', "a secret may not stand in the file; write 'env:NAME'"),
        ('"env:NO_SUCH_VARIABEL"', "the environment has no variable NO_SUCH_VARIABEL; did you mean NO_SUCH_VARIABLE_?"),
        ('"env:EMPTY_VARIABLE"', "the variable EMPTY_VARIABLE is empty"),
        ('"env:"', "after 'env:' the name of a variable is wanted: letters, digits and _"),
        ('"file:no-such-file"', "the file 'no-such-file' cannot be read: No such file or directory"),
        ("3", "must be a text or false, not a whole number"),
    ],
)
def test_a_secret_that_is_not_to_be_had_is_an_error(
    written: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A literal key is refused with advice, and a reference that leads nowhere names what is missing."""
    monkeypatch.setenv("NO_SUCH_VARIABLE_", "x")
    monkeypatch.setenv("EMPTY_VARIABLE", " ")
    (said,) = mistakes(KEYED.format(written))
    assert said.startswith(REFUSED + problem)
    assert SECRET not in said


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (
            f'backend = {{ kind = "openai", model = "m", headers = {{ Authorization = "Bearer {SECRET}" }} }}',
            ".headers",
        ),
        (f'backend = {{ kind = "litellm", model = "m", aws_secret_access_key = "{SECRET}" }}', ".aws_secret"),
        (f'backend = {{ kind = "litellm", model = "m", more = {{ api_key = "{SECRET}" }} }}', ".more.api_key"),
        (f'backend = {{ kind = "openai", model = "{SECRET}" }}', ".model"),
        (f'backend = {{ kind = "openai", model = "m", base_url = "https://me:{SECRET}@host/" }}', ".base_url"),
    ],
)
def test_a_secret_is_refused_wherever_it_stands(line: str, path: str) -> None:
    """A key in a header, among unknown settings, in a URL or where none belongs is refused, and not repeated."""
    said = mistakes(f"[[tiers]]\n{line}")
    assert said[0].startswith(f"c.toml, line 2: tiers[0].backend{path}")
    assert "write 'env:NAME'" in said[0]
    assert SECRET not in "".join(said)


def test_a_store_with_its_password_in_the_file_is_refused() -> None:
    """A URL that holds a password is to come from elsewhere."""
    (said,) = mistakes(TIER + f'[[fallbacks]]\nkind = "review"\nstore = "redis://:{SECRET}@host/0"')
    assert said.startswith("c.toml, line 6: fallbacks[0].store: this looks like a secret, which may not be here")
    assert SECRET not in said


@pytest.mark.parametrize("reference", ["env:THE_KEY", f"literal:{SECRET}"])
def test_a_secret_is_not_in_what_a_constructor_says(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a constructor repeats what it was given, the reference stands in the secret's place, or nothing does."""
    monkeypatch.setenv("THE_KEY", SECRET)
    with pytest.raises(ConfigError) as caught:
        config.loads(f'[[tiers]]\nbackend = {{ kind = "{HERE}:Leaky", api_key = "{reference}" }}')
    shown = "[removed]" if reference.startswith("literal") else reference
    assert str(caught.value) == f"line 2: tiers[0].backend: LookupError: no use for {shown!r}"
    seen: BaseException | None = caught.value
    while seen is not None:
        assert SECRET not in repr(seen)
        seen = seen.__cause__ or seen.__context__


class Leaky:
    """A backend that repeats its key."""

    def __init__(self, *, api_key: str) -> None:
        msg = f"no use for {api_key!r}"
        raise LookupError(msg)


# Any file, any one mistake.


def keys_of(table: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key of every table of settings; not those of tables in which keys are the user's."""
    pairs = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, each in pairs:
        if isinstance(table, dict):
            yield (*path, key)
        if key not in {"faq", "options", "remedies"} and (*path[-1:], key) != ("backend", "rules"):
            yield from keys_of(each, (*path, key))


def at(table: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a path."""
    for key in path:
        table = table[key]
    return table


REQUIRED = {"backend", "tiers", "kind", "store", "input", "output", "n"}


@settings(max_examples=40)
@given(said=cascades(), chance=st.randoms(use_true_random=False), data=st.data())
def test_any_one_mistake_is_told_on_its_line(said: Said, chance: random.Random, data: st.DataObject) -> None:
    """A key that is misspelled, of a wrong type or removed makes errors on its line, or on that of its table."""
    document = copy.deepcopy(said.toml)
    path = data.draw(st.sampled_from(list(keys_of(document))))
    key = str(path[-1])
    table = at(document, path[:-1])
    ways = ["misspelled", "wrong type"] + ["removed"] * (key in REQUIRED)
    way = data.draw(st.sampled_from(ways))
    if way == "wrong type":
        table[key] = dt.time(7, 32)
    else:
        pairs = list(table.items())
        table.clear()
        for name, each in pairs:
            if name != key:
                table[name] = each
            elif way == "misspelled":
                table[f"{key}q"] = each
    if way == "misspelled":
        path = (*path[:-1], f"{key}q")
    written = Writer(document, chance)
    line = written.lines.get(path[:-1] if way == "removed" else path, 1)
    words = {"misspelled": "no such setting", "wrong type": "must be", "removed": "missing"}[way]
    try:
        config.loads(written.text)
    except ConfigError as error:
        told = str(error).split("\n")
    else:
        told = []
    assume(told or way != "removed")  # what is required in one kind is not in another
    assert told, written.text
    assert all(each.startswith(f"line {line}: ") for each in told), (line, told, written.text)
    assert any(words in each for each in told)


ANYTHING = st.recursive(
    st.sampled_from([True, False, 0, -1, 10**400, 0.5, float("nan"), "", "a", "env:", "env:X", "no:such", dt.date.min]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["kind", "a", "name"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=40)
@given(said=cascades(), chance=st.randoms(use_true_random=False), data=st.data())
def test_whatever_stands_in_a_file_nothing_else_is_raised(
    said: Said, chance: random.Random, data: st.DataObject
) -> None:
    """With anything at all in place of a part of it, a file makes a cascade or an error of configuration."""
    document = copy.deepcopy(said.toml)
    paths = data.draw(st.lists(st.sampled_from(list(keys_of(document))), min_size=1, max_size=3))
    for path in sorted(paths, key=len, reverse=True):  # from within, so that all of them are still there
        at(document, path[:-1])[path[-1]] = data.draw(ANYTHING)
    try:
        config.loads(Writer(document, chance).text)
    except ConfigError as error:
        assert all(re.match(r"line \d+: ", each) for each in str(error).split("\n"))
