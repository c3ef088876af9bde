"""`fastcascade evaluate`: is a cascade worth it on these cases, cross-validated and with error bars?"""

import argparse
import json
from typing import TYPE_CHECKING, Final

from fastcascade.cli.options import share
from fastcascade.cli.report import table

if TYPE_CHECKING:
    from fastcascade.evals.evaluation import Evaluation

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say whether a cascade is worth it on cases that both models answered"
EPILOG = """\
FILE is a CSV table, packed with gzip or not, with one row to a case: question_id, cheap_correct,
expensive_correct, cheap_cost_usd, expensive_cost_usd, and whatever signals there are; slice, prompt
and weight are optional. Every figure is of decisions on cases that the rule had not seen. Needs
`pip install 'fastcascade[evals]'`.

It ends with 0 whatever is recommended, and with 2 where the table cannot be read.
"""
NAMES: Final = ("auto", "raw", "calibrated", "learned", "gain", "value", "router", "always dear", "always cheap")
SLICES_MOST: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--outcomes", metavar="FILE", required=True, help="the table, .csv or .csv.gz, or a recording")
    parser.add_argument("--keep", type=share, default=0.98, metavar="R",
                        help="the share of the dear model's quality to keep (default: 0.98)")  # fmt: skip
    parser.add_argument("--confidence", type=share, default=0.95, metavar="C",
                        help="of the margin and of the intervals (default: 0.95)")  # fmt: skip
    parser.add_argument("--strategy", choices=NAMES, default="auto", help="what decides (default: auto)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for the folds (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def execute(args: argparse.Namespace) -> int:
    """Evaluate, and print."""
    from fastcascade.evals.evaluation import evaluate  # noqa: PLC0415 - it brings numpy
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415 - as above

    found = evaluate(outcomes_of(args.outcomes), args.keep, args.confidence, args.strategy, seed=args.seed)
    print(json.dumps(found.document(), allow_nan=False) if args.json else "\n".join(_lines(found)))
    return 0


def _lines(found: "Evaluation") -> list[str]:
    """The whole as text."""
    level = f"{100 * found.confidence:g} %"
    before, after = (("-" if each is None else f"{each:.3f}") for each in (found.ece_before, found.ece_after))
    saving, kept = _span(found.saving_interval), _span(found.quality_interval)
    lines = [
        f"{found.recommendation}: {found.strategy}",
        "",
        f"  cases              {found.n:,}",
        f"  saving             {_percent(found.saving)} of always-dear's cost, {level} interval {saving}",
        f"  quality            {_percent(found.quality_ratio)} of always-dear's, {level} interval {kept}",
        f"  to keep            {_percent(found.keep)}",
        f"  escalated          {_percent(found.escalation_rate)}",
        f"  area               {found.area:.2f} (0 as a random mix, 1 as an oracle)",
        f"  calibration error  {before} as it is, {after} calibrated",
        f"  the claim          {_claim(found.more_cases_needed)}",
        "",
    ]
    rows = [
        [each.strategy, _percent(each.saving), _span(each.saving_interval), _percent(each.quality_ratio),
         _span(each.quality_interval), _percent(each.escalation_rate)]
        for each in found.strategies
    ]  # fmt: skip
    lines += table(["strategy", "saving", "interval", "quality", "interval", "escalated"], rows)
    if len(found.slices) > 1:
        most = sorted(found.slices.items(), key=lambda each: -each[1])[:SLICES_MOST]
        lines += ["", *table(["slice", "escalated"], [[name or "(none)", _percent(rate)] for name, rate in most])]
        if len(found.slices) > SLICES_MOST:
            lines.append(f"... and {len(found.slices) - SLICES_MOST} slices that escalate less")
    return lines


def _claim(more: int) -> str:
    return "stands" if more == 0 else f"is not carried yet: about {more:,} more cases are needed"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _span(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
