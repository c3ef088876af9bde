"""`fastcascade drill`: break something on purpose, and see what callers see of it."""

import argparse
import json
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fastcascade import __version__
from fastcascade.cli.options import count, seconds
from fastcascade.cli.report import table, warn
from fastcascade.drills.scenarios import SCENARIOS, Scenario, scenario_of
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastcascade.cascade import Cascade
    from fastcascade.drills.report import Report

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "switch the primary off, or worse, and see what callers see of it"
EPILOG = """\
Without a file an example of three regions is drilled. With one, a copy of its cascade is: in virtual
time, with stand-ins for its models, so that nobody is called and nothing is paid; with --live the real
backends are asked, behind faults made in this process. With --url it is a service that runs, broken and
mended by commands of yours; its key, if it needs one, is read from the environment.

It ends with 1 where a promise was broken: a request lost or late, calls repeated beyond the budget or
before a Retry-After, a review lost, no return after the fault. The keys of --json are the names in
fastcascade/drills/report.py.
"""
LIVE: Final = {"rate": 2.0, "before": 10.0, "lasting": 30.0, "requests": 200}
VIRTUAL: Final = {"rate": 5.0, "before": 60.0, "lasting": 120.0}
SERVICE: Final = {"rate": 2.0, "before": 10.0, "lasting": 30.0, "requests": 500}
MOST_REQUESTS: Final = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", metavar="FILE", help="the cascade's configuration, such as cascade.toml")
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME",
                        help="what goes wrong; repeatable (default: 'primary off')")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every scenario that fits the cascade, one after another")
    parser.add_argument("--list", action="store_true", help="name the scenarios, and do nothing")
    parser.add_argument("--live", action="store_true", help="ask the real backends, in real time")
    parser.add_argument("--tier", default="", metavar="NAME", help="the tier whose primary is struck")
    load = parser.add_argument_group("the load")
    load.add_argument("--requests", type=count, metavar="N",
                      help="requests at most, in each scenario (default: 200 with --live, 500 with --url)")  # fmt: skip
    load.add_argument("--rate", type=_rate, metavar="N", help="requests a second (default: 5; 2 in real time)")
    load.add_argument("--before", type=seconds, metavar="N", help="seconds until the fault (default: 60; 10)")
    load.add_argument("--lasting", type=seconds, metavar="N", help="seconds that it lasts (default: 120; 30)")
    load.add_argument("--after", type=seconds, metavar="N",
                      help="seconds watched after it (default: what a return takes; 60 with --url)")  # fmt: skip
    promise = parser.add_argument_group("the promise")
    promise.add_argument("--within", type=seconds, metavar="N", help="seconds in which others are to answer")
    service = parser.add_argument_group("a service that runs")
    service.add_argument("--url", metavar="URL", help="where it is, as its clients have it")
    service.add_argument("--wire", choices=("openai", "anthropic"), default="openai", help="what it speaks")
    service.add_argument("--model", default="drill", metavar="NAME", help="the model that is asked for")
    service.add_argument("--break", dest="off", default="", metavar="CMD", help="the command that breaks its primary")
    service.add_argument("--mend", dest="on", default="", metavar="CMD", help="the command that mends it")
    service.add_argument("--key-env", default="", metavar="NAME",
                         help="the variable that holds its key (default: FASTCASCADE_DRILL_KEY)")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write the reports to a file too; - is the output, without text")


def execute(args: argparse.Namespace) -> int:
    """Drill, show each report as it is there, and say whether all promises held."""
    if args.list:
        print(*table(["scenario", "note"], [[each.name, each.summary] for each in SCENARIOS.values()]), sep="\n")
        return 0
    reports: list[Report] = []
    try:
        _check(args)
        with _quiet():
            for report in _service(args) if args.url else _in_process(args):
                if args.json != "-":
                    print("\n\n" * bool(reports) + str(report), flush=True)
                reports.append(report)
    except ConfigError as error:
        warn(str(error))
        return 2
    return 2 if not _written(args.json, reports) else int(not all(report.ok for report in reports))


