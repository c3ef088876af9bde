"""Files of cases, taken apart into rows: packed or not, JSONL or CSV, with the line of the file for each."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fastcascade.config.mistakes import Mistakes, meant
from fastcascade.errors import ConfigError
from fastcascade.evals.case_rows import FIELDS, NAMES, Row, kind_of

__all__ = ["rows_of"]

STRUCTURED: Final = frozenset({"messages", "candidates", "request", "label"})
"""What a CSV file can only hold as JSON."""
BYTES_MOST: Final = 2**31
CELL_MOST: Final = 2**27
"""Characters of one cell of a CSV file: the library's own bound is less than a long document."""
TOLD: Final = 50
"""Mistakes after which reading ends: a file with more has one cause for them all."""


def rows_of(path: Path, ignore: frozenset[str]) -> tuple[Iterator[Row], Mistakes]:
    """The rows of a file, and who is told what is wrong with them."""
    mistakes = Mistakes(str(path))
    kind = Path(path.name.removesuffix(".gz")).suffix.casefold()
    if kind not in (".jsonl", ".ndjson", ".csv"):
        msg = f"{path}: a file of cases ends in .jsonl, .ndjson or .csv, or that and .gz, not in {kind or 'nothing'!r}"
        raise ConfigError(msg)
    text = _unpacked(path)
    read = _table(text, mistakes, ignore) if kind == ".csv" else _objects(text, mistakes, ignore)
    return read, mistakes


def _enough(line: int, mistakes: Mistakes) -> bool:
    """Whether so much is wrong that the rest need not be read."""
    if len(mistakes) < TOLD:
        return False
    mistakes.add(line, "", f"there are {len(mistakes)} mistakes before this line; from here on nothing was read")
    return True


def _unpacked(path: Path) -> str:
    """The text of a file. Packed or not is told by its first bytes, whatever its name."""
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            raw = (gzip.GzipFile(fileobj=file) if packed else file).read(BYTES_MOST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ConfigError(f"{path} cannot be unpacked: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(raw) > BYTES_MOST:
        raise ConfigError(f"{path} is above {BYTES_MOST} bytes; split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8: {error.reason}") from None


def _objects(text: str, mistakes: Mistakes, ignore: frozenset[str]) -> Iterator[Row]:
    for line, each in enumerate(io.StringIO(text, newline=None), 1):
        if not each.strip():
            continue
        if _enough(line, mistakes):
            return
        try:
            value = json.loads(each, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            mistakes.add(line, "", f"this is not JSON: {error}")
        else:
            if not isinstance(value, dict):
                mistakes.add(line, "", f"must be a JSON object, not {kind_of(value)}")
            elif (values := _known(value, line, mistakes, ignore)) is not None:
                yield Row(line, values, mistakes)


def _table(text: str, mistakes: Mistakes, ignore: frozenset[str]) -> Iterator[Row]:
    bound = csv.field_size_limit(CELL_MOST)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [each.strip() for each in next(rows, [])]
        if len(set(head)) != len(head):
            twice = next(each for place, each in enumerate(head) if each in head[:place])
            mistakes.add(1, twice, "this column is there twice")
        elif _known(dict.fromkeys(head, ""), 1, mistakes, ignore) is not None:
            yield from _cells(rows, head, mistakes, ignore)
    except csv.Error as error:
        mistakes.add(rows.line_num, "", f"this is not CSV: {error}")
    finally:
        csv.field_size_limit(bound)


def _cells(rows: Any, head: list[str], mistakes: Mistakes, ignore: frozenset[str]) -> Iterator[Row]:
    begins = rows.line_num + 1
    for row in rows:
        line, begins = begins, rows.line_num + 1  # a cell may hold ends of lines
        if not row:
            continue
        if _enough(line, mistakes):
            return
        if len(row) != len(head):
            mistakes.add(line, "", f"{len(row)} fields where the head has {len(head)}")
            continue
        given: dict[str, Any] = {name: cell for name, cell in zip(head, row, strict=True) if cell}
        before = len(mistakes)
        for name in STRUCTURED & given.keys():
            try:
                given[name] = json.loads(given[name])
            except (ValueError, RecursionError) as error:
                mistakes.add(line, name, f"must be JSON in a CSV file: {error}")
        if len(mistakes) == before and (values := _known(given, line, mistakes, ignore)) is not None:
            yield Row(line, values, mistakes)


def _known(given: Mapping[str, Any], line: int, mistakes: Mistakes, ignore: frozenset[str]) -> dict[str, Any] | None:
    """The values under the names of `FIELDS`; None where a name is not known, or is said in two ways."""
    before = len(mistakes)
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for other, value in given.items():
        name = NAMES.get(other)
        if other in ignore:
            continue
        if name is None:
            near = meant(other, NAMES)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(FIELDS)};"
            mistakes.add(line, "", f"there is no field {other!r}; {hint} what is to be skipped is named in ignore")
        elif name in names:
            mistakes.add(line, other, f"says the same as {names[name]!r}; leave one of them out")
        else:
            names[name], values[name] = other, value
    return values if len(mistakes) == before else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which nothing may be said twice."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            msg = f"the field {name!r} is there twice"
            raise ValueError(msg)
        values[name] = value
    return values
