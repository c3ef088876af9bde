"""What options accept, with errors that say it."""

import argparse
import math

__all__ = ["count", "seconds", "share"]


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
