"""What a client is told of a run that has no answer for it: a status, and words that hold no secret."""

import logging
import traceback
from dataclasses import dataclass
from typing import Final

from fastcascade.answers import Answer
from fastcascade.errors import AnswerError, Failure, FailureKind, RequestError, WireError
from fastcascade.wire.endpoint_paths import ALLOWED, Words

__all__ = ["Refusal", "hopeless", "nowhere", "refusal_of"]

THEIRS: Final[frozenset[FailureKind]] = frozenset({"bad_request", "unsupported"})
"""What the caller alone can mend: no other tier and no other time will do better."""
OURS: Final[frozenset[FailureKind]] = frozenset({"auth", "billing", "not_found"})
"""What the operator alone can mend: keys, money, names of models. A caller is told no more than that."""

KEYS: Final = frozenset({401, 403, 407})
"""Statuses that would be taken for a word on the client's own key."""

log: Final = logging.getLogger("fastcascade")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status and what is said with it. `final`: the cascade has tried what there is; an SDK is not to repeat it."""

    status: int
    message: str
    kind: str = ""
    where: str = ""
    retry_after: float | None = None
    final: bool = True
    failure: str = ""


def hopeless(answer: Answer) -> Refusal | None:
    """Why an answer made beforehand is not to be given: the fault is the caller's, or there is no money left for it.

    "Please try again in a moment" would be untrue.
    """
    if answer.reply is not None and answer.via != "static":
        return None
    return _theirs(answer) or (_poor() if (answer.via, answer.degraded) == ("static", "money") else None)


def refusal_of(error: Exception, request_id: str) -> Refusal:
    """What is told of an error; one that nobody meant to raise is logged by its kind and place alone."""
    if isinstance(error, AnswerError):
        return _no_answer(error.answer)
    if isinstance(error, WireError):
        return Refusal(error.code, str(error), where=error.where, failure="bad request")
    if isinstance(error, RequestError):
        return Refusal(400, str(error), failure="bad request")
    if isinstance(error, RecursionError):  # what can be read can be too deep for what else goes through it
        return Refusal(400, "the body is nested too deep", failure="bad request")
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    name = type(error).__name__
    log.error("request %s failed: %s at %s", request_id, name, place)
    return Refusal(500, f"something went wrong here; it is logged as request {request_id}", failure=f"error: {name}")


def nowhere(method: str, words: Words) -> Refusal:
    """There is nothing at this path. It is not repeated: it may be anything, and hold anything."""
    there = ", ".join(f"{allowed} /v1{path}" for path, allowed in ALLOWED.items())
    message = f"there is nothing to {method} at this path; a cascade answers {there}"
    return Refusal(404, message, "" if words == "anthropic" else "unknown_url")


def _no_answer(answer: Answer) -> Refusal:
    theirs = _theirs(answer)
    if theirs is not None:
        return theirs
    kinds: set[FailureKind] = {error.kind for error in _errors(answer)}
    if kinds and kinds <= OURS:
        message = "the models behind this cannot be asked as they are set up; this is for its operator to mend"
        return Refusal(502, message, failure="no answer")
    if kinds == {"bug"}:
        return Refusal(500, "the models behind this failed in a way that was not foreseen", failure="no answer")
    return _short(answer, kinds)


def _short(answer: Answer, kinds: set[FailureKind]) -> Refusal:
    """What there was too little of: time, places, money, or anything else."""
    if answer.degraded == "deadline" or kinds == {"timeout"}:
        return Refusal(504, "no tier answered in time", retry_after=answer.retry_after, failure="no answer")
    if answer.degraded == "overloaded":
        message = "all places are taken; try again later"
        # Nobody was asked: to come back when told is what a client should do.
        return Refusal(503, message, retry_after=answer.retry_after, final=False, failure="overloaded")
    if answer.degraded == "money":
        return _poor()
    said = "no tier answered: attempts" if answer.degraded == "attempts" else "no tier answered"
    return Refusal(503, said, retry_after=answer.retry_after, failure="no answer")


def _poor() -> Refusal:
    return Refusal(402, "the money left for this does not suffice for any tier", failure="no answer")


def _theirs(answer: Answer) -> Refusal | None:
    """The provider's own words, where each tier that was asked found fault with the request itself."""
    errors = _errors(answer)
    if not errors or any(each.error is None for each in answer.attempts) or not {e.kind for e in errors} <= THEIRS:
        return None
    last = errors[-1]
    status = last.status or 400
    # Of a key of ours, or of the client's own, only whoever checks that may speak.
    told = last.kind == "bad_request" and 400 <= status < 500 and status not in KEYS
    return Refusal(status if told else 400, last.message, failure="bad request")


def _errors(answer: Answer) -> list[Failure]:
    return [attempt.error for attempt in answer.attempts if attempt.error is not None]
