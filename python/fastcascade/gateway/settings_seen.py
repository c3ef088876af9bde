"""What the gateway is told about being looked at: the store of decisions, the console, traces, promises."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["ConsoleSettings", "DecisionsSettings", "Promises", "TracingSettings"]

NAME: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)
DAYS: Final = 3_650
WEEK: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class DecisionsSettings:
    """Where it is kept what was decided, for the console and `fastcascade report`.

    Args:
        file: an SQLite file, from where the cascade's file lies; the workers of one machine share it.
        days: how long decisions are kept.
        megabytes: how much room they may take; the oldest leave first.
        texts: whether what was asked and said is kept too. Without, a decision cannot be replayed in full.
    """

    file: Path = Path("decisions.db")
    days: float = 30.0
    megabytes: float = 512.0
    texts: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        object.__setattr__(self, "file", Path(self.file))
        if not 0 < self.days <= DAYS:
            raise ConfigError(f"decisions: days must be above zero and at most {DAYS}, not {self.days!r}")
        if not self.megabytes >= 1:
            raise ConfigError(f"decisions: megabytes must be at least 1, not {self.megabytes!r}")


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The console, at /console/: for people who have a password of their own.

    Args:
        people: the file of who may see it, made by `fastcascade console add`.
        hours: how long a session lasts.
        run: a recording of graded cases, made by `fastcascade record`, for the page on calibration.
        usd: dollars a day that requests typed into it may cost; 0 allows none.
        allow_plain: whether it is served beyond this machine without TLS, as behind a proxy that has it.
    """

    people: Path = Path("console.json")
    hours: float = 12.0
    run: Path | None = None
    usd: float = 1.0
    allow_plain: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        object.__setattr__(self, "people", Path(self.people))
        if self.run is not None:
            object.__setattr__(self, "run", Path(self.run))
        if not 0 < self.hours * 3_600 <= WEEK:
            raise ConfigError(f"console: hours must be above zero and at most a week, not {self.hours!r}")
        if not 0 <= self.usd < float("inf"):
            raise ConfigError(f"console: usd must be dollars, zero or more, not {self.usd!r}")


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Spans for OpenTelemetry, sent where its own variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` and others).

    Args:
        service: what this is called there, unless `OTEL_SERVICE_NAME` says otherwise.
        texts: whether prompts and answers are part of them.
        share: of requests that come without a trace, how many get one.
    """

    service: str = "fastcascade"
    texts: bool = False
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not NAME.fullmatch(self.service):
            raise ConfigError(f"tracing: service is of letters, digits, '.', '_' and '-', not {self.service!r}")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"tracing: share goes from 0 to 1, and is {self.share!r}")


@dataclass(frozen=True, slots=True)
class Promises:
    """What alerts go by.

    Args:
        quality: the mean grade that accepted answers of a tier are to have, by tier.
        escalation: the share of requests above which one is warned.
    """

    quality: Mapping[str, float] = field(default_factory=dict)
    escalation: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for tier, promised in self.quality.items():
            if not 0 < promised < 1:
                raise ConfigError(f"promises: the quality of {tier!r} lies above 0 and below 1, not {promised!r}")
        if not 0 < self.escalation < 1:
            raise ConfigError(f"promises: escalation lies above 0 and below 1, not {self.escalation!r}")
