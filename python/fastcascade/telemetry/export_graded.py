"""Decisions with labels as what the evals read: cases, and tables of outcomes.

    cases       each with what was asked, what was answered, and the label: for `load_cases` and `fastcascade record`
    outcomes    a row to each of which both tiers' grades are known: for `fastcascade calibrate` and `evaluate`

A dear tier's grade is a label of its own; or 1 where the dear reply itself was the measure of the cheap one (a label
whose source is "dear"). What the dear tier costs is what it did cost, or else what it would have, by its price.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.shadow_seen import asked_of
from fastcascade.messages import Reply, Request
from fastcascade.records import dump, load
from fastcascade.telemetry.decisions_rows import Grade, Whole
from fastcascade.telemetry.export import in_place

__all__ = ["write_cases", "write_outcomes"]

COLUMNS: Final = (
    "question_id", "slice", "cheap_correct", "expensive_correct", "cheap_cost_usd", "expensive_cost_usd", "weight",
    "confidence", "prompt",
)  # fmt: skip
PROMPT_MOST: Final = 100_000
"""Characters of a prompt: a cell of CSV is read up to 131,072."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula: callers write prompts, and name their slices."""
NO_TEXTS: Final = "kept without texts"


def write_cases(path: Path, decisions: Iterator[Whole]) -> tuple[int, Mapping[str, int]]:
    """Write those whose texts were kept; how many, and how many are left out, by why."""
    n, left_out = 0, Counter[str]()
    with in_place(path) as file:
        for each in decisions:
            case = _case(each)
            if isinstance(case, str):
                left_out[case] += 1
                continue
            file.write(f"{json.dumps(case, allow_nan=False)}\n".encode())
            n += 1
        _some(path, n, left_out)
    return n, left_out


def write_outcomes(path: Path, decisions: Iterator[Whole], cheap: str, dear: str) -> tuple[int, Mapping[str, int]]:
    """Write those that were drawn and have both grades and costs; how many, and how many are left out, by why."""
    n, left_out = 0, Counter[str]()
    with in_place(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for each in decisions:
            row = _outcome(each, cheap, dear)
            if isinstance(row, str):
                left_out[row] += 1
                continue
            rows.writerow(row)
            n += 1
        text.detach()
        _some(path, n, left_out)
    return n, left_out


def _some(path: Path, n: int, left_out: Mapping[str, int]) -> None:
    """Refuse to write a file of nothing in the place of what may be there."""
    if not n:
        why = ", ".join(f"{many:,} {why}" for why, many in left_out.items()) or "no labels came in this time"
        raise ConfigError(f"{path} was not written, since there is nothing to write: {why}")


def _case(whole: Whole) -> dict[str, Any] | str:
    request, label = _request(whole), _label(whole.grades, whole.row.tier)
    if request is None or whole.trace is None:
        return NO_TEXTS
    asked = asked_of(request)
    if label is None or asked is None:
        return "of another tier's answer" if label is None else NO_TEXTS
    reply = load(whole.trace.get("reply"))
    said = _said(reply) if isinstance(reply, Reply) else None
    made = {"id": f"decision-{whole.row.number}", **asked, "slice": whole.row.slice, "label": _told(label)}
    if said is not None:
        made["candidates"] = {whole.row.tier or "answer": said}
        if label.score == 1 and isinstance(said, str):
            made["expected"] = said
    return made


def _outcome(whole: Whole, cheap: str, dear: str) -> list[Any] | str:
    row = whole.row
    low, high = _label(whole.grades, cheap), _label(whole.grades, dear)
    if low is None:
        return f"without a label of {cheap}"
    if low.propensity is None or not 0 < low.propensity <= 1:
        return "not drawn"
    right = high.score if high is not None else 1.0 if low.source == "dear" else None
    if right is None:
        return f"without a label of {dear}"
    paid, tried = _tried(whole, cheap), _tried(whole, dear)
    dear_cost = tried["cost_usd"] if tried is not None else row.baseline_usd
    if paid is None or paid["cost_usd"] is None or dear_cost is None:
        return "of unknown cost"
    confidence = "" if paid["score"] is None else paid["score"]
    request = _request(whole)
    prompt = "" if request is None else request.text[:PROMPT_MOST]
    figures = [low.score, right, paid["cost_usd"], dear_cost, 1 / low.propensity, confidence]
    return [f"decision-{row.number}", _cell(row.slice), *figures, _cell(prompt)]


def _cell(text: str) -> str:
    """A text that no spreadsheet works out: behind an apostrophe, where it would."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _request(whole: Whole) -> Request | None:
    found = None if whole.trace is None else load(whole.trace.get("request"))
    return found if isinstance(found, Request) else None


def _label(grades: tuple[Grade, ...], tier: str) -> Grade | None:
    """The last that was drawn, or else the last."""
    mine = [each for each in grades if each.tier == tier]
    return max(mine, key=lambda each: (each.propensity is not None, each.at), default=None)


def _told(label: Grade) -> dict[str, Any]:
    told = {"score": min(max(label.score, 0.0), 1.0), "source": label.source}
    return told if label.propensity is None else {**told, "propensity": label.propensity}


def _tried(whole: Whole, tier: str) -> Mapping[str, Any] | None:
    return next((each for each in reversed(whole.attempts) if each["tier"] == tier), None)


def _said(reply: Reply) -> Any:
    return reply.text if reply.text and not reply.tool_calls else dump(reply)
