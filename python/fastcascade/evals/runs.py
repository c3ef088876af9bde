"""The store of a recording: one SQLite file with what every tier said to every case, and what that cost.

A file holds recordings of as many versions of a cascade as were made with it. What is read is the newest: the cascade
that was recorded last, on the cases that were listed then. One process at a time records into a file, or reads it.

Each call is written as it ends, and each case in one transaction once all of it was asked, so that a process that is
killed loses the calls it had under way and no others.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from fastcascade.answers import Entrance
from fastcascade.effects import Outcome
from fastcascade.errors import StoreError
from fastcascade.evals.runs_open import held, refused
from fastcascade.evals.runs_table import ladder, table
from fastcascade.messages import Request, Usage
from fastcascade.recording import Recording
from fastcascade.records import dump, load
from fastcascade.stores.sqlite_open import roll_back

if TYPE_CHECKING:
    from sqlite3 import Connection

    from fastcascade.evals.cases import Case

__all__ = ["Listed", "Listing", "Runs", "Tiered"]

T = TypeVar("T")
DROP: Final = (
    "DELETE FROM calls WHERE of_cascade = ? AND of_case = ?",
    "DELETE FROM results WHERE of_cascade = ? AND of_case = ?",
    "DELETE FROM tiers WHERE of_cascade = ? AND of_case = ?",
)


@dataclass(frozen=True, slots=True)
class Tiered:
    """What one tier came to with one case.

    `reply` is what is graded, None where there was none. `cost` is of all its calls, `gate_cost` of those its gate
    made; None is unknown. `signals` are the raw scores of its gates, before any calibration. `graded_by` tells the
    grader and what it graded by from others.
    """

    place: int
    verdict: str
    reply: str | None = None
    signals: Mapping[str, float | None] = field(default_factory=dict)
    usage: Usage | None = None
    cost: float | None = None
    gate_cost: float | None = None
    latency: float = 0.0
    failure: str = ""
    grade: float | None = None
    reason: str = ""
    graded_by: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One case as the file knows it: its row, and whether it is there, and whole."""

    seq: int
    recorded: bool
    failed: bool
    changed: bool  # whether something else was asked under this id before


@dataclass(frozen=True, slots=True)
class Listing:
    """The cascade's row, its cases, and whether another version of it was recorded here before."""

    cascade: int
    cases: tuple[Listed, ...]
    changed: bool


