"""Money staked against a promise: what the alarms hold, and how their settings and states are checked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import exp, expm1, isfinite, log, log1p
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import mixed

__all__ = ["VERSION", "Purse", "same", "settled", "whole", "within"]

VERSION: Final = 1
RICH: Final = 600.0
"""The logarithm at which money stops growing: less than was won is still evidence, and `exp` does not overflow."""


class Purse:
    """The logarithms of what each stake has come to; with `anew`, of one more than the sum over all beginnings."""

    def __init__(self, stakes: int, enough: float, *, anew: bool) -> None:
        """Begin with one, spread over the stakes; it is evidence when it has come to `enough`."""
        self.logs = [0.0] * stakes
        self.anew = anew
        self.enough = log(enough)

    def play(self, gains: Sequence[float]) -> bool:
        """Take the logarithms of what one label does to each stake. Whether it is enough now."""
        if self.anew:
            self.logs = [log1p(exp(min(held + gain, RICH))) for held, gain in zip(self.logs, gains, strict=True)]
        else:
            self.logs = [min(held + gain, RICH) for held, gain in zip(self.logs, gains, strict=True)]
        return self.full

    @property
    def full(self) -> bool:
        """Whether it is enough; the richest stake is looked at first, which is quick."""
        return max(self.logs) >= self.enough and self.log_wealth >= self.enough

    @property
    def log_wealth(self) -> float:
        """The logarithm of all of it, to a beginning of one."""
        if not self.anew:
            return mixed(self.logs)
        most = max(self.logs)
        if most <= 0:
            return -RICH
        return most + log(sum(exp(each - most) * -expm1(-each) for each in self.logs) / len(self.logs))

    def empty(self) -> None:
        """Begin anew."""
        self.logs = [0.0] * len(self.logs)

    def put(self, held: Sequence[Any]) -> None:
        """Go on with these logarithms."""
        self.logs = self.read(held)

    def read(self, held: Sequence[Any]) -> list[float]:
        """Logarithms that it could go on with."""
        found = [float(each) for each in held]
        if len(found) != len(self.logs) or not all(map(isfinite, found)):
            raise ConfigError(f"the state of an alarm is damaged: it should have {len(self.logs)} finite logarithms")
        return found


def same(state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse the state of an alarm with other settings."""
    with whole():
        fits = state.get("version") == VERSION and state.get("settings") == settings
    if not fits:
        raise ConfigError("the state is that of an alarm with other settings; begin anew without it")


@contextmanager
def whole() -> Iterator[None]:
    """Make of whatever a state that is not whole leads to a `ConfigError`."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the state of an alarm is damaged: {error!r}; begin anew without it") from None


def settled(delta: float, every: float | None) -> None:
    """Refuse what is no rate of false alarms."""
    within("delta", delta, 0 < delta < 1, "above 0 and below 1")
    if every is not None:
        within("every", every, 1 < every < float("inf"), "above 1")


def within(name: str, value: float, good: bool, wanted: str) -> None:  # noqa: FBT001 - found where it is known
    """Refuse a setting that is no good."""
    if not good:
        raise ConfigError(f"an alarm's {name} must be {wanted}, not {value!r}")
