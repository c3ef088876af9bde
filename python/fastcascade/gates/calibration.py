"""From a raw score to the probability of being right, learned from outcomes elsewhere and applied here.

An artefact is a small JSON object: `kind` ("isotonic", "platt" or "slices"), its `points`, `params` or `shifts`, and
where it comes from: `n` cases, the `date`, and the `fingerprint` of the data.
"""

import copy
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, cast

from fastcascade.errors import ConfigError
from fastcascade.gates.artefacts import Artefact, Origin, origin_of, read, wanted, write
from fastcascade.gates.gate import Calibrator, Gate
from fastcascade.messages import Request

__all__ = [
    "EDGE",
    "Artefact",
    "Calibration",
    "Isotonic",
    "Origin",
    "Platt",
    "Shifted",
    "Slices",
    "calibrate",
    "dump",
    "load",
    "raw_floor",
    "sigmoid",
]

HALVINGS: Final = 40
UNKNOWN: Final = Origin()
BY: Final = ("task", "route", "customer", "feature")
EDGE: Final = 1e-3
"""A chance that is shifted is taken to be this far from 0 and from 1 at least: certainty could not be shifted."""


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A curve through points (raw score, probability) that never falls.

    Between two points it goes in a straight line, or with "step" stays at the lower one. Outside of them it is
    flat.
    """

    points: tuple[tuple[float, float], ...]
    interpolation: Literal["linear", "step"] = "linear"
    origin: Origin = UNKNOWN
    _xs: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _ys: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the points: from 0 to 1, scores rising, probabilities never falling."""
        points = _points(self.points)
        if self.interpolation not in ("linear", "step"):
            msg = f"interpolation must be 'linear' or 'step', not {self.interpolation!r}"
            raise ConfigError(msg)
        for before, after in pairwise(points):
            if not before[0] < after[0] or not before[1] <= after[1]:
                msg = f"isotonic points must rise in score and not fall in probability, but {after} follows {before}"
                raise ConfigError(msg)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "_xs", tuple(x for x, _ in points))
        object.__setattr__(self, "_ys", tuple(y for _, y in points))

    def __call__(self, score: float, /) -> float:
        """The probability for this score."""
        xs, ys = self._xs, self._ys
        if not score > xs[0]:  # so that what is not a number gets the lowest
            return ys[0]
        after = bisect_right(xs, score)
        low = ys[after - 1]
        if after == len(xs) or self.interpolation == "step":
            return low
        part = (score - xs[after - 1]) / (xs[after] - xs[after - 1])
        # Rounding must not carry it past the next point: the curve would fall there.
        return min(ys[after], low + (ys[after] - low) * part)


@dataclass(frozen=True, slots=True)
class Platt:
    """A logistic curve: `1 / (1 + exp(-(a * score + b)))`, with `a` not below zero, so that it never falls."""

    a: float
    b: float
    origin: Origin = UNKNOWN

    def __post_init__(self) -> None:
        """Refuse a curve that falls."""
        for name, value in (("a", self.a), ("b", self.b)):
            if not _finite(value):
                msg = f"platt {name} must be a finite number, not {value!r}"
                raise ConfigError(msg)
        if self.a < 0:
            msg = f"platt a must not be below zero, not {self.a!r}: a better score would mean a lower probability"
            raise ConfigError(msg)

    def __call__(self, score: float, /) -> float:
        """The probability for this score."""
        return sigmoid(self.a * score + self.b)


@dataclass(frozen=True, slots=True)
class Shifted:
    """A curve of which every probability is moved by as much, on the scale of log-odds."""

    whole: Isotonic | Platt
    shift: float

    def __call__(self, score: float, /) -> float:
        """The probability for this score."""
        chance = min(1.0 - EDGE, max(EDGE, self.whole(score)))
        return sigmoid(math.log(chance / (1.0 - chance)) + self.shift)


@dataclass(frozen=True, slots=True)
class Slices:
    """A curve for all, and for each slice how far it lies from that: in log-odds, so that none falls.

    Args:
        whole: the curve for all; it stands for what is in no slice that is known here.
        shifts: by slice; where its cases were few, the fit has left it near 0.
        by: what of a request names its slice: task, route, customer or feature.
        origin: where it comes from.
    """

    whole: Isotonic | Platt
    shifts: Mapping[str, float]
    by: str = "task"
    origin: Origin = UNKNOWN
    _curves: Mapping[str, Calibrator] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the curve of each."""
        if self.by not in BY:
            msg = f"by must be one of {', '.join(BY)}, not {self.by!r}"
            raise ConfigError(msg)
        shifts: Any = self.shifts
        if not isinstance(shifts, Mapping):
            msg = f"shifts must be by slice, not {type(shifts).__name__}"
            raise ConfigError(msg)
        for name, shift in shifts.items():
            if not isinstance(name, str) or not _finite(shift):
                msg = f"the shift of slice {name!r} must be a finite number, not {shift!r}"
                raise ConfigError(msg)
        curves = {name: Shifted(self.whole, shift) if shift else self.whole for name, shift in shifts.items()}
        object.__setattr__(self, "_curves", curves)

    def __call__(self, score: float, /) -> float:
        """The probability for this score where nothing is known of the slice."""
        return self.whole(score)

    def of(self, request: Request, /) -> Calibrator:
        """The curve of a request's slice."""
        return self._curves.get(getattr(request, self.by), self.whole)


