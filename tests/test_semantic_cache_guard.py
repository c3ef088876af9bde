"""The guard of the semantic cache: what it lets pass, what it never does, and how it does on the labelled set."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastcascade import ConfigError
from fastcascade.caching.semantic_guard import Guard
from semantic_set import pairs

GUARD = Guard()
TEXTS = sorted({text for split in ("dev", "test") for pair in pairs(split) for text in (pair.a, pair.b)})
SAMPLED = st.sampled_from(TEXTS)
# What the guard looks at, in any order; and anything at all.
VOCABULARY = """
how do does i you can may not never no without the a an my is are 5 5.0 1,000 $5 5% 2nd two twice May 12th 's of or and
between == - -5 please thanks , . ? ! hi turn on off enable US us =x `a b` "q r" what cost much to in tell me
"""
HARMLESS = """
a an the my our really actually please please. please? hi, hello! hello, thanks! thanks so is me can you could to of
there tell best are want i'd would like i
"""
WORDS = st.sampled_from(VOCABULARY.split())
ANY = SAMPLED | st.lists(WORDS, min_size=1, max_size=14).map(" ".join) | st.text(max_size=60)

SAME = [
    ("How do I enable two-factor authentication?", "hi, how can I turn on 2FA? Thanks!"),
    ("What's the capital of France?", "tell me the capital of france"),
    ("Where is Anna's desk in Rome?", "where is the desk of Anna in Rome"),
    ("Is the shop open on May 5th?", "Is the shop open on 5 May?"),
    ("Wait 30 seconds, then stop.", "Wait thirty secs, then stop"),
    ("How much is the Pro plan?", "What does the Pro plan cost?"),
    ("Why can't I log in?", "Why can not I sign in?"),
    ("¿Dónde está mi pedido?", "¿dónde está mi pedido"),
]
DIFFERENT = [
    ("How do I enable 2FA?", "How do I disable 2FA?"),
    ("Transfer from EUR to USD", "Transfer from USD to EUR"),
    ("Take 12 mg after meals", "Take 21 mg after meals"),
    ("Take 12 mg after meals", "Take 12 mcg after meals"),
    ("Take 12 mg after meals", "Take 12 mg before meals"),
    ("Do you store my data?", "Do I store my data?"),
    ("How do you store my data?", "How do I store my data?"),
    ("Will you delete my data?", "Delete my data."),
    ("Delete my data?", "Delete my data."),
    ("Can you call us now?", "Can you call US now?"),
    ("What is 5!?", "What is 5?"),
    ("Solve 3x - 7 = 22", "Solve 3x 7 = 22"),
    ("How do I say please in French?", "How do I say in French?"),
    ("No, delete it for me.", "No delete it for me."),
    ("Do I need a hepatitis a vaccine?", "Do I need a hepatitis vaccine?"),
    ("What is `rm -R` for?", "What is `rm -r` for?"),
    ("Install version 3.10 for me", "Install version 3.1 for me"),
    ("Is this good for me?", "Is this good?"),
    ("Can I own land there?", "Can I land there?"),
    ("What are securities?", "What is security?"),
    ("Wo kann Sie mich treffen?", "Wo kann sie mich treffen?"),
    ("What is the red wine or beer?", "What is the red beer or wine?"),
    ("What does __init__ do?", "What does init do?"),
    ("line one of the file\nline two", "line one of the file line two"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_what_is_known_to_be_harmless_passes(a: str, b: str) -> None:
    """Politeness, contractions, small letters, ways to ask, and numbers in words make no difference."""
    assert GUARD.same(a, b), (GUARD.form(a), GUARD.form(b))


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_what_may_change_the_answer_never_passes(a: str, b: str) -> None:
    """Opposites, numbers, units, names, directions, negations, who does it, and what is quoted make a difference."""
    assert not GUARD.same(a, b), GUARD.form(a)


@given(ANY, ANY)
def test_the_guard_is_symmetric_and_a_text_passes_for_itself(a: str, b: str) -> None:
    """Which of two texts was there first does not matter; no text makes the guard fail."""
    assert GUARD.same(a, b) == GUARD.same(b, a)
    assert GUARD.same(a, a)
    assert GUARD.same(f"  {a}", a)
    assert hash(GUARD.form(a)) == hash(GUARD.form(a))


@given(SAMPLED, st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_another_number_never_passes(text: str, one: int, other: int, data: st.DataObject) -> None:
    """Wherever a number stands in a question, another in its place is another question."""
    assume(one != other)
    words = text.split()
    at = data.draw(st.integers(0, len(words)))
    a, b = (" ".join([*words[:at], str(number), *words[at:]]) for number in (one, other))
    assert not GUARD.same(a, b)


@given(st.sampled_from([text for text in TEXTS if re.search(r"\d", text)]), st.data())
def test_a_changed_digit_never_passes(text: str, data: st.DataObject) -> None:
    """A digit in a text, in a name, a date or a version, is never another digit."""
    places = [match.start() for match in re.finditer(r"\d", text)]
    at = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != text[at]]))
    assert not GUARD.same(text, text[:at] + digit + text[at + 1 :])


@given(
    SAMPLED, st.sampled_from(["not", "never", "no", "without", "except", "only", "unless", "all", "half"]), st.data()
)
def test_one_more_negation_or_bound_never_passes(text: str, word: str, data: st.DataObject) -> None:
    """A word that turns or narrows a question counts, wherever it is put in."""
    words = text.split()
    at = data.draw(st.integers(0, len(words)))
    assert not GUARD.same(text, " ".join([*words[:at], word, *words[at:]]))


@given(SAMPLED, st.data())
def test_one_word_less_never_passes_unless_it_is_harmless(text: str, data: st.DataObject) -> None:
    """Only an article, a filler, a greeting or what frames a question may be left out."""
    words = text.split()
    at = data.draw(st.integers(0, len(words) - 1))
    left = " ".join([*words[:at], *words[at + 1 :]])
    assume(words[at].lower() not in HARMLESS.split() and left)
    assert not GUARD.same(text, left), GUARD.form(text)


@given(st.lists(st.sampled_from(["Alice", "Bob", "Rome", "Oslo"]), min_size=2, max_size=2, unique=True))
def test_who_does_what_to_whom_counts(names: list[str]) -> None:
    """Names that change places make another question, whether of people or of places."""
    one, other = names
    for text in ("Does {} owe {} money?", "How do I fly from {} to {}?", "Is {} older than {}?", "Why did {} sue {}?"):
        assert not GUARD.same(text.format(one, other), text.format(other, one))


def test_words_of_ones_own_may_be_alike() -> None:
    """Groups of words that mean the same to the users are taken for one another; what is no such group is refused."""
    own = Guard(alike=[("workspace", "project"), ("buy", "get")])
    assert own.same("Delete my workspaces", "Delete my projects")
    assert own.same("Can I purchase it?", "Can I get it?")
    assert not GUARD.same("Delete my workspaces", "Delete my projects")
    for wrong in (["one"], [("one",)], [("two words", "one")]):
        with pytest.raises(ConfigError, match="groups of two or more"):
            Guard(alike=wrong)


@pytest.mark.parametrize(("split", "most"), [("dev", 0.005), ("test", 0.005), ("fresh", 0.01)])
def test_the_labelled_set_has_hardly_a_false_hit(split: str, most: float) -> None:
    """Of pairs that ask for different things hardly one passes, and of paraphrases 3 in 10 at least, by words alone.

    What passes in `fresh` is an article ("a net", "the net"): it is left as it was found, as nothing was to be tuned on
    these pairs.
    """
    every = pairs(split)
    false = [pair for pair in every if not pair.same and GUARD.same(pair.a, pair.b)]
    assert len(false) <= most * sum(not pair.same for pair in every), false
    same = [pair for pair in every if pair.same]
    assert sum(GUARD.same(pair.a, pair.b) for pair in same) >= 0.3 * len(same)


def test_the_labelled_set_is_large_and_of_many_kinds() -> None:
    """More than 3,000 pairs of more than 15 domains and ten reasons; no pair is both the same and different."""
    every = [pair for split in ("dev", "test", "fresh") for pair in pairs(split)]
    assert len(every) > 3_000
    assert len({pair.domain for pair in every}) > 15
    assert len({pair.reason for pair in every}) == 10
    labels: dict[frozenset[str], bool] = {}
    for pair in every:
        assert labels.setdefault(frozenset((pair.a, pair.b)), pair.same) is pair.same, pair
