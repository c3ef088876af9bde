"""What escalation gained, from labels of answers that were sent up: both replies are there, so it costs no call.

print(shadow.log.gain())     escalations that were not needed: 62.0 % (54.6 to 69.0), n = 180 of 912; gain 0.31 (...)
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from fastcascade.evals.shadow_labels import Tally, estimated

__all__ = ["Gain", "gained"]


@dataclass(frozen=True, slots=True)
class Gain:
    """What the dear tier was better by among escalated answers, and how many of these need not have been.

    Each interval by itself holds with the confidence that was asked for, at this number of labels and not at each look.
    It is about what escalates now, with this threshold.

    Args:
        gain: the mean of the dear reply's score less the cheap one's, -1 to 1; None without a label. Where replies
            were compared with the dear tier's own, this counts as 1, and the gain cannot be below 0.
        low: its interval's lower end.
        high: the upper one.
        needless: the share where the dear reply was no better.
        needless_low: its interval's lower end.
        needless_high: the upper one.
        n: labels behind it.
        drawn: escalated answers that were drawn.
        seen: escalated answers that could have been drawn: both replies were there, and the rate was above 0.
        never: those that could not; nothing is said of them.
    """

    gain: float | None
    low: float
    high: float
    needless: float | None
    needless_low: float
    needless_high: float
    n: int
    drawn: int
    seen: int
    never: int

    def __str__(self) -> str:
        """Say it in a line."""
        if self.gain is None or self.needless is None:
            return f"escalations that were not needed: not known, n = 0 of {self.seen}"
        share = f"{self.needless:.1%} ({100 * self.needless_low:.1f} to {100 * self.needless_high:.1f})"
        gain = f"gain {self.gain:.3f} ({self.low:.3f} to {self.high:.3f})"
        return f"escalations that were not needed: {share}, n = {self.n} of {self.seen}; {gain}"


def gained(held: Tally, floor: float, confidence: float) -> Gain:
    """What a tally of gains says."""
    mean = estimated(_turned(held, lambda gain: (1 + gain) / 2), floor, confidence)
    needless = estimated(_turned(held, lambda gain: float(gain <= 0)), floor, confidence)
    return Gain(
        gain=None if mean.quality is None else 2 * mean.quality - 1,
        low=2 * mean.low - 1,
        high=2 * mean.high - 1,
        needless=needless.quality,
        needless_low=needless.low,
        needless_high=needless.high,
        n=mean.n,
        drawn=held.drawn.total(),
        seen=held.seen,
        never=held.never,
    )


def _turned(held: Tally, turn: Callable[[float], float]) -> Tally:
    labels: Counter[tuple[float, float]] = Counter()
    for (gain, propensity), many in held.labels.items():
        labels[turn(gain), propensity] += many
    return Tally(held.seen, held.never, held.drawn, labels)