Calibration: TypeAlias = Isotonic | Platt | Slices
FIELDS: Final = {
    "isotonic": frozenset({"points", "interpolation"}),
    "platt": frozenset({"params"}),
    "slices": frozenset({"whole", "shifts", "by"}),
}


def sigmoid(x: float) -> float:
    """The logistic function, without overflow; 0.0 for what is not a number."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    if x < 0.0:
        grown = math.exp(x)
        return grown / (1.0 + grown)
    return 0.0


def load(source: Artefact) -> Calibration:
    """Read a calibration: a path, or an artefact that is already read."""
    data, where = read(source)
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        msg = f"{where}: kind must be one of {', '.join(map(repr, FIELDS))}, not {kind!r}"
        raise ConfigError(msg)
    try:
        return READERS[kind](data)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from None


def dump(calibration: Calibration, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The artefact of a calibration, written to a file as well where a path is given."""
    if isinstance(calibration, Isotonic):
        points = [list(point) for point in calibration.points]
        data: dict[str, Any] = {"kind": "isotonic", "interpolation": calibration.interpolation, "points": points}
    elif isinstance(calibration, Slices):
        data = {"kind": "slices", "by": calibration.by, "shifts": dict(calibration.shifts)}
        data["whole"] = dump(calibration.whole)
    else:
        data = {"kind": "platt", "params": {"a": calibration.a, "b": calibration.b}}
    return write(data | calibration.origin.described(), path)


def calibrate(gate: Gate, calibration: Calibrator | Artefact) -> Gate:
    """The same gate with this calibration; the one given is left as it is.

    A calibration that has a curve to each slice (it offers `of(request)`) stands around the gate, and takes the curve
    of each request it comes to.
    """
    from fastcascade.gates.sliced import BySlice, Slicing  # noqa: PLC0415 - is made of what is here

    found: Any = load(calibration) if isinstance(calibration, str | os.PathLike | Mapping) else calibration
    if not callable(found):
        msg = f"a calibration is called with a score; {found!r} cannot be called"
        raise ConfigError(msg)
    if isinstance(gate, BySlice):
        gate = gate.members[0]
    if hasattr(found, "of"):
        return BySlice(gate, cast("Slicing", found))
    calibrated = copy.copy(gate)
    calibrated.calibration = cast("Calibrator", found)
    return calibrated


def raw_floor(gate: Gate, accept: float) -> float:
    """The lowest raw score of a gate that is accepted, its calibration applied; infinity where none is.

    A calibration is taken never to fall, as those here cannot.
    """
    curve = gate.calibration
    if curve is None or curve(0.0) >= accept:
        return accept if curve is None else 0.0
    if not curve(1.0) >= accept:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if curve(middle) >= accept:
            high = middle
        else:
            low = middle
    return high


def _isotonic(data: Mapping[str, Any]) -> Isotonic:
    origin = origin_of(data, FIELDS["isotonic"])
    return Isotonic(wanted(data, "points"), data.get("interpolation", "linear"), origin)


def _platt(data: Mapping[str, Any]) -> Platt:
    origin = origin_of(data, FIELDS["platt"])
    params = wanted(data, "params")
    if not isinstance(params, Mapping) or set(params) != {"a", "b"}:
        msg = f"params must be an object with a and b, not {params!r}"
        raise ConfigError(msg)
    return Platt(params["a"], params["b"], origin)


def _slices(data: Mapping[str, Any]) -> Slices:
    origin = origin_of(data, FIELDS["slices"])
    whole = wanted(data, "whole")
    kind = whole.get("kind") if isinstance(whole, Mapping) else None
    if kind not in ("isotonic", "platt"):
        msg = f"whole must be an artefact of kind 'isotonic' or 'platt', not {whole!r}"
        raise ConfigError(msg)
    return Slices(
        _isotonic(whole) if kind == "isotonic" else _platt(whole),
        wanted(data, "shifts"),
        data.get("by", "task"),
        origin,
    )


READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Calibration]]] = {
    "isotonic": _isotonic,
    "platt": _platt,
    "slices": _slices,
}


def _points(given: Any) -> tuple[tuple[float, float], ...]:
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        msg = f"isotonic points must be a list of (score, probability), not {type(given).__name__}"
        raise ConfigError(msg)
    points = []
    for item in given:
        pair = tuple(item) if isinstance(item, list | tuple) else ()
        if len(pair) != 2 or not all(_finite(part) and 0 <= part <= 1 for part in pair):
            msg = f"an isotonic point must be (score, probability), both from 0 to 1, not {item!r}"
            raise ConfigError(msg)
        points.append((float(pair[0]), float(pair[1])))
    if not points:
        raise ConfigError("isotonic points must hold at least one")
    return tuple(points)


def _finite(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
