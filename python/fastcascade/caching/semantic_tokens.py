"""A text taken apart for the guard of the semantic cache: words, numbers with their units, names, what is quoted.

A word is in small letters. One after a `NAME` mark is a name, which stands in capitals within a sentence. What is
quoted, code, addresses and identifiers stay as they are, letter by letter. `,` `;` `.` `?` are where the text breaks.
"""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import normalize

from fastcascade.caching.semantic_numbers import DATES, NAME, NUMBER, amount, counted, dated
from fastcascade.caching.semantic_words import CONTRACTED

__all__ = ["BREAKS", "tokens"]

BREAKS: Final = frozenset({",", ";", ".", "?"})
_QUOTES: Final = str.maketrans("\u2018\u2019\u201c\u201d\u2032\u2033\u00ab\u00bb", '\'\'""\'"""')
_CHUNK: Final = re.compile(r'"[^"]*"|`[^`]*`|[^\s"`]+')
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*(?:-[^\W\d_]+(?:'[^\W\d_]+)*)*'?")
_ENDS: Final = {",": ",", ";": ";", ":": ";", ".": ".", "!": ".", "?": "?"}


def tokens(text: str) -> list[str]:
    """The text's tokens in order; those that say a number have it in digits."""
    text = normalize("NFC", text).replace(NAME, "").translate(_QUOTES)
    shout = text.isupper() and len(text) > 8
    words = [part[:1] for part in text.split() if part[:1].isalpha()]
    title = len(words) > 3 and sum(map(str.isupper, words)) > 0.7 * len(words)
    found: list[str] = []
    first = True
    for chunk in _CHUNK.findall(text):
        first = _take(chunk, found, plain=first or title or shout)
    return dated(counted(found))


def _take(chunk: str, found: list[str], *, plain: bool) -> bool:
    """Add the tokens of one chunk; whether what comes next begins a sentence."""
    if chunk[0] in '"`':
        found.append("\ue001".join(chunk.split()))  # one token: no space in it
        return False
    core, end = chunk.lstrip("('").rstrip(")'"), ""
    while core and core[-1] in _ENDS and not (core[-1] == "!" and not core[-2:-1].isalpha()):  # 5! is a number
        end, core = _ENDS[core[-1]] if not end or end in ",;" else end, core[:-1].rstrip(")'")
    if not core:
        if not end:
            found.append(chunk)
    elif _WORD.fullmatch(core):
        found.extend(_words(core, plain=plain))
    elif (number := NUMBER.fullmatch(core)) is not None and (said := amount(*number.groups())):
        found.extend(said)
    else:
        found.append(core if _exact(core) else core.lower())
    if end:
        found.append(end)
    return end in {".", "?", ";"}


def _exact(core: str) -> bool:
    """Whether large and small letters differ: options, and what is written like code."""
    return core[0] in "-/$" or "_" in core or "(" in core or "\\" in core or "/" in core or "=" in core


def _words(core: str, *, plain: bool) -> Iterator[str]:
    low = core.lower()
    if low in CONTRACTED:
        yield from CONTRACTED[low].split()
        return
    for part in core.split("-"):
        low = part.lower()
        if low.endswith("n't"):
            yield from (low[:-3], "not")
            continue
        stem, mark, rest = part.partition("'")
        upper = stem[:1].isupper() and (not plain or stem[1:] != stem[1:].lower()) and stem != "I"
        low = stem.lower()
        yield NAME + stem if upper and low not in DATES else low
        if mark and rest.lower() in {"s", ""}:
            yield "'s"
        elif mark:
            yield f"'{rest}"
