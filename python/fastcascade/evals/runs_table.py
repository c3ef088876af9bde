"""Two tiers of a recording as columns: what `Outcomes` is made of, in plain lists.

    ids, slices, prompts, weights, answers      of each case; an answer is the whole reply of the cheap tier
    cheap, dear                                 grades, from 0 to 1; what a grader puts below 0 counts as 0
    cheap_cost, dear_cost                       dollars for all calls of the tier, those of its gate among them
    cheap_latency, dear_latency                 seconds, the gate's among them, without the recorder's own waiting
    signals, sense                              by name; NaN where there is none; sense is 1 where more is surer
    left_out                                    how many cases are in none of these, by why

A signal is the raw score of a gate of the cheap tier, by the gate's name, and besides what every reply tells:
`cheap_completion_tokens`, `cheap_thinking_tokens`, `cheap_output_chars`, `prompt_tokens`.
"""

import json
from collections.abc import Iterator, Mapping
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

__all__ = ["table"]

SIZES: Final[Mapping[str, str]] = {
    "cheap_completion_tokens": "output",
    "cheap_thinking_tokens": "reasoning",
    "prompt_tokens": "input",
}
COLUMNS: Final = (
    "ids", "slices", "prompts", "weights", "answers", "cheap", "dear", "cheap_cost", "dear_cost", "cheap_latency",
    "dear_latency",
)  # fmt: skip
WHYS: Final[tuple[str, ...]] = ("not recorded", "failed", "not asked", "ungraded", "of unknown cost")
QUERY: Final = """
    SELECT cases.id, cases.slice, cases.prompt, cases.weight, c.reply, c.grade, d.grade, c.cost, d.cost, c.latency,
        d.latency, c.signals, c.usage, results.failure, c.failure, d.failure, c.place, d.place
    FROM cases
    LEFT JOIN results ON results.of_case = cases.seq AND results.of_cascade = :cascade
    LEFT JOIN tiers AS c ON c.of_case = cases.seq AND c.of_cascade = :cascade AND c.place = :cheap
    LEFT JOIN tiers AS d ON d.of_case = cases.seq AND d.of_cascade = :cascade AND d.place = :dear
    WHERE cases.place IS NOT NULL ORDER BY cases.place
"""


def table(db: "Connection", path: "Path", cheap: int | str, dear: int | str) -> dict[str, Any]:
    """Read the columns. Cases without a grade for both tiers are left out, and counted."""
    row = db.execute("SELECT seq, tiers FROM cascades WHERE latest").fetchone()
    if row is None:
        raise ConfigError(f"{path}: nothing was recorded yet")
    cascade, tiers = row[0], json.loads(row[1])
    places = {"cascade": cascade, "cheap": _place(tiers, cheap), "dear": _place(tiers, dear)}
    if places["cheap"] == places["dear"]:
        raise ConfigError(f"{path}: both tiers are {tiers[places['dear']]!r}; a comparison needs two")
    left_out: dict[str, int] = dict.fromkeys(WHYS, 0)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    signals: dict[str, list[float]] = {}
    for held in db.execute(QUERY, places):
        if why := _lacking(held):
            left_out[why] += 1
            continue
        for name, value in zip(COLUMNS, _values(held), strict=True):
            columns[name].append(value)
        count = len(columns["ids"])
        for name, value in _signals(held):
            column = signals.setdefault(name, [])
            column += [nan] * (count - 1 - len(column))
            column.append(value)
    count = len(columns["ids"])
    told = {name: column + [nan] * (count - len(column)) for name, column in signals.items()}
    told = {name: column for name, column in told.items() if not all(map(isnan, column))}
    sense = {name: -1 if name in SIZES or name == "cheap_output_chars" else 1 for name in told}
    named = {"cheap_tier": tiers[places["cheap"]], "dear_tier": tiers[places["dear"]]}
    return {**columns, **named, "signals": told, "sense": sense, "left_out": left_out}


def _place(tiers: list[str], wanted: int | str) -> int:
    if isinstance(wanted, str):
        if wanted not in tiers:
            raise ConfigError(f"no tier {wanted!r} was recorded; there are: {', '.join(tiers)}")
        return tiers.index(wanted)
    if not -len(tiers) <= wanted < len(tiers):
        raise ConfigError(f"there is no tier {wanted}: {len(tiers)} were recorded")
    return wanted % len(tiers)


def _lacking(held: tuple[Any, ...]) -> str:
    """Why a case cannot be told of; empty if it can."""
    _, _, _, _, _, cheap, dear, cheap_cost, dear_cost, *_, result, cheap_failure, dear_failure, at, dear_at = held
    if result is None:
        return "not recorded"
    if cheap_failure or dear_failure:
        return "failed"
    if at is None or dear_at is None:
        return "not asked"  # lanes and bounds of its own kept it from a tier
    if cheap is None or dear is None:
        return "ungraded"
    return "of unknown cost" if cheap_cost is None or dear_cost is None else ""


def _values(held: tuple[Any, ...]) -> tuple[Any, ...]:
    name, filed, prompt, weight, reply, cheap, dear, *numbers = held[:11]
    said = "" if reply is None else json.loads(reply)
    grades = (max(0.0, cheap), max(0.0, dear))
    return (json.loads(name), json.loads(filed), json.loads(prompt), weight, said, *grades, *numbers)


def _signals(held: tuple[Any, ...]) -> Iterator[tuple[str, float]]:
    for name, value in json.loads(held[11]).items():
        yield name, nan if value is None else value
    if held[4] is not None:
        yield "cheap_output_chars", float(len(json.loads(held[4])))
    if held[12] is not None:
        usage = json.loads(held[12])
        for name, part in SIZES.items():
            yield name, float(usage.get(part, 0))
