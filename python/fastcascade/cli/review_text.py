"""A review as a terminal shows it: plain text, and nothing in it that a terminal obeys."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastcascade.cli.report import table

__all__ = ["clean", "listed", "shown", "span"]

KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Of what is not seen: lines, tabs, and the joiners that scripts and emoji are written with."""
OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
VERDICTS: Final = {"accept": "accepted", "escalate": "not trusted", "abstain": "no opinion", "empty": "said nothing"}
ROLES: Final = {"user": "caller", "assistant": "model"}
INDENT: Final = "    "
FIRST: Final = 40


def clean(text: str) -> str:
    """The text with every sign written out that a terminal, or the reader's eye, would obey: ESC, OSC, bidi."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each in KEPT or unicodedata.category(each) not in OBEYED else _escaped(each) for each in text
    )


def span(seconds: float) -> str:
    """A length of time in one unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def due(review: Mapping[str, Any], now: float) -> str:
    """What is left until it is due."""
    if review["due"] is None:
        return "no limit"
    left = review["due"] - now
    return f"overdue by {span(-left)}" if left < 0 else f"{span(left)} left"


def listed(reviews: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    """The queue, a line for each."""
    rows = [
        [
            due(each, now),
            f"{span(now - each['created'])} old",
            _line(each["why"]),
            _line(each["slice"]) or "-",
            f"with {_line(each['reviewer'])}" if each["state"] == "claimed" else each["state"],
            _short(each["asked"]),
        ]
        for each in reviews
    ]
    return table(["due", "age", "why", "slice", "state", "asked"], rows, left=6) if rows else ["nothing waits"]


def shown(review: Mapping[str, Any], now: float) -> Iterator[str]:
    """All of a review, line by line."""
    slice_ = f", slice {_line(review['slice'])}" if review["slice"] else ""
    yield f"--- {review['reason']} ({due(review, now)}, {span(now - review['created'])} old{slice_})"
    for text in review["system"]:
        yield from _said("system", text)
    for message in review["messages"]:
        role = ROLES.get(message["role"]) or str(message["role"])
        for block in message["blocks"]:
            yield from _block(role, block)
    for tool in review["tools"]:
        yield f"tool: {_line(tool['name'])}: {_line(tool['description'])}"
    if review["schema"]:
        yield from _said("the answer must fit", review["schema"])
    for number, attempt in enumerate(review["attempts"], 1):
        yield from _attempt(number, attempt)
    best = review["best"]
    if best is not None and all((each["said"] or {}).get("text") != best["text"] for each in review["attempts"]):
        yield "[b] the best so far"
        for block in best["blocks"]:
            yield from _block("", block)


def _attempt(number: int, attempt: Mapping[str, Any]) -> Iterator[str]:
    cost = "cost unknown" if attempt["cost"] is None else f"${attempt['cost']:.6f}"
    score = "" if attempt["score"] is None else f"score {attempt['score']:.2f}"
    facts = [attempt["model"], VERDICTS.get(attempt["verdict"], attempt["verdict"]), score, cost]
    yield f"[{number}] {_line(attempt['tier'])}: {', '.join(_line(each) for each in facts if each)}"
    if why := "; ".join(each for each in (attempt["reason"], attempt["error"]) if each):
        yield f"{INDENT}why: {_line(why)}"
    for block in (attempt["said"] or {}).get("blocks", ()):
        yield from _block("", block)


def _block(role: str, block: Mapping[str, str]) -> Iterator[str]:
    kind = "" if block["kind"] == "text" else " ".join(each for each in (block["kind"], block["name"]) if each)
    if block["kind"] == "image":
        kind = f"picture, not shown ({_line(block['name'])})"
    yield from _said(", ".join(each for each in (role, _line(kind)) if each), block["text"])


def _said(who: str, text: str) -> Iterator[str]:
    """Each line behind a bar, so that no text can pass for ours."""
    if who:
        yield f"{who}:"
    for line in clean(text).split("\n"):
        yield f"{INDENT}| {line}"


def _line(text: str) -> str:
    return clean(" ".join(text.split()))


def _short(text: str) -> str:
    line = _line(text)
    return line if len(line) <= FIRST else f"{line[:FIRST]}..."


def _escaped(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
