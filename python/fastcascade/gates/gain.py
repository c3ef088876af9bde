"""Gain: keep the cheap answer where little would be won by asking the dear model.

A confidence says how likely the cheap answer is right. That is not the question: a case both models fail is not worth
the dear price, and one that only the dear model gets right is, however sure the cheap one sounds. What is bought by
asking on is P(dear right) - P(cheap right), the expected gain, and it is this that is to be held against the price.
Where the dear model is right as often everywhere, the two orders are one, and `Learned` is simpler.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.gates.artefacts import Artefact, Origin, of_kind, origin_of, read, wanted, write
from fastcascade.gates.combine import spoke
from fastcascade.gates.gate import Gate, Verdict
from fastcascade.gates.weighing import Sum, Weighing, called, named, raw

__all__ = ["Gain"]

PARTS: Final = frozenset({"weights", "intercept", "odds", "features", "missing"})
FIELDS: Final = frozenset({"cheap", "dear", "threshold"})


class Gain(Weighing):
    """`(1 + P(cheap right) - P(dear right)) / 2`: at one half both are as likely right, below it the dear one wins.

    So a threshold of a half asks on wherever anything at all is expected to be won. One of 0.5 - w / 2 asks on where
    the gain in P(right) is more than w: what the dear answer costs besides, over what a right answer is worth.

    Args:
        cheap: the sum for P(cheap right): `weights` by the names of gates, and as they are wanted `intercept`,
            `odds`, `features` and `missing`, as in `Learned`.
        dear: the same for P(dear right).
        gates: the gates that are named there. Their raw scores are meant.
        threshold: a score from here on keeps the cheap answer.
        origin: where it comes from.
    """

    name = "gain"

    def __init__(
        self,
        cheap: Mapping[str, Any],
        dear: Mapping[str, Any],
        *,
        gates: Iterable[Gate],
        threshold: float = 0.5,
        origin: Origin | None = None,
    ) -> None:
        """Put the weights to the gates."""
        known = named(raw(gates))
        sums = _sum(cheap, "cheap"), _sum(dear, "dear")
        wanted_gates = dict.fromkeys(name for each in sums for name in each.weights)
        super().__init__((called(name, known) for name in wanted_gates), threshold)
        self.sums = sums[0].over(self._names), sums[1].over(self._names)
        self.origin = origin or Origin()

    @classmethod
    def load(cls, source: Artefact, gates: Iterable[Gate]) -> "Gain":
        """Read an artefact of kind "gain"; its weights are put to the raw scores of these gates, by their names."""
        data, where = read(source)
        try:
            origin = origin_of(of_kind(data, "gain"), FIELDS)
            threshold = data.get("threshold", 0.5)
            return cls(wanted(data, "cheap"), wanted(data, "dear"), gates=gates, threshold=threshold, origin=origin)
        except ConfigError as error:
            msg = f"{where}: {error}"
            raise ConfigError(msg) from None

    def dump(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """The artefact, written to a file as well where a path is given."""
        cheap, dear = (each.described() for each in self.sums)
        data = {"kind": "gain", "threshold": self.threshold, "cheap": cheap, "dear": dear}
        return write(data | self.origin.described(), path)

    def weighed(self, chances: Sequence[float], verdicts: Sequence[Verdict], /) -> Verdict:
        """Half of one more than what is not won."""
        cheap, dear = chances
        reason = f"right with {cheap:.3f}, the dear model with {dear:.3f}, from {spoke(verdicts)}"
        return Verdict((1.0 + (cheap - dear)) / 2.0, reason, self._parts(verdicts))


def _sum(given: Any, name: str) -> Sum:
    if not isinstance(given, Mapping) or "weights" not in given or set(given) - PARTS:
        parts = ", ".join(sorted(PARTS))
        msg = f"{name} must be an object with weights, and of {parts} what is wanted, not {given!r}"
        raise ConfigError(msg)
    return Sum(**given)
