"""Whether two texts ask the same, as far as that can be told by their words: the guard of the semantic cache.

Both texts are brought into a form, and they pass if the forms are equal. What the form leaves out is what is known to
be harmless: politeness, most articles, contractions, plurals, the ways to begin a question, a short list of words that
mean the same. Whatever is not known counts: a number, a unit, a name, a negation, a word's place. So "enable 2FA" is
not "disable 2FA" without a list of opposites, and the guard errs by refusing. Passing is symmetric and transitive.

It knows English. A text in which it sees no English is compared word by word, and only large and small letters,
spaces and the closing mark may differ. A text of several lines or more than 60 words must be the same letter by letter.
"""

import re
from collections.abc import Hashable, Iterable
from typing import Final, TypeAlias

from fastcascade.caching.semantic_frames import framed
from fastcascade.caching.semantic_numbers import NAME
from fastcascade.caching.semantic_tokens import BREAKS, tokens
from fastcascade.caching.semantic_words import (
    ARTICLES,
    ENGLISH,
    FILLERS,
    LETTERED,
    ONE_WORD,
    ORDERS,
    PHRASES,
    TIMES,
    VERBATIM,
    WEAK,
    listed,
)
from fastcascade.errors import ConfigError

__all__ = ["Form", "Guard"]

Form: TypeAlias = Hashable

_LONGEST: Final = 60
_COPULAS: Final = frozenset({"is", "are", "was", "were"})
_FEW: Final = frozenset({"few", "little", "number", "bit", "couple", "lot", "2th", "3th", "1"})
_SUB: Final = frozenset({"who", "that", "which", "if", "whether", "while", "because", "since", "until", "say", "said"})
_OVER: Final = re.compile(r"\b(over|above|more than|under|below|less than|fewer than|at least|at most|up to) (?=\d)")
_SIGNS: Final = {
    "over": ">", "above": ">", "more than": ">", "under": "<", "below": "<", "less than": "<", "fewer than": "<",
    "at least": ">=", "at most": "<=", "up to": "<=",
}  # fmt: skip
_OWNED: Final = re.compile(r"(?<!\S)(\ue000?\w+) 's (\w+)(?= (?:is|in|on|at|to|for|of|and|or|with)\b| [.?,;]|$)")
_ASKS: Final = listed(
    "how what when where why who which whose can could may do does did is are was were will would should must has have "
    "am HOW CAN MUST SHOULD PRICE MEANING DURATION WHATIF"
)


