"""What can go wrong in a drill, by name."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fastcascade.errors import ConfigError
from fastcascade.testing.faults import CutStream, Error, Latency, Refused, StallStream, Timeout, Trouble
from fastcascade.testing.plans import Plan

__all__ = ["SCENARIOS", "Scenario", "scenario_of"]

SLOW: Final = 10.0
"""Seconds more than usual that a slow primary takes."""
TOLD: Final = 20.0
"""Seconds that a provider names with its 429."""
FLAP: Final = 4.0
"""Seconds that a flapping primary is off, and then on."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault that begins, lasts, and ends.

    Attributes:
        name: what it is called.
        summary: what goes wrong, in a few words.
        whom: the primary alone, or everybody who is asked over a network.
        faults: what strikes them, each with the share of calls it strikes.
        period: seconds that it is on, and then off, by turns; 0 is on throughout.
        store: whether the store of reviews is off too.
        streams: whether answers are asked for as streams.
        dead: whether nobody can be served by who is struck, so that a failover is due.
        told: seconds that those who are struck name until they may be asked again.
    """

    name: str
    summary: str
    whom: Literal["primary", "everybody"]
    faults: tuple[tuple[Trouble, float], ...]
    period: float = 0.0
    store: bool = False
    streams: bool = False
    dead: bool = False
    told: float = 0.0

    def spells(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """The times at which it strikes."""
        if not self.period:
            yield start, end
            return
        while start < end:
            yield start, min(end, start + self.period)
            start += 2.0 * self.period

    def set_on(self, plan: Plan, start: float, end: float) -> None:
        """Have it strike, by the clock of the event loop."""
        for begins, ends in self.spells(start, end):
            for fault, rate in self.faults:
                plan.between(begins, ends, fault, rate=rate)

    @property
    def hangs(self) -> bool:
        """Whether calls to those who are struck never end."""
        return any(isinstance(fault, Timeout | StallStream) for fault, _ in self.faults)

    @property
    def slowed(self) -> float:
        """Seconds that calls take longer."""
        return max((fault.seconds for fault, _ in self.faults if isinstance(fault, Latency)), default=0.0)


REFUSED: Final[tuple[tuple[Trouble, float], ...]] = ((Refused(), 1.0),)
LISTED: Final = (
    Scenario("primary off", "the primary refuses connections", "primary", REFUSED, dead=True),
    Scenario("primary slow", f"the primary takes {SLOW:g} s more", "primary", ((Latency(SLOW, spread=1.0), 1.0),)),
    Scenario("primary hangs", "the primary never answers", "primary", ((Timeout(), 1.0),), dead=True),
    Scenario("all regions off", "everybody refuses connections", "everybody", REFUSED),
    Scenario(
        "429 storm",
        f"the primary says 429, and to come back after {TOLD:g} s",
        "primary",
        ((Error("rate_limited", retry_after=TOLD), 1.0),),
        told=TOLD,
    ),
    Scenario("store off", "everybody refuses connections, and the store of reviews is off", "everybody", REFUSED,
             store=True),
    Scenario("flapping", f"the primary refuses connections for {FLAP:g} s of each {2 * FLAP:g} s", "primary", REFUSED,
             period=FLAP),
    Scenario(
        "streams cut",
        "the primary's streams break off, half of them at their first piece",
        "primary",
        ((CutStream(after=0), 0.5), (CutStream(after=1), 1.0)),
        streams=True,
    ),
)  # fmt: skip
SCENARIOS: Final[Mapping[str, Scenario]] = {each.name: each for each in LISTED}


def scenario_of(name: str | Scenario) -> Scenario:
    """A scenario by its name; `primary-off` will do too."""
    if isinstance(name, Scenario):
        return name
    plain = " ".join(name.lower().replace("-", " ").replace("_", " ").split())
    found = SCENARIOS.get(plain)
    if found is not None:
        return found
    near = difflib.get_close_matches(plain, SCENARIOS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"no scenario is called {name!r}; {hint}there are: {', '.join(SCENARIOS)}"
    raise ConfigError(msg)
