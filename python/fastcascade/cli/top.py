"""`fastcascade top`: what a gateway decides, in the terminal, as it happens."""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from fastcascade.cli.decisions_file import add_source, since, source_of
from fastcascade.cli.options import seconds
from fastcascade.cli.top_screen import Sight, lines

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "watch what a gateway decides, in the terminal"
EPILOG: Final = """\
FILE is a cascade's configuration that has [gateway.decisions], or the store that it names, on this machine.

Keys: q ends it, p stops the clock and goes on. Where the output is no terminal, or with --once, it is shown once.
Without color where NO_COLOR is set.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add_source(parser, "")
    parser.add_argument("--since", type=since, default=900.0, metavar="SPAN",
                        help="how far back the figures go (default: 15m)")  # fmt: skip
    parser.add_argument("--every", type=seconds, default=1.0, metavar="N", help="seconds between looks (default: 1)")
    parser.add_argument("--once", action="store_true", help="show it once, and end")


def execute(args: argparse.Namespace) -> int:
    """Look, show, and again."""
    source = source_of(args.file)
    sight, name = Sight(source.decisions, args.since), Path(source.decisions.path).name
    live = not args.once and sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    if live:
        _watch(sight, name, args.every, color=color)
    else:
        width = shutil.get_terminal_size().columns
        print("\n".join(line.rstrip() for line in lines(sight.look(time.time()), name, width, None, color=color)))
    return 0


def _watch(sight: Sight, name: str, every: float, *, color: bool) -> None:
    from fastcascade.cli.top_terminal import Terminal  # noqa: PLC0415 - not on Windows

    with Terminal() as terminal:
        paused, seen, due = False, sight.look(time.time()), time.monotonic() + every
        while True:
            columns, rows = terminal.size
            terminal.draw(lines(seen, name, columns, rows, color=color, paused=paused))
            key = terminal.key(every if paused else due - time.monotonic())
            if key is None or key in ("q", "Q", "\x03"):
                return
            if key in ("p", "P"):
                paused = not paused
            if not paused and (key or time.monotonic() >= due):
                seen, due = sight.look(time.time()), time.monotonic() + every
