"""Proof: what quality and cost are on one's own cases, with error bars. `pip install 'fastcascade[evals]'`.

    cases, graders              what is asked, and what is right
    recorder, runs              every tier asked once; everything below replays it
    outcomes, sources           the same as columns, from a recording or a table
    curves                      from a score to the chance of being right
    sweep, strategies           all thresholds at once; rules, "auto" among them
    evaluation                  the rules cross-validated
    bounds, promises, trial     exact and betting bounds; a threshold with a promise, or "not yet"
    admission, admitted         which slices the small tier has earned; routing that obeys
    decided, comparison, paired   the regression gate
    shadow, alarms, drift       in production: sampled labels, alarms that may be looked at any time
    economics                   dollars a day by path, from traffic and the price sheet
    report                      one page of it all

Names are loaded when they are first used, so that what runs inside a server needs no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastcascade.evals.admission import admit
    from fastcascade.evals.admitted import Admission, Admitted
    from fastcascade.evals.alarms import QualityAlarm, QualityAlarms
    from fastcascade.evals.cases import Case, load_cases, save_cases
    from fastcascade.evals.comparison import Comparison, compare
    from fastcascade.evals.drift import EscalationWatch
    from fastcascade.evals.economics import Estimate, Workload, estimate
    from fastcascade.evals.evaluation import Evaluation, evaluate
    from fastcascade.evals.graders import Grade, Grader, grader_of
    from fastcascade.evals.outcomes import Outcomes
    from fastcascade.evals.promises import Guarantee, guarantee, selective
    from fastcascade.evals.recorder import Recorder
    from fastcascade.evals.report import ReportData, write_report
    from fastcascade.evals.runs import Runs
    from fastcascade.evals.shadow import Shadow, shadowed
    from fastcascade.evals.sources import outcomes_of
    from fastcascade.evals.suggestions import Suggestion, suggest

__all__ = [
    "Admission",
    "Admitted",
    "Case",
    "Comparison",
    "EscalationWatch",
    "Estimate",
    "Evaluation",
    "Grade",
    "Grader",
    "Guarantee",
    "Outcomes",
    "QualityAlarm",
    "QualityAlarms",
    "Recorder",
    "ReportData",
    "Runs",
    "Shadow",
    "Suggestion",
    "Workload",
    "admit",
    "compare",
    "estimate",
    "evaluate",
    "grader_of",
    "guarantee",
    "load_cases",
    "outcomes_of",
    "save_cases",
    "selective",
    "shadowed",
    "suggest",
    "write_report",
]

_FROM: Final = {
    "admission": ("admit",),
    "admitted": ("Admission", "Admitted"),
    "alarms": ("QualityAlarm", "QualityAlarms"),
    "cases": ("Case", "load_cases", "save_cases"),
    "comparison": ("Comparison", "compare"),
    "drift": ("EscalationWatch",),
    "economics": ("Estimate", "Workload", "estimate"),
    "evaluation": ("Evaluation", "evaluate"),
    "graders": ("Grade", "Grader", "grader_of"),
    "promises": ("Guarantee", "guarantee", "selective"),
    "outcomes": ("Outcomes",),
    "recorder": ("Recorder",),
    "report": ("ReportData", "write_report"),
    "runs": ("Runs",),
    "shadow": ("Shadow", "shadowed"),
    "sources": ("outcomes_of",),
    "suggestions": ("Suggestion", "suggest"),
}
_LATER: Final = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
