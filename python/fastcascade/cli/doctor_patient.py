"""What the doctor is given, and what it finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fastcascade import config
from fastcascade.cascade import Cascade
from fastcascade.cli import doctor_network as network
from fastcascade.config.models import Raw
from fastcascade.gateway.settings import Settings

__all__ = ["Finding", "Patient", "Status"]

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    check: str
    status: Status
    said: str
    todo: str = ""


@dataclass(slots=True)
class Patient:
    """What is looked at, and how it is looked at; tests bring their own."""

    file: Path
    online: bool = False
    timeout: float = 5.0
    whole: config.File | None = None
    settings: Settings | None = None
    reach: Callable[..., str] = network.reach
    date: Callable[[str, float], datetime | None] = network.date
    ask: Callable[[Mapping[str, Any], float], Mapping[str, str]] = network.ask
    models: Callable[[Raw, float], tuple[int, list[str]]] = network.models
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    descriptors: Callable[[], int] = network.descriptors
    drift: Callable[[], float] = network.drift

    @property
    def cascades(self) -> dict[str, Cascade]:
        """Those of the file, and those that pass through."""
        if self.whole is None:
            return {}
        through = {name: each.through for name, each in self.whole.models.items() if each.through is not None}
        return {**self.whole.cascades, **through}

    def raws(self) -> dict[str, Raw]:
        """What is passed on and has no backend that could be asked: names with a star."""
        if self.whole is None:
            return {}
        models = self.whole.models.items()
        return {name: each.raw for name, each in models if each.raw is not None and each.through is None}

    def providers(self) -> set[str]:
        """The URLs of all that is asked over a network."""
        urls = {str(getattr(each, "provider", "") or "") for each in self.backends().values()}
        return {each for each in urls | {raw.base_url for raw in self.raws().values()} if "://" in each}

    def backends(self) -> dict[str, Any]:
        """Whoever is asked over a network, by a name that tells which."""
        found: dict[str, Any] = {}
        for name, cascade in self.cascades.items():
            for tier in cascade.rungs:
                label = tier.name if len(self.cascades) == 1 else f"{name}/{tier.name}"
                places = getattr(tier.backend, "instances", ())
                for place in places:
                    which = f"{label} at {place.name}" if len(places) > 1 else label
                    if getattr(place.backend, "remote", False):
                        found[which] = place.backend
                if not places and getattr(tier.backend, "remote", False):
                    found[label] = tier.backend
        return found
