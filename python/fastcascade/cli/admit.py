"""`fastcascade admit`: which slices the small tier has earned."""

import argparse
import sys
from typing import TYPE_CHECKING

from fastcascade.cli.options import keeping, pair
from fastcascade.cli.report import table, warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.admitted import AdmissionRow

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say which kinds of requests the small tier has earned, and write it down for routing"
EPILOG = """\
FILE is a recording (see 'fastcascade record') or a CSV table of outcomes. A slice is admitted when it is shown that
its cascade keeps its share of the large tier's quality, with one confidence for all slices together, and costs less.
Routing obeys the file that is written: `admitted = "admitted.json"` under [lanes] in a cascade's TOML, or
Cascade(..., lanes=Admitted("admitted.json")). A server reads it anew when it is replaced. Where the large tier of the
cascade is not its last one, name it there too: `large = "..."`.

It ends with 0 whatever was admitted, and with 2 for what you must change.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="a recording such as run.db, or a table such as outcomes.csv")
    keeping(parser, sure="how sure all admissions together are to be")
    pair(parser)
    parser.add_argument("--signal", metavar="NAME", help="the gate whose answers are judged (default: no gate)")
    parser.add_argument("--accept", type=float, metavar="N", help="with --signal: the score from which it accepts")
    parser.add_argument("--to", metavar="FILE", help="where the policy goes, such as admitted.json")
    parser.add_argument("--json", action="store_true", help="print the policy as JSON")


def execute(args: argparse.Namespace) -> int:
    """Judge every slice, and write the policy."""
    from fastcascade.evals.admission import admit  # noqa: PLC0415 - loads numpy, as what follows
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415

    if (args.signal is None) != (args.accept is None):
        raise ConfigError("--signal and --accept go together: which gate, and from which score on it accepts")
    outcomes = outcomes_of(args.file, args.cheap, args.dear)
    if args.signal is not None and args.signal not in outcomes.signals:
        known = ", ".join(outcomes.signals) or "none"
        raise ConfigError(f"there is no signal {args.signal!r} in {outcomes.name}; there are: {known}")
    score = None if args.signal is None else outcomes.surer(args.signal)
    admission = admit(outcomes, score, keep=args.keep, delta=1 - args.confidence, accept=args.accept)
    if args.to:
        admission.dump(args.to)
    told = outcomes.told()
    if args.json:
        if told:
            warn(told)
        sys.stdout.write(admission.dumps())
    else:
        if told:
            print(f"{told}\n")
        head = ["slice", "cases", "small", "large", "keeps at least", "verdict"]
        print(*table(head, [_row(each) for each in admission.rows]), sep="\n")
        if admission.admitted and args.accept is not None:
            holds = f"What is admitted is so where the small tier accepts from {args.accept:g} of {args.signal}"
            print(f"\n{holds}, its raw score: set that in the cascade.")
        if args.to:
            print(f"written: {args.to}")
    if not admission.admitted:
        warn("nothing is admitted: every request goes to the large tier")
    return 0


def _row(row: "AdmissionRow") -> list[str]:
    more = f"; about {row.more_cases} more cases" if row.more_cases else ""
    why = f" ({row.why}{more})" if row.why else f"{more}"
    return [
        row.slice or "(all)",
        str(row.n),
        f"{100 * row.cheap:.1f} %",
        f"{100 * row.dear:.1f} %",
        f"{100 * row.low:.1f} %",
        f"{row.verdict}{why}",
    ]
