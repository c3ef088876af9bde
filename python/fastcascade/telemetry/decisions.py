"""The store of decisions: an SQLite file that the workers of one machine write, and reports and the console read.

end = subscribe(Writer("decisions.db"))                # in each process that answers
Decisions("decisions.db").page(escalated=True)         # in any
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError
from fastcascade.telemetry import decisions_sums
from fastcascade.telemetry.decisions_read import SHOWN, reading, row_of, whole_of
from fastcascade.telemetry.decisions_rows import By, Grade, GradedBy, Row, Rung, Saved, Sum, Whole
from fastcascade.telemetry.decisions_window import folded, window
from fastcascade.telemetry.decisions_write import Writer

if TYPE_CHECKING:
    from fastcascade.recording import Recording

__all__ = ["By", "Decisions", "Grade", "GradedBy", "Row", "Rung", "Saved", "Sum", "Whole", "Writer", "recording_of"]

SEARCHED: Final = (
    "id",
    "caller",
    "path",
    "cascade",
    "slice",
    "task",
    "route",
    "feature",
    "tier",
    "failure",
    "degraded",
)
LARGEST: Final = 2**63 - 1


class Decisions:
    """What was decided, read only. A file that is not there yet is an empty one; one that is away is a `StoreError`.

    Safe to share between threads: each call opens the file, and closes it.
    """

    def __init__(self, path: str | Path) -> None:
        """Open nothing yet."""
        self.path: Final = Path(path)

    def __repr__(self) -> str:
        """Show where it reads."""
        return f"Decisions({str(self.path)!r})"

    def page(  # noqa: PLR0913 - each has a default, and is named
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        cascade: str = "",
        tier: str = "",
        layer: str = "",
        slice: str = "",  # noqa: A002 - what it is called everywhere
        status: str = "",
        text: str = "",
        escalated: bool | None = None,
        degraded: bool | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Row]:
        """The newest decisions first; `before` is the number of the last one of the page before.

        `status` is a code, as "429", a class of them, as "5xx", "failed" or "ok"; `text` is looked for in ids and
        names: what was asked and said is packed, and is not searched. `tier` is whose answer it was.
        """
        # With the plus the rows are read from the newest on, until there are enough: by time all would be sorted.
        where, values = _where({"+at >=": since, "+at <": until, "number <": before})
        for name, wanted in (("cascade", cascade), ("tier", tier), ("layer", layer), ("slice", slice)):
            if wanted:
                where, values = f"{where} AND {name} = ?", [*values, wanted]
        if escalated is not None:
            where, values = f"{where} AND escalated = ?", [*values, int(escalated)]
        if degraded is not None:
            where += " AND degraded <> ''" if degraded else " AND degraded = ''"
        if status:
            where = f"{where} AND {_status(status)}"
        if text:
            found = "%" + _plain(text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            where = f"{where} AND ({' OR '.join(f'{name} LIKE ? ESCAPE {_BACK}' for name in SEARCHED)})"
            values = [*values, *(found for _ in SEARCHED)]
        return self._rows(f"{where} ORDER BY number DESC", values, limit)

    def one(self, id_or_number: str | int) -> Whole | None:
        """A decision by its number, or the newest with a request's id."""
        with reading(self.path) as db:
            if db is None:
                return None
            held = None
            query = f"SELECT {SHOWN}, mark FROM decisions"  # noqa: S608 - no one's words
            if isinstance(id_or_number, str):
                last = f"{query} WHERE id = ? AND id <> '' ORDER BY number DESC LIMIT 1"
                held = db.execute(last, (_plain(id_or_number),)).fetchone()
            if held is None and str(id_or_number).isdecimal() and int(id_or_number) <= LARGEST:
                held = db.execute(f"{query} WHERE number = ?", (int(id_or_number),)).fetchone()
            return None if held is None else whole_of(db, held)

    def after(self, number: int, limit: int = 100) -> list[Row]:
        """What was written after that one, the oldest first."""
        return self._rows("number > ? ORDER BY number", [number], limit)

    def last(self) -> int:
        """The number of the newest; 0 where there is none."""
        with reading(self.path) as db:
            found = None if db is None else db.execute("SELECT MAX(number) FROM decisions").fetchone()[0]
        return found or 0

    def kept_since(self) -> float:
        """Since when every single decision is there; before that there are sums by the hour. 0 where none has left."""
        with reading(self.path) as db:
            return 0.0 if db is None else folded(db).rows

    def sums(
        self,
        since: float,
        until: float | None = None,
        *,
        by: By,
        cascade: str = "",
        slice: str = "",  # noqa: A002 - as above
    ) -> list[Sum]:
        """Decisions added up, the most first; hours in their order.

        By layer, way and hour what never reached a cascade counts too, by whole minutes, unless a cascade or a slice
        is asked for. Where rows have left the ends are moved outward to whole hours: see `kept_since`.
        """
        with reading(self.path) as db:
            if db is None:
                return []
            part = window(db, since, until, _names(cascade, slice))
            return decisions_sums.sums(db, by, part, passed=not cascade and not slice)

    def savings(
        self,
        since: float,
        until: float | None = None,
        *,
        cascade: str = "",
        slice: str = "",  # noqa: A002 - as above
    ) -> Saved:
        """What was saved against always asking the last tier."""
        with reading(self.path) as db:
            if db is None:
                return Saved(None, None, None, 0, 0, 0.0, 0.0, 0)
            return decisions_sums.savings(db, window(db, since, until, _names(cascade, slice)))

    def funnel(
        self,
        since: float,
        until: float | None = None,
        *,
        cascade: str = "",
        slice: str = "",  # noqa: A002 - as above
    ) -> list[Rung]:
        """What became of the tries of each tier, in the order in which they are tried."""
        with reading(self.path) as db:
            return [] if db is None else decisions_sums.funnel(db, window(db, since, until, _names(cascade, slice)))

    def graded(
        self, since: float, until: float | None = None, *, cascade: str = "", slices: bool = False
    ) -> list[GradedBy]:
        """How good answers were, by tier; with `slices` by tier and slice."""
        where, values = _where({"at >=": since, "at <": until, "cascade =": cascade or None})
        with reading(self.path) as db:
            return [] if db is None else decisions_sums.graded(db, where, values, slices=slices)

    def _rows(self, where: str, values: list[Any], limit: int) -> list[Row]:
        with reading(self.path) as db:
            if db is None:
                return []
            query = f"SELECT {SHOWN} FROM decisions WHERE {where} LIMIT ?"  # noqa: S608 - no one's words
            return [row_of(held) for held in db.execute(query, (*values, max(0, limit)))]


