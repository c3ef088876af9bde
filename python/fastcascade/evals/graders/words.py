"""Graders that compare words: to the letter, folded, by a pattern, by the letter of a choice."""

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fastcascade._core import PatternSet, TextPolicy
from fastcascade.errors import ConfigError
from fastcascade.evals.graders.grader import Grade, read, ungraded
from fastcascade.messages import Reply

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Choice", "Exact", "Normalized", "Regex", "boxed", "folded"]

FOLD: Final = TextPolicy(form="nfkc", fold_case=True, collapse_space=True)
DELETED: Final = frozenset("'.\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}")
"""Punctuation within a word, which leaves no gap: U.S. and US, don't and dont."""
TELLING: Final = frozenset("#%&@/")
"""Punctuation to Unicode that says something: C# is not C, 5% is not 5."""
MARKS: Final = frozenset("`\N{ACUTE ACCENT}")
THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
DASHES: Final = {0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2014: "-", 0x2212: "-"}
ARTICLES: Final = frozenset({"a", "an", "the"})
SHOWN: Final = 60
KEPT: Final = 4096
"""Patterns of cases that are kept compiled."""


class Exact:
    """Right where the answer is what is expected, to the letter; white space around either does not count.

    Args:
        strip: whether white space around them is taken off.
    """

    def __init__(self, *, strip: bool = True) -> None:
        """Keep the setting."""
        self.strip = strip

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Compare."""
        if case.expected is None:
            return _nothing_expected(case)
        said, right = read(reply), case.expected
        if self.strip:
            said, right = said.strip(), right.strip()
        return _compared(said, right, same=said == right)


class Normalized:
    """Right where the words are the same: case, punctuation, forms of letters, articles and white space do not count.

    Folded as the core folds text before it is matched (NFKC, case, white space). Punctuation is dropped but for what
    tells things apart: a point and a sign in a number, # % & @ and /. A last word stays, be it an article: vitamin A.

    Args:
        articles: whether a, an and the are dropped.
    """

    def __init__(self, *, articles: bool = True) -> None:
        """Keep the setting."""
        self.articles = articles

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Fold both, and compare."""
        if case.expected is None:
            return _nothing_expected(case)
        said = folded(read(reply), articles=self.articles)
        right = folded(case.expected, articles=self.articles)
        return _compared(said, right, same=said == right)


