"""Which slices the small tier has earned, as it stands in a policy file. Needs no numpy."""

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date as calendar_date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

from fastcascade.errors import ConfigError

__all__ = ["Admission", "AdmissionRow", "Earned"]

Earned: TypeAlias = Literal["admitted", "not yet", "refused"]
KIND: Final = "admission"
VERSION: Final = 1
LONGEST: Final = 40


@dataclass(frozen=True, slots=True)
class AdmissionRow:
    """What one slice has earned.

    `cheap` is the mean quality of what would be answered (with a gate: of the small tier's accepted answers and the
    large tier's others), `dear` that of the large tier alone. `low` is the share of the large tier's quality that
    is reached, with confidence 1 - delta for this slice alone. `saving` is of the large tier's cost, as observed.
    """

    slice: str
    n: int
    cheap: float
    dear: float
    low: float
    verdict: Earned
    saving: float | None = None
    more_cases: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Admission:
    """Which slices the small tier has earned: with confidence 1 - delta every one admitted keeps its share.

    Args:
        rows: the slices.
        keep: the share of the large tier's quality that a slice must keep.
        delta: the risk that any slice was admitted wrongly.
        n: the cases it was learned from.
        date: when, as 2026-01-31.
        fingerprint: of the outcomes.
        accept: the score from which on the small tier's answer is taken; None where there is no gate.
    """

    rows: tuple[AdmissionRow, ...]
    keep: float
    delta: float
    n: int
    date: str = ""
    fingerprint: str = ""
    accept: float | None = None

    @cached_property
    def admitted(self) -> frozenset[str]:
        """The slices whose requests may enter at the small tier."""
        return frozenset(row.slice for row in self.rows if row.verdict == "admitted")

    def dumps(self) -> str:
        """As a JSON text; what is not known is left out."""
        rows = [{name: value for name, value in asdict(row).items() if value not in (None, "")} for row in self.rows]
        for row, whole in zip(rows, self.rows, strict=True):
            row["slice"] = whole.slice
        head = {name: getattr(self, name) for name in ("keep", "delta", "n", "date", "fingerprint", "accept")}
        known = {name: value for name, value in head.items() if value not in (None, "")}
        return json.dumps({"kind": KIND, "version": VERSION, **known, "slices": rows}, indent=1, ensure_ascii=False)

    def dump(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole, or not at all."""
        target = Path(path)
        beside = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            beside.write_text(self.dumps() + "\n", encoding="utf-8")
            beside.replace(target)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Admission":
        """Read a file. What is damaged is a `ConfigError` that says where: nothing is admitted by half a file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
        return cls.loads(text, str(path))

    @classmethod
    def loads(cls, text: str, name: str = "the admission") -> "Admission":
        """Read the text of a file."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{name} is not JSON: {error}; write it anew with admit") from None
        return _Reading(name).admission(data)


class _Reading:
    """An admission on its way from JSON."""

    def __init__(self, name: str) -> None:
        self._name = name

    def admission(self, data: Any) -> Admission:
        """The whole."""
        if not isinstance(data, dict) or data.get("kind") != KIND:
            self._refuse(f'it is not an admission: its "kind" must be "{KIND}"')
        if data.get("version") != VERSION:
            self._refuse(f"version must be {VERSION}, not {data.get('version')!r}")
        head = {name: value for name, value in data.items() if name not in {"kind", "version", "slices"}}
        self._known(head, {each.name for each in fields(Admission)} - {"rows"}, "")
        found = data.get("slices")
        if not isinstance(found, list):
            self._refuse("slices must be a list")
        rows = tuple(self._row(row, f"slice {place}: ") for place, row in enumerate(found, 1))
        names = [row.slice for row in rows]
        if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
            self._refuse(f"the slice {twice!r} is there twice")
        for name, most in (("keep", 1.0), ("delta", 1.0)):
            if not 0.0 < self._number(head, name, "") <= most:
                self._refuse(f"{name} must be above 0 and at most 1, not {head[name]!r}")
        accept = None if head.get("accept") is None else self._number(head, "accept", "")
        date = self._text(head, "date", "")
        try:
            _ = date and calendar_date.fromisoformat(date)
        except ValueError:
            self._refuse(f"date must be like 2026-01-31, not {date!r}")
        n, origin = self._count(head, "n", ""), self._text(head, "fingerprint", "")
        return Admission(rows, float(head["keep"]), float(head["delta"]), n, date, origin, accept)

    def _row(self, row: Any, where: str) -> AdmissionRow:
        if not isinstance(row, dict):
            self._refuse(f"{where}must be an object, not {row!r}")
        self._known(row, {each.name for each in fields(AdmissionRow)}, where)
        if row.get("verdict") not in get_args(Earned):
            self._refuse(f"{where}verdict must be one of {', '.join(get_args(Earned))}, not {row.get('verdict')!r}")
        if not isinstance(row.get("slice"), str):
            self._refuse(f"{where}slice must be a text, not {row.get('slice')!r}")
        return AdmissionRow(
            row["slice"],
            self._count(row, "n", where),
            self._number(row, "cheap", where),
            self._number(row, "dear", where),
            self._number(row, "low", where),
            row["verdict"],
            None if row.get("saving") is None else self._number(row, "saving", where),
            None if row.get("more_cases") is None else self._count(row, "more_cases", where),
            self._text(row, "why", where),
        )

    def _known(self, found: Mapping[str, Any], names: Collection[str], where: str) -> None:
        if strange := sorted(found.keys() - set(names)):
            self._refuse(f"{where}{strange[0]!r} is not known here; there are {', '.join(sorted(names))}")

    def _number(self, found: Mapping[str, Any], name: str, where: str) -> float:
        value = found.get(name)
        try:
            number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self._refuse(f"{where}{name} must be a finite number, not {str(value)[:LONGEST]}")
        return number

    def _count(self, found: Mapping[str, Any], name: str, where: str) -> int:
        value = found.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._refuse(f"{where}{name} must be a whole number from 1 on, not {value!r}")
        return value

    def _text(self, found: Mapping[str, Any], name: str, where: str) -> str:
        value = found.get(name, "")
        if not isinstance(value, str):
            self._refuse(f"{where}{name} must be a text, not {value!r}")
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigError(f"{self._name}: {what}; write it anew with admit")
