"""What is counted, and how much room it may take."""

from typing import Any, Final

__all__ = ["BOUNDS", "OTHER", "Decided", "Graded", "Names", "Rows", "Tried"]

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds: where one bucket of a histogram ends, and the next begins."""
OTHER: Final = "other"
MOST: Final = 2_000
"""Rows of requests, and of tries. Beyond it what is new is counted as "other"."""
LONGEST: Final = 200
"""Characters of a label."""


class Names(dict[str, str]):
    """Names as labels: those it is given and the first so many beside, each as itself; all beyond are "other"."""

    def __init__(self, most: int, given: tuple[str, ...] = ()) -> None:
        """Room for those and for `most` more."""
        super().__init__((each, each) for each in ("", OTHER, *given))
        self._most = most + len(self)

    def __missing__(self, name: str) -> str:
        """Called for a name that was not seen before, or is one too many."""
        if len(self) >= self._most or len(name) > LONGEST or not _written(name):
            return OTHER
        self[name] = name
        return name


def _written(name: str) -> bool:
    """Whether it can be: half of a surrogate pair cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _times() -> list[float]:
    """A histogram: one number for each bound, one beyond, and the sum."""
    return [0.0] * (len(BOUNDS) + 2)


class Decided:
    """Requests that are alike: how many, how long they took, and what they cost against the last tier alone."""

    __slots__ = ("baseline", "both", "compared", "n", "times")

    def __init__(self, seconds: list[float]) -> None:
        """None yet; those of one path and layer share a histogram."""
        self.n = self.both = 0
        self.baseline = self.compared = 0.0
        self.times = seconds

    def told(self) -> tuple[float, ...]:
        """As it is packed."""
        return self.n, self.baseline, self.compared, self.both


class Tried:
    """Tries of a tier that ended alike, and the calls that were made for them."""

    __slots__ = ("again", "calls", "cost", "input", "n", "output", "times", "unpriced")

    def __init__(self, seconds: list[float]) -> None:
        """None yet; those of one tier share a histogram."""
        self.n = self.calls = self.again = self.unpriced = self.input = self.output = 0
        self.cost = 0.0
        self.times = seconds

    def told(self) -> tuple[float, ...]:
        """As it is packed."""
        return self.n, self.calls, self.again, self.unpriced, self.cost, self.input, self.output


class Graded:
    """Grades of one tier's answers to one kind of case."""

    __slots__ = ("n", "score", "squares", "weight")

    def __init__(self) -> None:
        """None yet."""
        self.n = 0
        self.weight = self.score = self.squares = 0.0

    def add(self, score: float, weight: float) -> None:
        """One more."""
        self.n += 1
        self.weight += weight
        self.score += weight * score
        self.squares += weight * weight

    def told(self) -> tuple[float, ...]:
        """As it is packed."""
        return self.n, self.weight, self.squares, self.score


class Rows:
    """Rows of requests and of tries, by their labels. Names are those of an operator; yet each kind has its bound.

    Attributes:
        plain: rows of requests that reached no cascade, by what the event says, so that the next is found at once.
        times: histograms of requests, by path and layer.
        tier_times: histograms of tries, by cascade and tier.
    """

    def __init__(self) -> None:
        """None yet."""
        self.decided: dict[tuple[Any, ...], Decided] = {}
        self.plain: dict[tuple[Any, ...], Decided] = {}
        self.tried: dict[tuple[str, str, str, str], Tried] = {}
        self.times: dict[tuple[str, str], list[float]] = {}
        self.tier_times: dict[tuple[str, str], list[float]] = {}
        self.cascades, self.tiers, self._paths, self._others = Names(100), Names(100), Names(500), Names(200)

    def new_plain(self, path: str, status: int, layer: str, by: str, detail: str, cascade: str) -> Decided:
        """One of a request that reached no cascade: of a route it is told which pool and instance answered."""
        tier = via = ""
        if layer == "cache":
            tier, via = (detail, "cache") if by == "bytes" else (by, detail or "cache")
        elif layer == "match" and by != str(status):
            tier, via = by, detail
        row = self.new_decided(path, status, layer, by, cascade, "", tier, via)
        bounded = (self._paths[path], self._others[by], self._others[detail], self.cascades[cascade])
        if bounded == (path, by, detail, cascade) and len(self.plain) < MOST:
            self.plain[path, status, layer, by, detail, cascade] = row
        return row

    def new_decided(  # noqa: PLR0913, PLR0917 - one for each label
        self, path: str, status: int, layer: str, by: str, cascade: str, kind: str, tier: str, via: str
    ) -> Decided:
        """One of these labels, which is there already where they are too many."""
        others = self._others
        status = status if 0 <= status < 1_000 else 0
        path, cascade, layer = self._paths[path], self.cascades[cascade], others[layer]
        key = (path, status, layer, others[by], cascade, kind, others[tier], others[via])
        if key not in self.decided and len(self.decided) >= MOST:
            path = OTHER
            key = (OTHER, status // 100 * 100, layer, *(OTHER,) * 5)
        row = self.decided.get(key)
        if row is None:
            row = self.decided[key] = Decided(self.times.setdefault((path, layer), _times()))
        return row

    def new_tried(self, cascade: str, tier: str, kind: str, verdict: str) -> Tried:
        """Likewise."""
        key = (self.cascades[cascade], self.tiers[tier], kind, self._others[verdict])
        if key not in self.tried and len(self.tried) >= MOST:
            key = (OTHER, OTHER, OTHER, key[3])
        row = self.tried.get(key)
        if row is None:
            row = self.tried[key] = Tried(self.tier_times.setdefault(key[:2], _times()))
        return row
