"""Two tiers of a recording as columns: what `Outcomes` is made of, in plain lists.

    ids, slices, prompts, weights, answers      of each case; an answer is the whole reply of the cheap tier
    cheap, dear                                 grades, from 0 to 1; what a grader puts below 0 counts as 0
    cheap_cost, dear_cost                       dollars for all calls of the tier, those of its gate among them
    cheap_latency, dear_latency                 seconds, the gate's among them, without the recorder's own waiting
    signals, sense                              by name; NaN where there is none; sense is 1 where more is surer
    left_out                                    how many cases are in none of these, by why
    cheap_tier, dear_tier, tiers                what the two are called, and all that were recorded

A signal is the raw score of a gate of the cheap tier, by the gate's name, and besides what every reply tells:
`cheap_completion_tokens`, `cheap_thinking_tokens`, `cheap_output_chars`, `prompt_tokens`.

`ladder` has all tiers at once: `right`, `cost` and `seconds` of each case hold a number to each tier, and `signals` are
a mapping to each tier, of the gates' scores alone.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from math import isnan, nan
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

__all__ = ["ladder", "table"]

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
ALL: Final = """
    SELECT cases.seq, cases.id, cases.slice, cases.weight, results.failure, t.place, t.grade, t.cost, t.latency,
        t.signals, t.failure
    FROM cases
    LEFT JOIN results ON results.of_case = cases.seq AND results.of_cascade = :cascade
    LEFT JOIN tiers AS t ON t.of_case = cases.seq AND t.of_cascade = :cascade
    WHERE cases.place IS NOT NULL ORDER BY cases.place, t.place
"""


def table(db: "Connection", path: "Path", cheap: int | str, dear: int | str) -> dict[str, Any]:
    """Read the columns. Cases without a grade for both tiers are left out, and counted."""
    cascade, tiers = _latest(db, path)
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
    named = {"cheap_tier": tiers[places["cheap"]], "dear_tier": tiers[places["dear"]], "tiers": tiers}
    return {**columns, **named, "signals": told, "sense": sense, "left_out": left_out}


def ladder(db: "Connection", path: "Path") -> dict[str, Any]:
    """Read the columns of all tiers. Cases without a grade for each of them are left out, and counted."""
    cascade, tiers = _latest(db, path)
    if len(tiers) < 2:
        raise ConfigError(f"{path}: {', '.join(tiers) or 'no tier'} was recorded; a ladder needs two tiers at least")
    left_out: dict[str, int] = dict.fromkeys(WHYS, 0)
    names = ("ids", "slices", "weights", "right", "cost", "seconds")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    told: list[dict[str, dict[int, float]]] = [{} for _ in tiers]
    for _, group in groupby(db.execute(ALL, {"cascade": cascade}), key=itemgetter(0)):
        rows = list(group)
        if why := _short(rows, len(tiers)):
            left_out[why] += 1
            continue
        at = len(columns["ids"])
        (_, name, filed, weight, *_), grades = rows[0], [max(0.0, row[6]) for row in rows]
        values = (
            json.loads(name),
            json.loads(filed),
            weight,
            grades,
            [row[7] for row in rows],
            [row[8] for row in rows],
        )
        for column, value in zip(names, values, strict=True):
            columns[column].append(value)
        for row, signals in zip(rows, told, strict=True):
            for signal, score in json.loads(row[9]).items():
                signals.setdefault(signal, {})[at] = nan if score is None else score
    span = range(len(columns["ids"]))
    scores = [{name: [each.get(at, nan) for at in span] for name, each in signals.items()} for signals in told]
    return {**columns, "tiers": tiers, "signals": scores, "left_out": left_out}


def _short(rows: list[tuple[Any, ...]], count: int) -> str:
    """Why a case cannot be told of, from the rows of its tiers; empty if it can."""
    if rows[0][4] is None:
        return "not recorded"
    if any(row[10] for row in rows):
        return "failed"
    if len(rows) < count or rows[0][5] is None:
        return "not asked"
    if any(row[6] is None for row in rows):
        return "ungraded"
    return "of unknown cost" if any(row[7] is None for row in rows) else ""


def _latest(db: "Connection", path: "Path") -> tuple[int, list[str]]:
    """The cascade that was recorded last, and its tiers."""
    row = db.execute("SELECT seq, tiers FROM cascades WHERE latest").fetchone()
    if row is None:
        raise ConfigError(f"{path}: nothing was recorded yet")
    return row[0], json.loads(row[1])


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
