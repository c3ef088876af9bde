"""Drills: a fault that comes and goes, a load meanwhile, and what callers saw of it.

Drill(cascade, "primary off", stand_in=True).run()       a copy of one's cascade, in virtual time
ServiceDrill(url, "openai", off, on).run()               a service that runs, broken and mended by commands
ScheduledDrill(share=0.01).attach(cascade)               in production, on a share of its traffic

Each comes to a report: what callers saw, how long it took to go over to others and back, and which promises broke.
"""

from fastcascade.drills.drill import Drill
from fastcascade.drills.report import Calls, Phase, Report, Shift
from fastcascade.drills.scenarios import SCENARIOS, Scenario, scenario_of
from fastcascade.drills.schedule import Drilled, ScheduledDrill
from fastcascade.drills.service import ServiceDrill

__all__ = [
    "SCENARIOS",
    "Calls",
    "Drill",
    "Drilled",
    "Phase",
    "Report",
    "Scenario",
    "ScheduledDrill",
    "ServiceDrill",
    "Shift",
    "scenario_of",
]
