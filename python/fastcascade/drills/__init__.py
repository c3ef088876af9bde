"""Drills: a fault that comes and goes, a load meanwhile, and what callers saw of it.

    Drill(cascade, "primary off", stand_in=True).run()       a copy of one's cascade, in virtual time
    ServiceDrill(url, "openai", off, on).run()               a service that runs, broken and mended by commands
    ScheduledDrill(share=0.01).attach(cascade)               in production, on a share of its traffic
"""

from fastcascade.drills.drill import Drill
from fastcascade.drills.report import Calls, Phase, Report, Shift
from fastcascade.drills.scenarios import SCENARIOS, Scenario, scenario_of

__all__ = ["SCENARIOS", "Calls", "Drill", "Phase", "Report", "Scenario", "Shift", "scenario_of"]
