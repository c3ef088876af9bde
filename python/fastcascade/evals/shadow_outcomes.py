"""From a shadow log to what thresholds are worked out on again: outcomes, and cases.

    write_outcomes(shadow.log, "outcomes.csv")         then: fastcascade evaluate --outcomes outcomes.csv --keep 0.98
    outcomes_from(shadow.log)                          the same, as `Outcomes`, for `evaluate` and `guarantee`
    write_cases(shadow.log, "cases.jsonl")             then: fastcascade record cascade.toml cases.jsonl

A row is an answer that was drawn, on either side of the threshold, and its weight is 1/propensity: so what is worked
out on the table is about all requests that reached the cheap tier while both sides were drawn.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.shadow_labels import Label
from fastcascade.evals.shadow_log import ShadowLog
from fastcascade.evals.shadow_pairs import drawn_alike
from fastcascade.reviews.labels import whole

if TYPE_CHECKING:
    from fastcascade.evals.outcomes import Outcomes

__all__ = ["Written", "outcomes_from", "write_cases", "write_outcomes"]

COLUMNS: Final = (
    "question_id", "slice", "cheap_correct", "expensive_correct", "cheap_cost_usd", "expensive_cost_usd", "weight",
    "confidence", "prompt",
)  # fmt: skip
PROMPT_MOST: Final = 100_000
"""Characters of a prompt: a cell of CSV is read up to 131,072."""


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows there are, and how many labels are in none of them, by why."""

    n: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def write_outcomes(
    log: ShadowLog, path: str | Path, *, cheap: str = "", dear: str = "", costs: tuple[float, float] | None = None
) -> Written:
    """Write the last drawn labels as the CSV file that `Outcomes.load` reads.

    Args:
        log: with labels of accepted and of escalated answers.
        path: the file; what was there is replaced when all of it is written.
        cheap: the tier whose threshold it is about; needed where the log has several.
        dear: the tier above; likewise.
        costs: dollars of a cheap try and of a dear one, where a label does not know them; without, it is left out.
    """
    text, written = _table(log, cheap, dear, costs)
    with whole(Path(path)) as file:
        file.write(text)
    return written


def outcomes_from(
    log: ShadowLog, *, cheap: str = "", dear: str = "", costs: tuple[float, float] | None = None
) -> "Outcomes":
    """The same as columns, without a file."""
    from fastcascade.evals.outcomes import Outcomes  # noqa: PLC0415 - a server has no numpy

    return Outcomes.parse(_table(log, cheap, dear, costs)[0], str(log.path or "the shadow log"))


def write_cases(log: ShadowLog, path: str | Path, *, drawn: bool = False) -> int:
    """Write the last labels as JSONL that `load_cases` reads; how many. See `ShadowLog.cases`."""
    count = 0
    with whole(Path(path)) as file:
        for case in log.cases(drawn=drawn):
            file.write(json.dumps(case, allow_nan=False) + "\n")
            count += 1
    return count


def _table(log: ShadowLog, cheap: str, dear: str, costs: tuple[float, float] | None) -> tuple[str, Written]:
    recent = [each for each in log.recent() if each.propensity is not None]
    if not any(each.population == "escalated" for each in recent):
        msg = "the shadow log has no labels of escalated answers, and accepted ones alone tell of one side only"
        raise ConfigError(f"{msg}; draw both: Shadow(escalated=0.1)")
    cheap = cheap or _only({each.tier for each in recent}, "cheap")
    held = drawn_alike(each for each in recent if each.tier == cheap)
    dear = dear or _only({label.dear_tier for label, _ in held if label.dear_tier}, "dear")
    left_out: Counter[str] = Counter()
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    n = 0
    for label, propensity in held:
        row = _row(label, propensity, dear, costs)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            rows.writerow(row)
            n += 1
    if not n:
        why = ", ".join(f"{many} {reason}" for reason, many in left_out.items()) or f"none of the tier {cheap!r}"
        raise ConfigError(f"no label of the shadow log makes an outcome: {why}")
    # Half of a surrogate pair, as a model may write it, is no text of UTF-8.
    return out.getvalue().encode("utf-8", "replace").decode(), Written(n, dict(left_out))


def _row(label: Label, propensity: float, dear: str, costs: tuple[float, float] | None) -> list[Any] | str:
    """The row of a label, or why there is none."""
    if label.dear_tier != dear or label.dear_score is None:
        return "without a grade of the dear tier"
    cheap_cost, dear_cost = label.cost, label.dear_cost
    if costs is not None:
        cheap_cost = costs[0] if cheap_cost is None else cheap_cost
        dear_cost = costs[1] if dear_cost is None else dear_cost
    if cheap_cost is None or dear_cost is None:
        return "of unknown cost"
    confidence = "" if label.confidence is None else label.confidence
    grades = (label.score, label.dear_score)
    return [label.key, label.slice, *grades, cheap_cost, dear_cost, 1 / propensity, confidence, _prompt(label)]


def _prompt(label: Label) -> str:
    asked = (label.asked or {}).get("input", "")
    text = asked if isinstance(asked, str) else asked[-1]["content"] if asked else ""
    return text[:PROMPT_MOST]


def _only(names: set[str], which: str) -> str:
    if len(names) != 1:
        known = ", ".join(sorted(names)) or "none"
        raise ConfigError(f"say which tier is the {which} one: {which}=...; the shadow log has {known}")
    return names.pop()
