"""The command line: one file per command, standard library only."""

import argparse
import difflib
import io
import os
import platform
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

from fastcascade import __version__
from fastcascade._core import DEBUG_BUILD
from fastcascade.cli import admit, bench, calibrate, compare, demo, drill, estimate, evaluate, record, thresholds
from fastcascade.cli.report import warn
from fastcascade.cli.routefile import FileError
from fastcascade.errors import ConfigError, StoreError

__all__ = ["main"]


class Command(Protocol):
    """What each command's file offers."""

    @property
    def SUMMARY(self) -> str:  # noqa: N802 - a module's constant
        """What it is for."""
        ...

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Its options."""
        ...

    def execute(self, args: argparse.Namespace, /) -> int:
        """Do it; the exit code."""
        ...


COMMANDS: dict[str, Command] = {
    "demo": demo,
    "bench": bench,
    "drill": drill,
    "record": record,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "thresholds": thresholds,
    "admit": admit,
    "compare": compare,
    "estimate": estimate,
}


NUMERIC = frozenset({"numpy", "scipy"})
"""What the commands that work with figures load when they are run."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastcascade: {message}\nsee '{self.prog} --help'\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 when the reader went away, 2 for what the user must change."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A route may hold letters that the terminal lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if argv is None else argv)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        return _unknown(given[0])
    parser = _parser()
    args = parser.parse_args(given)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        code = _executed(COMMANDS[args.command], args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain of the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _executed(command: Command, args: argparse.Namespace) -> int:
    """Do it, and say what the user must change where it cannot be done."""
    try:
        return command.execute(args)
    except (FileError, ConfigError, StoreError) as error:
        warn(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NUMERIC:
            raise
        warn(f"this needs {error.name}: pip install 'fastcascade[evals]'")
    return 2


def _unknown(command: str) -> int:
    near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(COMMANDS)}"
    warn(f"no command '{command}'; {hint}\nsee 'fastcascade --help'")
    return 2


def _parser() -> argparse.ArgumentParser:
    about = "Answer every request on the cheapest path that is good enough."
    parser = _Parser(prog="fastcascade", description=about, allow_abbrev=False)
    build = "debug" if DEBUG_BUILD else "release"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    parser.add_argument("--version", action="version", version=f"fastcascade {__version__} ({build} build, {python})")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        described = command.SUMMARY[0].upper() + command.SUMMARY[1:] + "."
        command.add_arguments(
            commands.add_parser(name, help=command.SUMMARY, description=described, allow_abbrev=False)
        )
    return parser