def recording_of(whole: Whole) -> "Recording":
    """What a kept decision is replayed from, which needs its texts.

    replay(cascade.adjusted(accept={"small": 0.8}), recording_of(whole))
    """
    if whole.trace is None:
        raise ConfigError(
            f"decision {whole.row.number} was kept without texts, so it cannot be replayed: set texts = true under"
            " [gateway.decisions]"
        )
    from fastcascade.recording import Recording  # noqa: PLC0415 - for those who replay

    return Recording.of(whole.trace)


_BACK: Final = "'\\'"
_STATUSES: Final = {"failed": "failed", "ok": "NOT failed AND status < 400"}


def _where(bounds: dict[str, Any]) -> tuple[str, list[Any]]:
    """What holds of each row that is asked for, and the values to it; what is None is not asked."""
    asked = {name: value for name, value in bounds.items() if value is not None}
    return " AND ".join(["1", *(f"{name} ?" for name in asked)]), [_plain(each) for each in asked.values()]


def _names(cascade: str, slice_: str) -> dict[str, str]:
    return {"cascade": _plain(cascade), "slice": _plain(slice_)}


def _status(wanted: str) -> str:
    """What holds of the status of a row."""
    if wanted in _STATUSES:
        return _STATUSES[wanted]
    if wanted.isascii() and wanted.isdigit() and len(wanted) == 3:
        return f"status = {int(wanted)}"
    if len(wanted) == 3 and wanted[0] in "12345" and wanted[1:] == "xx":
        return f"status / 100 = {wanted[0]}"
    raise ConfigError(f"a status is a code as '429', a class as '5xx', 'ok' or 'failed', not {wanted!r}")


def _plain(value: Any) -> Any:
    """A text as SQLite takes it: a client may send half of a surrogate pair."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
