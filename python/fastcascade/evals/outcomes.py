"""What a cheap and a dear model came to on the same cases, as columns: what everything in `evals` is worked out from.

A table comes from a recording of one's own cases, or from a CSV file, which may be packed with gzip, one row to a case:

    question_id, slice                      unique in the file; what a threshold may differ by (slice may be left out)
    cheap_correct, expensive_correct        1 right, 0 wrong, or a fraction; what a grader puts below 0 counts as 0
    cheap_cost_usd                          all that is paid before the gate decides
    expensive_cost_usd                      what is paid besides when the case goes on to the dear model
    weight                                  how much the case counts; 1 where there is no such column
    cheap_latency_s, expensive_latency_s    seconds that each took; optional
    agreement, single_agrees, vote_entropy, stated_confidence, token_confidence, confidence, judge_score,
    cheap_thinking_tokens, cheap_completion_tokens, cheap_output_chars, prompt_tokens     signals, each as it is
    sample_1 ... sample_k, cheap_answer     short answers; empty is none
    prompt                                  the text, for what decides before any model is asked

Columns that are none of these are kept out: `gold`, `majority`, `*_quality` and the like are truth, which no gate sees.
A column of one's own becomes a signal by the prefix `signal_`; the more, the surer.
"""

import csv
import gzip
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from _csv import Reader as Rows

__all__ = ["SIGNALS", "Floats", "Outcomes", "Texts"]

Floats: TypeAlias = NDArray[np.float64]
Texts: TypeAlias = NDArray[np.object_]

