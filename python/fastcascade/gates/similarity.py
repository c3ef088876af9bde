"""Semantic similarity: how near a reply is, by an embedder's vectors, to texts it should be near to."""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Literal, TypeAlias

from fastcascade._core import cosine as measured
from fastcascade.effects import Check, Outcome
from fastcascade.errors import ConfigError
from fastcascade.gates.check import failed, patience, unit
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.messages import Request

__all__ = ["Embedder", "Similarity", "cosine"]

Embedder: TypeAlias = Callable[[list[str]], Any]
"""Texts -> a vector of numbers for each, in their order; plain (it is run in a thread) or async."""

Vector: TypeAlias = Sequence[float]


def cosine(one: Vector, other: Vector) -> float | None:
    """The cosine of the angle between two vectors; None for one of no length, or not finite, or of another size."""
    try:
        return measured(one, other)
    except ValueError:
        return None


def vectors(given: Any, count: int) -> list[list[float]] | None:
    """What an embedder gave, as lists of floats; None where it is not `count` vectors of one size."""
    try:
        rows = given.tolist() if hasattr(given, "tolist") else list(given)
        read = [[float(each) for each in (row.tolist() if hasattr(row, "tolist") else row)] for row in rows]
    except (TypeError, ValueError, OverflowError):
        return None
    return read if len(read) == count and len({len(row) for row in read}) == 1 else None


def embedding(embedder: Any) -> Embedder:
    """An embedder that can be called, or an error that says so."""
    if not callable(embedder):
        msg = f"an embedder must be a function from a list of texts to vectors, not {type(embedder).__name__}"
        raise ConfigError(f"{msg}; give model.encode for a model that has one" if hasattr(embedder, "encode") else msg)
    call: Embedder = embedder
    return call


class Similarity(Gate):
    """The largest cosine between the reply and any of the texts in `to`; below zero counts as zero.

    Args:
        to: the texts, or a function of the request that returns them, such as the passages an answer must rest
            on (plain and quick, or async), or "question" for the user's last turn.
        embedder: texts -> vectors. It is asked for the reply and the texts together, each time: give one that
            remembers, where the texts stay the same and it is dear.
        threshold: what counts as near; embedders differ, so measure it.
        timeout: seconds for the embedder, and for `to`.
    """

    name = "similarity"

    def __init__(
        self,
        *,
        to: Iterable[str] | Callable[[Request], Any] | Literal["question"],
        embedder: Embedder,
        threshold: float = 0.75,
        timeout: float | None = None,
    ) -> None:
        """Check the settings."""
        if isinstance(to, str) and to != "question":
            msg = f"similarity is to a list of texts, a function of the request or 'question', not the text {to!r}"
            raise ConfigError(msg)
        self.to = to if callable(to) or isinstance(to, str) else tuple(to)
        if isinstance(self.to, tuple) and (not self.to or len(_texts(self.to)) < len(self.to)):
            raise ConfigError("similarity needs one text at least to compare with, and no empty one")
        self.embedder = embedding(embedder)
        self.threshold = unit("a similarity's threshold", threshold)
        self.timeout = patience("a similarity's timeout", timeout)

    def judge(self, exam: Exam, /) -> Generator[Check, Outcome, Verdict]:
        """Find the texts, have them embedded, and compare."""
        said = exam.reply.text
        if not said.strip():
            return Verdict(None, "there is no text to compare")
        texts: Any = self.to
        if callable(texts):
            found = yield Check(texts, (exam.request,), timeout=self.timeout, inline=True)
            if found.failure:
                return failed("what to compare with", found.failure)
            texts = found.value
        elif texts == "question":
            texts = [exam.request.text]
        known = _texts(texts)
        if not known:
            return Verdict(None, "there is nothing to compare with")
        outcome = yield Check(self.embedder, ([said, *known],), "embed", timeout=self.timeout)
        return failed("the embedder", outcome.failure) if outcome.failure else _nearest(outcome.value, len(known))


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given]
    return [text for text in given if isinstance(text, str) and text.strip()] if isinstance(given, Iterable) else []


def _nearest(given: Any, count: int) -> Verdict:
    rows = vectors(given, count + 1)
    near = [cosine(rows[0], row) for row in rows[1:]] if rows else []
    known = [(value, -at) for at, value in enumerate(near) if value is not None]
    if not known:
        return Verdict(None, "the embedder gave no vectors that can be compared")
    value, at = max(known)
    return Verdict(max(0.0, value), f"similarity {value:.3f}, nearest to text {1 - at} of {count}")
