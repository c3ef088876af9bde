"""`fastcascade demo`: a cascade of three tiers, the core below it, and the console with live traffic."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from fastcascade import __version__
from fastcascade._core import DEBUG_BUILD
from fastcascade.cli import demo_core, demo_served
from fastcascade.cli.demo_cascade import ACCEPT, MODELS, Asked, Trial, ask_all, recorded
from fastcascade.cli.demo_live import has_key, live, most_per_request
from fastcascade.cli.demo_questions import questions
from fastcascade.cli.demo_report import opening, summary, thresholds, trace_line
from fastcascade.cli.demo_sums import document, ladder, sums
from fastcascade.cli.options import count, seconds
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "answer requests through a cascade, show the core at work, then open the console on live traffic"
SCHEMA = 1
BRIEF = 60.0
"""Seconds that the console stays where nobody can say that it should end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    cascade = parser.add_argument_group("the cascade")
    cascade.add_argument(
        "--recorded", action="store_true", help="recorded answers, also where ANTHROPIC_API_KEY is set"
    )
    agree = f"accept a cheap reply where this share of its samples agrees (default: {ACCEPT})"
    cascade.add_argument("--accept", type=_share, default=ACCEPT, metavar="X", help=agree)
    cascade.add_argument("--cheap", metavar="MODEL", help=f"the cheap model of the real API (default: {MODELS[0]})")
    cascade.add_argument("--large", metavar="MODEL", help=f"the large one (default: {MODELS[1]})")
    core = parser.add_argument_group("the core")
    length = core.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=seconds, default=1.0, metavar="N", help="how long to run (default: 1)")
    length.add_argument("--requests", type=count, metavar="N", help="how many requests to run instead")
    core.add_argument("--seed", type=int, default=1, metavar="S", help="which requests are made (default: 1)")
    shown = parser.add_argument_group("the console")
    shown.add_argument("--console", action="store_true", help="open it also where this is no terminal")
    shown.add_argument("--text", action="store_true", help="do without it")
    shown.add_argument("--port", type=int, default=0, metavar="N", help="where (default: any port that is free)")
    shown.add_argument("--folder", type=Path, metavar="DIR", help="keep its files there (default: none are kept)")
    shown.add_argument("--for", dest="lasting", type=seconds, metavar="N",
                       help=f"seconds it stays (default: until Ctrl-C; {BRIEF:g} without a terminal)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write one JSON document instead of text")


def execute(args: argparse.Namespace) -> int:
    """Run both parts, showing each request of the cascade as it is answered."""
    if DEBUG_BUILD:
        warn("this is a debug build, many times slower than a release; these figures say nothing about fastcascade")
    trial = _trial(args)
    if trial.live:
        most = sum(most_per_request(each, trial.prices) for each in trial.questions)
        bound = f"{len(trial.questions)} requests of at most ${trial.cascade.budget.usd:.4f} each"
        warn(f"asking {' and '.join(trial.models)} with your key: {bound}, ${most:.2f} in all at most")
    if not args.json:
        _say(f"fastcascade {__version__} demo", "", *opening(trial))
    asked = asyncio.run(ask_all(trial, _ignore if args.json else _show))
    replayed = ladder(trial, asked)
    if not args.json:
        _say("", *summary(trial, asked, sums(trial, asked, trial.accept)), "", *thresholds(trial, replayed), "")
    core = demo_core.Demo(args.seed)
    seen = core.run(args.seconds, args.requests)
    if args.json:
        whole = {"schema": SCHEMA, "version": __version__, "debug_build": DEBUG_BUILD}
        whole |= {"cascade": document(trial, asked, replayed), "core": demo_core.document(seen, args.seed)}
        _say(json.dumps(whole, ensure_ascii=False, indent=1))
    else:
        _say(*demo_core.text(core, seen, args.seed))
    return 0 if args.json or args.text else _opened(args)


def _opened(args: argparse.Namespace) -> int:
    """The console, on a terminal or where it is asked for."""
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if not (person or args.console):
        _say("", "On a terminal this goes on with the console; --console opens it here too.")
        return 0
    sys.stdout.flush()
    lasting = args.lasting if args.lasting is not None or person else BRIEF
    return demo_served.serve(args.folder, args.port, lasting, browse=person)


def _trial(args: argparse.Namespace) -> Trial:
    """The real API where there is a key and nothing is against it, else the recording."""
    asked = questions()
    if has_key() and not args.recorded:
        try:
            chosen = [each for each in asked if each.live]
            return live(chosen, (args.cheap or MODELS[0], args.large or MODELS[1]), args.accept)
        except ConfigError as error:
            warn(f"ANTHROPIC_API_KEY is set, but {error}; showing recorded answers instead")
    elif args.cheap or args.large:
        warn("--cheap and --large name models of the real API, which is asked where ANTHROPIC_API_KEY is set")
    return recorded(asked, args.accept)


def _show(each: Asked) -> None:
    # As they come: a real model takes seconds.
    print(trace_line(each), flush=True)


def _ignore(_each: Asked) -> None:
    """Nothing is shown: the document comes whole."""


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _share(text: str) -> float:
    """A share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share between 0 and 1")
    return value
