"""Decisions as files: JSON lines and Parquet of all that is kept, and what the evals read where labels came.

A file is there whole or not at all, for its owner alone, and is written as it is read: some hundreds at a time, so that
the store's writers wait for nobody, and memory holds no more.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from fastcascade.errors import ConfigError
from fastcascade.telemetry.decisions_read import SHOWN, reading, whole_of
from fastcascade.telemetry.decisions_rows import Whole

__all__ = ["flat", "in_place", "walk", "write_json", "write_parquet"]

SOME: Final = 500
GROUP: Final = 5_000
"""Rows to a group of a Parquet file."""
TEXTS: Final = ("id", "layer", "by", "path", "caller", "cascade", "slice", "task", "route", "feature", "tier", "via",
                "degraded", "failure")  # fmt: skip
WHOLE: Final = ("number", "status", "input", "output", "calls")
FLOATS: Final = ("at", "seconds", "confidence", "cost_usd", "baseline_usd")
PACKED: Final = ("attempts", "grades", "request", "reply")
"""What is JSON in a cell of Parquet, and read as it is in JSON lines."""


def walk(path: Path, since: float, until: float, *, graded: bool = False, cascade: str = "") -> Iterator[Whole]:
    """The decisions of a span of time, in the order in which they were written; with `graded` those with labels."""
    number, values = 0, (since, until, *([cascade] if cascade else ()))
    where = "number > ? AND +at >= ? AND +at < ?" + (" AND cascade = ?" if cascade else "")
    if graded:
        where += " AND mark IN (SELECT mark FROM graded)"
    query = f"SELECT {SHOWN}, mark FROM decisions WHERE {where} ORDER BY number LIMIT {SOME}"  # noqa: S608 - no one's words
    while True:
        with reading(path) as db:
            found = [] if db is None else [whole_of(db, held) for held in db.execute(query, (number, *values))]
        yield from found
        if len(found) < SOME:
            return
        number = found[-1].row.number


def flat(whole: Whole) -> dict[str, Any]:
    """A decision as one object: its row, its attempts and labels, and what was asked and said where that is kept."""
    trace = whole.trace or {}
    made = asdict(whole.row)
    made["tiers"] = list(whole.row.tiers)
    made["attempts"] = list(whole.attempts)
    made["grades"] = [asdict(each) for each in whole.grades]
    if whole.trace is not None:
        made["request"], made["reply"] = trace.get("request"), trace.get("reply")
    return made


def write_json(path: Path, decisions: Iterator[Whole]) -> int:
    """Write an object to a line; how many."""
    n = 0
    with in_place(path) as file:
        for each in decisions:
            file.write(f"{json.dumps(flat(each), allow_nan=False)}\n".encode())
            n += 1
    return n


def write_parquet(path: Path, decisions: Iterator[Whole]) -> int:
    """Write a row to each; how many. What has parts of its own is JSON in its cell."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise ConfigError("Parquet needs pyarrow: pip install 'fastcascade[parquet]'; or write .jsonl") from None
    schema = _schema(pa)
    n = 0
    with in_place(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for each in decisions:
            rows.append(_cells(each))
            n += 1
            if len(rows) == GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
    return n


@contextmanager
def in_place(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of another when all of it is written, or is not there at all."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)


def _cells(whole: Whole) -> dict[str, Any]:
    made = flat(whole)
    for name in PACKED:
        if name in made:
            made[name] = json.dumps(made[name])
    return made


def _schema(pa: Any) -> Any:
    fields = [(name, pa.int64()) for name in WHOLE] + [(name, pa.float64()) for name in FLOATS]
    fields += [(name, pa.string()) for name in (*TEXTS, *PACKED)]
    fields += [("escalated", pa.bool_()), ("failed", pa.bool_()), ("tiers", pa.list_(pa.string()))]
    return pa.schema(fields)
