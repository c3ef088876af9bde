"""When two replies say the same, and how to read a number, a JSON value or a bare wording out of a text.

Replies with tool calls are the same when their calls are: the names and the arguments as JSON values, in whatever
order, whatever is said beside them. The texts of others are compared:

    exact        the texts, to the letter
    normalized   their words: without case, quotes, brackets, emphasis, the punctuation that ends a word
    numeric      the last number in each, within a relative tolerance
    json         the first JSON value in each; 1 and 1.0 are the same, the order of keys is none
    a function   two texts -> whether they agree
"""

import json
import math
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.messages import Reply

__all__ = ["Agreement", "agreement", "first_json", "json_objects", "last_number", "normalized"]

OPENING: Final = "\"'`*_([{“‘«‹„¿¡「『（"  # noqa: RUF001 - quotes of all kinds
CLOSING: Final = "\"'`*_)]}”’»›.,;:!?…」』）。、，！？；："  # noqa: RUF001 - likewise
NUMBER: Final = re.compile(
    r"(?P<sign>(?<![\w.)\]])[-+])?[$€£¥]?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)"
    r"(?P<power>[eE][-+]?\d+)?(?:\s?/\s?(?P<below>\d+(?:\.\d+)?)(?![\d/]))?"
)
FRACTION: Final = re.compile(r"\\[dt]?frac\s*\{\s*([-+]?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
POWER: Final = re.compile(r"(?:\^|\w\*\*)[\s{(]*$")
ATTEMPTS: Final = 64
"""Brackets at which a JSON value is looked for: each may cost a reading of all that follows."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A way to compare replies: what is read of each, and when two readings are the same."""

    read: Callable[[str], Any]  # None where there is nothing to compare
    same: Callable[[Any, Any], bool]
    lacking: str  # what there is none of, where there is nothing to compare

    def reading(self, reply: Reply, /) -> tuple[bool, Any]:
        """What is compared of a reply: whether it is tool calls, and those or what its text holds."""
        if calls := reply.tool_calls:
            return True, sorted((call.name, _arguments(call.arguments)) for call in calls)
        text = reply.text
        return False, self.read(text) if text.strip() else None

    def agree(self, one: tuple[bool, Any], other: tuple[bool, Any], /) -> bool:
        """Whether two readings are the same; what cannot be read agrees with nothing."""
        if one[0] or other[0] or one[1] is None or other[1] is None:
            return one == other and one[1] is not None
        return bool(self.same(one[1], other[1]))


def agreement(agree: str | Callable[[str, str], bool], tolerance: float = 1e-6) -> Agreement:
    """The comparison of this name, or by a function of the user's."""
    if callable(agree):
        return Agreement(str, agree, "text")
    match agree:
        case "exact" | "embedding":  # what differs to the letter is left to the embedder
            return Agreement(str, _equal, "text")
        case "normalized":
            return Agreement(normalized, _equal, "text")
        case "numeric":
            return Agreement(last_number, lambda one, other: _close(one, other, tolerance), "number")
        case "json":
            return Agreement(_canonical_json, _equal, "JSON value")
        case _:
            known = "exact, normalized, numeric, json, embedding"
            msg = f"replies agree by {known} or a function of two texts, not {agree!r}"
            raise ConfigError(msg)


def normalized(text: str) -> str:
    """The words of a text, without what does not change what it says; a text of nothing else stays as it is."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    bare = (word.lstrip(OPENING).rstrip(CLOSING) for word in words)
    return " ".join(filter(None, bare)) or " ".join(words)


def last_number(text: str) -> float | None:
    """The last number in a text: 1,234.5 and -2e3 and 3/4 are numbers, 7 in 5-7 has no sign.

    None where there is none, and where it is an exponent, which alone says too little.
    """
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("\N{FRACTION SLASH}", "/")
    plain = FRACTION.sub(r"\1/\2", plain)
    numbers = deque(NUMBER.finditer(plain), maxlen=1)
    if not numbers or POWER.search(plain, max(0, numbers[0].start() - 8), numbers[0].start()):
        return None
    found = numbers[0]
    value = float(found["digits"].replace(",", "") + (found["power"] or ""))
    below = float(found["below"] or 1)
    value = value / below if below else math.nan
    if not math.isfinite(value):
        return None
    return -value if found["sign"] == "-" else value


def first_json(text: str) -> tuple[Any] | None:
    """The first JSON value in a text, in a tuple, for it may be null; None where there is none.

    The whole text, else what stands in the first fence, else the first object or list anywhere in it.
    """
    for candidate in (text, _fenced(text)):
        try:
            return (DECODER.decode(candidate.strip()),)
        except (ValueError, RecursionError):
            continue
    return next(((value,) for value in _scan(text, "{[")), None)


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text that is not within another, in their order."""
    return (value for value in _scan(text, "{") if isinstance(value, dict))


def canonical(value: Any) -> str:
    """A JSON value as a text that is the same for equal values."""
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"))


def _refuse(constant: str) -> Any:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def _scan(text: str, brackets: str) -> Iterator[Any]:
    opening = re.compile(f"[{re.escape(brackets)}]")
    at = 0
    for _ in range(ATTEMPTS):
        found = opening.search(text, at)
        if found is None:
            return
        try:
            value, at = DECODER.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            at = found.end()
            continue
        yield value


def _fenced(text: str) -> str:
    _, _, after = text.partition("```")
    _, _, inside = after.partition("\n")
    return inside.partition("```")[0]


def _whole(value: Any) -> Any:
    match value:
        case dict():
            return {key: _whole(each) for key, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _canonical_json(text: str) -> str | None:
    found = first_json(text)
    try:
        return canonical(found[0]) if found else None
    except RecursionError:
        return None


def _arguments(text: str) -> tuple[bool, str]:
    # What is not JSON is told from what is, so that no malformed text equals a value's own.
    try:
        return True, canonical(DECODER.decode(text.strip() or "{}"))
    except (ValueError, RecursionError):
        return False, text


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def _close(one: float, other: float, tolerance: float) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-12)
