"""`fastcascade doctor`: what a cascade's file needs to be served, looked at before it is."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Final

from fastcascade.cli.options import seconds

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "check a cascade's file, and all that it needs to be served"
EPILOG = """\
Each line is ok, warn or fail, and says what to do. The exit code is 1 if any is fail, else 0.

Nobody is asked anything that costs: of each tier it is seen whether its host can be reached. With --online each is
asked one question for a word or two, which costs well below a cent, and the clock is compared with the provider's.
"""
SCHEMA: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", type=Path, help="the cascade's configuration, such as cascade.toml")
    parser.add_argument("--online", action="store_true", help="ask each tier one question")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="N",
                        help="seconds to wait for each host (default: 5)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one document of JSON in place of lines")


def execute(args: argparse.Namespace) -> int:
    """Look at all of it."""
    from fastcascade.cli.doctor_checks import examined  # noqa: PLC0415 - what it loads is not needed for --help

    found = examined(args.file, online=args.online, timeout=args.timeout)
    counts = Counter(each.status for each in found)
    failed = counts["fail"] > 0
    if args.json:
        findings = [{"check": e.check, "status": e.status, "said": e.said, "todo": e.todo} for e in found]
        said = {"schema": SCHEMA, "file": str(args.file), "ok": not failed, "findings": findings}
        print(json.dumps(said, indent=2))
        return int(failed)
    width = max(len(each.check) for each in found)
    for each in found:
        print(f"{each.status:<4}  {each.check:<{width}}  {each.said}")
        if each.todo:
            print(f"{'':<4}  {'':<{width}}  -> {each.todo}")
    print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} that must be mended")
    return int(failed)
