"""What was drawn and what came of it: kept as sums and the last labels, gone on with in a file of JSON lines.

The lines of the file are of two kinds. Several processes may write to one; each adds to what it found at its start.

    {"sampled": {...}, "seen": {slice: answers since the last such line}, "never": {slice: those at a rate of 0}}
    {"label": {...}}

Of answers that escalated, counts are under "seen escalated" and "never escalated".
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final, get_args

from fastcascade.errors import ConfigError
from fastcascade.evals.shadow_files import LineFile
from fastcascade.evals.shadow_gain import Gain, gained
from fastcascade.evals.shadow_labels import BETTER, Estimate, Label, Population, Sampled, Tally, counted, estimated
from fastcascade.evals.shadow_pairs import Pair, paired
from fastcascade.notices import log
from fastcascade.records import load
from fastcascade.telemetry.events import HUB, Graded

__all__ = ["ShadowLog"]

MOST: Final = 100_000
"""Labels, and drawn answers without one, that are kept in memory; older ones are still part of the estimates."""
UNWRITTEN: Final = 1_000
"""Answers that were not drawn, after which their number is written down: a process that is killed loses no more."""
LINES: Final = frozenset(
    {"sampled", "label"} | {f"{name}{of}" for name in ("seen", "never") for of in ("", " escalated")}
)
"""What a line may hold."""
BEGINS: Final = tuple(f'{{"{each}"'.encode() for each in sorted(LINES))
LOOKED_AT: Final = 4_096


class ShadowLog:
    """What was drawn, and the labels. Safe to share between threads.

    Args:
        path: a file to read, where it exists, and to go on writing; None keeps all in memory.
        floor: the lowest propensity there may be; intervals for unequal propensities are widest where it is low.
        escalated_floor: the same, of answers that escalated.
    """

    def __init__(self, path: str | Path | None = None, *, floor: float = 1.0, escalated_floor: float = 1.0) -> None:
        """Read what there is."""
        self.path = Path(path) if path is not None else None
        self.floor = floor
        self.escalated_floor = escalated_floor
        self.damaged = 0  # lines that could not be read: the last of a process that was killed
        self.labels: dict[str, Label] = {}
        self.pending: dict[str, Sampled] = {}
        self._requests: dict[str, Sampled | Label] = {}
        self._tallies: dict[Population, dict[str, Tally]] = {each: {} for each in get_args(Population)}
        self._since: Counter[tuple[str, str]] = Counter()  # by the name of the count and the slice
        self._lock = Lock()
        self._file = LineFile(path, "shadow labels") if path is not None else None
        if self._file is not None:
            self._read(self._file)

    # What comes in.

    def saw(self, kind: str, *, covered: bool = True, population: Population = "accepted") -> None:
        """An answer was not drawn; `covered` says whether it could have been."""
        with self._lock:
            self._count(kind, population, covered=covered)
            if self._since.total() >= UNWRITTEN:
                self._write({})

    def take(self, sampled: Sampled) -> None:
        """An answer was drawn. It is written down before anybody grades it."""
        with self._lock:
            self._count(sampled.slice, sampled.population, covered=True)
            self._draw(sampled)
            self._write({"sampled": sampled})

    def add(self, label: Label) -> None:
        """A label came: it is kept, and told to whoever listens to events.

        Not told are those of answers that nobody was given, and those of reviewers, which the desk tells of.
        """
        with self._lock:
            self._label(label)
            self._write({"label": label})
        if HUB.listeners and label.population == "accepted" and label.source != "review":
            HUB.tell(
                Graded(
                    label.tier,
                    label.score,
                    time.time(),
                    label.slice,
                    label.propensity,
                    label.source,
                    id=label.request,
                )
            )

    def flush(self) -> None:
        """Write down how many answers were seen since the last one was drawn: before the process ends."""
        with self._lock:
            if self._since:
                self._write({})

    # What it says.

    def estimate(self, slice: str | None = None, confidence: float = 0.95) -> Estimate:  # noqa: A002
        """The quality of accepted answers, of one slice or of all."""
        return estimated(self._whole("accepted", slice), self.floor, confidence)

    def estimates(self, confidence: float = 0.95) -> dict[str, Estimate]:
        """The same by slice; each interval by itself holds with this confidence, not all at once."""
        return {name: self.estimate(name, confidence) for name in self.slices}

    def gain(self, slice: str | None = None, confidence: float = 0.95) -> Gain:  # noqa: A002
        """What escalating gained, of one slice or of all, and how often it was not needed."""
        return gained(self._whole("escalated", slice), self.escalated_floor, confidence)

    @property
    def slices(self) -> list[str]:
        """The names of all that were seen."""
        with self._lock:
            return sorted({name for held in self._tallies.values() for name in held})

    def pairs(self, tier: str | None = None, slice: str | None = None) -> list[Pair]:  # noqa: A002
        """(confidence, score, propensity) of the last drawn labels, for `suggest`.

        Where answers that escalated were drawn as well, these are labels from both sides of the threshold, of the time
        when both were drawn; else they are of accepted answers alone. Of several tiers, or slices that have
        thresholds of their own, name one.
        """
        return paired(each for each in self.recent() if tier in (None, each.tier) and slice in (None, each.slice))

    def recent(self) -> list[Label | Sampled]:
        """The last labels, and the last that were drawn and have none yet."""
        with self._lock:
            return [*self.labels.values(), *self.pending.values()]

    def cases(self, *, drawn: bool = False) -> Iterator[dict[str, Any]]:
        """The last labels as cases that `load_cases` reads, where the texts were kept.

        Of whatever source, each counting once; or only those that were drawn, each counting 1/propensity: then a
        figure that is worked out on these cases is one of the answers that were seen.
        """
        for each in self.kept():
            if each.asked is None or (drawn and each.propensity is None):
                continue
            weight = {"weight": 1 / each.propensity} if drawn and each.propensity is not None else {}
            yield {**each.case(), **weight}

    def kept(self) -> list[Label]:
        """The last labels, oldest first."""
        with self._lock:
            return list(self.labels.values())

    def known(self, request: str) -> Sampled | Label | None:
        """What is there of a request, by the digest of its id."""
        with self._lock:
            return self._requests.get(request)

    def _whole(self, population: Population, kind: str | None) -> Tally:
        whole = Tally()
        with self._lock:
            for name, each in self._tallies[population].items():
                if kind is None or name == kind:
                    whole += each
        return whole

    # How it is kept. The lock is held.

    def _tally(self, population: Population, kind: str) -> Tally:
        return self._tallies[population].setdefault(kind, Tally())

    def _count(self, kind: str, population: Population, *, covered: bool) -> None:
        held = self._tally(population, kind)
        held.seen += covered
        held.never += not covered
        self._since[_named(population, covered=covered), kind] += 1

    def _draw(self, sampled: Sampled) -> None:
        self._tally(sampled.population, sampled.slice).drawn[sampled.propensity] += 1
        self.pending[sampled.id] = sampled
        _bounded(self.pending)
        self._remember(sampled)

    def _label(self, label: Label) -> None:
        self.pending.pop(label.id, None)
        before = self.labels.get(label.key)
        if before is not None and before.propensity is not None:
            if BETTER.index(label.source) < BETTER.index(before.source):
                return
            self._tell(before, -1)
        self._tell(label, 1)
        self.labels.pop(label.key, None)
        self.labels[label.key] = label
        _bounded(self.labels)
        self._remember(label)

    def _tell(self, label: Label, many: int) -> None:
        if (key := counted(label)) is not None:
            self._tally(label.population, label.slice).labels[key] += many

    def _remember(self, held: Sampled | Label) -> None:
        if held.request:
            self._requests.pop(held.request, None)
            self._requests[held.request] = held
            _bounded(self._requests)

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            self._since.clear()
            return
        if "label" not in line:
            for (name, kind), many in self._since.items():
                line.setdefault(name, {})[kind] = many
            self._since.clear()
        self._file.add(line)

    def _read(self, file: LineFile) -> None:
        ours = 0
        for line in file.read():
            ours += line.keys() <= LINES
            try:
                self._replay(line)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.damaged += 1
        self.damaged += file.damaged
        if not ours and not _begun(file.path):
            raise ConfigError(f"{file.path} is no shadow log: no line in it is one of a log; give a path of its own")
        if self.damaged:
            log.warning("%s: %d lines of a shadow log could not be read", file.path, self.damaged)

    def _replay(self, line: Mapping[str, Any]) -> None:
        # All of it is read before any of it counts.
        sampled, label = load(line.get("sampled")), load(line.get("label"))
        news: list[tuple[Population, bool, str, int]] = [
            (population, covered, kind, int(many))
            for population in self._tallies
            for covered in (True, False)
            for kind, many in line.get(_named(population, covered=covered), {}).items()
        ]
        for population, covered, kind, many in news:
            held = self._tally(population, kind)
            held.seen += many * covered
            held.never += many * (not covered)
        if isinstance(sampled, Sampled):
            self._draw(sampled)
        if isinstance(label, Label):
            self._label(label)


def _begun(path: Path) -> bool:
    """Whether a file without a whole line of ours may still be a log: it is not there, blank, or was cut off."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        begins = file.read(LOOKED_AT).lstrip()
    return any(begins.startswith(each) or each.startswith(begins) for each in BEGINS)


def _named(population: Population, *, covered: bool) -> str:
    name = "seen" if covered else "never"
    return name if population == "accepted" else f"{name} {population}"


def _bounded(held: dict[str, Any]) -> None:
    while len(held) > MOST:
        del held[next(iter(held))]
