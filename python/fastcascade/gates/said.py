"""How the words of a judge are read: strictly, for what can be read in two ways must not pass by accident."""

import math
import re
from typing import Any, Final

from fastcascade.gates.agreement import CLOSING, OPENING
from fastcascade.messages import Token

__all__ = ["concluded", "likelihood", "loosely", "name_key", "rating", "scored", "yes_no"]

READ: Final = 500
"""Characters at each end of a judge's words in which a yes or no is looked for."""
LEAD: Final = re.compile(
    r"[\W_]*(yes|no)(?![^\W_])(?=[^\S\n]*(?:$|[\n.,;:!*_)\]}\"'`\u2019\u201d\u2013\u2014-]))", re.IGNORECASE
)
LOUD: Final = re.compile(r"(?<![^\W_])(YES|NO)(?![^\W_])")
PLACED: Final = re.compile(r"(?:^|[\n:.!?;,\"'`*_({\[>\u2013\u2014]|\bis\s)[\W_]*?(YES|NO)(?![^\W_])")
TAIL: Final = re.compile(r"(?:^|[\n:.!?>\u2013\u2014])[\W_]*?(yes|no)[\W_]*\Z", re.IGNORECASE)
SCORE: Final = re.compile(
    r"(?<![\w.,\u2013\u2014-])(?P<sign>-?)(?P<value>\d+(?:[.,]\d+)?|[.,]\d+)"
    r"(?:\s*(?:(?P<percent>%)|(?:/|(?:out\s+)?of\s)\s*(?P<of>\d+)))?"
    # Not a part of a longer number, of a range or a sum, or of a sentence that goes on: "1 error was found".
    r"(?![.,]?\d|\s*[/\u2013\u2014-]\s*[\d.]|[^\S\n]*[^\W\d_])"
)
LABEL: Final = re.compile(
    r"\b(?:score|rating|probability)\b[\"'*\s]*(?:\([^()]{0,40}\)[\"'*\s]*)?(?:is\b|of\b|[:=])[\"'*`\s]*", re.IGNORECASE
)
WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""The full-width forms of Latin letters, digits and signs, which keep their places so."""
RATING: Final = (
    r"[\"'*`\s]*[:=\u2013\u2014-][\"'*`\s]*([1-5](?:\.\d+)?)(?:\s*/\s*5\b)?(?!\.?\d|\s*[/\u2013\u2014-]\s*\d)"
)


def yes_no(text: str) -> tuple[bool, int] | None:
    """Whether a judge said yes, and where in its text first; None where it said both or neither.

    What counts is a yes or no that begins the text and stands for itself, one in capitals that begins a line or
    a clause or follows "is", or one that stands alone at the end; and no other in capitals may speak against it.
    """
    text = _ends(text.translate(WIDE))
    start = _thought(text)
    found = [*filter(None, [LEAD.match(text, start)]), *PLACED.finditer(text, start)]
    found = found or [*filter(None, [TAIL.search(text, start)])]
    if not found:
        return None
    kinds = {each[1].casefold() == "yes" for each in (*found, *LOUD.finditer(text, start))}
    return (kinds.pop(), found[0].start(1)) if len(kinds) == 1 else None


def _ends(text: str) -> str:
    """A text with its middle blanked: a verdict stands at an end, and time must not grow with what a judge says."""
    if len(text) <= 2 * READ:
        return text
    return f"{text[:READ]}{'x' * (len(text) - 2 * READ)}{text[-READ:]}"


def likelihood(tokens: tuple[Token, ...], *, yes: bool) -> float | None:
    """How likely YES was against NO, where the judge said its word; None where the tokens do not tell.

    A word that is not among the alternatives listed is taken to have had all that they leave.
    """
    spoken = [token for token in tokens if not token.tool]
    found = yes_no("".join(token.text for token in spoken))
    if found is None or found[0] is not yes:
        return None
    end = 0
    token = next(token for token in spoken if (end := end + len(token.text)) > found[1])
    listed = {**dict(token.top), token.text: token.logprob}
    chances = {text: math.exp(min(0.0, logprob)) for text, logprob in listed.items()}
    rest = max(0.0, 1.0 - math.fsum(chances.values()))
    said = [math.fsum(p for text, p in chances.items() if _kind(text) is kind) for kind in (False, True)]
    if not said[yes]:
        return None
    against, in_favor = (each or rest for each in said)
    chance = in_favor / (in_favor + against)
    return chance if math.isfinite(chance) else None


def scored(text: str) -> float | None:
    """The score a judge gave, from 0 to 1; None where it gave none, several, or one on no scale that is known.

    What counts is a number that is called the score, or has a line for itself.
    """
    plain = concluded(text)
    labeled = [SCORE.match(plain, label.end()) for label in LABEL.finditer(plain)]
    alone = [SCORE.fullmatch(line.lstrip(OPENING).rstrip(CLOSING)) for line in plain.splitlines()]
    scores = {_share(found) for found in (*labeled, *alone) if found}
    return scores.pop() if len(scores) == 1 else None


def _share(found: re.Match[str]) -> float | None:
    value = float(found["value"].replace(",", "."))
    bare = 100.0 if found["percent"] or value > 10 else 1.0
    scale = float(found["of"]) if found["of"] else bare
    within = 0 <= value <= scale and scale > 0 and not (found["sign"] and value)
    return value / scale if within else None


def rating(value: Any) -> float | None:
    """A rating from 1 to 5, brought to 0 to 1: 4, "4", "4/5" or {"score": 4}; None for anything else."""
    if isinstance(value, dict):
        value = value.get("score", value.get("rating"))
    if isinstance(value, str) and (found := SCORE.fullmatch(value.strip())) and found["of"] in (None, "5"):
        value = None if found["percent"] or found["sign"] else float(found["value"].replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 5:
        return None
    return (value - 1) / 4


def name_key(name: str) -> str:
    """A name without case, and with one kind of gap between its words."""
    return "_".join(re.findall(r"[^\W_]+", name.casefold()))


def loosely(name: str) -> re.Pattern[str]:
    """A rating of this name in a text that is no JSON: `Accuracy: 4/5`."""
    words = map(re.escape, re.findall(r"[^\W_]+", name))
    return re.compile(r"(?<![^\W_])" + r"[\s_-]+".join(words) + RATING, re.IGNORECASE)


def _kind(text: str) -> bool | None:
    # A word may come in pieces, of which the first tells: Y, ES.
    letters = "".join(filter(str.isalpha, text)).casefold()
    return True if letters and "yes".startswith(letters) else False if letters and "no".startswith(letters) else None


def _thought(text: str) -> int:
    """Where the reply begins after thoughts that some open models leave in their text."""
    end = text.rfind("</think>")
    return end + len("</think>") if end >= 0 else 0


def concluded(text: str) -> str:
    """What stands after the thoughts, in plain letters and digits."""
    return text[_thought(text) :].translate(WIDE)
