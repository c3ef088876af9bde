"""`fastcascade compare`: the regression gate: is the new cascade no worse than the old one?"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fastcascade.cli.options import keeping, share
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case
    from fastcascade.evals.decided import Decision

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say whether a new cascade is no worse than the old one on the same cases, for CI"
EPILOG = """\
Both cascades are put through recordings of the cases (see 'fastcascade record'), and nobody is called. Where only
thresholds, calibrations or policies differ, one recording serves both; where models, prompts or gates differ, record
each of them into the same file first.

It ends with
    0    nothing was shown to be worse; with --strict: all was shown to be no worse
    1    the whole or a slice is worse; with --strict also where it was not shown that it is no worse
    2    nothing was compared: what you must change is on the error stream, and no file is written

"Worse" is lower at all, "no worse" lower by less than the margin, and "not shown" neither, for want of cases. All rows
together are wrong about either with the risk that --confidence leaves. In CI, as a step of a GitHub workflow:

    fastcascade compare old.toml new.toml cases.jsonl --run run.db --markdown gate.md --junit gate.xml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("old", metavar="OLD", help="the cascade as it is, such as old.toml")
    parser.add_argument("new", metavar="NEW", help="the cascade as it is to be, such as new.toml")
    parser.add_argument("cases", metavar="CASES", help="what both are asked, as JSONL or CSV")
    parser.add_argument("--run", required=True, metavar="FILE", help="the recording, such as run.db")
    parser.add_argument("--new-run", metavar="FILE", help="the recording of the new one, if it is another")
    parser.add_argument("--margin", type=share, default=0.02, metavar="N",
                        help="how much lower the quality may be and count as no worse (default: 0.02)")  # fmt: skip
    keeping(parser, sure="how sure the whole table is to be", keep=False)
    parser.add_argument("--strict", action="store_true", help="fail too where no worse could not be shown")
    parser.add_argument("--markdown", metavar="FILE", help="write it for a pull request; - is the output")
    parser.add_argument("--junit", metavar="FILE", help="write it as JUnit XML")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def execute(args: argparse.Namespace) -> int:
    """Replay both, compare, and print."""
    from fastcascade.evals.cases import load_cases  # noqa: PLC0415 - only where it is wanted, as what follows
    from fastcascade.evals.compare_report import junit, markdown, text  # noqa: PLC0415
    from fastcascade.evals.comparison import compare  # noqa: PLC0415

    if args.json and args.markdown == "-":
        raise ConfigError("--json and --markdown - both want the output: give one of them a file")
    cases = load_cases(args.cases)
    old = _decided(args.old, cases, args.run)
    new = _decided(args.new, cases, args.new_run or args.run)
    graded = [each for each in cases if old[each.id].grade is not None and new[each.id].grade is not None]
    if not graded:
        raise ConfigError(f"no case in {args.cases} was graded: record with --grader, or name graders in the cases")
    if len(graded) < len(cases):
        warn(f"{len(cases) - len(graded)} of {len(cases)} cases could not be graded, and are left out")
    before, after = ([from_[each.id] for each in graded] for from_ in (old, new))
    weights = [each.weight for each in graded]
    # Of backends that do not say what they used, or cost nothing, there is no change to be told.
    costs = [[each.usd for each in from_] for from_ in (before, after)] if any(e.usd for e in before + after) else None
    found = compare(
        [each.grade or 0.0 for each in before],
        [each.grade or 0.0 for each in after],
        slices=[each.slice for each in graded],
        margin=args.margin,
        delta=1 - args.confidence,
        weights=None if len(set(weights)) == 1 else weights,
        ids=[each.id for each in graded],
        cost_old=costs and costs[0],
        cost_new=costs and costs[1],
        latency_old=[each.seconds for each in before],
        latency_new=[each.seconds for each in after],
    )
    if args.junit:
        _write(args.junit, junit(found, strict=args.strict))
    if args.markdown and args.markdown != "-":
        _write(args.markdown, markdown(found))
    if args.json:
        print(json.dumps(found.as_dict(), indent=1, allow_nan=False))
    else:
        print(markdown(found) if args.markdown == "-" else text(found))
    return min(found.exit_code(strict=args.strict), 1)


def _decided(path: str, cases: "list[Case]", run: str) -> "dict[str, Decision]":
    from fastcascade import config  # noqa: PLC0415 - as above
    from fastcascade.evals.decided import decided  # noqa: PLC0415
    from fastcascade.evals.recorder import version_of  # noqa: PLC0415
    from fastcascade.evals.runs import Runs  # noqa: PLC0415

    cascade = config.load(path)
    with Runs(run) as runs:
        return decided(cascade, version_of(path), cases, runs, path)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
