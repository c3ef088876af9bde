"""Opens the store of decisions for reading, and makes values of its rows."""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import StoreError
from fastcascade.stores.sqlite_open import code, refusal
from fastcascade.telemetry.decisions_rows import Grade, Row, Whole
from fastcascade.telemetry.decisions_schema import MARK, VERSION, opened

__all__ = ["SHOWN", "reading", "row_of", "whole_of"]

BUSY: Final = 5.0
SHOWN: Final = (
    "number, at, seconds, id, layer, what, status, path, caller, cascade, slice, task, route, feature, tier, via,"
    " confidence, degraded, failure, nanos, baseline, input, output, calls, escalated, failed, tiers"
)
TRIED: Final = ("tier", "verdict", "score", "reason", "model", "error", "seconds", "cost_usd", "calls")
CALLED: Final = ("label", "model", "cost_usd", "estimated", "seconds", "failure", "by", "input", "output")
UNDONE: Final = 8
"""What SQLite says where a writer was killed in the midst of a change, which must be undone first."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The file, read only, as it is now; None where there is none yet, or nothing in it."""
    if not path.exists():
        yield None
        return
    try:
        with closing(_opened(path)) as db:
            if _empty(db, path):
                yield None
                return
            db.execute("BEGIN")  # all that is asked meanwhile is of one moment
            yield db
    except sqlite3.Error as error:
        raise refusal(error, path, BUSY) from None


def row_of(held: tuple[Any, ...]) -> Row:
    """A row of `SHOWN`."""
    *plain, nanos, baseline, read, written, calls, escalated, failed, tiers = held
    tried = tuple(json.loads(tiers)) if tiers else ()
    values: list[Any] = [
        *plain,
        _usd(nanos),
        _usd(baseline),
        read,
        written,
        calls,
        bool(escalated),
        bool(failed),
        tried,
    ]
    return Row(*values)


def whole_of(db: sqlite3.Connection, held: tuple[Any, ...]) -> Whole:
    """What is kept besides, of a row of `SHOWN` and its mark."""
    *shown, mark = held
    row = row_of(tuple(shown))
    found = db.execute("SELECT attempts, trace FROM details WHERE number = ?", (row.number,)).fetchone()
    said, packed = found or ("[]", None)
    labels = db.execute("SELECT tier, score, at, source, propensity FROM graded WHERE mark = ? ORDER BY at", (mark,))
    attempts = tuple(_named(TRIED, each) for each in json.loads(said))
    trace = None if packed is None else json.loads(zlib.decompress(packed))
    return Whole(row, attempts, trace, tuple(Grade(*each) for each in labels))


def _opened(path: Path) -> sqlite3.Connection:
    db = _connected(path)
    try:
        db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        db.close()
        if code(error) != UNDONE:
            raise
        opened(path, BUSY, None).close()
        return _connected(path)
    return db


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=BUSY, isolation_level=None, uri=True)


def _empty(db: sqlite3.Connection, path: Path) -> bool:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("PRAGMA application_id").fetchone()[0] != MARK:
        if version or db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"{path}: this is the database of another program; give another path")
        return True
    if version > VERSION:
        msg = f"{path}: it is of version {version}, and this fastcascade knows {VERSION} at most; install a newer one"
        raise StoreError(msg)
    return False


def _named(names: tuple[str, ...], values: list[Any]) -> Mapping[str, Any]:
    made = dict(zip(names, values, strict=True))
    made["cost_usd"] = _usd(made["cost_usd"])
    if "calls" in made:
        made["calls"] = [_named(CALLED, each) for each in made["calls"]]
    return made


def _usd(nanos: int | None) -> float | None:
    return None if nanos is None else nanos / 1e9
