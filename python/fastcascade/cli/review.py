"""`fastcascade review`: the review desk in a terminal."""

import argparse
import getpass
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.reviews.desk import ReviewDesk

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "answer what waits for a person, in the terminal"
EPILOG = """\
The desks are those of the file's cascades, over the store that it names: the console's and this are the same queue.
A name is one person: who claims what is theirs already takes it over from where they had it.

With a terminal, answers are written in $VISUAL or $EDITOR where one is set; else, and from a pipe, line by line, up to
a line with a dot alone. An answer is sent after ten seconds, or at once with Enter, and can be undone until then.
Signs of what callers and models wrote that a terminal would obey are written out, such as \\x1b.
"""
MOST: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", type=Path, default=Path("cascade.toml"), metavar="FILE",
                        help="the cascade's file (default: cascade.toml)")  # fmt: skip
    parser.add_argument("--name", metavar="ANN", help="who answers (default: who is logged in)")
    parser.add_argument("--cascade", metavar="NAME", help="the desk of this cascade alone")
    parser.add_argument("--list", action="store_true", help="say what waits and who has what, and end")
    parser.add_argument("--once", action="store_true", help="end after one review")


def execute(args: argparse.Namespace) -> int:
    """List, or answer until nothing waits or one quits."""
    import asyncio  # noqa: PLC0415 - only where it is wanted, as what follows

    from fastcascade.config import load_all  # noqa: PLC0415

    file = load_all(args.file)
    found = {args.cascade: file.cascade(args.cascade)} if args.cascade else dict(file.cascades)
    desks: list[ReviewDesk] = []
    for cascade in found.values():
        review = cascade.chain.review
        if review is not None and review.desk not in desks:
            desks.append(review.desk)
    if not desks:
        raise ConfigError(f'{args.file}: no review desk here; a cascade has one by a fallback of kind = "review"')
    try:
        return asyncio.run(_worked(args, list(file.cascades.values()), desks))
    except KeyboardInterrupt:
        print()
        return 130


async def _worked(args: argparse.Namespace, cascades: "list[Cascade]", desks: "list[ReviewDesk]") -> int:
    from fastcascade.cli.review_sitting import Sitting  # noqa: PLC0415 - as above

    try:
        if args.list:
            return await _list(desks)
        return await Sitting(desks, args.name or _me(), once=args.once).run()
    finally:
        for cascade in cascades:
            with suppress(Exception):  # what was done is done
                await cascade.aclose()
        for desk in desks:
            await desk.aclose()


async def _list(desks: "list[ReviewDesk]") -> int:
    import time  # noqa: PLC0415 - as above

    from fastcascade.cli.review_text import listed  # noqa: PLC0415
    from fastcascade.reviews.shown import brief  # noqa: PLC0415

    found: dict[str, dict[str, Any]] = {}
    for desk in desks:
        for state in ("claimed", "waiting"):
            page = await desk.store.listed(state, "", MOST)
            found |= {review.id: brief(review) for review in page}
    rows = sorted(found.values(), key=lambda each: (each["due"] is None, each["due"] or 0.0, each["created"]))
    print("\n".join(listed(rows, time.time())))
    counts = [await desk.counts() for desk in desks]
    waiting, claimed = sum(each.waiting for each in counts), sum(each.claimed for each in counts)
    if waiting + claimed > len(rows):
        print(f"and {waiting + claimed - len(rows)} more, which are younger")
    return 0


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = os.environ.get("USER", "")
        if name:
            return name
        raise ConfigError("who answers? give --name") from None
