"""How many calls at once a backend can take, found from how they end.

A backend has a number of calls that it works on at once. Below it a further call costs nothing; above it each call
waits for others, and all that grows is the latency. That number is what `Adaptive` looks for. It has to be looked for
with care: replies differ in length, so latencies differ several-fold without any queue; the number changes as others
use the backend too; and replies get longer as a product changes, which looks like a queue and is none.

The law, in rounds. A round is as many calls as were under way at once; one is let go by after each change, as its
calls began under the old limit, and two are measured. Of these three things are kept: the mean latency, the share of
calls that failed for overload (a timeout, a 429, a 503, a 529), and the most that were under way at once, the peak.

    queue = peak x (1 - base / mean)        calls that wait in the backend; `base` is the mean without a queue
    room  = sqrt(peak)                      waiting calls that are wanted: with none the backend might be idle

- Below one room of queue, and with the limit in use: up by the root of the limit, and by half of it before the first
  queue was seen.
- Above two rooms: down by what is too much, at most to half.
- Failures: down by their share, at most by a quarter. Up to `spared` of the calls may fail for other reasons; above a
  tenth the latencies of the rest say little, and are not looked at.
- `base` must not be believed for ever. Every 20 measurements the limit goes down by a fifth for one: if the latency
  falls with it, there was a queue, and it goes down again, until it does not pay any more; then what is seen is the
  base. (While not half of the limit is in use, nobody is made to wait for that: the base follows what is seen, slowly.)
  The same question is asked whenever the limit was lowered for a queue: if that changed nothing, replies have
  become longer, and the base is renewed, and checked again soon.

The estimate of the queue is that of TCP Vegas (Brakmo and Peterson, 1995), which Netflix's concurrency-limits took
over from connections to calls; the root as the queue that is wanted is from its first gradient limit. The weakness is a
base that is the least latency ever seen: one short reply spoils it, and begun above the capacity it is never seen at
all. Netflix's Gradient2 compares a slow mean with a fast one instead, and the slow one follows a long overload. Envoy
measures its base by letting only a few calls through (3 by default) at intervals. Looking down by a fifth, and further
only where it pays, costs about one percent of the concurrency and finds the base from above too. The cut in proportion
to failures is that of DCTCP (Alizadeh and others, 2010): with a halving at each failure, one call in a hundred that
fails by chance would hold any limit to about a dozen, the root of 1.5 / 0.01.

What to expect, in a simulated backend with 50 workers, replies of 1 s on average that deviate by 70 %, and always
someone waiting: the limit settles at 57 to 72 on average and moves between 30 and 90, with 97 to 99 % of the
throughput; begun at 5 or 20 it is there within 60 s, at 200 within 120 s. With half of the workers gone it is at 30 to
40 a minute later, and back a minute after their return. Where the backend answers 429 above 50, it swings between 30
and 55, with 85 to 90 % of the throughput.

Where it falls short: where replies deviate by 150 %, a lost half of the workers may go unnoticed for some minutes; the
throughput does not suffer, the latency does. The measurements need traffic, two rounds of it, so that a limit far too
high for a backend of two workers takes minutes to fall; set `highest` to what could ever be. And where others fill the
same backend, lowering our share does not shorten its queue: the base is then taken to be what all see, and only
failures lower the limit.
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["Adaptive", "Governor"]

BETWEEN: Final = 20
"""Measurements from one look for the base to the next."""
SOON: Final = 3
"""The same, where the base was renewed on the word of a single fall."""
FIRST: Final = 4
"""The same, at the beginning."""
STEP: Final = 0.8
"""What a look for the base lowers the limit to. A fall of less than that proves nothing."""
MANY: Final = 0.1
"""The share of failures above which the latencies of the rest are not looked at."""
DEEPEST: Final = 0.25
"""The most that failures lower the limit by, at once."""
OUTLIER: Final = 4.0
"""A latency above so many times the mean before counts for that: one call that hung is no queue."""


LEAST: Final = 4
"""Calls that are measured, beside twice the peak."""
NEVER: Final = 1 << 30
"""A peak that is not topped."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A limit that is found from latencies and failures; the module says how.

    Args:
        initial: where to begin.
        lowest: never below this.
        highest: never above this.
        spared: the share of calls that may time out or be turned away by chance, without the limit being lowered.
    """

    initial: int = 20
    lowest: int = 1
    highest: int = 200
    spared: float = 0.02

    def __post_init__(self) -> None:
        """Refuse bounds that are none."""
        whole = type(self.initial) is type(self.lowest) is type(self.highest) is int
        if not whole or not 1 <= self.lowest <= self.initial <= self.highest:
            msg = f"an adaptive limit needs whole numbers, 1 <= lowest <= initial <= highest, not {self!r}"
            raise ConfigError(msg)
        if not 0 <= self.spared < MANY:
            msg = f"an adaptive limit needs 0 <= spared < {MANY}, a share of calls, not {self.spared!r}"
            raise ConfigError(msg)

    def governor(self) -> "Governor":
        """The state of one limit."""
        return Governor(self)


class Governor:
    """Finds one limit. Not safe for threads: its owner holds a lock."""

    __slots__ = (
        "_base",
        "_before",
        "_cap",
        "_config",
        "_countdown",
        "_failed",
        "_left",
        "_looking",
        "_peak",
        "_ratio",
        "_skip",
        "_starting",
        "_total",
        "_value",
        "limit",
    )

    def __init__(self, config: Adaptive) -> None:
        """Begin."""
        self._config = config
        self._value = float(config.initial)
        self.limit = config.initial
        self._base = inf
        self._starting = True
        self._countdown = FIRST
        # Of the last change downwards: the latency before, to what it went, and whether it was to look for the base.
        self._before = 0.0
        self._ratio = 1.0
        self._looking = False
        # Of the measurement: how many calls to let go by, then how many to go; and the most that a latency counts for.
        self._skip = self._failed = self._peak = 0
        self._left = LEAST
        self._total = 0.0
        self._cap = inf

    def observe(self, busy: int, took: float, failed: bool) -> int:  # noqa: FBT001 - by position it is faster
        """Take note of a call that ended, with so many under way. Comes to the limit."""
        if failed:
            self._failed += 1
        elif took < self._cap:
            self._total += took
        else:
            self._total += self._cap
        if busy > self._peak:
            self._left += 2 * (busy - self._peak)
            self._peak = busy
        self._left -= 1
        if self._left <= 0:
            self._conclude()
        return self.limit

    def _begin(self, skip: int = 0) -> None:
        """Begin a measurement; or first let so many calls go by, that began under another limit."""
        self._skip = skip
        self._failed = 0
        self._total = 0.0
        self._peak = NEVER if skip else 0
        self._left = skip or LEAST

    def _conclude(self) -> None:
        """Set the limit by what was measured, and begin anew."""
        if self._skip:
            self._begin()
            return
        seen = 2 * self._peak + LEAST
        share = self._failed / seen
        if share < MANY:
            mean = self._total / (seen - self._failed)
            self._cap = OUTLIER * mean
            self._judge(mean, self._peak)
        if self._failed > 1 + self._config.spared * seen:
            self._value = min(self._value, self._peak + sqrt(self._peak)) * (1 - min(DEEPEST, share))
            self._starting = False
            if share >= MANY:
                self._before = 0.0
        self._value = min(max(self._value, float(self._config.lowest)), float(self._config.highest))
        changed = int(self._value) != self.limit
        self.limit = int(self._value)
        self._begin(self._peak if changed else 0)

    def _judge(self, mean: float, peak: int) -> None:
        """Set the limit by the latency."""
        if self._before and self._still_falling(mean, peak):
            return
        if mean < self._base:
            # By and by: the least of many means is a matter of luck.
            self._base = mean if self._base == inf else self._base + 0.3 * (mean - self._base)
        queue = peak * (1 - self._base / mean) if mean else 0.0
        room = sqrt(peak)
        self._countdown -= 1
        if queue > 2 * room:
            self._starting = False
            self._fall(mean, peak, max(1 - (queue - room) / peak, 0.5))
        elif self._countdown <= 0 and peak > 1 and 2 * peak > self.limit:
            self._fall(mean, peak, STEP, looking=True)
        elif queue >= room:
            self._starting = False
        elif self._countdown <= 0:
            self._base += 0.3 * (mean - self._base)
            self._countdown = BETWEEN
        elif peak >= 0.9 * self.limit:
            self._value += max(1.0, self._value / 2 if self._starting else sqrt(self._value))

    def _fall(self, mean: float, peak: int, ratio: float, *, looking: bool = False) -> None:
        self._before, self._ratio, self._looking = mean, ratio, looking
        self._value = min(self._value, peak) * ratio

    def _still_falling(self, mean: float, peak: int) -> bool:
        """See what the last fall brought: with a queue latency falls as far as the limit, without one not at all."""
        before, looking, self._before = self._before, self._looking, 0.0
        if mean < before * (1 + self._ratio) / 2:
            if looking:
                self._fall(mean, peak, STEP, looking=True)
            return looking
        if self._ratio <= STEP:
            self._base = mean
            self._countdown = BETWEEN if looking else SOON
        else:
            self._countdown = BETWEEN
        return False

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Governor at {self.limit}, base {self._base:.3g} s>"