class Runs(AbstractContextManager["Runs"]):
    """One file of recordings. It is held from the first use until `close`, and refused to other processes."""

    def __init__(self, path: str | PathLike[str], *, make: bool = False, busy: float = 0.5) -> None:
        """Open it, or make it. Raises `StoreError` where it is another program's, or in use.

        Without `make`, what is no recording is refused. Where nothing can be written it can still be read.
        """
        self.path: Final = Path(fspath(path))
        self._busy = busy
        self._db, self.writable = held(self.path, make=make, busy=busy)

    def close(self) -> None:
        """Let others have the file, all of it in one piece."""
        from sqlite3 import Error  # noqa: PLC0415 - as above

        if self.writable:
            with suppress(Error):
                self._db.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
        self._db.close()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    # Recording.

    def listing(self, version: str, tiers: Sequence[str], cases: Iterable["Case"]) -> Listing:
        """List what is to be recorded: from now on these cases, and this version of the cascade, are what is read."""

        def job(db: "Connection") -> Listing:
            others = db.execute("SELECT COUNT(*) FROM cascades WHERE version != ?", (version,)).fetchone()[0]
            known = db.execute("SELECT COUNT(*) FROM cascades WHERE version = ?", (version,)).fetchone()[0]
            db.execute("UPDATE cascades SET latest = 0")
            db.execute(
                "INSERT INTO cascades (version, tiers, latest) VALUES (?, ?, 1)"
                " ON CONFLICT (version) DO UPDATE SET latest = 1, tiers = excluded.tiers",
                (version, _text(list(tiers))),
            )
            cascade = db.execute("SELECT seq FROM cascades WHERE version = ?", (version,)).fetchone()[0]
            db.execute("UPDATE cases SET place = NULL")
            found = tuple(_listed(db, cascade, place, case) for place, case in enumerate(cases))
            return Listing(cascade, found, bool(others and not known))

        return self._change(job)

    def kept(self, cascade: int, case: int) -> dict[str, Outcome]:
        """The calls of a case that had an answer: these are not asked again."""
        query = "SELECT label, outcome FROM calls WHERE of_cascade = ? AND of_case = ? AND NOT failed"
        rows = self._read(lambda db: db.execute(query, (cascade, case)).fetchall())
        return {label: load(json.loads(outcome)) for label, outcome in rows}

    def hold(self, what: str, usd: float) -> int:
        """Write down what a call may cost, before it is made; the number that it is settled by."""
        query = "INSERT INTO spent (what, usd) VALUES (?, ?)"
        return self._change(lambda db: int(db.execute(query, (_text(what), usd)).lastrowid or 0))

    def hold_more(self, number: int, usd: float) -> None:
        """The call is made once more, and may be paid for twice."""
        self._change(lambda db: db.execute("UPDATE spent SET usd = usd + ? WHERE seq = ?", (usd, number)))

    def keep(self, number: int, usd: float, cascade: int, case: int, label: str, outcome: Outcome) -> None:
        """Write down what a call came to, and what it cost."""
        row = (cascade, case, label, outcome.failure is not None, _text(dump(outcome)))

        def job(db: "Connection") -> None:
            _settle(db, number, usd)
            db.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?)", row)

        self._change(job)

    def finish(self, cascade: int, case: int, recording: Recording, tiers: Iterable[Tiered], failure: str) -> None:
        """Write down a case of which all was asked, in place of what was there of it."""
        calls = [
            (cascade, case, label, outcome.failure is not None, _text(dump(outcome)))
            for label, outcome in recording.outcomes.items()
        ]
        request, entrance = _text(dump(recording.request)), _text(dump(recording.entrance))
        rows = [(cascade, case, *_row(tier)) for tier in tiers]

        def job(db: "Connection") -> None:
            for statement in DROP:
                db.execute(statement, (cascade, case))
            db.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", calls)
            db.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?)", (cascade, case, failure, request, entrance))
            db.executemany("INSERT INTO tiers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

        self._change(job)

    def grade(self, number: int, usd: float, cascade: int, case: int, tier: Tiered) -> None:
        """Write down a grade, and what the grader cost, which is the run's and not the tier's."""

        def job(db: "Connection") -> None:
            _settle(db, number, usd)
            db.execute(
                "UPDATE tiers SET grade = ?, reason = ?, graded_by = ? WHERE of_cascade = ? AND of_case = ?"
                " AND place = ?",
                (tier.grade, _text(tier.reason), tier.graded_by, cascade, case, tier.place),
            )

        self._change(job)

    # Reading.

    @property
    def spent_usd(self) -> float:
        """What all calls cost that were ever made for this file; one that was lost counts with what it might have."""
        return float(self._read(lambda db: db.execute("SELECT COALESCE(SUM(usd), 0.0) FROM spent").fetchone()[0]))

    def mean_usd(self, cascade: int) -> float | None:
        """What the tiers of a case cost on average; None where no case is there."""
        query = "SELECT AVG(usd) FROM (SELECT SUM(cost) AS usd FROM tiers WHERE of_cascade = ? GROUP BY of_case)"
        found = self._read(lambda db: db.execute(query, (cascade,)).fetchone()[0])
        return None if found is None else float(found)

    def tiers(self, cascade: int, case: int) -> list[Tiered]:
        """What the tiers came to with a case, in their order."""
        query = (
            "SELECT place, verdict, reply, signals, usage, cost, gate_cost, latency, failure, grade, reason, graded_by"
            " FROM tiers WHERE of_cascade = ? AND of_case = ? ORDER BY place"
        )
        return [_tiered(row) for row in self._read(lambda db: db.execute(query, (cascade, case)).fetchall())]

    def found(self, version: str, cases: Iterable["Case"]) -> Listing:
        """What is there of these cases, as this version of the cascade asks them; nothing is listed anew, or changed.

        Where the version was never recorded the cascade's row is 0, which none has; so is that of a case not known.
        """

        def job(db: "Connection") -> Listing:
            versions = dict(db.execute("SELECT version, seq FROM cascades").fetchall())
            cascade = versions.get(version, 0)
            there = tuple(_found(db, cascade, case) for case in cases)
            return Listing(cascade, there, bool(versions) and version not in versions)

        return self._read(job)

    def recording(self, cascade: int, case: int) -> Recording:
        """What was said to one case, by the rows of both, as `replay` answers it."""
        query = "SELECT request, entrance FROM results WHERE of_cascade = ? AND of_case = ?"
        calls = "SELECT label, outcome FROM calls WHERE of_cascade = ? AND of_case = ?"
        held = self._rows(query, cascade, case)
        if not held:
            raise StoreError(f"{self.path}: case {case} of cascade {cascade} is not recorded")
        asked, entered = (load(json.loads(each)) for each in held[0])
        if not isinstance(asked, Request) or not isinstance(entered, Entrance | None):
            raise StoreError(f"{self.path}: the recording of case {case} cannot be read")
        outcomes = {label: load(json.loads(outcome)) for label, outcome in self._rows(calls, cascade, case)}
        return Recording(asked, outcomes, entered)

    def recordings(self) -> Iterator[tuple[str, Recording]]:
        """Each case that was recorded whole or in part, by its id, as `replay` answers it."""
        query = (
            "SELECT cases.id, results.of_cascade, cases.seq FROM cases"
            " JOIN results ON results.of_case = cases.seq"
            " JOIN cascades ON cascades.seq = results.of_cascade AND cascades.latest"
            " WHERE cases.place IS NOT NULL ORDER BY cases.place"
        )
        for name, cascade, case in self._rows(query):
            yield json.loads(name), self.recording(cascade, case)

    def table(self, cheap: int | str = 0, dear: int | str = -1) -> dict[str, Any]:
        """Two tiers, by place or by name, case by case, as plain lists: see runs_table.py."""
        return self._read(lambda db: table(db, self.path, cheap, dear))

    def ladder(self) -> dict[str, Any]:
        """All tiers, case by case, as plain lists: see runs_table.py."""
        return self._read(lambda db: ladder(db, self.path))

    # SQLite.

    def _rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        return self._read(lambda db: db.execute(query, given).fetchall())

    def _read(self, job: Callable[["Connection"], T]) -> T:
        from sqlite3 import Error  # noqa: PLC0415 - as above

        try:
            return job(self._db)
        except Error as error:
            raise self._refused(error) from error

    def _change(self, job: Callable[["Connection"], T]) -> T:
        from sqlite3 import Error  # noqa: PLC0415 - as above

        try:
            self._db.execute("BEGIN IMMEDIATE")
            made = job(self._db)
            self._db.execute("COMMIT")
        except Error as error:
            roll_back(self._db)
            raise self._refused(error) from error
        except BaseException:
            roll_back(self._db)
            raise
        return made

    def _refused(self, error: Exception) -> StoreError:
        return refused(error, self.path, self._busy)


def asked_by(case: "Case") -> str:
    """What a case is known by: its id and what is asked. What is right may change, and costs no call."""
    return sha256(_text([case.id, dump(case.request)]).encode()).hexdigest()


def _listed(db: "Connection", cascade: int, place: int, case: "Case") -> Listed:
    name, asked = _text(case.id), asked_by(case)
    db.execute(
        "INSERT INTO cases (id, asked, slice, weight, prompt, expected, rubric, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (asked) DO UPDATE SET slice = excluded.slice, weight = excluded.weight,"
        " expected = excluded.expected, rubric = excluded.rubric, place = excluded.place",
        (
            name,
            asked,
            _text(case.slice),
            case.weight,
            _text(case.text),
            _text(case.expected),
            _text(case.rubric),
            place,
        ),
    )
    return _found(db, cascade, case)


def _found(db: "Connection", cascade: int, case: "Case") -> Listed:
    held = db.execute("SELECT seq FROM cases WHERE asked = ?", (asked_by(case),)).fetchone()
    seq = held[0] if held else 0
    result = db.execute("SELECT failure FROM results WHERE of_cascade = ? AND of_case = ?", (cascade, seq)).fetchone()
    before = db.execute("SELECT COUNT(*) FROM cases WHERE id = ? AND seq != ?", (_text(case.id), seq)).fetchone()[0]
    return Listed(seq, result is not None, result is not None and result[0] != "", bool(before and result is None))


def _settle(db: "Connection", number: int, usd: float) -> None:
    if number:
        db.execute("UPDATE spent SET usd = ?, settled = 1 WHERE seq = ?", (usd, number))
    elif usd:  # what was to cost nothing did
        db.execute("INSERT INTO spent (what, usd, settled) VALUES ('\"\"', ?, 1)", (usd,))


def _text(value: Any) -> str:
    return json.dumps(value)


def _row(tier: Tiered) -> tuple[Any, ...]:
    usage = None if tier.usage is None else _text(dump(tier.usage))
    reply = None if tier.reply is None else _text(tier.reply)
    return (
        tier.place,
        tier.verdict,
        reply,
        _text(dict(tier.signals)),
        usage,
        tier.cost,
        tier.gate_cost,
        tier.latency,
        _text(tier.failure) if tier.failure else "",
        tier.grade,
        _text(tier.reason),
        tier.graded_by,
    )


def _tiered(row: Sequence[Any]) -> Tiered:
    place, verdict, reply, signals, usage, cost, gate, latency, failure, grade, reason, by = row
    return Tiered(
        place,
        verdict,
        None if reply is None else json.loads(reply),
        json.loads(signals),
        None if usage is None else load(json.loads(usage)),
        cost,
        gate,
        latency,
        json.loads(failure) if failure else "",
        grade,
        json.loads(reason),
        by,
    )
