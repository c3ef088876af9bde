"""`fastcascade evaluate`: is a cascade worth it on these cases, cross-validated and with error bars?"""

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fastcascade.cli import evaluate_drill
from fastcascade.cli.options import confidence, pair, share
from fastcascade.cli.report import table, warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.aims import Aim
    from fastcascade.evals.evaluation import Evaluation

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say whether a cascade is worth it, on cases that both models answered or on a drill of thirty"
EPILOG = """\
--outcomes takes a recording (see 'fastcascade record'), or a CSV table, packed with gzip or not, with
one row to a case: question_id, cheap_correct, expensive_correct, cheap_cost_usd, expensive_cost_usd,
and signals: agreement, single_agrees, vote_entropy, stated_confidence, token_confidence, confidence,
judge_score, sample_1 and so on, or columns of your own called signal_NAME, where more is surer. slice,
prompt, weight, cheap_latency_s and expensive_latency_s are optional; other columns are not looked at.
Of a recording of three tiers or more two are compared, --cheap and --dear; for all of them at once see
'fastcascade thresholds'. Every figure is of decisions on cases that the rule had not seen. Needs
`pip install 'fastcascade[evals]'`.

--drill takes some thirty cases (see 'fastcascade record'), sends all through the small lane, grades
each, sends the failures on, and shows quality and cost beside the flagship alone. Needs no numpy.

It ends with 0 whatever is recommended, and with 2 where a file or an option is wrong; a drill also
with 1 where calls have failed, and with 3 where its cap was reached before every case was asked.
"""
TABLE: Final = ("keep", "budget", "worth", "strategy", "ties", "report", "cheap", "dear")
DRILL: Final = (
    "cascade", "run", "small", "large", "passing", "grader", "judge", "trust", "cap_usd", "concurrency", "prices",
)  # fmt: skip
"""The options of one way, which say nothing in the other."""
NAMES: Final = ("auto", "raw", "calibrated", "learned", "gain", "value", "router", "always dear", "always cheap")
SLICES_MOST: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--outcomes", metavar="FILE", help="a table, .csv or .csv.gz, or a recording")
    source.add_argument("--drill", metavar="FILE", help="cases: all through the small lane, its failures on")
    aims = parser.add_argument_group("what a threshold is chosen for").add_mutually_exclusive_group()
    aims.add_argument("--keep", type=share, default=0.98, metavar="R",
                      help="keep this share of the dear model's quality at least cost (default: 0.98)")  # fmt: skip
    aims.add_argument("--budget", type=float, metavar="USD", help="the best quality for so many dollars a case")
    aims.add_argument("--worth", action="store_true",
                      help="the most quality x (1 - cost / the dear model's cost)")  # fmt: skip
    parser.add_argument("--confidence", type=confidence, default=0.95, metavar="C",
                        help="of the margin and of the intervals (default: 0.95)")  # fmt: skip
    parser.add_argument("--strategy", choices=NAMES, default="auto", help="what decides (default: auto)")
    parser.add_argument("--ties", type=_pair, metavar="SIGNAL=SECOND",
                        help="where a signal is equal, let a second one decide")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for the folds (default: 0)")
    parser.add_argument("--report", metavar="FILE", action="append", default=[],
                        help="write a report there: .html, .md or .json; may be given more than once")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    pair(parser)
    evaluate_drill.add_arguments(parser)
    parser.set_defaults(unset={name: parser.get_default(name) for name in (*TABLE, *DRILL)})


def execute(args: argparse.Namespace) -> int:
    """Evaluate, and print."""
    way, others = ("--drill", TABLE) if args.drill else ("--outcomes", DRILL)
    for name in others:
        if getattr(args, name) != args.unset[name]:
            option = {"passing": "pass"}.get(name, name).replace("_", "-")
            raise ConfigError(f"--{option} says nothing with {way}")
    return evaluate_drill.execute(args) if args.drill else _table(args)


def _table(args: argparse.Namespace) -> int:
    from fastcascade.evals.evaluation import evaluate  # noqa: PLC0415 - it brings numpy
    from fastcascade.evals.report import kind_of, write_report  # noqa: PLC0415 - as above
    from fastcascade.evals.report_evaluation import report_of  # noqa: PLC0415
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415
    from fastcascade.evals.ties import tie_broken  # noqa: PLC0415

    for path in args.report:
        kind_of(path)  # before minutes of work
    outcomes = outcomes_of(args.outcomes, args.cheap, args.dear)
    if not outcomes.signals and outcomes.samples is None:
        warn(f"{args.outcomes} has no signal by which to accept a cheap answer; one of your own is called signal_NAME")
    if args.ties:
        outcomes = tie_broken(outcomes, *args.ties)
    found = evaluate(outcomes, args.keep, args.confidence, args.strategy, seed=args.seed, aim=_aim(args))
    if args.report:
        data = report_of(outcomes, found, date=datetime.now(UTC).date().isoformat(), seed=args.seed)
        for path in args.report:
            write_report(data, path)
            warn(f"written: {path}")
    if args.json and (told := outcomes.told()):
        warn(told)
    print(json.dumps(found.document(), allow_nan=False) if args.json else "\n".join(_lines(found, outcomes.told())))
    return 0


def _pair(text: str) -> tuple[str, str]:
    first, equals, second = text.partition("=")
    if not (first and equals and second):
        raise argparse.ArgumentTypeError(f"'{text}' is not SIGNAL=SECOND, such as agreement=token_confidence")
    return first, second


def _aim(args: argparse.Namespace) -> "Aim | None":
    from fastcascade.evals.aims import Within, Worth  # noqa: PLC0415 - as above

    if args.budget is not None:
        return Within(args.budget)
    return Worth() if args.worth else None


def _lines(found: "Evaluation", of: str = "") -> list[str]:
    """The whole as text; `of` says of a recording what of it was compared."""
    level = f"{100 * found.confidence:g} %"
    before, after = (("-" if each is None else f"{each:.3f}") for each in (found.ece_before, found.ece_after))
    saving, kept = _span(found.saving_interval), _span(found.quality_interval)
    lines = [
        f"{found.recommendation}: {found.strategy}",
        found.why,
        "",
        f"  cases              {found.n:,}",
        *([f"  of                 {of}"] if of else []),
        f"  saving             {_percent(found.saving)} of always-dear's cost, {level} interval {saving}",
        f"  quality            {_percent(found.quality_ratio)} of always-dear's, {level} interval {kept}",
        f"  the aim            {found.aim}",
        f"  escalated          {_percent(found.escalation_rate)}",
        f"  area               {found.area:.2f} (0 as a random mix, 1 as an oracle)",
        f"  calibration error  {before} as it is, {after} calibrated",
        *_took(found),
        f"  more cases         {_more(found)}",
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


def _took(found: "Evaluation") -> list[str]:
    took = found.latency
    if took is None:
        return []
    mine = f"{took.mean:.2f} s on average, half under {took.p50:.2f} s, 95 % under {took.p95:.2f} s"
    return [f"  seconds            {mine}; always-dear {took.dear_mean:.2f}, {took.dear_p50:.2f}, {took.dear_p95:.2f}"]


def _more(found: "Evaluation") -> str:
    if found.more_cases_needed:
        for_what = "a cascade to be shown to pay" if found.recommendation == "do not cascade" else "the claim to stand"
        return f"about {found.more_cases_needed:,} are needed for {for_what}"
    return "none are needed"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _span(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
