"""Proof: what quality and cost are on one's own cases, with error bars. `pip install 'fastcascade[evals]'`.

    cases, graders              what is asked, and what is right
    recorder, runs              every tier asked once; everything below replays it
    outcomes, sources           the same as columns, from a recording or a table
    curves                      from a score to the chance of being right
    fitting, slicing, ranking   gates and curves by slice, fitted; which score puts cases in the better order
    sweep, strategies           all thresholds at once; rules, "auto" among them
    evaluation                  the rules cross-validated
    aims, ties                  what a threshold is chosen for; a second signal where the first is equal
    bounds, promises, trial     exact and betting bounds; a threshold with a promise, or "not yet"
    ladder, pareto              several tiers: their thresholds under one promise
    exercise                    the drill: all through the small lane, failures on to the large one
    earned, admission, admitted   which slices the small tier has earned; routing that obeys
    decided, comparison, paired   the regression gate
    shadow, feedback            in production: sampled labels, thumbs and reviews; from its log back to a table
    alarms, drift, suggestions  alarms that may be looked at any time; where the threshold should lie
    economics                   dollars a day by path, from traffic and the price sheet
    report                      one page of it all

Names are loaded when they are first used, so that what runs inside a server needs no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastcascade.evals.admission import admit
    from fastcascade.evals.admitted import Admission, AdmissionFile, Admitted
    from fastcascade.evals.aims import Keep, Within, Worth
    from fastcascade.evals.alarm_files import KeptAlarm
    from fastcascade.evals.alarms import QualityAlarm, QualityAlarms
    from fastcascade.evals.cases import Case, load_cases, save_cases
    from fastcascade.evals.comparison import Comparison, compare
    from fastcascade.evals.drift import EscalationWatch
    from fastcascade.evals.economics import Estimate, Workload, estimate
    from fastcascade.evals.evaluation import Evaluation, evaluate
    from fastcascade.evals.exercise import exercised
    from fastcascade.evals.feedback import Feedback
    from fastcascade.evals.fitting import fit_gain, fit_learned
    from fastcascade.evals.graders import Grade, Grader, grader_of
    from fastcascade.evals.ladder import Ladder, ladder_of
    from fastcascade.evals.outcomes import Outcomes
    from fastcascade.evals.pareto import LadderGuarantee, ladder_guarantee
    from fastcascade.evals.promises import Guarantee, guarantee, selective
    from fastcascade.evals.recorder import Recorder
    from fastcascade.evals.report import ReportData, write_report
    from fastcascade.evals.report_evaluation import report_of
    from fastcascade.evals.runs import Runs
    from fastcascade.evals.shadow import Shadow, shadowed
    from fastcascade.evals.shadow_outcomes import outcomes_from, write_cases, write_outcomes
    from fastcascade.evals.slicing import fit_slices
    from fastcascade.evals.sources import outcomes_of
    from fastcascade.evals.suggestions import Suggestion, suggest
    from fastcascade.evals.ties import tie_broken

__all__ = [
    "Admission",
    "AdmissionFile",
    "Admitted",
    "Case",
    "Comparison",
    "EscalationWatch",
    "Estimate",
    "Evaluation",
    "Feedback",
    "Grade",
    "Grader",
    "Guarantee",
    "Keep",
    "KeptAlarm",
    "Ladder",
    "LadderGuarantee",
    "Outcomes",
    "QualityAlarm",
    "QualityAlarms",
    "Recorder",
    "ReportData",
    "Runs",
    "Shadow",
    "Suggestion",
    "Within",
    "Workload",
    "Worth",
    "admit",
    "compare",
    "estimate",
    "evaluate",
    "exercised",
    "fit_gain",
    "fit_learned",
    "fit_slices",
    "grader_of",
    "guarantee",
    "ladder_guarantee",
    "ladder_of",
    "load_cases",
    "outcomes_from",
    "outcomes_of",
    "report_of",
    "save_cases",
    "selective",
    "shadowed",
    "suggest",
    "tie_broken",
    "write_cases",
    "write_outcomes",
    "write_report",
]

_FROM: Final = {
    "admission": ("admit",),
    "admitted": ("Admission", "AdmissionFile", "Admitted"),
    "aims": ("Keep", "Within", "Worth"),
    "alarm_files": ("KeptAlarm",),
    "alarms": ("QualityAlarm", "QualityAlarms"),
    "cases": ("Case", "load_cases", "save_cases"),
    "comparison": ("Comparison", "compare"),
    "drift": ("EscalationWatch",),
    "economics": ("Estimate", "Workload", "estimate"),
    "evaluation": ("Evaluation", "evaluate"),
    "exercise": ("exercised",),
    "feedback": ("Feedback",),
    "fitting": ("fit_gain", "fit_learned"),
    "graders": ("Grade", "Grader", "grader_of"),
    "ladder": ("Ladder", "ladder_of"),
    "pareto": ("LadderGuarantee", "ladder_guarantee"),
    "promises": ("Guarantee", "guarantee", "selective"),
    "outcomes": ("Outcomes",),
    "recorder": ("Recorder",),
    "report": ("ReportData", "write_report"),
    "report_evaluation": ("report_of",),
    "runs": ("Runs",),
    "shadow": ("Shadow", "shadowed"),
    "shadow_outcomes": ("outcomes_from", "write_cases", "write_outcomes"),
    "slicing": ("fit_slices",),
    "sources": ("outcomes_of",),
    "suggestions": ("Suggestion", "suggest"),
    "ties": ("tie_broken",),
}
_LATER: Final = {name: module for module, names in _FROM.items() for name in names}
_EXTRA: Final = frozenset({"numpy", "scipy"})


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        msg = f"{__name__}.{name} needs {error.name}: pip install 'fastcascade[evals]'"
        raise ModuleNotFoundError(msg, name=error.name) from None