SIGNALS: Final[Mapping[str, int]] = {
    "agreement": 1,
    "single_agrees": 1,
    "vote_entropy": -1,
    "stated_confidence": 1,
    "token_confidence": 1,
    "confidence": 1,
    "judge_score": 1,
    "cheap_thinking_tokens": -1,
    "cheap_completion_tokens": -1,
    "cheap_output_chars": -1,
    "prompt_tokens": -1,
}
"""The signals known by name, and whether more of one is surer (1) or less sure (-1)."""
BEFORE: Final = frozenset({"prompt_tokens"})
"""Of these, what is known before any model was asked."""
OWN: Final = "signal_"
SAMPLE: Final = re.compile(r"sample_([1-9][0-9]?)")
NEEDED: Final = ("cheap_correct", "expensive_correct", "cheap_cost_usd", "expensive_cost_usd")
ASKED: Final = frozenset({"input", "question", "messages", "expected", "answer", "target", "rubric", "criteria"})
"""Columns of a file of cases."""
LARGEST: Final = 1e100
"""Sums of what is larger, and squares, might be more than a number can hold."""
PERHAPS: Final = ("slices", "samples", "answers", "prompts", "weights", "ids", "cheap_seconds", "dear_seconds")


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The columns of n cases. What a signal does not say of a case is NaN.

    Args:
        cheap: how right the cheap model was, 0 to 1.
        dear: how right the dear one was.
        cheap_cost: dollars for everything before the gate decides.
        dear_cost: dollars besides, where the case goes on.
        signals: by name, as the source has them; `sense` says which way each points.
        sense: by name, 1 where more is surer, -1 where less is.
        slices: what each case is filed under; a text, "" where there is none.
        samples: of each case the answers of all samples, in the order they were drawn: one column to a sample.
        answers: the cheap model's short answer; a predicted label, say.
        prompts: the texts that were asked.
        weights: how much each counts.
        ids: what each is called.
        cheap_seconds: how long the cheap model took, its gate among it.
        dear_seconds: how long the dear one took.
        name: what the table is called.
        left_out: how many cases of a recording are in none of the columns, by why. Calls that fail are seldom a
            random part of all: the figures are of the cases that are left.
        tiers: what a recording calls the two models, the cheap one first.
        besides: its other tiers, which play no part.
    """

    cheap: Floats
    dear: Floats
    cheap_cost: Floats
    dear_cost: Floats
    signals: Mapping[str, Floats] = field(default_factory=dict)
    sense: Mapping[str, int] = field(default_factory=dict)
    slices: Texts | None = None
    samples: Texts | None = None
    answers: Texts | None = None
    prompts: Texts | None = None
    weights: Floats | None = None
    ids: Texts | None = None
    cheap_seconds: Floats | None = None
    dear_seconds: Floats | None = None
    name: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    tiers: tuple[str, str] | None = None
    besides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse columns that do not fit together."""
        n = len(self.cheap)
        if n == 0:
            raise ConfigError(f"{self.name or 'the table'} has no cases")
        for name, column in self._columns():
            if len(column) != n:
                raise ConfigError(f"{name} has {len(column)} cases, and cheap has {n}")
        for name, column, most in (
            ("cheap", self.cheap, 1.0),
            ("dear", self.dear, 1.0),
            ("cheap_cost", self.cheap_cost, LARGEST),
            ("dear_cost", self.dear_cost, LARGEST),
            ("weights", self.weight, LARGEST),
        ):
            bad = ~(np.isfinite(column) & (column >= 0) & (column <= most))
            if bad.any():
                place = int(np.flatnonzero(bad)[0])
                ends = f"from 0 to {most:g}"
                raise ConfigError(f"{name} of case {self.called(place)} must be {ends}, not {column[place]!r}")
        if not self.weight.sum() > 0:
            raise ConfigError("the cases weigh nothing: one weight must be above 0")
        if set(self.signals) != set(self.sense) or not set(self.sense.values()) <= {1, -1}:
            raise ConfigError("each signal needs its sense: 1 where more is surer, -1 where less is")

    def __len__(self) -> int:
        """How many cases."""
        return len(self.cheap)

    def __repr__(self) -> str:
        """Show what there is."""
        return f"Outcomes({self.name!r}, n={len(self)}, signals={list(self.signals)})"

    @property
    def weight(self) -> Floats:
        """The weights; ones where none were given."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def slice(self) -> Texts:
        """The slices; empty texts where none were given."""
        return np.full(len(self), "", dtype=object) if self.slices is None else self.slices

    def called(self, place: int) -> str:
        """What to call a case in a message."""
        return repr(str(self.ids[place])) if self.ids is not None else str(place)

    def surer(self, name: str) -> Floats:
        """A signal turned so that more is surer."""
        return self.signals[name] if self.sense[name] == 1 else -self.signals[name]

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> "Outcomes":
        """Some of the cases, in this order."""
        return Outcomes(
            self.cheap[places],
            self.dear[places],
            self.cheap_cost[places],
            self.dear_cost[places],
            {name: column[places] for name, column in self.signals.items()},
            self.sense,
            None if self.slices is None else self.slices[places],
            None if self.samples is None else self.samples[places],
            None if self.answers is None else self.answers[places],
            None if self.prompts is None else self.prompts[places],
            None if self.weights is None else self.weights[places],
            None if self.ids is None else self.ids[places],
            None if self.cheap_seconds is None else self.cheap_seconds[places],
            None if self.dear_seconds is None else self.dear_seconds[places],
            self.name,
            self.left_out,
            self.tiers,
            self.besides,
        )

    def told(self) -> str:
        """Which tiers of a recording these are, and which cases are in no figure; empty for a table."""
        named = "" if self.tiers is None else f"{self.tiers[0]}, then {self.tiers[1]}"
        named += f" (not compared: {', '.join(self.besides)})" if self.besides else ""
        lost = ", ".join(f"{count:,} {why}" for why, count in self.left_out.items() if count)
        return "; ".join(each for each in (named, f"left out: {lost}" if lost else "") if each)

    def counted(self) -> "Outcomes":
        """The cases that weigh anything."""
        return self if self.weights is None or self.weights.all() else self.take(self.weights > 0)

    def fingerprint(self) -> str:
        """Tells these outcomes from others; the order of the cases counts."""
        digest = sha256()
        for name, column in self._columns():
            digest.update(f"{name}:{len(column)}\n".encode())
            if column.dtype == object:
                for each in column.ravel():
                    digest.update(str(each).encode("utf-8", "surrogatepass") + b"\0")
            else:
                digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def load(cls, path: str | Path) -> "Outcomes":
        """Read a CSV file, `.gz` or not. What cannot be read is a `ConfigError` that names the line."""
        path = Path(path)
        try:
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
        except (EOFError, gzip.BadGzipFile, ValueError) as error:
            raise ConfigError(f"{path} cannot be unpacked: {error}") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "the table") -> "Outcomes":
        """Read the text of a CSV file."""
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            head = [each.strip() for each in next(rows, [])]
            columns, lines = _columns(rows, head, name)
        except csv.Error as error:
            raise ConfigError(f"{name}, line {rows.line_num}: {error}") from None
        if missing := [each for each in NEEDED if each not in columns]:
            known = f"; it has {', '.join(head)}" if head else ", and is empty"
            cases = "; this looks like cases, which `fastcascade record` asks first" if ASKED & set(head) else ""
            raise ConfigError(f"{name} lacks the column {missing[0]}{known}{cases}")
        read = _Reading(columns, lines, name)
        signals = [each for each in head if each in SIGNALS or each.startswith(OWN)]
        samples = sorted((each for each in head if SAMPLE.fullmatch(each)), key=lambda each: int(each[7:]))
        return cls(
            read.grades("cheap_correct"),
            read.grades("expensive_correct"),
            read.numbers("cheap_cost_usd"),
            read.numbers("expensive_cost_usd"),
            {each: read.maybe(each) for each in signals},
            {each: SIGNALS.get(each, 1) for each in signals},
            read.texts("slice"),
            np.array([columns[each] for each in samples], dtype=object).T if samples else None,
            read.texts("cheap_answer"),
            read.texts("prompt"),
            read.numbers("weight") if "weight" in columns else None,
            read.unique("question_id"),
            read.numbers("cheap_latency_s") if "cheap_latency_s" in columns else None,
            read.numbers("expensive_latency_s") if "expensive_latency_s" in columns else None,
            name,
        )

    def _columns(self) -> Iterator[tuple[str, NDArray[np.generic]]]:
        """What there is, by name."""
        for name in ("cheap", "dear", "cheap_cost", "dear_cost"):
            yield name, getattr(self, name)
        for name, column in self.signals.items():
            yield name, column
        for name in PERHAPS:
            if (column := getattr(self, name)) is not None:
                yield name, column


def _columns(rows: "Rows", head: Sequence[str], name: str) -> tuple[dict[str, list[str]], list[int]]:
    """The columns as texts, and the line of the file that each row ends on."""
    if len(set(head)) != len(head):
        twice = next(each for place, each in enumerate(head) if each in head[:place])
        raise ConfigError(f"{name}, line 1: the column {twice} is there twice")
    found, lines = [], []
    for row in rows:
        if not row:
            continue
        if len(row) != len(head):
            raise ConfigError(f"{name}, line {rows.line_num}: {len(row)} fields where the head has {len(head)}")
        found.append(row)
        lines.append(rows.line_num)
    if head and not found:
        raise ConfigError(f"{name} has a head and no cases")
    return dict(zip(head, map(list, zip(*found, strict=True)), strict=False)), lines


class _Reading:
    """Columns of text on their way to numbers."""

    def __init__(self, columns: Mapping[str, list[str]], lines: Sequence[int], name: str) -> None:
        self._columns = columns
        self._lines = lines
        self._name = name

    def maybe(self, column: str) -> Floats:
        """Numbers; NaN where there is none."""
        texts = self._columns[column]
        try:
            found = np.array([float(each) if each.strip() else math.nan for each in texts])
        except ValueError:
            place = next(place for place, each in enumerate(texts) if each.strip() and not _is_number(each))
            raise self._wrong(place, column, "a number", texts[place]) from None
        if (far := np.abs(found) > LARGEST).any():
            place = int(np.flatnonzero(far)[0])
            raise self._wrong(place, column, f"a finite number, up to {LARGEST:g}", texts[place])
        return found

    def numbers(self, column: str) -> Floats:
        """Numbers, one to each case, from 0 on."""
        found = self.maybe(column)
        if (bad := ~(found >= 0)).any():
            place = int(np.flatnonzero(bad)[0])
            raise self._wrong(place, column, "0 or more", self._columns[column][place])
        return found

    def grades(self, column: str) -> Floats:
        """Grades, one to each case: some graders take off for what is worse than nothing."""
        found = self.maybe(column)
        if (bad := ~((found >= -1) & (found <= 1))).any():
            place = int(np.flatnonzero(bad)[0])
            raise self._wrong(place, column, "from 0 to 1", self._columns[column][place])
        return np.maximum(found, 0.0)

    def texts(self, column: str) -> Texts | None:
        """Texts, if there is such a column."""
        return np.array(self._columns[column], dtype=object) if column in self._columns else None

    def unique(self, column: str) -> Texts | None:
        """Names that must not come twice."""
        found = self.texts(column)
        if found is not None and len(set(found)) != len(found):
            first = {each: place for place, each in reversed(list(enumerate(found)))}
            place = next(place for place, each in enumerate(found) if first[each] != place)
            raise ConfigError(f"{self._name}, line {self._lines[place]}: {column} {found[place]!r} was there before")
        return found

    def _wrong(self, place: int, column: str, wanted: str, given: str) -> ConfigError:
        return ConfigError(f"{self._name}, line {self._lines[place]}: {column} must be {wanted}, not {given!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
