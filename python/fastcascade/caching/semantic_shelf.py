"""Where the semantic cache keeps its answers: by form, where the guard makes one, else by scope, to be searched.

With forms a question costs a look into a table and a cosine for each entry of the same form. Without, it is one pass
of the core over the scope's vectors. These lie in sets that do not change: new ones wait in a short list, which
becomes a set when it is long enough, and sets of like size become one, so that a row is copied only so often.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastcascade._core import VectorSet, cosine
from fastcascade.embedders import Vector

__all__ = ["Bucket", "SemanticEntry"]

_WAIT: Final = 64
_FEW: Final = 16


@dataclass(slots=True, eq=False)
class SemanticEntry:
    """One answer that is kept."""

    text: str
    vector: Vector
    value: Any
    born: float
    tags: tuple[str, ...] = ()
    place: Any = field(default=None, repr=False)
    kept: bool = field(default=True, repr=False)


class Bucket:
    """The entries of one place, in any number."""

    __slots__ = ("_dead", "_sets", "_waiting", "texts")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.texts: dict[str, SemanticEntry] = {}
        self._waiting: list[SemanticEntry] = []
        self._sets: list[tuple[VectorSet, list[SemanticEntry]]] = []
        self._dead = 0

    def put(self, entry: SemanticEntry) -> None:
        """Add one; none of the same text may be here."""
        self.texts[entry.text] = entry
        self._waiting.append(entry)
        if len(self._waiting) >= _WAIT:
            self._settle()

    def remove(self, entry: SemanticEntry) -> None:
        """Take one out; it is here."""
        del self.texts[entry.text]
        entry.kept = False
        if entry in self._waiting:
            self._waiting.remove(entry)
            return
        self._dead += 1
        if self._dead > _FEW and self._dead > len(self.texts):
            every = [each for _, entries in self._sets for each in entries if each.kept]
            self._sets, self._dead = _sets([every]), 0

    def near(self, vector: Sequence[float], threshold: float) -> Iterator[tuple[float, SemanticEntry]]:
        """Those within the threshold, nearest first; none of a vector that has no direction or is of another size.

        The nearest is found in one pass; those behind it are looked for when they are asked for.
        """
        waiting, sets = tuple(self._waiting), tuple(self._sets)
        found = [(similarity, each) for each in waiting if (similarity := _alike(vector, each.vector)) >= threshold]
        first = max(found, key=_similarity, default=None)
        asked = []
        for table, entries in sets:
            try:
                at, score = table.best(vector)
            except ValueError:
                continue
            if score >= threshold:
                asked.append((table, entries))
                if first is None or score > first[0]:
                    first = (score, entries[at])
        if first is not None and first[1].kept:
            yield first
        for table, entries in asked:
            near = zip(table.scores(vector), entries, strict=True)
            found += [(score, each) for score, each in near if score >= threshold]
        found.sort(key=_similarity, reverse=True)
        for similarity, each in found:
            if each.kept and (first is None or each is not first[1]):
                yield similarity, each

    def _settle(self) -> None:
        """Make a set of what waits, and one of those that are no larger."""
        sizes: dict[int, list[SemanticEntry]] = {}
        for each in self._waiting:
            sizes.setdefault(len(each.vector), []).append(each)
        self._waiting = []
        for dim, entries in sizes.items():
            same = [one for one in self._sets if one[0].dim == dim]
            others = [one for one in self._sets if one[0].dim != dim]
            merged = entries
            while same and len(same[-1][1]) <= 2 * len(merged):
                old = same.pop()[1]
                self._dead -= sum(not each.kept for each in old)
                merged = [each for each in old if each.kept] + merged
            self._sets = [*others, *same, *_sets([merged])]


def _sets(given: Iterable[list[SemanticEntry]]) -> list[tuple[VectorSet, list[SemanticEntry]]]:
    found: list[tuple[VectorSet, list[SemanticEntry]]] = []
    for every in given:
        sizes: dict[int, list[SemanticEntry]] = {}
        for each in every:
            sizes.setdefault(len(each.vector), []).append(each)
        found += [(VectorSet([each.vector for each in rows], range(len(rows))), rows) for rows in sizes.values()]
    return found


def _similarity(one: tuple[float, SemanticEntry]) -> float:
    return one[0]


def _alike(a: Sequence[float], b: Sequence[float]) -> float:
    try:
        return cosine(a, b)
    except ValueError:
        return -2.0