class Guard:
    """Lets two texts pass for one another where all that differs between them is known to be harmless.

        guard = Guard(alike=[("workspace", "project")])          # words of yours that mean the same
        guard.same("How do I enable 2FA?", "how can I turn on 2FA")                  # True
        guard.same("How do I enable 2FA?", "How do I disable 2FA?")                  # False

    Args:
        alike: groups of single words that mean the same to your users.
    """

    def __init__(self, alike: Iterable[Iterable[str]] = ()) -> None:
        """Check the groups."""
        self._words = dict(ONE_WORD)
        self._known: dict[str, str] = {}
        for group in alike:
            words = [group] if isinstance(group, str) else [word.lower() for word in group]
            if len(words) < 2 or not all(re.fullmatch(r"[^\W\d_]+", word) for word in words):
                msg = f"words that are alike are groups of two or more single words, not {group!r}"
                raise ConfigError(msg)
            into = self._word(words[0])
            for word in words[1:]:
                self._words[word] = self._words[_stem(word)] = into
        self._known.clear()
        self._phrases = dict(PHRASES)
        self._phrase = re.compile(rf"(?<!\S)(?:{'|'.join(re.escape(short) for short in self._phrases)})(?!\S)")

    def same(self, a: str, b: str, /) -> bool:
        """Whether they ask the same."""
        return a == b or self.form(a) == self.form(b)

    def form(self, text: str, /) -> Form:
        """What is equal for texts that pass for one another, and for no others."""
        text = text.strip()
        if "\n" in text or "\r" in text or text.count(" ") > _LONGEST:
            return text
        found = tokens(text)
        if not _english(text):
            while found and found[-1] in {".", "?"}:
                found.pop()
            return ("exactly", *found)
        return self._form(" ".join(found))

    def _form(self, text: str) -> Form:
        text = self._phrase.sub(lambda m: self._phrases[m[0]], framed(text))
        text = _OVER.sub(lambda m: f"{_SIGNS[m[1]]} ", text)
        if " 's " in text:
            text = _OWNED.sub(r"\2 of \1", text)
        words = text.split()
        asked = ""
        while words and words[-1] in BREAKS:
            asked = "?" if words.pop() == "?" else asked
        if len(words) > 1 and words[0] == "HOW" and len(words[1]) > 5 and words[1].endswith("ing"):
            words[1] = _going(words[1][:-3])  # "the way of doing it"
        kept = [self._word(word) for at, word in enumerate(words) if self._counts(words, at, word)]
        if asked and words and words[0].partition("-")[0] not in _ASKS:
            kept.append("?")
        when = [word for word in kept if word in TIMES]
        if len(when) == 1 and _SUB.isdisjoint(kept) and "." not in kept:
            kept.remove(when[0])
            kept.append(when[0])
        return tuple(kept)

    @staticmethod
    def _counts(words: list[str], at: int, word: str) -> bool:
        if word in ARTICLES:
            if at > 1 and words[at - 1] in _COPULAS and words[at - 2] in {"what", "who", "which"}:
                return True
            letter = word == "a" and (at + 1 == len(words) or (at and words[at - 1] in LETTERED))
            return letter or (word[0] == "a" and at + 1 < len(words) and words[at + 1] in _FEW)
        if word in FILLERS:
            return False
        if word in BREAKS and word != ".":
            return bool(at) and words[at - 1] in {"no", "not", "stop", "never", "yes"}
        return True

    def _word(self, word: str) -> str:
        known = self._known.get(word)
        if known is None:
            known = self._read(word)
            if len(self._known) < 20_000 and len(word) < 40:
                self._known[word] = known
        return known

    def _read(self, word: str) -> str:
        if word[0] == NAME:
            low = word[1:].lower()
            plain = low not in ARTICLES and low not in FILLERS and low not in TIMES and low not in _ASKS
            return low if plain and low not in _UNSAFE and self._read(low) == low else word
        if not word.isalpha() or not word.islower():
            return word
        word = self._words.get(word, word)
        word = _stem(word)
        return self._words.get(word, word)


_BEGINS: Final = re.compile(r"(?:can|may|do|am|is|are|was|were|have|has|will|must) (?:i|we|it|my|there|they|he|she)$")
_SHORT: Final = re.compile(r"(?:^|[^aeiou])[aeiouy][^aeiouwxy]$")
_LIGHT: Final = ("en", "er", "on", "it", "el", "or", "om")
_UNSAFE: Final = listed("us it who is as or in on may will march polish turkey china aids no so be at by to if")


def _english(text: str) -> bool:
    """Whether there are signs enough that a text is in English."""
    words = [word.strip(".,;:!?()'\"") for word in text.lower().split()]
    if not ENGLISH.isdisjoint(words) or (words and words[0] in ORDERS):
        return True
    if _BEGINS.match(" ".join(words[:2])) is not None:
        return True
    weak = sum(word in WEAK or "'" in word for word in words)
    return weak > 1 and weak >= 0.4 * len(words)


def _stem(word: str) -> str:
    """Without the ending of a plural or of the third person."""
    if word in VERBATIM or len(word) < 4:
        return word
    if word.endswith("s"):
        if word.endswith(("ss", "us", "is")):
            return word
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    return word


def _going(word: str) -> str:
    """What a word in -ing comes from, as far as its letters tell."""
    if not any(letter in "aeiouy" for letter in word):
        return word + "ing"
    if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "lsfz":
        return word[:-1]
    silent = word[-1] in "cgvuz" or (_SHORT.search(word) is not None and not word.endswith(_LIGHT))
    return word + "e" if silent else word
