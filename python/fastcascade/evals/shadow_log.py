"""What was drawn and what came of it: kept as sums and the last labels, gone on with in a file of JSON lines.

The lines of the file are of two kinds. Several processes may write to one; each adds to what it found at its start.

    {"sampled": {...}, "seen": {slice: answers since the last such line}, "never": {slice: those at a rate of 0}}
    {"label": {...}}
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Final

from fastcascade.evals.shadow_labels import BETTER, Estimate, Label, Sampled, Tally, counted, estimated
from fastcascade.notices import log, notify
from fastcascade.records import load, write_line

__all__ = ["ShadowLog"]

MOST: Final = 100_000
"""Labels, and drawn answers without one, that are kept in memory; older ones are still part of the estimates."""


class ShadowLog:
    """What was drawn, and the labels. Safe to share between threads.

    Args:
        path: a file to read, where it exists, and to go on writing; None keeps all in memory.
        floor: the lowest propensity there may be; intervals for unequal propensities are widest where it is low.
    """

    def __init__(self, path: str | Path | None = None, *, floor: float = 1.0) -> None:
        """Read what there is."""
        self.path = Path(path) if path is not None else None
        self.floor = floor
        self.damaged = 0  # lines that could not be read: the last of a process that was killed
        self.labels: dict[str, Label] = {}
        self.pending: dict[str, Sampled] = {}
        self._slices: dict[str, Tally] = {}
        self._since: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._lock = Lock()
        if self.path is not None and self.path.exists():
            self._read(self.path)

    # What comes in.

    def saw(self, kind: str, *, covered: bool = True) -> None:
        """An accepted answer was not drawn; `covered` says whether it could have been."""
        with self._lock:
            self._count(kind, covered=covered)

    def take(self, sampled: Sampled) -> None:
        """An accepted answer was drawn."""
        with self._lock:
            self._count(sampled.slice, covered=True)
            self._draw(sampled)
            self._write({"sampled": sampled, **self._news()})

    def add(self, label: Label) -> None:
        """A label came."""
        with self._lock:
            self._label(label)
            self._write({"label": label})

    def flush(self) -> None:
        """Write down how many answers were seen since the last one was drawn: before the process ends."""
        with self._lock:
            if any(self._since):
                self._write(self._news())

    # What it says.

    def estimate(self, slice: str | None = None, confidence: float = 0.95) -> Estimate:  # noqa: A002
        """The quality of accepted answers, of one slice or of all."""
        whole = Tally()
        with self._lock:
            for name, each in self._slices.items():
                if slice is None or name == slice:
                    whole += each
        return estimated(whole, self.floor, confidence)

    def estimates(self, confidence: float = 0.95) -> dict[str, Estimate]:
        """The same by slice; each interval by itself holds with this confidence, not all at once."""
        return {name: self.estimate(name, confidence) for name in self.slices}

    @property
    def slices(self) -> list[str]:
        """The names of all that were seen."""
        with self._lock:
            return sorted(self._slices)

    def pairs(self) -> list[tuple[float, float, float]]:
        """(confidence, score, propensity) of the last drawn labels, for `suggest`."""
        return [
            (each.confidence, each.score, each.propensity)
            for each in self._kept()
            if each.confidence is not None and each.propensity is not None
        ]

    def cases(self) -> Iterator[dict[str, Any]]:
        """The last labels as cases, of whatever source, where the texts were kept."""
        return (each.case() for each in self._kept() if each.asked is not None)

    def _kept(self) -> list[Label]:
        with self._lock:
            return list(self.labels.values())

    # How it is kept. The lock is held.

    def _count(self, kind: str, *, covered: bool) -> None:
        held = self._slices.setdefault(kind, Tally())
        held.seen += covered
        held.never += not covered
        self._since[not covered][kind] += 1

    def _draw(self, sampled: Sampled) -> None:
        self._slices.setdefault(sampled.slice, Tally()).drawn[sampled.propensity] += 1
        self.pending[sampled.id] = sampled
        _bounded(self.pending)

    def _label(self, label: Label) -> None:
        self.pending.pop(label.id, None)
        key = label.id if label.propensity is not None else f"{label.source}:{label.id}"
        before = self.labels.get(key)
        if before is not None and before.propensity is not None:
            if BETTER.index(label.source) < BETTER.index(before.source):
                return
            self._slices[before.slice].labels[counted(before)] -= 1
        if label.propensity is not None:
            self._slices.setdefault(label.slice, Tally()).labels[counted(label)] += 1
        self.labels.pop(key, None)
        self.labels[key] = label
        _bounded(self.labels)

    def _news(self) -> dict[str, Any]:
        seen, never = self._since
        self._since = (Counter(), Counter())
        return {"seen": dict(seen), "never": dict(never)}

    def _write(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(write_line(line))
        except OSError as error:
            notify("at risk", str(self.path), f"shadow labels are not written down: {error.strerror or error}")

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            unended = False
            for line in file:
                unended = not line.endswith(b"\n")
                try:
                    self._replay(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    self.damaged += 1
        self._since = (Counter(), Counter())
        if unended:
            with path.open("ab") as file:
                file.write(b"\n")
        if self.damaged:
            log.warning("%s: %d lines of a shadow log could not be read", path, self.damaged)

    def _replay(self, line: dict[str, Any]) -> None:
        for covered, name in ((True, "seen"), (False, "never")):
            for kind, many in line.get(name, {}).items():
                held = self._slices.setdefault(kind, Tally())
                held.seen += many * covered
                held.never += many * (not covered)
        if isinstance(sampled := load(line.get("sampled")), Sampled):
            self._draw(sampled)
        if isinstance(label := load(line.get("label")), Label):
            self._label(label)


def _bounded(held: dict[str, Any]) -> None:
    while len(held) > MOST:
        del held[next(iter(held))]
