"""`fastcascade estimate`: what a cascade would cost a day, path by path, beside the dear model alone."""

import argparse
import json
import math
import sys

from fastcascade import __version__
from fastcascade.cli.estimate_report import text, worked_text
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError
from fastcascade.evals.economics import Workload, estimate
from fastcascade.evals.economics_worked import worked_document
from fastcascade.prices import PriceSheet

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "what a cascade would cost a day, path by path, beside the dear model alone"
EPILOG = """\
An escalated request pays twice: for the cheap side, its samples and its judge included, and for the dear
call. Nothing is asked and nothing measured: the figures follow from what you give. With --escalated 6/30
the rate has been counted, and the saving gets the interval that 30 cases are good for.

  fastcascade estimate --cheap claude-haiku-4-5 --dear claude-opus-4-5 --requests-per-day 100000 \\
    --tokens-in 1000 --tokens-out 300 --escalated 6/30
"""
SCHEMA = 1
NEEDED = ("cheap", "dear", "requests_per_day", "tokens_in", "tokens_out")
BY_PATH = ("escalation", "escalated", "cached", "rules", "straight")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    models = parser.add_argument_group("the models")
    models.add_argument("--cheap", metavar="MODEL", help="the model that is asked first")
    models.add_argument("--dear", metavar="MODEL", help="the model that it escalates to")
    models.add_argument("--judge", metavar="MODEL", help="the model that judges each reply of the cheap one")
    models.add_argument("--prices", metavar="FILE", help="prices of your own, in JSON, before the published ones")
    load = parser.add_argument_group("the traffic")
    load.add_argument("--requests-per-day", type=_amount, metavar="N", help="how many come in")
    load.add_argument("--tokens-in", type=_amount, metavar="N", help="the mean of a request")
    load.add_argument("--tokens-out", type=_amount, metavar="N", help="the mean of a reply")
    load.add_argument("--dear-tokens-out", type=_amount, metavar="N", help="of the dear model's, where it differs")
    load.add_argument("--prompt-cached", type=_share, default=0.0, metavar="SHARE",
                      help="of the tokens in, what is read from the provider's prompt cache")  # fmt: skip
    ways = parser.add_argument_group("the ways it goes")
    ways.add_argument("--escalation", type=_share, metavar="RATE", help="of what comes to the cheap model, 0 to 1")
    ways.add_argument("--escalated", type=_counted, metavar="K/N", help="the same as counted: 6/30")
    ways.add_argument("--cached", type=_share, metavar="SHARE", help="of all, answered by the answer cache")
    ways.add_argument("--rules", type=_share, metavar="SHARE", help="of all, answered by rules")
    ways.add_argument("--straight", type=_share, metavar="SHARE", help="of all, sent straight to the dear model")
    ways.add_argument("--shares", type=_shares, metavar="LIST",
                      help="all of it instead: cached=.1,rules=.2,cheap=.5,escalated=.1,straight=.1")  # fmt: skip
    gate = parser.add_argument_group("the gate")
    gate.add_argument("--samples", type=_amount, default=1.0, metavar="N",
                      help="replies of the cheap model for each request, the first included (default: 1)")  # fmt: skip
    gate.add_argument("--judge-in", type=_amount, metavar="N", help="tokens a judge reads (default: both and 250)")
    gate.add_argument("--judge-out", type=_amount, metavar="N", help="tokens a judge writes (default: 20)")
    times = parser.add_argument_group("the time it takes, in mean seconds")
    times.add_argument("--cheap-seconds", type=_amount, metavar="N", help="to the gate's verdict, judge included")
    times.add_argument("--dear-seconds", type=_amount, metavar="N", help="of the dear call")
    parser.add_argument("--worked", action="store_true", help="show the worked figures of the project, done again")
    parser.add_argument("--json", action="store_true", help="print a document instead of text")


def execute(args: argparse.Namespace) -> int:
    """Add up, and show it."""
    if args.worked:
        _print(args, {"worked": worked_document()}, worked_text() if not args.json else [])
        return 0
    try:
        load = _workload(args)
        sheet = PriceSheet.load(args.prices) if args.prices else PriceSheet()
        made = estimate(load, cheap=args.cheap, dear=args.dear, judge=args.judge, sheet=sheet)
    except ConfigError as error:
        warn(str(error))
        return 2
    _print(args, {"estimate": made.document()}, text(load, made) if not args.json else [])
    return 0


def _print(args: argparse.Namespace, document: dict[str, object], lines: list[str]) -> None:
    if args.json:
        whole = {"schema": SCHEMA, "version": __version__, **document}
        lines = [json.dumps(whole, indent=1, allow_nan=False)]
    sys.stdout.write("\n".join(lines) + "\n")


def _workload(args: argparse.Namespace) -> Workload:
    if missing := [_option(name) for name in NEEDED if getattr(args, name) is None]:
        raise ConfigError(f"an estimate needs {', '.join(missing)} too, or --worked alone")
    if (args.cheap_seconds is None) != (args.dear_seconds is None):
        raise ConfigError("--cheap-seconds and --dear-seconds are for each other: give both")
    if args.judge is None and (args.judge_in is not None or args.judge_out is not None):
        raise ConfigError("--judge-in and --judge-out are of a judge: give its --judge")
    common = {
        "per_day": args.requests_per_day,
        **{name: getattr(args, name) for name in ("tokens_in", "tokens_out", "dear_tokens_out", "prompt_cached")},
        **{name: getattr(args, name) for name in ("samples", "judge_in", "judge_out", "cheap_seconds", "dear_seconds")},
    }
    given = [_option(name) for name in BY_PATH if getattr(args, name) is not None]
    if args.shares is not None:
        if given:
            raise ConfigError(f"--shares says which way all requests go: leave out {', '.join(given)}")
        return Workload.by_path(args.shares, **common)
    if (args.escalation is None) == (args.escalated is None):
        raise ConfigError("an estimate needs one of --escalation RATE, --escalated K/N and --shares LIST")
    free = {name: getattr(args, name) or 0.0 for name in ("cached", "rules", "straight")}
    return Workload(escalated=args.escalation if args.escalated is None else args.escalated, **free, **common)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _amount(text: str) -> float:
    """A number, zero or more."""
    value = _float(text)
    if not 0 <= value <= 1e15:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to 1e15")
    return value


def _share(text: str) -> float:
    """A share of 1."""
    value = _float(text)
    if not 0 <= value <= 1:
        hint = "; 20 % is 0.2" if value > 1 or text.strip().endswith("%") else ""
        raise argparse.ArgumentTypeError(f"'{text}' is no share between 0 and 1{hint}")
    return value


def _counted(text: str) -> tuple[int, int]:
    """So many of so many."""
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is no count of cases such as 6/30")
    count, n = int(parts[0]), int(parts[1])
    if n == 0 or count > n:
        raise argparse.ArgumentTypeError(f"'{text}': no more can escalate than there are cases, and there must be one")
    return count, n


def _shares(text: str) -> dict[str, float]:
    """Shares by path."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        if name.strip() in found:
            raise argparse.ArgumentTypeError(f"'{name.strip()}' is there twice")
        found[name.strip()] = _share(share)
    return found


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
