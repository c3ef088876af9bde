"""`fastcascade export`: decisions as a file, to look into with other tools or to work out thresholds on."""

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.cli.decisions_file import add_source, source_of
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import Decisions, Whole

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "write kept decisions to a file: JSON lines, Parquet, and for the evals cases or a table of outcomes"
EPILOG: Final = """\
What --to ends in says what is written:

    .jsonl                 an object to each decision, with all that is kept of it
    .parquet               a row to each; needs fastcascade[parquet]
    .jsonl --graded        those with labels, as cases: fastcascade record cascade.toml graded.jsonl --to run.db
                           (only where texts were kept)
    .csv --graded          those that were drawn, with grades of both tiers, as a table of outcomes:
                           fastcascade calibrate graded.csv, fastcascade evaluate --outcomes graded.csv

The file is there when all of it is written, and is readable by its owner alone. The store may be in use meanwhile.
"""
ENDS: Final = ".jsonl, .parquet, or .csv with --graded"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add_source(parser)
    parser.add_argument("--to", required=True, metavar="FILE", type=Path, help=f"what is written: {ENDS}")
    parser.add_argument("--graded", action="store_true", help="those alone that have labels, as the evals read them")
    parser.add_argument("--cascade", default="", metavar="NAME", help="of one cascade alone")
    parser.add_argument("--cheap", default="", metavar="TIER", help="of a table: the small one (default: the first)")
    parser.add_argument("--dear", default="", metavar="TIER", help="of a table: the large one (default: the last)")


def execute(args: argparse.Namespace) -> int:
    """Write them, and say how many."""
    from fastcascade.telemetry.export import walk  # noqa: PLC0415 - with what it loads

    kind = args.to.suffix.casefold()
    if kind not in (".jsonl", ".ndjson", ".parquet", ".csv") or (kind == ".csv" and not args.graded):
        raise ConfigError(f"{args.to}: what is exported ends in {ENDS}")
    decisions, now = source_of(args.file).decisions, time.time()
    rows = walk(decisions.path, now - args.since, now, graded=args.graded, cascade=args.cascade)
    n, left_out = _written(args, kind, rows, decisions, now)
    for why, many in left_out.items():
        warn(f"left out: {many:,} {why}")
    print(f"{n:,} decisions written to {args.to}")
    return 0


def _written(
    args: argparse.Namespace, kind: str, rows: "Iterator[Whole]", decisions: "Decisions", now: float
) -> tuple[int, Mapping[str, int]]:
    from fastcascade.telemetry import export  # noqa: PLC0415 - as above

    if kind == ".parquet":
        return export.write_parquet(args.to, rows), {}
    if not args.graded:
        return export.write_json(args.to, rows), {}
    from fastcascade.telemetry import export_graded  # noqa: PLC0415 - loads what others do not need

    if kind != ".csv":
        return export_graded.write_cases(args.to, rows)
    tiers = [each.tier for each in decisions.funnel(now - args.since, now, cascade=args.cascade)]
    cheap, dear = args.cheap or (tiers[0] if tiers else ""), args.dear or (tiers[-1] if tiers else "")
    if cheap == dear:
        raise ConfigError(f"a table of outcomes is of two tiers, and {cheap or 'none'} was asked; see --cheap, --dear")
    return export_graded.write_outcomes(args.to, rows, cheap, dear)