def _check(args: argparse.Namespace) -> None:
    mine = args.file or args.scenario or args.all or args.live or args.tier
    if args.url and mine:
        raise ConfigError("a service is drilled with --url, --break and --mend alone: leave out file and scenarios")
    if not args.url and (args.off or args.on or args.key_env):
        raise ConfigError("--break, --mend and --key-env are for a service: give its --url")
    if args.live and not args.file:
        raise ConfigError("--live needs a cascade to ask: give its file")
    if args.all and args.scenario:
        raise ConfigError("--all is every scenario: leave out --scenario")


def _in_process(args: argparse.Namespace) -> "Iterator[Report]":
    from fastcascade.drills.drill import Drill  # noqa: PLC0415 - it brings asyncio

    scenarios = _scenarios(args)
    cascade = _cascade(args.file)
    chosen = _chosen(args, LIVE if args.live else VIRTUAL)
    if args.live:
        most = chosen["most"]
        warn(f"asking the real backends, {most} requests at most in each of {len(scenarios)} scenarios")
    for scenario in scenarios:
        try:
            drill = Drill(
                cascade,
                scenario,
                stand_in=not args.live,
                virtual=not args.live,
                tier=args.tier,
                within=args.within,
                **chosen,
            )
        except ConfigError as error:
            if not args.all or not scenario.store:
                raise
            warn(f"left out: {error}")
            continue
        yield drill.run()


def _service(args: argparse.Namespace) -> "Iterator[Report]":
    from fastcascade.drills.service import KEY, ServiceDrill  # noqa: PLC0415 - it brings asyncio

    chosen = _chosen(args, SERVICE)
    chosen = {name: value for name, value in chosen.items() if value is not None}
    drill = ServiceDrill(
        args.url, args.wire, args.off, args.on, model=args.model, key=args.key_env or KEY, within=args.within, **chosen
    )
    warn(f"asking {urlsplit(args.url).hostname}, {chosen['most']} requests at most, in {drill.last:g} s")
    yield drill.run()


def _scenarios(args: argparse.Namespace) -> list[Scenario]:
    if args.all:
        return list(SCENARIOS.values())
    return [scenario_of(name) for name in args.scenario or ["primary off"]]


def _chosen(args: argparse.Namespace, usual: dict[str, Any]) -> dict[str, Any]:
    found = {name: getattr(args, name) or usual.get(name) for name in ("rate", "before", "lasting", "after")}
    most = args.requests or usual.get("requests")
    if most is not None and most > MOST_REQUESTS:
        raise ConfigError(f"a drill makes at most {MOST_REQUESTS} requests, not {most}")
    return {**found, "most": most}


def _cascade(file: str | None) -> "Cascade":
    if file is None:
        from fastcascade.drills.example import example  # noqa: PLC0415 - only where it is wanted

        warn("no file was given: drilling an example of three regions")
        return example()
    from fastcascade import config  # noqa: PLC0415 - only where there is a file

    try:
        cascade: Cascade = config.load(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    return cascade


def _written(file: str | None, reports: "Iterable[Report]") -> bool:
    if file is None:
        return True
    whole = {"schema": 1, "version": __version__, "drills": [report.document() for report in reports]}
    text = json.dumps(whole, indent=1, allow_nan=False) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return True
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        warn(f"{file}: cannot be written: {error.strerror or error}")
        return False
    return True


@contextmanager
def _quiet() -> "Iterator[None]":
    """Keep the log to itself meanwhile: its lines are in the report, counted."""
    log = logging.getLogger("fastcascade")
    silent = logging.NullHandler()
    before, log.propagate = log.propagate, False
    log.addHandler(silent)
    try:
        yield
    finally:
        log.removeHandler(silent)
        log.propagate = before


def _rate(text: str) -> float:
    """Requests a second."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of requests a second from above 0 to 1000")
    return value
