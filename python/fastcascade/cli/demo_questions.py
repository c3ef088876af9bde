"""What `fastcascade demo` asks: questions to a shop, with replies that were written by hand for it.

`demo_answers.jsonl` says in its first line what it is: no model was asked, and token counts are estimated from
the length of the texts.
"""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from fastcascade.gates.agreement import normalized
from fastcascade.messages import Reply, Request, Usage

__all__ = ["SYSTEM", "Question", "questions", "same"]

SYSTEM: Final = (
    "You answer customers of an online shop for the home. Returns: within 30 days of delivery; what was bought from "
    "15 November to 31 December can be returned until 31 January. Shipping within the EU costs 4.90 euros and is free "
    "for orders of 50 euros or more. Orders placed before 14:00 on a working day leave the same day, others on the "
    "next working day. An address can be changed until the parcel has left. Warranty: 2 years. Think in a few short "
    "steps. End with a line that begins with 'Answer:' and holds the answer alone: a number, a time, a day, or yes or "
    "no."
)
LAST_WORD: Final = re.compile(r"answer:\W*([^\n]*)", re.IGNORECASE)
FIGURE: Final = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its right answer where there is one, and what each model is recorded to have said.

    The first of the cheap replies is the one that is judged; the others are its samples.
    """

    ask: str
    cheap: tuple[Reply, ...]
    large: Reply
    right: str = ""
    live: bool = False  # whether the real API is asked it, where there is a key

    @property
    def request(self) -> Request:
        """What is sent."""
        return Request.of(self.ask, system=SYSTEM)

    def is_right(self, said: str) -> bool | None:
        """Whether a text gives the right answer; None where no one answer is right."""
        return same(said, self.right) if self.right else None


def questions() -> list[Question]:
    """All of them, from the package."""
    text = files("fastcascade.cli").joinpath("demo_answers.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [
        Question(
            line["ask"],
            tuple(_reply(reply) for reply in line.get("cheap", ())),
            _reply(line["large"]),
            line.get("right", ""),
            line.get("live", False),
        )
        for line in lines
        if "ask" in line
    ]


def _reply(said: dict[str, Any]) -> Reply:
    # What reports no tokens has no known cost.
    usage = Usage(said["input"], said["output"]) if "output" in said else None
    return Reply(said["text"], usage=usage)


def same(one: str, other: str) -> bool:
    """Whether two replies come to the same answer: what stands after "Answer:", as a number or word for word."""
    told, meant = _last_word(one), _last_word(other)
    figures = [FIGURE.findall(each) for each in (told, meant)]
    if all(len(found) == 1 for found in figures):
        return _number(figures[0][0]) == _number(figures[1][0])
    return normalized(told) == normalized(meant)


def _last_word(text: str) -> str:
    found = LAST_WORD.findall(text)
    return str(found[-1]) if found else text


def _number(figure: str) -> float:
    return float(figure.replace(",", ""))
