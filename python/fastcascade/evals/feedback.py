"""What people make of answers: thumbs, regenerations, reviews. To learn from; never part of an estimate.

    feedback = Feedback(shadow)
    feedback.answered(answer)                               # after each answer whose request has an id
    feedback(request_id, "down", customer=customer)         # in a handler: "kept", "again", "unknown" or "refused"
    desk = ReviewDesk(store, on_answer=feedback.reviewed)   # what reviewers say, as labels and as cases

Nothing in here raises for what a client sends. Whether a client may speak of a request is the handler's to know: by an
id that cannot be guessed, or by the customer, whose name must be the one that asked.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isfinite
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from fastcascade.answers import Answer
from fastcascade.errors import ConfigError
from fastcascade.evals.shadow import Shadow
from fastcascade.evals.shadow_labels import Label, Sampled, Source
from fastcascade.evals.shadow_seen import asked_of, digest
from fastcascade.reviews.labels import case
from fastcascade.stores.reviews import Review

__all__ = ["Feedback", "Heard", "Said"]

Heard: TypeAlias = Literal["kept", "again", "unknown", "refused"]
"""Kept as a label; kept before, with these words; no such request is remembered; no score, too long, or too often."""
Said: TypeAlias = Literal["up", "down", "regenerated"] | float
"""What somebody made of an answer. A number is a score from 0 to 1."""

WORDS: Final[dict[str, tuple[float, Source]]] = {
    "up": (1.0, "thumb"),
    "down": (0.0, "thumb"),
    "regenerated": (0.0, "regenerated"),
}
CHANGES: Final = 8
"""How often one request may be spoken of: what a client sends must not fill the disk."""
LONGEST: Final = 100_000
"""Characters of a correction, or of a remark."""
KEPT: Final = frozenset({"slice", "tier", "confidence", "asked", "answer", "request"})


@dataclass(slots=True)
class _Remembered:
    """An answer that may be spoken of, and how often it was."""

    held: dict[str, Any]
    size: int
    changes: int = 0


class Feedback:
    """Finds the answer that somebody speaks of, and keeps what he says as a label. Safe to share between threads.

    Answers are remembered in memory, the last ones; after a restart, or in another process, those that the log
    knows: what was drawn, or spoken of before.

    Args:
        shadow: in whose log the labels are kept, with or without texts as it says.
        most: how many answers are remembered.
        characters: how much of prompts and answers together.
        grade: how good an answer is, 0 to 1, beside a reviewer's; by default 1 where both say the same but for
            blanks, else 0. A reviewer who says the same in other words needs a better one.
    """

    def __init__(
        self,
        shadow: Shadow,
        *,
        most: int = 5_000,
        characters: int = 50_000_000,
        grade: Callable[[str, str], float] | None = None,
    ) -> None:
        """Nothing is remembered yet."""
        if most < 1 or characters < 1:
            raise ConfigError(f"feedback needs room for an answer, not for {most} and {characters} characters")
        self.shadow = shadow
        self.most = most
        self.characters = characters
        self._grade = grade or _alike
        self._answers: OrderedDict[str, _Remembered] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def answered(self, answer: Answer) -> bool:
        """Remember an answer. False where its request has no id to find it by, or there is no answer."""
        name = digest(answer.request)
        if not name or answer.reply is None:
            return False
        size = answer.request.size + len(answer.text) if self.shadow.texts else 0
        self._keep(name, _Remembered(self.shadow.described(answer), size))
        return True

    def __call__(
        self, request_id: str, said: Said, *, customer: str = "", expected: str | None = None, note: str = ""
    ) -> Heard:
        """Take what somebody says of the answer to a request. Never raises for what it is given.

        Args:
            request_id: the id that the request had.
            said: "up", "down", "regenerated", or a score from 0 to 1.
            customer: whose request it was, if it said so.
            expected: what would have been right.
            note: a remark.
        """
        read = _read(said)
        if read is None or not _short(request_id, customer, note, "" if expected is None else expected):
            return "refused"
        score, source = read
        name = digest(request_id, customer)
        found = self._found(name)
        if found is None:
            return "unknown"
        if not self.shadow.texts:
            expected, note = None, ""
        label = Label(id=name, score=score, source=source, expected=expected, note=note, **found.held)
        with self._lock:
            if self.shadow.log.labels.get(label.key) == label:
                return "again"
            if found.changes >= CHANGES:
                return "refused"
            found.changes += 1
        self.shadow.log.add(label)
        return "kept"

    def reviewed(self, review: Review) -> Label | None:
        """A reviewer's answer, as a label of what the cascade had said; None where there is none, or it is kept.

        Where no tier had said anything the score is 0, and the label names no tier. What reviewers get to see is no
        random draw: the label has no propensity.
        """
        if review.answer is None:
            return None
        made = case(review)  # its id is not the ticket, which is a right to see
        best, expected = review.best, review.answer.text
        label = Label(
            id=made["id"],
            score=0.0 if best is None else min(max(float(self._grade(best.text, expected)), 0.0), 1.0),
            source="review",
            slice=review.slice,
            tier="" if best is None else str(review.trace.get("tier") or ""),
            confidence=None if best is None else _number(review.trace.get("confidence")),
            request=digest(review.request),
            **self._texts(review, expected),
        )
        if self.shadow.log.labels.get(label.key) == label:
            return None
        self.shadow.log.add(label)
        return label

    def _texts(self, review: Review, expected: str) -> dict[str, Any]:
        if not self.shadow.texts:
            return {}
        said = "" if review.best is None else review.best.text
        # Who says that an answer is wrong, and knows no better one, has said nothing of what would be right.
        return {"asked": asked_of(review.request), "answer": said, "expected": expected or None, "note": review.note}

    def _found(self, name: str) -> _Remembered | None:
        with self._lock:
            found = self._answers.get(name)
        if found is not None or not name:
            return found
        logged = self.shadow.log.known(name)
        if logged is None:
            return None
        found = _Remembered(_held(logged), len(logged.answer))
        self._keep(name, found)
        return found

    def _keep(self, name: str, found: _Remembered) -> None:
        with self._lock:
            before = self._answers.pop(name, None)
            if before is not None:
                found.changes, self._size = before.changes, self._size - before.size
            self._answers[name] = found
            self._size += found.size
            while len(self._answers) > self.most or (self._size > self.characters and len(self._answers) > 1):
                self._size -= self._answers.popitem(last=False)[1].size


def _held(logged: Sampled | Label) -> dict[str, Any]:
    """What the caller got: of an answer that escalated, the dear tier's."""
    held = {each.name: getattr(logged, each.name) for each in fields(logged) if each.name in KEPT}
    if logged.population == "escalated":
        held |= {"tier": logged.dear_tier, "answer": logged.expected or "", "confidence": None}
    return held


def _read(said: Any) -> tuple[float, Source] | None:
    if isinstance(said, str):
        return WORDS.get(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 1:
        return None
    return float(said), "thumb"


def _short(*given: object) -> bool:
    return all(isinstance(each, str) and len(each) <= LONGEST for each in given)


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and isfinite(value) else None


def _alike(said: str, right: str) -> float:
    return float(said.split() == right.split())
