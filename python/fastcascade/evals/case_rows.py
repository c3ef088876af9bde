"""A row of a file of cases, on its way to being a case: which names are known, and how each value is read."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import fastcascade.answers  # noqa: F401 - makes every kind of block readable
from fastcascade.blocks import Block, Text
from fastcascade.config.mistakes import Mistakes
from fastcascade.errors import ConfigError, RequestError
from fastcascade.evals.graders.grader import written
from fastcascade.messages import Message, Reply, Request
from fastcascade.records import load

__all__ = ["FIELDS", "NAMES", "Row", "kind_of"]

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("question_id", "case_id"),
    "input": ("prompt", "question", "messages"),
    "expected": ("answer", "target"),
    "rubric": ("criteria",),
    "slice": ("category", "task"),
    "weight": (),
    "candidates": (),
    "grader": (),
    "note": (),
    "why": (),
    "system": (),
    "request": (),
    "label": (),
}
"""What a case is read from, and the other names each field goes by."""
NAMES: Final = {other: name for name, others in FIELDS.items() for other in (name, *others)}


class Row:
    """One row: its values by the names of `FIELDS`, where it stands, and who is told what is wrong with it."""

    def __init__(self, line: int, values: Mapping[str, Any], mistakes: Mistakes) -> None:
        """Keep all three."""
        self.line = line
        self._values = values
        self._mistakes = mistakes

    @property
    def mistaken(self) -> int:
        """How many mistakes were found so far, in this row or before."""
        return len(self._mistakes)

    def wrong(self, name: str, problem: str) -> None:
        """Take note of a mistake in this row."""
        self._mistakes.add(self.line, name, problem)

    def text(self, name: str) -> str:
        """A text; a number is one too, and nothing is an empty one."""
        value = self._values.get(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.wrong(name, f"must be a text, not {kind_of(value)}")
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def weight(self) -> float:
        """A number from 0 on."""
        value = self._values.get("weight")
        if value is None or value == "":
            return 1.0
        try:
            weight = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            weight = math.nan
        if not 0 <= weight < math.inf:
            self.wrong("weight", f"must be a number, 0 or more, not {value!r}")
            return 1.0
        return weight

    def asked(self) -> str | Request:
        """What is asked: a text, or a request where there is more to it."""
        try:
            return self._asked()
        except (ConfigError, RequestError, TypeError, ValueError, KeyError) as error:
            self.wrong("request" if "request" in self._values else "input", str(error))
            return "-"

    def _asked(self) -> str | Request:
        whole, given, system = self._values.get("request"), self._values.get("input"), self.text("system")
        if whole is not None:
            request = load(whole)
            if not isinstance(request, Request):
                raise ConfigError("is not a request as fastcascade.records.dump writes it")
            return request
        if isinstance(given, int | float) and not isinstance(given, bool):
            given = json.dumps(given)
        if isinstance(given, str):
            if not given.strip():
                raise ConfigError("is empty: there is nothing to ask")
            return Request.of(given, system=system) if system else given
        if given is None:
            raise ConfigError(f"is missing; it may also be called {', '.join(FIELDS['input'])}")
        if not isinstance(given, list) or not given:
            raise ConfigError(f"must be a text or a list of messages, not {kind_of(given)}")
        return _conversation(given, system)

    def answer(self) -> str | None:
        """What is right, as a text; None where it is not said."""
        given = self._values.get("expected")
        if given is None or isinstance(given, str):
            return given
        if isinstance(given, list) and not (
            given and all(isinstance(each, dict) and "kind:" in each for each in given)
        ):
            self.wrong("expected", "must be one text, not a list; several right answers are for a rubric or a function")
            return None
        try:
            return written(_blocks(given)) if isinstance(given, list) else json.dumps(given, sort_keys=True)
        except (ConfigError, RequestError) as error:
            self.wrong("expected", str(error))
            return None

    def candidates(self) -> dict[str, str | Reply]:
        """What models have said, by name; the places of a list are its names."""
        given = self._values.get("candidates")
        if given is None or given == "":
            return {}
        named: Any = dict(enumerate(given)) if isinstance(given, list) else given
        if not isinstance(named, dict):
            self.wrong("candidates", f"must be texts by name, or a list of them, not {kind_of(given)}")
            return {}
        try:
            return {str(name): _said(each) for name, each in named.items()}
        except (ConfigError, RequestError, TypeError, ValueError) as error:
            self.wrong("candidates", str(error))
            return {}

    def label(self) -> dict[str, Any]:
        """What a shadow log made of what was said; nothing where the case is not from one."""
        given = self._values.get("label")
        if given is None or given == "":
            return {}
        if not isinstance(given, dict) or not {"score", "source"} <= set(given) <= {"score", "source", "propensity"}:
            self.wrong("label", "is what a shadow log makes: score, source, propensity; what is right goes in expected")
            return {}
        number = given["score"]
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            self.wrong("label", f"must have a score from 0 to 1, not {number!r}")
            return {}
        return given


def _conversation(given: list[Any], system: str) -> Request:
    """A request from turns; those of the system go where systems' words belong."""
    turns: list[Message] = []
    systems = [system] if system else []
    for place, each in enumerate(given):
        if not isinstance(each, dict) or set(each) != {"role", "content"}:
            raise ConfigError(f"message {place + 1} must have a role and a content, and nothing else")
        content = _content(each["content"], place)
        if each["role"] in ("system", "developer"):
            systems.append(written(content))
        else:
            turns.append(Message(each["role"], content))
    return Request(tuple(turns), tuple(Text(each) for each in systems))


def _content(given: Any, place: int) -> tuple[Block, ...]:
    if isinstance(given, str):
        return (Text(given),)
    if isinstance(given, list) and all(isinstance(each, dict) for each in given):
        if all(set(each) == {"type", "text"} and each["type"] == "text" for each in given):
            return tuple(Text(each["text"]) for each in given)
        if all("kind:" in each for each in given):
            return _blocks(given)
    raise ConfigError(f"the content of message {place + 1} must be a text, or blocks as records.dump writes them")


def _blocks(given: list[Any]) -> tuple[Block, ...]:
    blocks: Any = load(given)
    return tuple(blocks)


def _said(given: Any) -> str | Reply:
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        return Reply(_blocks(given))
    reply = load(given)
    if not isinstance(reply, Reply):
        raise ConfigError(f"a candidate must be a text or a reply, not {kind_of(given)}")
    return reply


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words."""
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null", str: "a text"}
    return kinds.get(type(value), "a number")
