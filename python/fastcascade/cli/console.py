"""`fastcascade console`: who may see the console."""

import argparse
import json
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.report import table
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.console.people_file import PeopleFile
    from fastcascade.console.people_record import PersonRecord

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "say who may see the console, and make their passwords"
EPILOG = """\
People are in the file that --file names, or [gateway.console] people in the file that --config names; without either,
in console.json here. Passwords are made and shown once; with --own, each types one of their own at a prompt. The file
has only their hashes. A running gateway takes changes up within a second: sessions of whoever is removed, or has
another password or role, end.
"""
ROLES: Final = ("operator", "reviewer")
FILE: Final = "console.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    what = parser.add_subparsers(dest="what", metavar="add|list|password|role|remove", required=True)
    add = what.add_parser("add", help="let somebody in, and show their password once", allow_abbrev=False)
    listing = what.add_parser("list", help="all who may see it", allow_abbrev=False)
    password = what.add_parser("password", help="another password for somebody", allow_abbrev=False)
    role = what.add_parser("role", help="another role for somebody", allow_abbrev=False)
    remove = what.add_parser("remove", help="let somebody in no longer", allow_abbrev=False)
    for each in (add, password, role, remove):
        each.add_argument("name", metavar="NAME", help="how they are called")
    add.add_argument("--role", choices=ROLES, default="operator",
                     help="an operator sees all, a reviewer the review desk (default: operator)")  # fmt: skip
    role.add_argument("role", choices=ROLES, help="what they may see")
    for each in (add, password):
        each.add_argument("--own", action="store_true", help="ask for a password of their own")
    for each in (add, listing, password, role, remove):
        each.add_argument("--file", type=Path, metavar="FILE", help=f"the file of people (default: {FILE})")
        each.add_argument("--config", type=Path, metavar="FILE", help="the cascade's file, which names that of people")
        each.add_argument("--json", action="store_true", help="as JSON")


def execute(args: argparse.Namespace) -> int:
    """Do it."""
    from fastcascade.console.people_file import PeopleFile  # noqa: PLC0415 - only where it is wanted

    file = PeopleFile(_where(args))
    if args.what == "add":
        own = _typed() if args.own else None
        return _shown(args, file, *file.add(args.name, args.role, own))
    if args.what == "password":
        file.find(args.name)  # before anything is typed
        return _shown(args, file, *file.set_password(args.name, _typed() if args.own else None))
    if args.what == "role":
        record = file.set_role(args.name, args.role)
        said = f"{record.name} is {_a(record.role)} now; their sessions have ended"
        print(json.dumps(_told(record)) if args.json else said)
        return 0
    if args.what == "remove":
        file.remove(args.name)
        print(json.dumps({"name": args.name, "removed": True}) if args.json else f"removed {args.name}")
        return 0
    return _listed(args, file)


def _shown(args: argparse.Namespace, file: "PeopleFile", record: "PersonRecord", secret: str) -> int:
    if args.json:
        print(json.dumps({**_told(record), **({} if args.own else {"password": secret})}))
        return 0
    if not args.own:
        print(secret)
    once = "the password typed" if args.own else "the password above, shown this once"
    print(f"{record.name}, {_a(record.role)}, is in {file.path} with {once}", file=sys.stderr)
    return 0


def _listed(args: argparse.Namespace, file: "PeopleFile") -> int:
    people = [_told(each) for each in file.read()]
    if args.json:
        print(json.dumps(people))
    elif not people:
        print(f"{file.path} has nobody; let somebody in: fastcascade console add NAME --file {file.path}")
    else:
        rows = [[each["name"], each["role"], each["created"][:10], each["password"]] for each in people]
        print("\n".join(table(["name", "role", "since", "password"], rows, left=4)))
    return 0


def _told(record: "PersonRecord") -> dict[str, Any]:
    created = datetime.fromtimestamp(record.created, UTC).isoformat()
    return {
        "name": record.name,
        "role": record.role,
        "created": created,
        "password": "made" if record.made else "their own",
    }


def _typed() -> str:
    """A password, typed twice where nobody reads along."""
    import getpass  # noqa: PLC0415 - for those who type one

    if not sys.stdin.isatty():
        raise ConfigError("--own asks for a password at a terminal, and this is none: leave it out, and one is made")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("once more: "):
        raise ConfigError("the two passwords are not the same; nothing was changed")
    return first


def _a(role: str) -> str:
    return f"an {role}" if role == "operator" else f"a {role}"


def _where(args: argparse.Namespace) -> Path:
    """The file of people: as it is said, or as the cascade's file says, from where that lies."""
    if args.file is not None:
        return Path(args.file)
    if args.config is None:
        return Path(FILE)
    try:
        said = tomllib.loads(args.config.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{args.config}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{args.config}: {error}") from None
    people: Any = said
    for name in ("gateway", "console", "people"):
        people = people.get(name) if isinstance(people, dict) else None
    return Path(args.config).resolve().parent / (people if isinstance(people, str) else FILE)
