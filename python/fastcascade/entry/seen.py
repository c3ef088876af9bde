"""How an instance does, at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from fastcascade.entry.instance import Instance
from fastcascade.errors import Failure

__all__ = ["Seen", "seen", "why_nobody"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How an instance does, at a glance."""

    name: str
    region: str
    priority: int
    usable: bool  # whether a call would be let through now
    circuit: str  # closed, open, half-open, held open, held closed; empty without a breaker
    alive: bool  # as active checks found
    ejected: bool
    wait: float  # seconds until its provider lets us call
    outstanding: int
    latency: float


def seen(instance: Instance, now: float, *, standing: bool) -> Seen:
    """Look at one. `standing` is whether it is alive and not left out."""
    circuit = instance.circuit.state if instance.circuit is not None else ""
    wait = max(0.0, instance.closed_until - now)
    return Seen(
        instance.name,
        instance.region,
        instance.priority,
        standing and wait <= 0.0 and (instance.circuit is None or instance.circuit.wait(now) <= 0.0),
        circuit,
        instance.alive,
        instance.ejected_until > now,
        wait,
        instance.outstanding,
        instance.latency,
    )


def why_nobody(pool: str, instances: Sequence[Instance], now: float) -> Failure:
    """Why none of them may be asked now, and after how many seconds one may."""
    waits = [
        max(each.closed_until - now, each.circuit.wait(now) if each.circuit is not None else 0.0) for each in instances
    ]
    parts = [
        f"{each.name!r} "
        + (
            f"waits {each.closed_until - now:.1f} s, as its provider said"
            if each.closed_until > now
            else f"has a breaker that is {each.circuit.state}"
            if each.circuit is not None
            else "is out"
        )
        for each in instances
    ]
    why = f"{pool}: nobody may be asked now: {', '.join(parts)}"
    return Failure("unavailable", why, retry_after=min((each for each in waits if 0.0 < each < inf), default=None))
