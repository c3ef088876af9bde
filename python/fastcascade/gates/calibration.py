"""From a raw score to the probability of being right, learned from outcomes elsewhere and applied here.

An artefact is a small JSON object: `kind` ("isotonic" or "platt"), its `points` or `params`, and where it comes
from: `n` cases, the `date`, and the `fingerprint` of the data.
"""

import copy
import json
import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date as calendar_date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from fastcascade.errors import ConfigError
from fastcascade.gates.gate import Calibrator, Gate

__all__ = [
    "Artefact",
    "Calibration",
    "Isotonic",
    "Origin",
    "Platt",
    "calibrate",
    "dump",
    "load",
    "raw_floor",
    "sigmoid",
]

Artefact: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""Where an artefact is: a path, or its JSON object already read."""
G = TypeVar("G", bound=Gate)
HALVINGS: Final = 40


@dataclass(frozen=True, slots=True)
class Origin:
    """What an artefact was learned from: how many cases, when (ISO date), and the fingerprint of the data."""

    n: int | None = None
    date: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be an origin."""
        if self.n is not None and (type(self.n) is not int or self.n < 1):
            msg = f"n, the number of cases, must be a whole number from 1 on, not {self.n!r}"
            raise ConfigError(msg)
        for name, value in (("date", self.date), ("fingerprint", self.fingerprint)):
            if not isinstance(cast("object", value), str):
                msg = f"{name} must be a text, not {value!r}"
                raise ConfigError(msg)
        try:
            _ = self.date and calendar_date.fromisoformat(self.date[:10])
        except ValueError:
            msg = f"date must begin like 2026-01-31, not {self.date!r}"
            raise ConfigError(msg) from None

    def described(self) -> dict[str, Any]:
        """As an artefact has it: what is not known is left out."""
        known = {"n": self.n, "date": self.date, "fingerprint": self.fingerprint}
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A curve through points (raw score, probability) that never falls.

    Between two points it goes in a straight line, or with "step" stays at the lower one. Outside of them it is
    flat.
    """

    points: tuple[tuple[float, float], ...]
    interpolation: Literal["linear", "step"] = "linear"
    origin: Origin = Origin()
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
    origin: Origin = Origin()

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


Calibration: TypeAlias = Isotonic | Platt
FIELDS: Final = {
    "isotonic": frozenset({"points", "interpolation"}),
    "platt": frozenset({"params"}),
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
        return _isotonic(data) if kind == "isotonic" else _platt(data)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from None


def dump(calibration: Calibration, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The artefact of a calibration, written to a file as well where a path is given."""
    if isinstance(calibration, Isotonic):
        points = [list(point) for point in calibration.points]
        data: dict[str, Any] = {"kind": "isotonic", "interpolation": calibration.interpolation, "points": points}
    else:
        data = {"kind": "platt", "params": {"a": calibration.a, "b": calibration.b}}
    return write(data | calibration.origin.described(), path)


def calibrate(gate: G, calibration: Calibrator | Artefact) -> G:
    """The same gate with this calibration; the one given is left as it is."""
    calibrated = copy.copy(gate)
    found: Any = load(calibration) if isinstance(calibration, str | os.PathLike | Mapping) else calibration
    if not callable(found):
        msg = f"a calibration is called with a score; {found!r} cannot be called"
        raise ConfigError(msg)
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


def read(source: Artefact) -> tuple[Mapping[str, Any], str]:
    """An artefact's object, and what to call it in an error."""
    if isinstance(source, Mapping):
        return source, "artefact"
    try:
        data = json.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"artefact {os.fspath(source)!r} cannot be read: {error.strerror or error}"
        raise ConfigError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"artefact {os.fspath(source)!r} is not JSON: {error}"
        raise ConfigError(msg) from None
    if not isinstance(data, dict):
        msg = f"artefact {os.fspath(source)!r} must be a JSON object, not {type(data).__name__}"
        raise ConfigError(msg)
    return data, f"artefact {os.fspath(source)!r}"


def write(data: dict[str, Any], path: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Write an artefact's object to a file, if there is a path."""
    if path is not None:
        Path(path).write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return data


def origin_of(data: Mapping[str, Any], fields: frozenset[str]) -> Origin:
    """The origin in an artefact; a field that is none of `fields`, of the origin's or `kind` is refused."""
    if unknown := set(data) - fields - {"kind", "n", "date", "fingerprint"}:
        msg = f"unknown field {min(map(str, unknown))!r}"
        raise ConfigError(msg)
    return Origin(data.get("n"), data.get("date", ""), data.get("fingerprint", ""))


def _isotonic(data: Mapping[str, Any]) -> Isotonic:
    origin = origin_of(data, FIELDS["isotonic"])
    return Isotonic(_wanted(data, "points"), data.get("interpolation", "linear"), origin)


def _platt(data: Mapping[str, Any]) -> Platt:
    origin = origin_of(data, FIELDS["platt"])
    params = _wanted(data, "params")
    if not isinstance(params, Mapping) or set(params) != {"a", "b"}:
        msg = f"params must be an object with a and b, not {params!r}"
        raise ConfigError(msg)
    return Platt(params["a"], params["b"], origin)


def _wanted(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        msg = f"{name} is missing"
        raise ConfigError(msg)
    return data[name]


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
