"""`PatternSet`: what a loop over `re.search` would say, in linear time."""

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastcascade
from fastcascade import PatternError, PatternSet, Router

core: Any = fastcascade

ALPHABET = "abcAB1-_/. é"
ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "A",
        "1",
        "-",
        "_",
        "/",
        r"\.",
        " ",
        "é",
        ".",
        r"\d",
        r"\w",
        r"\D",
        r"\W",
        "[ab]",
        "[^a]",
        "[a-c1]",
        r"[\w-]",
        r"\b",
        r"\B",
        "^",
        "$",
        "",
    ]
)
GROUPS = ["({})", "(?:{})", "(?P<n>{})", "(?i:{})"]
REPEATS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?"]


def groups(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Patterns made of patterns."""
    grouped = st.builds(lambda group, text: group.format(text.replace("?P<n>", "")), st.sampled_from(GROUPS), inner)
    repeated = st.builds(lambda text, repeat: f"(?:{text}){repeat}", inner, st.sampled_from(REPEATS))
    joined = st.lists(inner, min_size=2, max_size=3)
    one_name = joined.map(lambda texts: [texts[0], *(text.replace("?P<n>", "") for text in texts[1:])])
    return grouped | repeated | one_name.map("".join) | one_name.map("|".join)


PATTERNS = st.recursive(ATOMS, groups, max_leaves=6)
FLAGS = st.sampled_from([0, 0, re.IGNORECASE, re.DOTALL, re.MULTILINE, re.ASCII, re.IGNORECASE | re.DOTALL])
# Not the empty text: whether `\B` matches it depends on the version of Python.
TEXTS = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=12)


def compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """A pattern as users compile it."""
    return re.compile(pattern, flags)


@settings(max_examples=400)
@given(st.lists(st.builds(compiled, PATTERNS, FLAGS), max_size=6), st.lists(TEXTS, min_size=1, max_size=6))
def test_a_set_says_what_a_loop_would(patterns: list[re.Pattern[str]], texts: list[str]) -> None:
    """`first` and `all` are the first and all patterns that `re.search` finds, with every flag and class."""
    real = PatternSet(patterns)
    assert len(real) == len(patterns)
    for text in texts:
        found = [index for index, pattern in enumerate(patterns) if pattern.search(text)]
        assert real.all(text) == found
        assert real.first(text) == (found[0] if found else None)


@settings(max_examples=300)
@given(st.builds(compiled, PATTERNS, FLAGS), TEXTS)
def test_params_are_the_named_groups(pattern: re.Pattern[str], text: str) -> None:
    """`params` holds what `re` finds in the named groups, without those that took no part."""
    match = pattern.search(text)
    params = PatternSet(["x", pattern]).params(1, text)
    assert params == (match and {name: value for name, value in match.groupdict().items() if value is not None})


LINES = [
    (r"^b", re.MULTILINE, "a\nb", True),
    (r"^b", 0, "a\nb", False),
    (r"a$", re.MULTILINE, "a\nb", True),
    (r"a$", 0, "a\nb", False),
    (r"a$", 0, "a\n", True),
    (r"a\Z", 0, "a\n", False),
    (r"\Aa", re.MULTILINE, "b\na", False),
    (r"a.b", 0, "a\nb", False),
    (r"a.b", re.DOTALL, "a\nb", True),
    (r"a b # c", re.VERBOSE, "ab", True),
    (r"(?x) a b", 0, "ab", True),
    (r"(?i)STRASSE", 0, "strasse", True),
    (r"(?i)k", 0, "\u212a", True),
    (r"É", re.IGNORECASE, "é", True),
    (r"^\w$", 0, "é", True),
    (r"^\w$", re.ASCII, "é", False),
    (r"^\d$", 0, "٣", True),
    (r"^\d$", re.ASCII, "٣", False),
    (r"\x41\u0042\U00000043\t", 0, "ABC\t", True),
    (r"[]a]", 0, "]", True),
    (r"[a\-z]", 0, "-", True),
    (r"a{,2}b", 0, "b", True),
    (r"a{2", 0, "a{2", True),
    (r"(?#comment)a", 0, "a", True),
    (r"", 0, "", True),
    (r"\0", 0, "\0", True),
]


@pytest.mark.parametrize(("pattern", "flags", "text", "matches"), LINES)
def test_pythons_dialect_is_spoken(pattern: str, flags: int, text: str, matches: bool) -> None:
    """Anchors, flags, escapes and classes mean what they mean in `re`."""
    assert bool(re.search(pattern, text, flags)) == matches
    assert (PatternSet([re.compile(pattern, flags)]).first(text) == 0) == matches


def test_texts_and_compiled_patterns_may_be_mixed() -> None:
    """A plain text is compiled as `re.compile` would, flags written in it included."""
    mixed: list[str | re.Pattern[str]] = ["abc", re.compile("DEF", re.IGNORECASE), "(?i)ghi"]
    patterns = PatternSet(iter(mixed))
    assert [patterns.first(text) for text in ("ABC", "abc", "def", "GHI", "")] == [None, 0, 1, 2, None]


def test_an_empty_set_matches_nothing() -> None:
    """Of no patterns none matches."""
    none = PatternSet([])
    assert (len(none), none.first("a"), none.all("a")) == (0, None, [])


def test_thousands_of_patterns_are_one_set() -> None:
    """Five thousand patterns, with and without literals, are answered as the loop would."""
    sources = [f"user-{n}/(?P<version>\\d+)" for n in range(4_900)] + [f"^[a-c]{{{n}}}$" for n in range(100)]
    patterns = PatternSet(sources)
    for n in (0, 1, 42, 4_899):
        text = f"x user-{n}/12"
        assert patterns.first(text) == next(index for index, source in enumerate(sources) if re.search(source, text))
        assert patterns.params(n, text) == {"version": "12"}
    assert patterns.all("abcab") == [4_905]
    assert patterns.memory > 0


HOSTILE = [
    r"^(a+)+$",
    r"(a|a)*b",
    r"(a*)*b",
    r"(.*)*x",
    r"(x+x+)+y",
    r"(?:a?){30}a{30}c",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(.*a){12}b",
]


@pytest.mark.timeout(60)
@example("a" * 50_000)
@example("a" * 50_000 + "!")
@example("x" * 50_000)
@example("aaaaaaaaab" * 5_000)
@settings(max_examples=10)
@given(st.text(st.sampled_from("ax!"), max_size=100).map(lambda text: text * 200))
def test_hostile_texts_cannot_blow_up(text: str) -> None:
    """Patterns on which a backtracking matcher takes for ever are answered at once, whatever the text."""
    patterns = PatternSet(HOSTILE)
    assert patterns.first(text) in (None, *range(len(HOSTILE)))
    assert patterns.first("a" * 50_000) == 0


REFUSED_PATTERNS = [
    ("a(?=b)", 1),
    ("a(?!b)", 1),
    ("(?<=a)b", 0),
    ("(?<!a)b", 0),
    (r"(a)\1", 3),
    (r"(?P<n>a)(?P=n)", 8),
    (r"(?P<n>a)(?(n)b|c)", 8),
    ("ab(?>c)", 2),
    ("ab*+", 3),
    ("(", None),
    ("a)", None),
    ("[a", None),
    ("*a", None),
    ("a**", None),
    (r"\q", None),
    ("a{3,2}", None),
    ("[z-a]", None),
    ("(?P<n>a)(?P<n>b)", None),
    ("(?P<1>a)", None),
    ("(?z)a", None),
    ("a(?i)", None),
    ("\\", None),
    ("(a{1000}){1000}", None),
    ("(((a{99}){99}){99}){99}", None),
    ("(" * 20_000 + ")" * 20_000, None),
]


@pytest.mark.parametrize(
    ("pattern", "position"), REFUSED_PATTERNS, ids=[pattern[:20] for pattern, _ in REFUSED_PATTERNS]
)
def test_what_cannot_be_had_in_linear_time_is_refused(pattern: str, position: int | None) -> None:
    """A refused pattern is named by index, text, position and reason, in a set and in a table alike."""
    with pytest.raises(PatternError) as caught:
        PatternSet(["fine", pattern])
    error = caught.value
    assert (error.index, error.pattern) == (1, pattern)
    assert "1" in str(error)
    assert len(str(error)) > 20
    assert error.position is None or 0 <= error.position <= len(pattern)
    if position is not None:
        assert error.position == position


def test_a_refused_pattern_in_a_table_is_named() -> None:
    """A route whose pattern is refused is an error that holds the pattern."""
    with pytest.raises(PatternError) as caught:
        Router({re.compile("fine"): 1, "/a": 2, re.compile("a(?=b)"): 3})
    assert (caught.value.pattern, caught.value.position) == ("a(?=b)", 1)
    assert "look" in str(caught.value)


def test_long_texts_and_patterns_are_taken() -> None:
    """A pattern of thousands of alternatives and a text of a megabyte are answered like small ones."""
    patterns = PatternSet(["|".join(f"word{n}" for n in range(3_000)), "end$", "(?P<tail>z+)$"])
    text = "x" * 1_000_000
    assert patterns.all(text) == []
    assert patterns.all(text + "word2999end") == [0, 1]
    assert patterns.params(2, text + "zz") == {"tail": "zz"}


def test_a_set_is_neither_pickled_nor_copied() -> None:
    """Pickling and copying are refused with what to do instead."""
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="PatternSet cannot be pickled; build it"):
            attempt(PatternSet(["a"]))


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.PatternSet(), TypeError, ["patterns"]),
    (lambda: core.PatternSet(7), TypeError, ["patterns", "int"]),
    (lambda: core.PatternSet("abc"), TypeError, ["patterns", "abc"]),
    (lambda: core.PatternSet(re.compile("a")), TypeError, ["patterns", "Pattern"]),
    (lambda: core.PatternSet(["a", 7]), TypeError, ["pattern", "int"]),
    (lambda: core.PatternSet([b"a"]), TypeError, ["pattern", "bytes"]),
    (lambda: core.PatternSet([re.compile(b"a")]), TypeError, ["bytes", "str"]),
    (lambda: core.PatternSet(["\ud800"]), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.PatternSet(["a"], 1), TypeError, ["positional"]),
    (lambda: core.PatternSet(["a"], flags=2), TypeError, ["flags"]),
    (lambda: core.PatternSet(["a"]).first(), TypeError, ["text"]),
    (lambda: core.PatternSet(["a"]).first(b"a"), TypeError, ["text", "bytes"]),
    (lambda: core.PatternSet(["a"]).first("\ud800"), UnicodeEncodeError, ["text", "surrogates"]),
    (lambda: core.PatternSet(["a"]).all(None), TypeError, ["text", "None"]),
    (lambda: core.PatternSet(["a"]).params(1, "a"), IndexError, ["1"]),
    (lambda: core.PatternSet(["a"]).params(-1, "a"), (IndexError, OverflowError), ["index"]),
    (lambda: core.PatternSet(["a"]).params("a", 0), TypeError, ["index", "str"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Arguments of the wrong kind, number or name are named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
