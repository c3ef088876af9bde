"""The cases that quality is measured on: what is asked, what is right, and what each counts.

A file of cases is JSONL (one JSON object to a line) or CSV (one row to a case, names in the first), plain or packed
with gzip, told apart by its name. Some names that such files have mean the same here:

    id          unique in the file; `line-7` where there is none. also: question_id, case_id
    input       a text, or the turns of a conversation (CSV: as JSON). also: prompt, question, messages
    expected    what is right, as a text; numbers, objects and tool calls become JSON. also: answer, target
    rubric      what a judge is to look for. also: criteria
    slice       what it is filed under. also: category, task
    weight      how much it counts; 1 where it is not said
    candidates  what models have said already: texts by name, or a list of them
    grader      how this case is graded, where it is not as all others are: "numeric:0.01"
    note, why   a reviewer's words
    system      the system text that goes with the input
    request     a whole request as `fastcascade.records.dump` writes it, where input does not say it all
    label       what a shadow log made of the candidate: {"score": 0.0, "source": "dear", "propensity": 0.02}

So files that `ReviewDesk.export` and `write_cases` wrote load as they are. Everything that is wrong with a file is
told at once, by line.
"""

import gzip
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from fastcascade.errors import ConfigError
from fastcascade.evals.case_files import rows_of
from fastcascade.evals.case_rows import FIELDS, Row
from fastcascade.messages import Reply, Request
from fastcascade.records import dump
from fastcascade.reviews.labels import whole

__all__ = ["Candidates", "Case", "fingerprint", "load_cases", "save_cases"]

Candidates: TypeAlias = Mapping[str, str | Reply]


def _none() -> Candidates:
    return {}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to ask, and how to tell whether an answer is right.

    Args:
        id: what it is called in recordings and reports.
        input: what is asked.
        expected: what is right; None where a rubric, a function or a command says it.
        rubric: what a judge is to look for.
        slice: what it is filed under: thresholds and reports are by slice.
        weight: how much it counts beside the others; 0 is left out of every figure.
        candidates: what models have said already, by the name of each.
        grader: how it is graded, as `grader_of` reads it; None is the way of all others.
        note: a person's remark; it is no part of what is asked or graded.
        why: why a person was asked, where the case comes from a review.
        label: score, source and propensity of the candidate, where the case comes from a shadow log.
    """

    id: str
    input: str | Request
    expected: str | None = None
    rubric: str | None = None
    slice: str = ""
    weight: float = 1.0
    candidates: Candidates = field(default_factory=_none, hash=False)
    grader: str | None = None
    note: str = ""
    why: str = ""
    label: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what could not be asked or counted."""
        if not self.id:
            raise ConfigError("a case needs an id")
        if isinstance(self.input, str) and not self.input.strip():
            raise ConfigError(f"case {self.id!r} has an empty input: there is nothing to ask")
        weight: Any = self.weight
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ConfigError(f"the weight of case {self.id!r} must be a number, 0 or more, not {weight!r}")

    @property
    def request(self) -> Request:
        """What is asked, as a request."""
        return Request.of(self.input)

    @property
    def text(self) -> str:
        """The text of what is asked last."""
        return self.input if isinstance(self.input, str) else self.input.text


def load_cases(path: str | Path, *, ignore: Iterable[str] = ()) -> list[Case]:
    """Read a file of cases, in its order. All that is wrong with it is told in one error, by line.

    Args:
        path: a file whose name ends in .jsonl, .ndjson or .csv, or that and .gz.
        ignore: fields that the file has for purposes of its own.
    """
    rows, mistakes = rows_of(Path(path), frozenset(ignore))
    cases: list[Case] = []
    first: dict[str, int] = {}
    for row in rows:
        case = _case(row)
        if case is None:
            continue
        if case.id in first:
            mistakes.add(row.line, "id", f"{case.id!r} was there before, on line {first[case.id]}; give each its own")
            continue
        first[case.id] = row.line
        cases.append(case)
    if len(mistakes):
        raise mistakes.error()
    if not cases:
        raise ConfigError(f"{path} has no cases")
    if not any(case.weight for case in cases):
        raise ConfigError(f"the cases in {path} weigh nothing: one weight must be above 0")
    return cases


def _case(row: Row) -> Case | None:
    """The case that a row holds; None where there are mistakes in it, of which note was taken."""
    before = row.mistaken
    fields: dict[str, Any] = {
        "id": row.text("id") or f"line-{row.line}",
        "input": row.asked(),
        "expected": row.answer(),
        "rubric": row.text("rubric") or None,
        "slice": row.text("slice"),
        "weight": row.weight(),
        "candidates": row.candidates(),
        "grader": row.text("grader") or None,
        "note": row.text("note"),
        "why": row.text("why"),
        "label": row.label(),
    }
    return Case(**fields) if row.mistaken == before else None


def save_cases(path: str | Path, cases: Iterable[Case]) -> int:
    """Write cases as JSONL, packed where the name ends in .gz; how many.

    The file takes the place of an older one when all of it is written, and is for its owner alone.
    """
    path = Path(path)
    names = path.name.removesuffix(".gz")
    if not names.endswith((".jsonl", ".ndjson")):
        raise ConfigError(f"cases are written as JSONL: give {path.name!r} a name that ends in .jsonl or .jsonl.gz")
    count = 0
    with whole(path) as file, _packed(file.buffer) if names != path.name else nullcontext(file.buffer) as out:
        for case in cases:
            out.write(json.dumps(_shown(case), allow_nan=False).encode() + b"\n")
            count += 1
    return count


def _packed(file: BinaryIO) -> gzip.GzipFile:
    """A packed file without a name or a date in it: the same cases make the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)


def fingerprint(cases: Iterable[Case]) -> str:
    """What these cases are known by: 64 hexadecimal digits, the same in whatever order, another for any change.

    Remarks (`note`, `why`, `label`) are no part of it: they change neither what is asked nor what is right.
    """
    digests = sorted(sha256(json.dumps(_measured(case), sort_keys=True).encode()).digest() for case in cases)
    return sha256(b"".join(digests)).hexdigest()


def _measured(case: Case) -> dict[str, Any]:
    return {name: value for name, value in _shown(case).items() if name not in ("note", "why", "label")}


def _shown(case: Case) -> dict[str, Any]:
    """A case as JSON holds it; what has its default is left out."""
    shown: dict[str, Any] = {"id": case.id}
    asked = case.input
    shown |= {"input": asked} if isinstance(asked, str) else {"request": dump(asked)}
    for name in FIELDS:
        value = getattr(case, name, None)
        if name not in ("id", "input", "request", "system") and value not in (None, "", {}):
            shown[name] = value
    if case.expected == "":
        shown["expected"] = ""
    if case.candidates:
        shown["candidates"] = {
            name: said if isinstance(said, str) else dump(said) for name, said in case.candidates.items()
        }
    if shown["weight"] == 1:
        del shown["weight"]
    return shown