class Regex:
    """Right where a pattern is found in the answer. It is the core's matcher: time is linear in the answer's length.

    So look-around and references back are refused, as nothing that a model writes may hold up a run.

    Args:
        pattern: the pattern; without one, each case's `expected` is its own.
        whole: whether all of the answer must match, but for white space around it.
    """

    def __init__(self, pattern: str = "", *, whole: bool = False) -> None:
        """Compile the pattern; a case's own is compiled when it is graded."""
        self.pattern = pattern
        self.whole = whole
        if pattern:
            _compiled(pattern, whole)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Look for it."""
        pattern = self.pattern or case.expected
        if not pattern:
            return _nothing_expected(case)
        try:
            patterns = _compiled(pattern, self.whole)
        except ConfigError as error:
            return ungraded(f"case {case.id!r} expects no pattern: {error}")
        said = read(reply)
        found = patterns.first(said.strip() if self.whole else said) is not None
        return Grade(float(found), f"{_short(pattern)} is {'' if found else 'not '}in the answer")


@lru_cache(KEPT)
def _compiled(pattern: str, whole: bool) -> PatternSet:  # noqa: FBT001 - a key of what is kept
    PatternSet([pattern])  # by itself first: what is wrong with it must not be hidden by the group around it
    return PatternSet([rf"\A(?:{pattern})\Z" if whole else pattern])


class Choice:
    """Right where the answer chooses the letter that is expected: B, (b), B) Paris, "the answer is B", a boxed B.

    What it says of its answer last counts; else a letter that stands for itself at its beginning or end. Where the
    answer is the wording of one option of the question ("B) Paris" there, "Paris" here), that is chosen. An answer
    that chooses nothing, or two letters, is wrong: the reason says which.

    Args:
        letters: the letters there are.
    """

    def __init__(self, letters: str = "ABCDEFGHIJ") -> None:
        """Make the patterns for these letters."""
        if not re.fullmatch(r"[A-Z]{2,26}", letters) or len(set(letters)) != len(letters):
            raise ConfigError(f"the letters of a choice are two or more capitals, each once, not {letters!r}")
        self.letters = letters
        one = f"([{letters}])"
        self._said = re.compile(
            r"\b(?i:answer)(?i:\s(?:is|was|would be|should be|choice|option)){0,2}\s?[:=]?"
            rf"(?i:\s?(?:option|choice)\b)?[\s*_(\"'`\[\\$]{{0,6}}{one}(?![\w'])(?!(?<=I)\s[a-z])"
        )
        self._named = re.compile(rf"\b(?i:choice|option)\s?:?[\s*_(\"'`\[]{{0,6}}{one}(?![\w'])(?!(?<=I)\s[a-z])")
        self._alone = re.compile(rf"[\W_]{{0,8}}{one}[\W_]{{0,8}}", re.IGNORECASE)
        self._lead = re.compile(rf"[\s*_(\[\"'`]{{0,8}}{one}[*_]{{0,2}}[).:\]](?=[\s*_]|$)")
        self._option = re.compile(rf"^[ \t]{{0,8}}[(\[]?{one}[).:\]][ \t]{{1,4}}(\S.*)$", re.MULTILINE)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Read the letter, and compare."""
        if case.expected is None:
            return _nothing_expected(case)
        options = self._options(case.text)
        right = self.chosen(case.expected, options)
        if not right:
            return ungraded(f"case {case.id!r} expects {_short(case.expected)}, which is none of {self.letters}")
        said = read(reply)
        letter = self.chosen(said, options)
        if not letter:
            return Grade(0.0, f"no one letter of {self.letters} is chosen in {_short(said)}")
        return Grade(float(letter == right), f"chose {letter}, and {right} is right")

    def chosen(self, text: str, options: dict[str, str] | None = None) -> str:
        """The letter that a text chooses; empty where it chooses none, or several."""
        text = unicodedata.normalize("NFKC", text).strip()
        inner = boxed(text)
        if inner and (found := self._alone.fullmatch(inner.replace("\\text", ""))):
            return found[1].upper()
        if found := self._alone.fullmatch(text):
            return found[1].upper()
        if told := self._said.findall(text):
            return str(told[-1])
        lines = text.splitlines() or [""]
        ends = [self._lead.match(lines[0]), self._lead.match(lines[-1]), self._alone.fullmatch(lines[-1])]
        letters = {found[1].upper() for found in ends if found} or set(self._named.findall(text))
        if not letters and options:
            words = folded(text)
            letters = {letter for letter, wording in options.items() if wording == words}
        return letters.pop() if len(letters) == 1 else ""

    def _options(self, question: str) -> dict[str, str]:
        return {found[1]: folded(found[2]) for found in self._option.finditer(question)}


def folded(text: str, *, articles: bool = True) -> str:
    """The words of a text as `Normalized` compares them; a text of nothing but punctuation stays as it is."""
    plain = THOUSANDS.sub("", FOLD.normalize(text).translate(DASHES))
    words = "".join(_kept(plain, place, sign) for place, sign in enumerate(plain)).split()
    kept = [word for place, word in enumerate(words, 1) if place == len(words) or word not in ARTICLES]
    return " ".join(kept if articles else words) or plain


def _kept(text: str, place: int, sign: str) -> str:
    """What is left of one character of a text."""
    if sign.isalnum() or sign.isspace() or sign in TELLING or not (sign in MARKS or _is_punctuation(sign)):
        return sign
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if after.isdigit() and ((sign in ".:" and before.isdigit()) or (sign == "-" and not before.isalnum())):
        return sign
    if sign == "." and after.isdigit() and (not before or before in " -+$"):
        return "0."
    return "" if sign in DELETED else " "


def _is_punctuation(sign: str) -> bool:
    return unicodedata.category(sign).startswith("P")


def boxed(text: str) -> str:
    r"""What stands in the last \boxed{...} of a text, as answers to mathematics are marked; empty where none does."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return ""
    start += len("\\boxed{")
    depth = 1
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if not depth:
            return text[start:place]
    return ""


def _nothing_expected(case: "Case") -> Grade:
    return ungraded(f"case {case.id!r} says nothing of what is expected")


def _compared(said: str, right: str, *, same: bool) -> Grade:
    return Grade(1.0, "as expected") if same else Grade(0.0, f"{_short(said)} is not {_short(right)}")


def _short(text: str) -> str:
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."
