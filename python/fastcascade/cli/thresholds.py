"""`fastcascade thresholds`: from where on each tier of a recording is to accept, under one promise for all of them."""

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastcascade.cli.options import keeping
from fastcascade.cli.report import table
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.ladder import Ladder
    from fastcascade.evals.ladder_figures import Interval, Rung
    from fastcascade.evals.pareto import LadderGuarantee

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say for all tiers at once from where on to accept, with one promise"
EPILOG = """\
RUN is a recording of two tiers or more (see 'fastcascade record'). Half of its cases choose the gates and thresholds,
the other half judges them, and all figures are of that half. "not yet" means that these cases cannot carry the promise,
and that the last tier should be asked alone until there are more. Where a ladder has two tiers, 'fastcascade calibrate'
needs fewer cases.

Thresholds are of raw scores. A gate with a calibration compares what its curve makes of the score: give it the
threshold through the same curve. "take it out" means that the tier is not worth its cost and is to leave the cascade.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("run", metavar="RUN", help="a recording such as run.db")
    keeping(parser)
    parser.add_argument("--gate", type=_named, action="append", default=[], metavar="TIER=NAME",
                        help="which score a tier goes by (default: the one that tells right from wrong)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the deal into halves (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def execute(args: argparse.Namespace) -> int:
    """Read, choose, judge and show."""
    from fastcascade.evals.ladder import ladder_of  # noqa: PLC0415 - loads numpy, as what follows
    from fastcascade.evals.pareto import ladder_guarantee  # noqa: PLC0415

    if args.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, not {args.seed}")
    ladder = ladder_of(args.run, dict(args.gate), seed=args.seed)
    found = ladder_guarantee(ladder, keep=args.keep, delta=1 - args.confidence, seed=args.seed)
    if args.json:
        print(json.dumps(_document(ladder, found), indent=1, allow_nan=False))
    else:
        print(*_lines(ladder, found), sep="\n")
    return 0


def _named(text: str) -> tuple[str, str]:
    tier, _, name = text.partition("=")
    if not tier or not name:
        raise argparse.ArgumentTypeError(f"'{text}' does not say which tier goes by which score, such as small=judge")
    return tier, name


def _document(ladder: "Ladder", found: "LadderGuarantee") -> dict[str, Any]:
    """The figures flat, and what is no number as null."""
    whole = asdict(found)
    whole |= whole.pop("figures")
    rungs = [{**each, "taken_out": each["threshold"] == math.inf} for each in whole.pop("rungs")]
    whole |= {"confidence": 1 - found.delta, "tiers": rungs, "left_out": dict(ladder.left_out)}
    return {name: _plain(each) for name, each in whole.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(ladder: "Ladder", found: "LadderGuarantee") -> list[str]:
    figures, last = found.figures, ladder.tiers[-1]
    sure, kept = f"{100 * (1 - found.delta):g} %", f"{100 * found.keep:g} % of {last}'s quality"
    left = ", ".join(f"{count:,} {why}" for why, count in ladder.left_out.items())
    head = f"{found.n_learning + found.n:,} cases: {found.n_learning:,} to choose by, {found.n:,} to judge"
    lines = [head + (f"; left out: {left}" if left else ""), ""]
    columns = ["tier", "goes by", "accepts from", "asked", "answers", "95 % interval", "goes on"]
    lines += [*table(columns, [_row(each) for each in figures.rungs], left=2), ""]
    if found.verdict == "not yet":
        return [*lines, f"not yet: {_wanting(found, last)}; {kept} cannot be promised with {sure} confidence"]
    saving = f"{_percent(figures.saving)} of {last}'s cost ({_span(figures.saving_interval)})"
    lines += [
        f"promise  {kept} at least, with {sure} confidence: {found.carried} of {found.tried} settings tried hold",
        f"keeps    {_percent(figures.quality_ratio)} (at least {_percent(found.ratio_low)})",
        f"saves    {saving}: {figures.cost:.3g} dollars a case in place of {figures.last_cost:.3g}",
    ]
    if figures.seconds is not None and figures.last_seconds is not None:
        lines.append(f"takes    {figures.seconds:.3g} s a case in place of {figures.last_seconds:.3g}")
    return [*lines, "", "Thresholds are of raw scores: where a gate has a calibration, put them through its curve."]


def _row(rung: "Rung") -> list[str]:
    if rung.threshold is None:
        where = "what comes"
    else:
        where = "take it out" if rung.threshold == math.inf else f"{rung.threshold:.6g}"
    shares = [_percent(rung.asked), _percent(rung.answered), _span(rung.answered_interval), _percent(rung.escalated)]
    return [rung.tier, rung.gate or "-", where, *shares]


def _wanting(found: "LadderGuarantee", last: str) -> str:
    if found.why == "nothing is cheaper":
        return f"no setting costs less than {last} alone"
    if found.more_cases is None:
        return f"ask {last} alone; no number of cases would do if things are as they look"
    return f"ask {last} alone; about {found.more_cases:,} more cases are needed"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _span(ends: "Interval") -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
