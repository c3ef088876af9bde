"""The traffic that an estimate is of: how much comes in, how long it is, and which way it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isclose, isfinite
from typing import Any, Final

from fastcascade.errors import ConfigError

__all__ = ["PATHS", "SHARES", "Workload"]

PATHS: Final = ("cached", "rules", "cheap", "escalated", "straight")
SHARES: Final = ("cached", "rules", "straight", "prompt_cached")
"""Fields of a workload that are shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What comes in, and which way it goes.

    Args:
        per_day: requests a day.
        tokens_in: the mean of a request, its instructions and context included.
        tokens_out: the mean of a reply.
        escalated: the share that escalates, of the requests that come to the cheap model; or (k, n) as measured.
        cached: the share of all requests that the answer cache answers, free of charge.
        rules: the share of all requests that rules answer, likewise.
        straight: the share of all requests that is sent straight to the dear model.
        dear_tokens_out: the mean of the dear model's reply, where it differs.
        samples: how many replies of the cheap model are paid for, the judged one included; a mean, where the gate
            stops early.
        judge_in: what the judge reads for a request; by default the request, a reply and its own instructions.
        judge_out: what it writes.
        prompt_cached: the share of `tokens_in` read from the provider's prompt cache. The writes that fill it are
            not counted.
        cheap_seconds: the mean time to the gate's verdict, samples and judge included.
        dear_seconds: the mean time of the dear call.
    """

    per_day: float
    tokens_in: float
    tokens_out: float
    escalated: float | tuple[int, int]
    cached: float = 0.0
    rules: float = 0.0
    straight: float = 0.0
    dear_tokens_out: float | None = None
    samples: float = 1.0
    judge_in: float | None = None
    judge_out: float | None = None
    prompt_cached: float = 0.0
    cheap_seconds: float | None = None
    dear_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if name != "escalated" and value is not None:
                _number(f"a workload's {name}", value, most=1.0 if name in SHARES else None)
        if self.samples < 1:
            raise ConfigError(f"a workload's samples must be 1 or more, not {self.samples!r}: one is the reply itself")
        if self.cached + self.rules + self.straight > 1.0 + 1e-9:
            raise ConfigError(
                f"a workload's cached, rules and straight are shares of all requests, and together more than 1: "
                f"{self.cached:g} + {self.rules:g} + {self.straight:g}"
            )
        if isinstance(self.escalated, tuple):
            _counted(self.escalated)
        else:
            _number("a workload's escalated", self.escalated, most=1.0)

    @classmethod
    def by_path(cls, shares: Mapping[str, float], /, **others: Any) -> "Workload":
        """The same from the share of all requests that takes each path: cached, rules, cheap, escalated, straight."""
        if unknown := sorted(shares.keys() - set(PATHS)):
            raise ConfigError(f"there is no path {unknown[0]!r}; there are {', '.join(PATHS)}")
        for name, share in shares.items():
            _number(f"the share of {name}", share, most=1.0)
        if not isclose(total := sum(shares.values()), 1.0, abs_tol=1e-6):
            raise ConfigError(f"the shares of all paths must add up to 1, not {total:g}")
        free = {name: shares.get(name, 0.0) for name in ("cached", "rules", "straight")}
        tried = shares.get("cheap", 0.0) + shares.get("escalated", 0.0)
        return cls(escalated=shares.get("escalated", 0.0) / tried if tried else 0.0, **free, **others)

    @property
    def rate(self) -> float:
        """The escalation rate, of the requests that come to the cheap model."""
        return self.escalated[0] / self.escalated[1] if isinstance(self.escalated, tuple) else self.escalated

    @property
    def tried(self) -> float:
        """The share of all requests that comes to the cheap model."""
        return max(0.0, 1.0 - self.cached - self.rules - self.straight)


def _number(what: str, value: Any, most: float | None = None) -> None:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0
    if not fine or (most is not None and value > most):
        bound = "zero or more" if most is None else f"a share from 0 to {most:g}"
        raise ConfigError(f"{what} must be {bound}, not {value!r}")


def _counted(given: tuple[Any, ...]) -> None:
    whole = len(given) == 2 and all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    if not whole or not 0 <= given[0] <= given[1] or given[1] < 1:
        raise ConfigError(f"a workload's escalated must be a share, or (k, n): k of n cases escalated, not {given!r}")
