"""Hedging: start a second call before the first has replied, and take what comes first.

It shortens the slowest calls at the price of more calls; and where everything is slow because there is too much to do,
more calls are the last thing that is wanted. So the second calls are rationed: an `Allowance` earns a share of a call
with each first call, holds `burst` at most, and a second call takes a whole one. In any stretch of traffic, then:
second calls <= share x first calls + burst.

A second call after the 95th percentile is wanted by 5 percent of the calls, now more and now less. With a share of
just that, and drawn at random, a burst of 1 grants half of them, and one of 10 nine tenths and more.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any, Final, ParamSpec, TypeVar

from fastcascade.errors import ConfigError
from fastcascade.fallbacks.latencies import Latencies
from fastcascade.fallbacks.retry import Allowance

__all__ = ["Hedge"]

P = ParamSpec("P")
T = TypeVar("T")
RATIONED: Final = 0.05
"""The share of calls that get a second one where a percentile says when, unless another is given."""


@dataclass(frozen=True, slots=True)
class Hedge:
    """When to start a second call before the first has replied: the loser is cancelled, and its cost counted.

    Among tiers the second call goes to the next tier, in a pool to another instance. Streams are not hedged: two
    cannot be shown at once.

    Args:
        after: seconds without a reply; beside a `percentile`, until that is known.
        likely: at once, where the tier's `quality` says that it is wrong with at least this probability.
        percentile: after what this many percent of recent calls took at most; 95, say.
        share: at most this share of calls get a second one; by default all may, but 0.05 with a `percentile`.
        burst: second calls that may be made at once, beyond the share, after a while without.
        least: recent calls needed before the percentile is trusted.
    """

    after: float | None = None
    likely: float | None = None
    percentile: float | None = None
    share: float | None = None
    burst: float = 10.0
    least: int = 20

    def __post_init__(self) -> None:
        """Refuse what could never be meant."""
        if self.after is None and self.likely is None and self.percentile is None:
            raise ConfigError(
                "a hedge needs `after`, in seconds, `likely`, a probability, or `percentile`, such as 95; or several"
            )
        if (self.after is not None and not self.after > 0) or (self.likely is not None and not 0 < self.likely <= 1):
            msg = f"a hedge needs after > 0 and 0 < likely <= 1, not {self!r}"
            raise ConfigError(msg)
        if self.percentile is not None and not 0 < self.percentile < 100:
            msg = f"a hedge's percentile must lie between 0 and 100, not be {self.percentile!r}"
            raise ConfigError(msg)
        if (self.share is not None and not 0 < self.share <= 1) or not 1 <= self.burst < inf or self.least < 1:
            msg = f"a hedge needs 0 < share <= 1, burst >= 1 that is finite and least >= 1, not {self!r}"
            raise ConfigError(msg)

    def stagger(self, quality: float | None = None, latencies: Latencies | None = None) -> float | None:
        """Seconds to wait for the first call before the second is started; None is for ever."""
        if self.likely is not None and quality is not None and 1.0 - quality >= self.likely:
            return 0.0
        if self.percentile is not None and latencies is not None and latencies.count >= self.least:
            return latencies.at(self.percentile)
        return self.after

    def allowance(self) -> Allowance:
        """The state of the ration, for one pool or one cascade: `deposit` per first call, `withdraw` per second."""
        share = self.share or (1.0 if self.percentile is None else RATIONED)
        # All may have one: then those which were not wanted are kept, and nobody goes short.
        return Allowance(share, self.burst, 0.0, inf if share >= 1.0 else self.burst)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Call an async function a second time where the first call takes long."""
        from fastcascade.entry.guarded import guarded  # noqa: PLC0415 - it is made of us

        return guarded(function, hedge=self)
