"""`fastcascade evaluate --drill`: thirty cases through the small lane, and its failures on to the flagship."""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from fastcascade.cli.evaluate_drill_text import text
from fastcascade.cli.grading import grading
from fastcascade.cli.options import count, share
from fastcascade.cli.report import warn
from fastcascade.cli.sitting import sitting
from fastcascade.errors import ConfigError
from fastcascade.evals.exercise import PASS

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.evals.cases import Case
    from fastcascade.evals.exercise_account import Exercise
    from fastcascade.evals.graders import Grader
    from fastcascade.evals.recorder import Recorded

__all__ = ["add_arguments", "execute"]

FAILED: Final = 1
CAPPED: Final = 3
SCHEMA: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a drill, beside --drill itself, --json, --confidence and --seed."""
    drill = parser.add_argument_group(
        "a drill", "Every tier of --cascade is asked every case, once; without it the cases bring their candidates."
    )
    drill.add_argument("--cascade", metavar="FILE", help="whose tiers are asked, such as cascade.toml")
    drill.add_argument(
        "--run", metavar="FILE", help="where what they say is kept, such as run.db; it goes on from there"
    )
    drill.add_argument("--small", metavar="TIER", help="the small lane (default: the first tier that asks a model)")
    drill.add_argument("--large", metavar="TIER", help="the flagship (default: the last tier)")
    drill.add_argument("--pass", type=share, default=PASS, metavar="GRADE", dest="passing",
                       help=f"the grade from which a reply does not escalate (default: {PASS:g})")  # fmt: skip
    drill.add_argument("--grader", metavar="NAME",
                       help="how replies are graded, such as numeric, where a case does not say how")  # fmt: skip
    drill.add_argument("--judge", metavar="TIER", help="the tier whose model the grader 'judged' asks")
    drill.add_argument("--trust", action="store_true", help="run code that a case names as its grader")
    drill.add_argument("--cap-usd", type=_dollars, metavar="N", help="dollars that --run may cost in all")
    drill.add_argument("--concurrency", type=count, default=4, metavar="N", help="calls at once (default: 4)")
    drill.add_argument(
        "--prices", metavar="FILE", help="prices of candidates' models, in JSON, before the published ones"
    )


def execute(args: argparse.Namespace) -> int:
    """Drill, and print: 0, 1 where calls have failed, 3 where the cap was reached before all was asked."""
    cases = _cases(args)
    with grading(args.drill, trust=args.trust):
        if args.cascade is None:
            return _told(args, _candidates(args, cases))
        with _kept(args.run) as path:
            return _asked(args, cases, path)


def _cases(args: argparse.Namespace) -> "list[Case]":
    from fastcascade.evals.cases import load_cases  # noqa: PLC0415 - only where it is wanted, as what follows

    every = load_cases(args.drill)
    cases = [case for case in every if case.weight > 0]
    if len(cases) < len(every):
        warn(f"passed over, since they weigh nothing: {len(every) - len(cases)} of {len(every)} cases")
    if not args.grader and not any(case.grader for case in cases):
        raise ConfigError(f"{args.drill} does not say how replies are graded: give --grader, such as normalized")
    return cases


def _grader(args: argparse.Namespace, cascade: "Cascade | None") -> "Grader | None":
    from fastcascade.evals.graders import grader_of  # noqa: PLC0415

    if args.judge and cascade is None:
        raise ConfigError("--judge names a tier, and without --cascade there is none")
    if args.judge and cascade is not None and args.judge not in cascade.places:
        raise ConfigError(f"--judge: there is no tier {args.judge!r}; there are: {', '.join(cascade.places)}")
    judge = cascade.tiers[cascade.places[args.judge]].backend if args.judge and cascade is not None else None
    return grader_of(args.grader, judge=judge) if args.grader else None


def _candidates(args: argparse.Namespace, cases: "Sequence[Case]") -> "Exercise":
    """Grade what the cases bring: nobody is called."""
    import asyncio  # noqa: PLC0415

    from fastcascade.evals.exercise import exercised  # noqa: PLC0415
    from fastcascade.evals.exercise_lanes import from_candidates, named_lanes  # noqa: PLC0415
    from fastcascade.prices import PriceSheet  # noqa: PLC0415

    for option in ("run", "cap_usd"):
        if getattr(args, option) is not None:
            raise ConfigError(f"--{option.replace('_', '-')} is of calls, and without --cascade none is made")
    grader = _grader(args, None)
    small, large = named_lanes(cases, args.small, args.large)
    sheet = PriceSheet.load(args.prices) if args.prices else PriceSheet()
    told = from_candidates(cases, small, large, sheet, grader, trust=args.trust)
    drilled, left_out, estimated = asyncio.run(told)
    settings = {"passing": args.passing, "confidence": args.confidence, "seed": args.seed}
    return exercised(drilled, small=small, large=large, left_out=left_out, estimated=estimated, **settings)


def _asked(args: argparse.Namespace, cases: "Sequence[Case]", path: Path) -> int:
    """Ask what is missing, then read the recording."""
    from fastcascade import config  # noqa: PLC0415
    from fastcascade.evals.exercise import exercised  # noqa: PLC0415
    from fastcascade.evals.exercise_lanes import from_recording, lanes_of  # noqa: PLC0415
    from fastcascade.evals.recorder import version_of  # noqa: PLC0415
    from fastcascade.evals.runs import Runs  # noqa: PLC0415

    cascade = config.load(args.cascade)
    small, large = lanes_of(cascade, args.small, args.large)
    with Runs(path, make=True) as runs:
        try:
            recorded = sitting(args, cascade, cases, runs, _grader(args, cascade))
        except KeyboardInterrupt:
            if args.run:
                warn(f"interrupted: give --run {args.run} again to go on")
            raise
        finally:
            if not args.run and runs.spent_usd:
                warn(
                    f"${runs.spent_usd:.4f} of calls were made and not kept; --run run.db keeps them for the next drill"
                )
        if recorded.left:
            warn(f"{recorded}\nthere is no drill on a part of the cases: give a higher cap, and the same --run")
            if args.json:
                print(json.dumps({"schema": SCHEMA, "recorded": recorded.document()}, indent=1, allow_nan=False))
            return CAPPED
        drilled, left_out = from_recording(
            cascade, version_of(args.cascade), cases, runs, small, large, name=args.cascade
        )
    settings = {"passing": args.passing, "confidence": args.confidence, "seed": args.seed}
    found = exercised(drilled, small=small, large=large, left_out=left_out, **settings)
    return max(_told(args, found, recorded), FAILED if recorded.failed else 0)


def _told(args: argparse.Namespace, found: "Exercise", recorded: "Recorded | None" = None) -> int:
    if args.json:
        calls = None if recorded is None else recorded.document()
        whole = {"schema": SCHEMA, **found.document(), "recorded": calls}
        print(json.dumps(whole, indent=1, allow_nan=False))
        return 0
    print("\n".join(text(found)))
    if recorded is not None:
        print(f"\n{recorded}")
    return 0


@contextmanager
def _kept(run: str | None) -> Iterator[Path]:
    """The recording's file; a passing one where none was named."""
    if run is not None:
        yield Path(run)
        return
    with TemporaryDirectory(prefix="fastcascade-drill-") as folder:
        yield Path(folder) / "run.db"


def _dollars(given: str) -> float:
    """A sum above zero."""
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{given}' is no sum of dollars above 0")
    return value
