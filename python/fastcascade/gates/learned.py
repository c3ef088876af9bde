"""Learned: a logistic combination of what several gates say and of what is visible in request and reply."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from fastcascade.errors import ConfigError
from fastcascade.gates.artefacts import Artefact, Origin, of_kind, origin_of, read, wanted, write
from fastcascade.gates.combine import spoke
from fastcascade.gates.gate import Gate, Verdict
from fastcascade.gates.weighing import FEATURES, Sum, Weighing, called, named, number, raw

__all__ = ["FEATURES", "Learned"]

W = TypeVar("W", bound=Gate | str)
M = TypeVar("M", bound=Gate | str)
O = TypeVar("O", bound=Gate | str)  # noqa: E741 - of the odds
FIELDS: Final = frozenset({"weights", "intercept", "odds", "features", "missing", "threshold"})


class Learned(Weighing):
    """`1 / (1 + exp(-(intercept + sum of weight * value)))` over gates' scores and features of request and reply.

    `weights` are by gate, or by the name of one in `gates`; `odds` are weights of the log-odds of a score, which tell
    scores near 0 or 1 apart. `features` are weights for the names in `FEATURES`, for slices (`task:refund` is 1 where
    `request.task` is "refund", else 0), and for what is answered (`answer:yes` is 1 where the reply is "yes").
    `missing` has for a gate, by name, what is added in the place of its score where it abstains; a gate that abstains
    and is not in there makes the whole abstain, and so does it if every gate abstains, or if a feature is unknown.

    Members' calibrations are applied, their thresholds play no part. A verdict that is beyond doubt settles it
    alone, and gates after it are not asked. It needs the whole reply.
    """

    name = "learned"

    def __init__(  # noqa: PLR0913 - the parts of one sum, named
        self,
        weights: Mapping[W, float],
        intercept: float = 0.0,
        *,
        odds: Mapping[O, float] | None = None,
        features: Mapping[str, float] | None = None,
        missing: Mapping[M, float] | None = None,
        gates: Iterable[Gate] = (),
        threshold: float = 0.5,
        origin: Origin | None = None,
    ) -> None:
        """Put the weights to the gates."""
        known = named(gates)
        given = [(called(who, known), weight) for who, weight in _items(weights, "weights")]
        super().__init__((gate for gate, _ in given), threshold)
        put = {
            name: number(f"the weight of {gate.name!r}", weight)
            for name, (gate, weight) in zip(self._names, given, strict=True)
        }
        rest = {"odds": self._by_name(odds or {}, "odds"), "missing": self._by_name(missing or {}, "missing")}
        self.sums = (Sum(put, intercept, features=features or {}, **rest).over(self._names),)
        self.origin = origin or Origin()

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of the gates' scores, by name."""
        return self.sums[0].weights

    @classmethod
    def load(cls, source: Artefact, gates: Iterable[Gate]) -> "Learned":
        """Read an artefact of kind "learned"; its weights are put to the raw scores of these gates, by their names."""
        data, where = read(source)
        try:
            return cls(**_settings(data), gates=raw(gates))
        except ConfigError as error:
            msg = f"{where}: {error}"
            raise ConfigError(msg) from None

    def dump(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """The artefact, written to a file as well where a path is given."""
        data = {"kind": "learned", "threshold": self.threshold, **self.sums[0].described()}
        return write(data | self.origin.described(), path)

    def weighed(self, chances: Sequence[float], verdicts: Sequence[Verdict], /) -> Verdict:
        """The chance itself."""
        return Verdict(chances[0], f"learned {chances[0]:.3f} from {spoke(verdicts)}", self._parts(verdicts))

    def _by_name(self, given: Any, what: str) -> dict[str, float]:
        by_gate = dict(zip(map(id, self.members), self._names, strict=True))
        found = {}
        for who, weight in _items(given, what):
            name = by_gate.get(id(who), who.name) if isinstance(who, Gate) else who
            found[name] = weight
        return found


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an artefact says, as the arguments of `Learned`."""
    origin = origin_of(of_kind(data, "learned"), FIELDS)
    wanted(data, "weights")
    return {name: data[name] for name in FIELDS if name in data} | {"origin": origin}


def _items(given: Any, name: str) -> Iterable[tuple[Any, Any]]:
    if not isinstance(given, Mapping):
        msg = f"{name} must be by name, not {type(given).__name__}"
        raise ConfigError(msg)
    return given.items()
