"""Looks for decisions: by what the store knows how to look for, and then by what takes a look at each.

The store finds names, times and marks. Costs, times taken and texts are looked at here, row by row and a bounded number
of rows to a call: what was looked at is told, and the next page goes on from there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Self

from fastcascade.console.api_traces_texts import texts
from fastcascade.console.asked import Refusal

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import Decisions, Row

__all__ = ["Found", "Sieve", "looked_for", "number", "word"]

CHUNK: Final = 500
ROWS: Final = 20_000
"""Rows that are looked at in one call where costs and times are asked for."""
TEXTS: Final = 1_000
"""And where texts are, which must be unpacked."""
SECONDS: Final = 3.0
"""How long one call may look: texts that are long take long to unpack, and requests wait for the interpreter."""
LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Sieve:
    """What is looked at row by row; None and "" let everything through."""

    cost: float | None = None
    slower: float | None = None
    text: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """As the page asks for it. Raises `Refusal`."""
        cost, slower = number(query, "cost", 0.0, 1e12), number(query, "slower", 0.0, 1e12)
        return cls(cost, slower, word(query, "text").casefold())

    @property
    def open(self) -> bool:
        """Whether it lets everything through."""
        return self.cost is None and self.slower is None and not self.text

    def lets(self, store: "Decisions", row: "Row") -> bool:
        """Whether a row is wanted. What it cost or took must be known for that."""
        if self.cost is not None and (row.cost_usd is None or row.cost_usd < self.cost):
            return False
        if self.slower is not None and (row.seconds is None or row.seconds < self.slower):
            return False
        return not self.text or self._says(store, row)

    def _says(self, store: "Decisions", row: "Row") -> bool:
        whole = store.one(row.number)
        if whole is None or whole.trace is None:
            return False
        told = texts(whole.trace)
        said = [*told["messages"], *told["said"].values(), *([told["answer"]] if told["answer"] else ())]
        return any(self.text in each["text"].casefold() for each in said)


@dataclass(frozen=True, slots=True)
class Found:
    """A page: its rows, the number to go on from (None at the end), and how many rows were looked at for it."""

    rows: "list[Row]"
    following: int | None
    looked_at: int


def looked_for(
    store: "Decisions",
    wanted: Mapping[str, Any],
    sieve: Sieve,
    limit: int,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """The newest that are wanted; it reads the store."""
    if sieve.open:
        rows = store.page(**wanted, limit=limit + 1)
        following = rows[limit - 1].number if len(rows) > limit else None
        return Found(rows[:limit], following, min(len(rows), limit))
    found: list[Row] = []
    asked, looked_at, most = dict(wanted), 0, TEXTS if sieve.text else ROWS
    ends = clock() + SECONDS
    while True:
        chunk = store.page(**asked, limit=min(CHUNK, most - looked_at))
        for row in chunk:
            looked_at += 1
            asked["before"] = row.number
            if sieve.lets(store, row):
                found.append(row)
                if len(found) == limit:
                    return Found(found, row.number, looked_at)
            if sieve.text and clock() >= ends:
                return Found(found, row.number, looked_at)
        if looked_at >= most:
            return Found(found, asked["before"], looked_at)
        if len(chunk) < CHUNK:
            return Found(found, None, looked_at)


def word(query: Mapping[str, str], name: str) -> str:
    """A text of the search. Raises `Refusal`."""
    value = query.get(name, "").strip()
    if len(value) > LONGEST:
        raise Refusal(400, f"{name} is at most {LONGEST} characters long")
    return value


def number(query: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    """A number of it; None where there is none. Raises `Refusal`."""
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and least <= value <= most):
        raise Refusal(400, f"{name} is a number from {least:g} to {most:g}")
    return value
