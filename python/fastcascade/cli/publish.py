"""`fastcascade publish`: a configuration for all gateways that follow it, its history, and how each stands to it."""

import argparse
import asyncio
import datetime as dt
import getpass
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcascade.cli.options import count, seconds
from fastcascade.cli.report import table, warn
from fastcascade.cli.serve import url_of
from fastcascade.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastcascade.shared.published import Published, Version

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "publish a configuration to all gateways that follow it, in Redis"
EPILOG = """\
The file is read as `fastcascade serve` reads it, and refused where it is wrong, or holds a secret in clear. References
stay references: "env:NAME" is looked up by each gateway where it runs, and so is "file:path". Relative paths, as of
keys, certificates and artefacts, begin there at what each gateway was given as --folder: their files are not published.

Gateways follow it with `fastcascade serve --from`. One that cannot serve a version goes on with what it has, and says
why in --status. Whoever can write to the store decides where all gateways send requests, and with which keys: let its
access list say who that is. They themselves need to read, and to write but {PREFIX}:{config:NAME}:standings.
"""
LISTED = 12
"""Characters of a digest that are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the configuration, such as cascade.toml")
    parser.add_argument("--to", default="", metavar="URL", help="where (default: $FASTCASCADE_CONFIG_URL)")
    parser.add_argument("--name", default="default", metavar="NAME", help="under this name (default: default)")
    parser.add_argument("--prefix", default="fastcascade", metavar="WORD", help="of keys there (default: fastcascade)")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="N", help="seconds for a command (default: 5)")
    parser.add_argument("--comment", default="", metavar="TEXT", help="why")
    parser.add_argument("--who", default="", metavar="NAME", help="who (default: the user's name here)")
    parser.add_argument("--folder", type=Path, metavar="DIR",
                        help="where its relative paths begin, for the check (default: beside it)")  # fmt: skip
    parser.add_argument("--with-secrets", action="store_true", help="publish it though it holds a secret in clear")
    parser.add_argument("--json", action="store_true", help="as JSON")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show the versions there are")
    what.add_argument("--back", type=count, metavar="N", help="publish version N anew")
    what.add_argument("--status", action="store_true", help="show which gateway runs what, or why it does not")
    what.add_argument("--show", type=count, metavar="N", help="print version N as it was published")


def execute(args: argparse.Namespace) -> int:
    """Do it."""
    asked = args.list or args.back is not None or args.status or args.show is not None
    if asked == (args.file is not None):
        raise ConfigError("give a FILE to publish, or one of --list, --back, --status and --show")
    if asked:
        shows = {_listed: args.list, _status: args.status, _shown: args.show, _back: args.back}
        return asyncio.run(_with_store(args, next(each for each, wanted in shows.items() if wanted)))
    from fastcascade.cli.publish_checks import checked  # noqa: PLC0415 - loads all that a cascade needs

    text, notes = checked(args.file, args.folder, secrets=args.with_secrets)
    for each in notes:
        warn(f"note: {each}")
    return asyncio.run(_with_store(args, partial(_published, text=text)))


async def _with_store(
    args: argparse.Namespace, doing: "Callable[[argparse.Namespace, Published], Awaitable[int]]"
) -> int:
    from fastcascade.shared.published import Published  # noqa: PLC0415 - an extra
    from fastcascade.shared.shared import Shared  # noqa: PLC0415 - as above

    shared = Shared(url_of(args.to), prefix=args.prefix, timeout=args.timeout)
    published = Published(shared, args.name)
    try:
        return await doing(args, published)
    finally:
        await shared.aclose()


async def _published(args: argparse.Namespace, published: "Published", text: str, again: int = 0) -> int:
    newest = await published.newest()
    if newest is not None and newest.text == text and not again:
        raise ConfigError(f"version {newest.number} of {args.name} says the same: nothing was published")
    made = await published.publish(text, who=args.who or _user(), comment=args.comment, again=again)
    if args.json:
        print(json.dumps(_row(made)))
    else:
        print(f"published version {made.number} of {args.name}, {made.digest[:LISTED]}")
    return 0


async def _back(args: argparse.Namespace, published: "Published") -> int:
    """Once more what was before: gateways see one more version, and no number ever means two texts."""
    older = await published.version(args.back)
    args.comment = args.comment or f"back to version {older.number}"
    return await _published(args, published, older.text, older.again or older.number)


async def _shown(args: argparse.Namespace, published: "Published") -> int:
    version = await published.version(args.show)
    print(json.dumps({**_row(version), "text": version.text}) if args.json else version.text, end="")
    return 0


async def _listed(args: argparse.Namespace, published: "Published") -> int:
    versions = await published.versions()
    if args.json:
        print(json.dumps([_row(each) for each in versions]))
        return 0
    if not versions:
        raise StoreError(f"nothing is published as {args.name!r} at {published.shared.where}")
    rows = [
        [str(each.number), _when(each.at), each.digest[:LISTED], each.who, each.comment] for each in versions
    ]  # fmt: skip
    print("\n".join(table(["version", "when", "digest", "who", "comment"], rows, left=5)))
    return 0


async def _status(args: argparse.Namespace, published: "Published") -> int:
    """Exit code 1 where some gateway does not run the newest."""
    newest, standings = await published.newest(), await published.standings()
    number = newest.number if newest is not None else 0
    behind = [each for each in standings if each.runs != number]
    if args.json:
        print(json.dumps({"newest": number, "gateways": [asdict(each) for each in standings]}))
        return int(bool(behind))
    print(f"the newest version of {args.name} is {number}" if number else f"nothing is published as {args.name}")
    if not standings:
        print("no gateway follows it")
        return 0
    rows = [
        [each.gateway, str(each.runs), each.digest[:LISTED], _when(each.at), str(each.refused or "-")]
        for each in standings
    ]  # fmt: skip
    print("\n".join(table(["gateway", "runs", "digest", "heard", "refused"], rows, left=5)))
    for each in standings:
        if each.refused:
            print(f"\n{each.gateway} refused version {each.refused}:\n{_plain(each.why)}")
    return int(bool(behind))


def _row(version: "Version") -> dict[str, Any]:
    return {name: value for name, value in asdict(version).items() if name != "text"}


def _when(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _plain(text: str) -> str:
    """Without what a terminal would take for a command."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
