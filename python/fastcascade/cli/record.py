"""`fastcascade record`: ask every tier every case, once, and keep what they say."""

import argparse
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from fastcascade.cli.grading import grading
from fastcascade.cli.options import count
from fastcascade.cli.report import warn
from fastcascade.cli.sitting import sitting
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastcascade.evals.cases import Case
    from fastcascade.evals.recorder import Recorded
    from fastcascade.evals.runs import Runs

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "ask every tier every case, once, and keep replies, signals, costs and grades"
EPILOG = """\
The file can be given again, after whatever ended the run: what it holds is not asked again, and calls that
failed are. Another cascade or another question is recorded anew; another truth or grader is graded anew from the
replies that are there. Thresholds, calibrations, policies and fallbacks change nothing of a recording. What a
function of yours does is not looked at: after a change to its code record into another file.

It ends with 0 when all cases are there, 1 where calls have failed, 2 for what you must change, 3 when the cap is
reached, 130 when it was interrupted: the calls under way are waited for, unless it is interrupted once more.
"""
FAILED: Final = 1
CAPPED: Final = 3
SHOWN: Final = 3
"""Of the ways in which calls failed, so many are told, the most frequent first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("cascade", metavar="CASCADE", help="the cascade's configuration, such as cascade.toml")
    parser.add_argument("cases", metavar="CASES", help="what is asked, as JSONL or CSV")
    parser.add_argument("--to", required=True, metavar="FILE", help="where it is kept, such as run.db")
    parser.add_argument("--cap-usd", type=_dollars, metavar="N",
                        help="dollars the file may cost in all, earlier runs among it (default: no bound)")  # fmt: skip
    parser.add_argument("--concurrency", type=count, default=4, metavar="N", help="calls at once (default: 4)")
    parser.add_argument("--per-minute", type=count, metavar="N", help="calls a minute (default: no bound)")
    parser.add_argument("--grader", metavar="NAME",
                        help="how replies are graded, such as numeric, where a case does not say how")  # fmt: skip
    parser.add_argument("--judge", metavar="TIER", help="the tier whose model the grader 'judged' asks")
    parser.add_argument("--trust", action="store_true", help="run code that a case names as its grader")
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")


def execute(args: argparse.Namespace) -> int:
    """Record, and say how far it got."""
    try:
        with grading(args.cases, trust=args.trust):
            recorded = _recorded(args)
    except KeyboardInterrupt:
        warn(f"interrupted: give {args.to} again to go on")
        raise
    print(json.dumps(recorded.document(), indent=1, allow_nan=False) if args.json else recorded)
    if recorded.left:
        return CAPPED
    return FAILED if recorded.failed else 0


def _recorded(args: argparse.Namespace) -> "Recorded":
    from fastcascade import config  # noqa: PLC0415 - only where it is wanted, as what follows
    from fastcascade.evals.cases import load_cases  # noqa: PLC0415
    from fastcascade.evals.graders import grader_of  # noqa: PLC0415
    from fastcascade.evals.runs import Runs  # noqa: PLC0415

    cascade, cases = config.load(args.cascade), load_cases(args.cases)
    if args.judge and args.judge not in cascade.places:
        raise ConfigError(f"--judge: there is no tier {args.judge!r}; there are: {', '.join(cascade.places)}")
    judge = cascade.tiers[cascade.places[args.judge]].backend if args.judge else None
    grader = grader_of(args.grader, judge=judge) if args.grader else None
    with Runs(args.to, make=True) as runs:
        recorded = sitting(args, cascade, cases, runs, grader, per_minute=args.per_minute)
        for line in _amiss(args, recorded, runs, cases, tiers=len(cascade.tiers)):
            warn(line)
        return recorded


def _amiss(
    args: argparse.Namespace, recorded: "Recorded", runs: "Runs", cases: "Sequence[Case]", *, tiers: int
) -> "Iterator[str]":
    """Why cases will be missing from every figure."""
    if recorded.failed:
        found = (each for _, recording in runs.recordings() for each in recording.outcomes.items())
        whys = Counter(
            f"{label}: {call.failure.kind}: {call.failure.message}" for label, call in found if call.failure is not None
        )
        for why, times in whys.most_common(SHOWN):
            yield f"failed {times} times: {why}"
        if len(whys) > SHOWN:
            yield f"and calls failed in {len(whys) - SHOWN} other ways"
    lone = sum(case.grader is None for case in cases)
    if recorded.ungraded and lone and not args.grader:
        yield f"{lone} cases name no grader: give --grader, and they are graded from the replies that are there"
    if tiers > 1 and (unknown := runs.ladder()["left_out"]["of unknown cost"]):
        why = "a model has no price, or a reply reports no usage"
        yield f"{unknown} cases are of unknown cost, and in no figure: {why}"


def _dollars(text: str) -> float:
    """A sum above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no sum of dollars above 0")
    return value
