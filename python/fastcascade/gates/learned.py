"""Learned: a logistic combination of what several gates say and of what is visible in the request."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite, log10
from typing import Any, Final, TypeVar

from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import Artefact, Origin, origin_of, read, sigmoid, write
from fastcascade.gates.combine import Combined, spoke
from fastcascade.gates.gate import Exam, Gate, Verdict

__all__ = ["FEATURES", "Learned"]

W = TypeVar("W", bound=Gate | str)
M = TypeVar("M", bound=Gate | str)
FEATURES: Final[Mapping[str, Callable[[Exam], float]]] = {
    "length": lambda exam: log10(1 + exam.request.characters),
    "reply_length": lambda exam: log10(1 + len(exam.reply.text)),
    "turns": lambda exam: log10(len(exam.request.messages)),
    "tools": lambda exam: float(bool(exam.request.tools)),
}
"""What can be weighed besides gates; lengths are in characters, and like turns on a scale of powers of ten."""
TASK: Final = "task:"
FIELDS: Final = frozenset({"weights", "intercept", "features", "missing", "threshold"})


class Learned(Combined):
    """`1 / (1 + exp(-(intercept + sum of weight * value)))` over gates' scores and features of the request.

    `weights` are by gate, or by the name of one in `gates`. `features` are weights for the names in `FEATURES`,
    and for slices: `task:refund` is 1 where `request.task` is "refund", else 0. `missing` has for a gate, by name,
    what is added in the place of its score where it abstains; a gate that abstains and is not in there makes the
    whole abstain, and so does it if every gate abstains.

    Members' calibrations are applied, their thresholds play no part. A verdict that is beyond doubt settles it
    alone, and gates after it are not asked. It needs the whole reply.
    """

    name = "learned"

    def __init__(
        self,
        weights: Mapping[W, float],
        intercept: float = 0.0,
        *,
        features: Mapping[str, float] | None = None,
        missing: Mapping[M, float] | None = None,
        gates: Iterable[Gate] = (),
        threshold: float = 0.5,
        origin: Origin | None = None,
    ) -> None:
        """Put the weights to the gates."""
        named = _named(gates)
        pairs = [
            (_gate(who, named), _number(f"the weight of {_called(who)!r}", weight))
            for who, weight in _items(weights, "weights")
        ]
        super().__init__((gate for gate, _ in pairs), threshold)
        self.weights = dict(zip(self._names, (weight for _, weight in pairs), strict=True))
        self.intercept = _number("intercept", intercept)
        self.features = _features(features or {})
        self.missing = self._absent(missing or {})
        self.origin = origin or Origin()
        self._weights = tuple(self.weights.values())
        self._absences = tuple(self.missing.get(name) for name in self._names)
        self._tasks = {name[len(TASK) :]: weight for name, weight in self.features.items() if name.startswith(TASK)}
        self._features = tuple((FEATURES[name], weight) for name, weight in self.features.items() if name in FEATURES)

    @classmethod
    def load(cls, source: Artefact, gates: Iterable[Gate]) -> "Learned":
        """Read an artefact of kind "learned"; its weights are put to these gates by their names."""
        data, where = read(source)
        try:
            return cls(**_settings(data), gates=gates)
        except ConfigError as error:
            msg = f"{where}: {error}"
            raise ConfigError(msg) from None

    def dump(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """The artefact, written to a file as well where a path is given."""
        data = {"kind": "learned", "threshold": self.threshold, "intercept": self.intercept, "weights": self.weights}
        data |= {"features": self.features, "missing": self.missing}
        return write(data | self.origin.described(), path)

    def decided(self, _member: Gate, verdict: Verdict, /) -> bool:
        """Once one is beyond doubt."""
        return verdict.decisive and verdict.score is not None

    def conclude(self, exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """The logistic function of the weighted sum."""
        if self.decided(self.members[len(verdicts) - 1], verdicts[-1]):
            return self._one(verdicts, len(verdicts) - 1, verdicts[-1].score, decisive=True)
        total = self.intercept
        abstained = 0
        for position, verdict in enumerate(verdicts):
            if verdict.score is not None:
                total += self._weights[position] * verdict.score
                continue
            absence = self._absences[position]
            abstained += 1
            if absence is None:
                return self._one(verdicts, position, None)
            total += absence
        if abstained == len(verdicts):
            return Verdict(None, "every gate abstained", self._parts(verdicts))
        for feature, weight in self._features:
            total += weight * feature(exam)
        total += self._tasks.get(exam.request.task, 0.0)
        score = sigmoid(total)
        return Verdict(score, f"learned {score:.3f} from {spoke(verdicts)}", self._parts(verdicts))

    def _absent(self, given: Any) -> dict[str, float]:
        by_gate = dict(zip(map(id, self.members), self._names, strict=True))
        found = {}
        for who, weight in _items(given, "missing"):
            name = by_gate.get(id(who), "") if isinstance(who, Gate) else who
            if name not in self._names:
                msg = f"missing has {_called(who)!r}, which is none of the gates {', '.join(self._names)}"
                raise ConfigError(msg)
            found[name] = _number(f"what is missing of {name!r}", weight)
        return found


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an artefact says, as the arguments of `Learned`."""
    if data.get("kind") != "learned":
        msg = f"kind must be 'learned', not {data.get('kind')!r}"
        raise ConfigError(msg)
    origin = origin_of(data, FIELDS)
    if "weights" not in data:
        raise ConfigError("weights is missing")
    return {name: data[name] for name in FIELDS if name in data} | {"origin": origin}


def _named(gates: Iterable[Gate]) -> dict[str, Gate]:
    named: dict[str, Gate] = {}
    for gate in gates:
        if named.setdefault(gate.name, gate) is not gate:
            msg = f"two gates are named {gate.name!r}; set the name of one of them"
            raise ConfigError(msg)
    return named


def _gate(who: Any, named: Mapping[str, Gate]) -> Gate:
    if isinstance(who, Gate):
        return who
    if who not in named:
        known = f"; there are {', '.join(named)}" if named else ""
        msg = f"there is no gate named {who!r}: give it in gates{known}"
        raise ConfigError(msg)
    return named[who]


def _called(who: Any) -> Any:
    return who.name if isinstance(who, Gate) else who


def _items(given: Any, name: str) -> Iterable[tuple[Any, Any]]:
    if not isinstance(given, Mapping):
        msg = f"{name} must be by name, not {type(given).__name__}"
        raise ConfigError(msg)
    return given.items()


def _features(given: Any) -> dict[str, float]:
    found = {}
    for name, weight in _items(given, "features"):
        if name not in FEATURES and not (isinstance(name, str) and name.startswith(TASK)):
            msg = f"there is no feature {name!r}; there are {', '.join(FEATURES)}, and {TASK}NAME for a task"
            raise ConfigError(msg)
        found[name] = _number(f"the weight of {name!r}", weight)
    return found


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        msg = f"{name} must be a finite number, not {value!r}"
        raise ConfigError(msg)
    return float(value)
