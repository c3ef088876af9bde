"""How an instance does, at a glance."""

from dataclasses import dataclass

from fastcascade.entry.instance import Instance

__all__ = ["Seen", "seen"]


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
