"""`TextPolicy`: texts that differ only in spelling come out as one."""

import copy
import pickle
import unicodedata
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcascade
from fastcascade import Router, TextPolicy

core: Any = fastcascade

CASES = [
    ("", {}, ""),
    ("  Hello \n\t WORLD ", {}, "hello world"),
    ("Straße", {}, "strasse"),
    ("ΣΑΣ σας", {}, "σασ σασ"),
    ("ﬁne ² Ａ", {}, "fine 2 a"),
    ("so\u00adft zero\u200bwidth", {}, "soft zerowidth"),
    ("e\u0301", {}, "é"),
    ("e\u0301", {"form": "keep"}, "e\u0301"),
    ("\u212b", {"form": "nfc"}, "å"),
    ("ﬁ", {"form": "nfc"}, "fi"),
    ("ﬁ", {"form": "nfc", "fold_case": False}, "ﬁ"),
    ("AbC", {"fold_case": False}, "AbC"),
    ("a  b ", {"collapse_space": False}, "a  b "),
    ("a\u2003b\u00a0c", {"form": "keep"}, "a b c"),
    ("ı I i", {}, "ı i i"),
    ("\u0410", {}, "\u0430"),
]

ALL_POLICIES = [
    core.TextPolicy(form=form, fold_case=fold, collapse_space=space)
    for form, fold, space in product(("keep", "nfc", "nfkc"), (True, False), (True, False))
]
# Unassigned characters may be assigned in one Unicode version and not yet in the other.
KNOWN = st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\x1c\x1d\x1e\x1f")
TEXT = st.text(KNOWN, max_size=12) | st.text(
    st.sampled_from(" \t\u00a0aAßſéE\u0301\u0345\u1fb3ﬁΣς\u00b4\uac00\u1100"), max_size=8
)


@pytest.mark.parametrize(("text", "settings", "out"), CASES)
def test_every_spelling_comes_out_as_one(text: str, settings: dict[str, Any], out: str) -> None:
    """A text comes out in the one spelling that its policy gives it."""
    assert TextPolicy(**settings).normalize(text) == out


@given(TEXT, st.sampled_from(ALL_POLICIES))
def test_folding_again_changes_nothing(text: str, policy: TextPolicy) -> None:
    """What comes out comes out of the same policy as it is."""
    once = policy.normalize(text)
    assert policy.normalize(once) == once


@given(TEXT)
def test_each_setting_does_what_pythons_own_does(text: str) -> None:
    """Alone, the settings are `unicodedata.normalize("NFC")`, `str.casefold` and `" ".join(str.split())`."""
    off: dict[str, Any] = {"form": "keep", "fold_case": False, "collapse_space": False}
    assert TextPolicy(**off).normalize(text) == text
    assert TextPolicy(**off | {"form": "nfc"}).normalize(text) == unicodedata.normalize("NFC", text)
    assert TextPolicy(**off | {"fold_case": True}).normalize(text) == text.casefold()
    assert TextPolicy(**off | {"collapse_space": True}).normalize(text) == " ".join(text.split())


@given(TEXT)
def test_equivalent_texts_fold_to_the_same(text: str) -> None:
    """Composed or not, upper or lower case, a text folds to the same."""
    policy = TextPolicy()
    same = {policy.normalize(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert same == {policy.normalize(text)}
    assert policy.normalize(unicodedata.normalize("NFD", text).casefold()) == policy.normalize(text)


def test_settings_can_be_pickled_copied_and_compared() -> None:
    """A policy survives pickling and copying, and is equal just to those with its settings."""
    for policy in ALL_POLICIES:
        assert [other for other in ALL_POLICIES if other == policy] == [policy]
        for same in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy), eval(repr(policy))):
            assert same == policy


def test_a_router_matches_folded_texts() -> None:
    """Routes and texts are folded alike, in params too, and spaces beside a param stay."""
    router = Router({"Hello World": 1, "Translate  {text...}": 2, "*": 3}, normalize=TextPolicy())
    assert [router.lookup(text) for text in ("hello\nworld ", "HELLO WORLD", "helloworld")] == [1, 1, 3]
    match = router.match("TRANSLATE \t Guten Tag")
    assert match is not None
    assert (match.target, match.params) == (2, {"text": "guten tag"})


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.TextPolicy("nfc"), TypeError, ["positional"]),
    (lambda: core.TextPolicy(case=True), TypeError, ["case"]),
    (lambda: core.TextPolicy(form="NFC"), ValueError, ["form", "nfc", "NFC"]),
    (lambda: core.TextPolicy(form=1), TypeError, ["form"]),
    (lambda: core.TextPolicy(fold_case="yes"), TypeError, ["fold_case"]),
    (lambda: core.TextPolicy(collapse_space=1), TypeError, ["collapse_space"]),
    (lambda: core.TextPolicy().normalize(b"a"), TypeError, ["text", "bytes"]),
    (lambda: core.TextPolicy().normalize("\ud800"), UnicodeEncodeError, ["surrogates"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_settings_are_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """A setting or argument that does not exist, or has a wrong value, is named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
