"""What options accept, with errors that say it."""

import argparse
import math

__all__ = ["confidence", "count", "keeping", "pair", "seconds", "share"]


def seconds(text: str) -> float:
    """A time above zero, at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds between 0 and 86400")
    return value


def count(text: str) -> int:
    """A whole number above zero."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


def share(text: str) -> float:
    """A share above 0, at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share above 0 and at most 1, such as 0.98")
    return value


def confidence(text: str) -> float:
    """A share above one half, below 1."""
    value = share(text)
    if not 0.5 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no confidence above 0.5 and below 1, such as 0.95")
    return value


def keeping(parser: argparse.ArgumentParser, *, sure: str = "how sure the promise is to be", keep: bool = True) -> None:
    """`--keep`, where there is a large tier to be measured by, and `--confidence`; `sure` says of what."""
    if keep:
        parser.add_argument("--keep", type=share, default=0.98, metavar="N",
                            help="the share of the large tier's quality to keep (default: 0.98)")  # fmt: skip
    parser.add_argument("--confidence", type=confidence, default=0.95, metavar="N", help=f"{sure} (default: 0.95)")


def pair(parser: argparse.ArgumentParser) -> None:
    """`--cheap` and `--dear`, for a recording of more than two tiers."""
    parser.add_argument("--cheap", metavar="TIER", default=0, help="of a recording: the small one (default: the first)")
    parser.add_argument("--dear", metavar="TIER", default=-1, help="of a recording: the large one (default: the last)")
