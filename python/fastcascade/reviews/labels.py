"""Answered reviews as labelled cases for the evals, and what the attempts of a reviewed request had said."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TextIO

import fastcascade.answers  # noqa: F401 - makes every kind of block readable
from fastcascade.blocks import Block, Text
from fastcascade.errors import ConfigError, RequestError
from fastcascade.messages import Reply, Request
from fastcascade.records import dump, load
from fastcascade.stores.reviews import Review

__all__ = ["candidates", "case", "picked", "whole"]

PERSON: Final = "human"
"""The model of an answer in a person's own words."""


def candidates(review: Review) -> tuple[Reply | None, ...]:
    """What each attempt said, in their order, as `pick` counts them; None where an attempt said nothing."""
    outcomes = review.trace.get("outcomes") or {}
    return tuple(_said(attempt, outcomes) for attempt in review.trace.get("attempts") or ())


def picked(review: Review, reply: str | Reply | None, pick: int | str | None) -> Reply:
    """The answer that a reviewer gave: in words, as a reply, or by picking. Refused where it says nothing.

    "none" is the exception: what was only checked may be wrong, with nothing better to say.
    """
    chosen: Reply | None
    if pick == "none":
        if review.why != "sampled":
            raise RequestError("somebody waits for the answer to this one: 'none' is for what is only checked")
        return Reply((), model=PERSON, cost_usd=0.0)
    if pick == "best":
        chosen = review.best
    elif isinstance(pick, int) and not isinstance(pick, bool):
        said = candidates(review)
        if not 0 <= pick < len(said):
            msg = f"there is no attempt {pick} to pick; there are {len(said)}, counted from 0"
            raise RequestError(msg)
        chosen = said[pick]
    elif pick is not None:
        raise RequestError("pick the number of an attempt, 'best' or 'none'")
    else:
        chosen = Reply(reply, model=PERSON, cost_usd=0.0) if isinstance(reply, str) else reply
    if not isinstance(chosen, Reply) or chosen.empty:
        raise RequestError("an answer must say something: this one is empty")
    return chosen


def case(review: Review) -> dict[str, Any]:
    """An answered review as a labelled case; who asked is not in it, nor the ticket, which is a right to see.

    `input` is a text, or messages where the conversation is more than one; `request` is there where these do not
    say it all: tools, pictures, a schema.
    """
    request = review.request
    said = [reply.content for reply in candidates(review) if reply is not None]
    if not said and review.best is not None:
        said = [review.best.content]
    made: dict[str, Any] = {
        "id": f"case_{sha256(review.id.encode()).hexdigest()[:24]}",
        "input": _input(request),
        "expected": None if review.answer is None or review.answer.empty else _plain(review.answer.content),
        "slice": review.slice,
        "why": review.why,
        "note": review.note,
        "candidates": [_plain(content) for content in said],
    }
    if request.system:
        made["system"] = "\n\n".join(text.text for text in request.system)
    whole = all(type(block) is Text for message in request.messages for block in message.content)
    if request.tools or request.schema is not None or not whole:
        made["request"] = dump(replace(request, id="", customer="", user="", session="", callback="", idempotency=""))
    return made


def _input(request: Request) -> Any:
    messages = request.messages
    if len(messages) == 1 and messages[0].role == "user":
        return _plain(messages[0].content)
    return [{"role": message.role, "content": _plain(message.content)} for message in messages]


def _plain(content: tuple[Block, ...]) -> Any:
    """A text where there is nothing else in it, and else its blocks."""
    if all(type(block) is Text for block in content):
        return "".join(block.text for block in content if type(block) is Text)
    return [dump(block) for block in content]


def _said(attempt: Any, outcomes: Mapping[str, Any]) -> Reply | None:
    try:
        name = f"{attempt['tier']}/answer"
        labels = [call["label"] for call in attempt.get("calls", ())]
        label = next((each for each in labels if each == name or each.startswith(f"{name}/")), name)
        reply = load(outcomes[label]["value"])
    except (KeyError, TypeError, AttributeError, ConfigError):  # no reply, or a trace of another make
        return None
    return reply if isinstance(reply, Reply) else None


@contextmanager
def whole(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of another when all of it is written, or is not there at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
