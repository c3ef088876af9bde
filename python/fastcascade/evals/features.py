"""What a learned combination sees of a case: signals turned surer-up, lengths as logs, how samples agree, words.

Two steps. `columns` turns each case into numbers and marks by rules that look at that case alone, so one case in
production comes out as it did here. `Frame` learns from the training cases what is left: means, spreads, which marks
are frequent. What is true of an answer (`cheap`, `dear`, and both costs) is never looked at.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from fastcascade.evals.logistic import Matrix
from fastcascade.evals.outcomes import BEFORE, Floats, Outcomes, Texts

__all__ = ["Columns", "Frame", "agreements", "columns"]

WORDS: Final = 2**15
RARE: Final = 15
"""A mark seen in fewer training cases than this is pooled with the other rare ones."""
MOST: Final = 100
"""Marks that have a column, at most; fits take a time that grows with the square of the columns."""
PAIRED: Final = 6
"""With at most so many samples each pair has a column; samples may come of different models."""
KNOTS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
WORD: Final = re.compile(r"\w+|[^\w\s]")
CLOSE: Final = 1e-4


@dataclass(frozen=True, eq=False)
class Columns:
    """Numbers (NaN where unknown), marks, and counted words; `main` says which numbers are signals themselves."""

    names: tuple[str, ...]
    numbers: Floats
    main: NDArray[np.bool_]
    marks: tuple[Texts, ...] = ()
    words: csr_array | None = None

    @property
    def seen(self) -> bool:
        """Whether there is anything to go by."""
        return bool(self.names or self.marks)

    def take(self, places: NDArray[np.intp]) -> "Columns":
        """Some of the cases."""
        words = None if self.words is None else self.words[places]
        return Columns(self.names, self.numbers[places], self.main, tuple(m[places] for m in self.marks), words)


def columns(outcomes: Outcomes, *, before: bool = False) -> Columns:
    """The columns of a table; with `before` only what is known before a model was asked.

    Where nothing is known after the cheap answer either, the slice counts as known before: it may be a subject then,
    while beside signals it may be what the cheap model predicted.
    """
    found: list[tuple[str, Floats, bool]] = []
    for name in outcomes.signals:
        if not before or name in BEFORE:
            found += _signal(name, outcomes.surer(name))
    plain = not (set(outcomes.signals) - BEFORE) and outcomes.samples is None and outcomes.answers is None
    marks = [] if outcomes.slices is None or (before and not plain) else [outcomes.slices]
    if not before:
        if outcomes.samples is not None and outcomes.samples.shape[1] > 1:
            shared, answer = agreements(outcomes.samples)
            found += [(name, column, False) for name, column in shared.items()]
            marks.append(answer)
        if outcomes.answers is not None:
            marks.append(outcomes.answers)
    words = None
    if outcomes.prompts is not None:
        found.append(("prompt_length", np.log1p([float(len(each)) for each in outcomes.prompts]), False))
        words = _words(outcomes.prompts) if before or plain else None
    numbers = np.column_stack([each[1] for each in found]) if found else np.zeros((len(outcomes), 0))
    main = np.array([each[2] for each in found], dtype=bool)
    return Columns(tuple(each[0] for each in found), numbers, main, tuple(marks), words)


def agreements(samples: Texts) -> tuple[dict[str, Floats], Texts]:
    """How the samples of each case agree, empty ones apart, and the answer that most of them gave."""
    n, width = samples.shape
    _, codes = np.unique(samples.astype(str), return_inverse=True)
    codes = codes.reshape(n, width)
    given = samples != ""
    equal = np.zeros((n, width))
    for each in range(width):
        equal += (codes == codes[:, [each]]) & given[:, [each]]
    equal *= given
    many = np.maximum(given.sum(axis=1), 1)
    best = np.argmax(equal, axis=1)
    answer = np.where(given.any(axis=1), samples[np.arange(n), best], "")
    top = equal.max(axis=1)
    with np.errstate(divide="ignore"):
        apart = np.where(given, 1.0 / equal, 0.0)
    second = np.where(codes == codes[np.arange(n), best][:, None], 0.0, equal).max(axis=1)
    found: dict[str, Floats] = {
        "share_of_majority": top / many,
        "lead_of_majority": (top - second) / width,
        "answers_entropy": np.where(given, np.log(np.maximum(equal, 1.0)), 0.0).sum(axis=1) / many - np.log(many),
        "empty_share": -(width - given.sum(axis=1)) / width,
        "distinct": -apart.sum(axis=1),
        "first_empty": -(~given[:, 0]).astype(float),
        "first_shared": equal[:, 0] / width,
        "first_is_majority": (equal[:, 0] == top).astype(float),
        "answer_length": np.log1p([float(len(str(each))) for each in answer]),
    }
    if width <= PAIRED:
        for one in range(width):
            found[f"empty_{one}"] = (~given[:, one]).astype(float)
            found[f"joins_{one}"] = (given[:, one] & (codes[:, one] == codes[np.arange(n), best])).astype(float)
            for two in range(one):
                found[f"same_{two}_{one}"] = ((codes[:, one] == codes[:, two]) & given[:, one]).astype(float)
    return found, cast("Texts", answer.astype(object))


class Frame:
    """From columns to a matrix, by what the training cases say.

    Args:
        train: the training cases.
        wide: adds bends at quantiles of each signal, and each signal within each frequent mark.
    """

    def __init__(self, train: Columns, *, wide: bool = False) -> None:
        """Learn means, spreads, knots and the frequent marks."""
        numbers = train.numbers
        known = np.isfinite(numbers)
        counted = np.maximum(known.sum(axis=0), 1)
        self._middle = np.where(known, numbers, 0.0).sum(axis=0) / counted
        self._missing = np.flatnonzero(~known.all(axis=0))
        self._marks = [_frequent(each) for each in train.marks]
        self._knots: list[tuple[int, float]] = []
        self._wide = wide
        if wide:
            for place in np.flatnonzero(train.main):
                column = numbers[known[:, place], place]
                if len(np.unique(column)) > len(KNOTS):
                    for knot in sorted(set(np.quantile(column, KNOTS).tolist())):
                        self._knots.append((int(place), knot))
        if train.words is not None:
            # A word of one prompt says nothing of another, and each costs a step of every fit.
            self._words = np.flatnonzero(np.bincount(train.words.indices, minlength=WORDS) > 1)
        dense = self._dense(train)
        self._mean, spread = dense.mean(axis=0), dense.std(axis=0)
        self._kept = np.flatnonzero(spread > CLOSE)
        self._mean, self._spread = self._mean[self._kept], spread[self._kept]

    def matrix(self, given: Columns) -> Matrix:
        """The matrix of some cases; sparse where there are words."""
        dense = (self._dense(given)[:, self._kept] - self._mean) / self._spread
        if given.words is None:
            return np.asarray(np.clip(dense, -8.0, 8.0), dtype=np.float64)
        # Rows of words have length 1; the dense columns are scaled to weigh about as much.
        both = [csr_array(dense * 0.3), given.words[:, self._words]]
        return csr_array(cast("Any", hstack)(both, format="csr"))

    def _dense(self, given: Columns) -> Floats:
        filled = np.where(np.isfinite(given.numbers), given.numbers, self._middle)
        parts = [filled, ~np.isfinite(given.numbers[:, self._missing])]
        parts += [np.maximum(filled[:, [place]] - knot, 0.0) for place, knot in self._knots]
        for marks, frequent in zip(given.marks, self._marks, strict=True):
            hot = (marks[:, None] == frequent[None, :]).astype(float)
            parts.append(hot)
            if self._wide and len(frequent) > 1:
                main = (filled - self._middle)[:, given.main]
                parts.append((hot[:, :, None] * main[:, None, :]).reshape(len(hot), -1))
        return np.column_stack([np.asarray(each, dtype=float) for each in parts])


def _signal(name: str, surer: Floats) -> list[tuple[str, Floats, bool]]:
    """One signal as columns. The rule goes by the name and the single value, never by the table."""
    if name.endswith(("_tokens", "_chars")):
        return [(name, -np.log1p(np.maximum(-surer, 0.0)), True)]
    if name.startswith("signal_"):
        return [(name, surer, True), (f"{name}_far", np.arcsinh(surer), False)]
    share = np.clip(np.abs(surer), CLOSE, 1 - CLOSE)
    return [(name, surer, True), (f"{name}_odds", np.sign(surer) * np.log(share / (1 - share)), False)]


def _frequent(marks: Texts) -> Texts:
    names, counts = np.unique(marks.astype(str), return_counts=True)
    often = np.argsort(-counts, kind="stable")[:MOST]
    often = np.sort(often[counts[often] >= RARE])
    return cast("Texts", names[often].astype(object))


def _words(prompts: Texts) -> csr_array:
    """Hashed words and pairs of words, one row of length 1 to a prompt."""
    indices: list[int] = []
    ends = [0]
    for prompt in prompts:
        words = WORD.findall(str(prompt).lower())
        grams = {*words, *map(" ".join, pairwise(words))}
        indices += sorted({crc32(each.encode("utf-8", "surrogatepass")) % WORDS for each in grams})
        ends.append(len(indices))
    counts = np.diff(ends)
    data = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts)
    return csr_array((data, np.array(indices, dtype=np.int32), np.array(ends)), shape=(len(prompts), WORDS))
