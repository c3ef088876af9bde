"""The command line: one file per command, standard library only. Only the file of the command asked for is loaded."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol, cast

from fastcascade import __version__
from fastcascade._core import DEBUG_BUILD
from fastcascade.cli.file_error import FileError
from fastcascade.cli.report import warn
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


COMMANDS: dict[str, str | Command] = {
    "demo": "answer requests through a cascade, show the core at work, then open the console on live traffic",
    "bench": "time every call of the hot path on your routes or the built-in table",
    "init": "write a commented cascade.toml to begin with",
    "doctor": "check a cascade's file, and all that it needs to be served",
    "serve": "serve a cascade over the APIs of OpenAI and Anthropic, and routes to your own services",
    "publish": "publish a configuration to all gateways that follow it, in Redis",
    "purge": "have a running gateway forget answers, by tag, by path, or all",
    "keys": "create, list and revoke the keys of a gateway's callers",
    "console": "say who may see the console, and make their passwords",
    "drill": "switch the primary off, or worse, and see what callers see of it",
    "record": "ask every tier every case, once, and keep replies, signals, costs and grades",
    "evaluate": "say whether a cascade is worth it, on cases that both models answered or on a drill of thirty",
    "calibrate": "turn what gates say into the chance of being right, and say from where on to accept",
    "thresholds": "say for all tiers at once from where on to accept, with one promise",
    "admit": "say which kinds of requests the small tier has earned, and write it down for routing",
    "compare": "say whether a new cascade is no worse than the old one on the same cases, for CI",
    "review": "answer what waits for a person, in the terminal",
    "estimate": "what a cascade would cost a day, path by path, beside the dear model alone",
    "report": "say what was decided over some days: paths, costs, escalation, times, savings, quality",
    "export": "write kept decisions to a file: JSON lines, Parquet, and for the evals cases or a table of outcomes",
    "top": "watch what a gateway decides, in the terminal",
}
"""Each with the SUMMARY of its file, so that none need be loaded to list them; or the command itself."""


FILES = {"report": "decisions_report"}
"""Of commands whose file is called otherwise."""

NUMERIC = frozenset({"numpy", "scipy"})
"""What the commands that work with figures load when they are run."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastcascade: {message}\nsee '{self.prog} --help'\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_given: Any) -> NoReturn:
        import platform  # noqa: PLC0415 - for those who ask

        build = "debug" if DEBUG_BUILD else "release"
        python = f"{platform.python_implementation()} {platform.python_version()}"
        sys.stdout.write(f"fastcascade {__version__} ({build} build, {python})\n")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 1 when the reader went away, 2 for what the user must change."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A route may hold letters that the terminal lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if argv is None else argv)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        return _unknown(given[0])
    command = _loaded(given[0]) if given and given[0] in COMMANDS else None
    parser = _parser(given[0] if command is not None else "", command)
    args = parser.parse_args(given)
    if command is None:
        parser.print_help()
        return 0
    try:
        code = _executed(command, args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain of the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _loaded(name: str) -> Command:
    found = COMMANDS[name]
    if not isinstance(found, str):
        return found
    return cast("Command", import_module(f"fastcascade.cli.{FILES.get(name, name)}"))


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
    import difflib  # noqa: PLC0415 - for those who mistype

    near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(COMMANDS)}"
    warn(f"no command '{command}'; {hint}\nsee 'fastcascade --help'")
    return 2


def _parser(asked: str, command: Command | None) -> argparse.ArgumentParser:
    """The command that is asked for with its options; all by name where none is."""
    about = "Answer every request on the cheapest path that is good enough."
    parser = _Parser(prog="fastcascade", description=about, allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, each in COMMANDS.items() if command is None else ((asked, command),):
        summary = each if isinstance(each, str) else each.SUMMARY
        described = summary[0].upper() + summary[1:] + "."
        added = commands.add_parser(name, help=summary, description=described, allow_abbrev=False)
        if command is not None:
            command.add_arguments(added)
    return parser
