"""How the store of decisions lies in its file.

`decisions` is narrow, so that a million of them are added up in a second; what a page does not show lies in `details`.
`passed` counts by minute what never reached a cascade: a gateway may answer 30,000 such requests a second. `sums` has
decisions and their tries added up by minute and by hour, of all rows up to `folded.sealed`: see decisions_fold.py.
"""

import os
import secrets
import sqlite3
from contextlib import suppress
from math import exp, log
from pathlib import Path
from typing import Final

from fastcascade.stores.sqlite_open import connection

__all__ = ["COLUMNS", "HOUR", "MARK", "MINUTE", "PAGES", "VERSION", "opened", "pace", "paced"]

MARK: Final = 0x46434445  # "FCDE": tells our files from other programs'
MINUTE: Final = 60
HOUR: Final = 3600
PAGES: Final = (
    "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
COLUMNS: Final = (
    "at", "seconds", "pace", "id", "mark", "layer", "what", "status", "path", "caller", "cascade", "slice", "task",
    "route", "feature", "tier", "via", "confidence", "degraded", "failure", "nanos", "baseline", "input", "output",
    "calls", "escalated", "failed", "tiers",
)  # fmt: skip
MIGRATIONS: Final = (
    (
        # Numbers are never given twice: whoever has read up to one goes on from there.
        """CREATE TABLE decisions (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, seconds REAL,
            pace INTEGER, id TEXT NOT NULL, mark INTEGER, layer TEXT NOT NULL, what TEXT NOT NULL,
            status INTEGER NOT NULL, path TEXT NOT NULL, caller TEXT NOT NULL, cascade TEXT NOT NULL,
            slice TEXT NOT NULL, task TEXT NOT NULL, route TEXT NOT NULL, feature TEXT NOT NULL, tier TEXT NOT NULL,
            via TEXT NOT NULL, confidence REAL, degraded TEXT NOT NULL, failure TEXT NOT NULL, nanos INTEGER,
            baseline INTEGER, input INTEGER NOT NULL, output INTEGER NOT NULL, calls INTEGER NOT NULL,
            escalated INTEGER NOT NULL, failed INTEGER NOT NULL, tiers TEXT NOT NULL)""",
        "CREATE INDEX decisions_at ON decisions (at)",
        "CREATE INDEX decisions_id ON decisions (id) WHERE id <> ''",
        "CREATE INDEX decisions_mark ON decisions (mark) WHERE mark IS NOT NULL",
        # Those are few, and looked for among all.
        "CREATE INDEX decisions_degraded ON decisions (number) WHERE degraded <> ''",
        "CREATE INDEX decisions_failed ON decisions (number) WHERE failed",
        """CREATE TABLE tries (number INTEGER NOT NULL, place INTEGER NOT NULL, at REAL NOT NULL, tier TEXT NOT NULL,
            verdict TEXT NOT NULL, pace INTEGER, nanos INTEGER, PRIMARY KEY (number, place)) WITHOUT ROWID""",
        "CREATE TABLE details (number INTEGER PRIMARY KEY, attempts TEXT NOT NULL, trace BLOB)",
        """CREATE TABLE passed (minute INTEGER NOT NULL, layer TEXT NOT NULL, what TEXT NOT NULL, path TEXT NOT NULL,
            status INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (minute, layer, what, path, status))
            WITHOUT ROWID""",
        """CREATE TABLE paces (minute INTEGER NOT NULL, layer TEXT NOT NULL, pace INTEGER NOT NULL,
            n INTEGER NOT NULL, PRIMARY KEY (minute, layer, pace)) WITHOUT ROWID""",
        """CREATE TABLE graded (number INTEGER PRIMARY KEY, at REAL NOT NULL, mark INTEGER, tier TEXT NOT NULL,
            slice TEXT NOT NULL, cascade TEXT NOT NULL, score REAL NOT NULL, propensity REAL, source TEXT NOT NULL)""",
        "CREATE INDEX graded_at ON graded (at)",
        "CREATE INDEX graded_mark ON graded (mark) WHERE mark IS NOT NULL",
    ),
    (
        # What is added up together; of a try, whose layer is empty, the tier and the verdict are its own.
        """CREATE TABLE kinds (kind INTEGER PRIMARY KEY, cascade TEXT NOT NULL, slice TEXT NOT NULL,
            layer TEXT NOT NULL, what TEXT NOT NULL, tier TEXT NOT NULL, via TEXT NOT NULL, verdict TEXT NOT NULL,
            spilled INTEGER NOT NULL, UNIQUE (cascade, slice, layer, what, tier, via, verdict))""",
        # The names that are kept apart; `whole` is whether none of its decisions may be among the others.
        """CREATE TABLE names (dim TEXT NOT NULL, name TEXT NOT NULL, whole INTEGER NOT NULL, PRIMARY KEY (dim, name))
            WITHOUT ROWID""",
        # `xx` to `yyy` are sums of products of cost and baseline, in dollars: what the interval of a saving is from.
        """CREATE TABLE sums (span INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL,
            nanos INTEGER NOT NULL, unknown INTEGER NOT NULL, baseline INTEGER NOT NULL, spent INTEGER NOT NULL,
            compared INTEGER NOT NULL, escalated INTEGER NOT NULL, degraded INTEGER NOT NULL, failed INTEGER NOT NULL,
            places INTEGER NOT NULL, xx REAL NOT NULL, xy REAL NOT NULL, yy REAL NOT NULL, xxx REAL NOT NULL,
            xxy REAL NOT NULL, xyy REAL NOT NULL, yyy REAL NOT NULL, paces BLOB NOT NULL,
            PRIMARY KEY (span, at, kind)) WITHOUT ROWID""",
        # Up to which number rows are in the sums; since when no row, and no sum by minute, has left.
        "CREATE TABLE folded (sealed INTEGER NOT NULL, rows REAL NOT NULL, minutes REAL NOT NULL)",
        "INSERT INTO folded VALUES (0, 0, 0)",
    ),
)
VERSION: Final = len(MIGRATIONS)
STEPS: Final = 25
"""Buckets of time to each factor of e: a quantile read from them is within 2 %."""
SHORTEST: Final = 1e-7


def opened(path: Path, busy: float, most: int | None) -> sqlite3.Connection:
    """The file for writing; made where there is none, so that it can give room back to the disk."""
    if not path.exists():
        with suppress(OSError, sqlite3.Error):  # then it is made without that, or refused in words
            _made(path)
    return connection(path, MARK, MIGRATIONS, busy=busy, most=most)


def pace(seconds: float | None) -> int | None:
    """The bucket of a time."""
    return None if seconds is None else round(log(max(seconds, SHORTEST)) * STEPS)


def paced(bucket: int) -> float:
    """The seconds in the middle of a bucket."""
    return exp(bucket / STEPS)


def _made(path: Path) -> None:
    """Whether a file can shrink is settled before its first table: so it is made beside, and put there whole."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        db = sqlite3.connect(beside, isolation_level=None)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")
        finally:
            db.close()
        os.link(beside, path)  # which never takes the place of another's
    finally:
        beside.unlink()
