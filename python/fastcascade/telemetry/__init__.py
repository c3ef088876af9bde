"""Who listens to what is decided: `events` is the one source, the others subscribe to it. Loaded when first used."""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.telemetry.events import Decision, Event, Events, Graded, subscribe
    from fastcascade.telemetry.prometheus import Prometheus

__all__ = ["Decision", "Event", "Events", "Graded", "Prometheus", "subscribe"]

__getattr__ = loader(__name__, {"events": "Decision Event Events Graded subscribe", "prometheus": "Prometheus"})
