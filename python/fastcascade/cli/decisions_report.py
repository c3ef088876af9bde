"""`fastcascade report`: what was decided over some days: paths, costs, escalation, times, savings, quality."""

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.decisions_file import add_source, source_of

if TYPE_CHECKING:
    from fastcascade.cli.decisions_report_figures import Figures

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say what was decided over some days: paths, costs, escalation, times, savings, quality"
EPILOG: Final = """\
FILE is a cascade's configuration that has [gateway.decisions], or the store that it names, which may be in use.

Times are within 2 %, and within 11 % where no cascade was reached. Intervals are at 95 %: exact for shares, by betting
for grades, of a ratio of sums for savings. Savings are an estimate: the last tier's price for as many tokens as the
answer took. To have it measured, see 'fastcascade evaluate'.

Where decisions have left, sums by the hour stay four times as long: a span that begins there begins with a whole hour.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add_source(parser)
    parser.add_argument("--by", choices=("slice", "hour", "tier"), default="slice",
                        help="what requests are told apart by, beside their path (default: slice)")  # fmt: skip
    parser.add_argument("--cascade", default="", metavar="NAME", help="of one cascade alone")
    parser.add_argument("--json", action="store_true", help="one document of JSON in place of text")


def execute(args: argparse.Namespace) -> int:
    """Read, add up, say."""
    from fastcascade.cli.decisions_report_figures import figures  # noqa: PLC0415 - with what it loads
    from fastcascade.cli.decisions_report_text import lines  # noqa: PLC0415 - as above

    source, now = source_of(args.file), time.time()
    found = figures(source, now - args.since, now, args.by, args.cascade)
    print(json.dumps(_plain(found), indent=1, allow_nan=False) if args.json else "\n".join(lines(found)))
    return 0


def _plain(found: "Figures") -> dict[str, Any]:
    """As JSON has it; with each rate its interval."""
    made = asdict(found)
    for name in ("tiers", "groups", "layers", "ways"):
        for each, plain in zip(getattr(found, name), made[name], strict=True):
            plain["escalation_interval"] = each.escalation
    return made
