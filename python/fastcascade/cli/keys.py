"""`fastcascade keys`: who may ask the gateway, and for how much."""

import argparse
import json
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.options import count
from fastcascade.cli.report import table
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.gateway.account import Used
    from fastcascade.gateway.keys import KeyRecord

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "create, list and revoke the keys of a gateway's callers"
EPILOG = """\
The keys are in the file that --keys names, or [gateway] keys in the file that --config names; without either, in
keys.json here. With --config, create refuses models and tiers that are not in that file. Secrets are shown once, by
create; the file of keys has only their hashes. A running gateway takes changes up within a second.
"""
PREFIX: Final = "fastcascade"
"""What names in Redis begin with, where nothing else is said."""
PLAIN: Final = ("tenant", "limit", "tokens_per_minute", "budget_day", "budget_month", "soft_day", "soft_month")
LISTS: Final = ("scopes", "models", "routes")
SETS: Final = ("customer", "min_tier", "max_tier", "priority")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    what = parser.add_subparsers(dest="what", metavar="create|list|revoke", required=True)
    create = what.add_parser("create", help="make a key, and show its secret once", allow_abbrev=False)
    _create(create)
    listing = what.add_parser("list", help="all keys, and what they have spent", allow_abbrev=False)
    revoke = what.add_parser("revoke", help="end a key", allow_abbrev=False)
    revoke.add_argument("key", metavar="ID|NAME", help="the key, as `list` calls it")
    for each in (create, listing, revoke):
        each.add_argument("--keys", type=Path, metavar="FILE", help="the file of keys (default: keys.json)")
        each.add_argument("--config", type=Path, metavar="FILE", help="the cascade's file, which names that of keys")
        each.add_argument("--json", action="store_true", help="as JSON")
    listing.add_argument("--account", default="", metavar="WHERE",
                         help="sqlite:PATH or redis://..., where it is kept what was spent")  # fmt: skip


def _create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="how it is called")
    parser.add_argument("--tenant", default="", help="whose it is")
    parser.add_argument("--scopes", type=_names, default=(), metavar="A,B", help="words of your own")
    parser.add_argument(
        "--models", type=_names, metavar="A,B", help="what it may ask for; * is any letters (default: all)"
    )
    parser.add_argument("--routes", type=_names, metavar="A,B", help="paths such as /v1/messages (default: all)")
    parser.add_argument("--limit", default="", metavar="N/PERIOD", help='requests: "100/min", "5/s burst 20"')
    parser.add_argument("--tokens-per-minute", type=count, metavar="N", help="tokens, sent and answered")
    parser.add_argument("--budget-day", type=_usd, metavar="USD", help="the most that it may spend in a day (UTC)")
    parser.add_argument("--budget-month", type=_usd, metavar="USD", help="the most that it may spend in a month")
    parser.add_argument("--soft-day", type=_usd, metavar="USD", help="when to warn, in a day")
    parser.add_argument("--soft-month", type=_usd, metavar="USD", help="when to warn, in a month")
    parser.add_argument("--expires", metavar="WHEN", help="90d, 12h, 2027-01-31 (default: never)")
    parser.add_argument("--admin", action="store_true",
                        help="for the console and admin calls; for models only with --models")  # fmt: skip
    parser.add_argument("--customer", help="of all its requests, whatever they say; as are the next three")
    parser.add_argument("--min-tier", metavar="TIER")
    parser.add_argument("--max-tier", metavar="TIER")
    parser.add_argument("--priority", type=int, metavar="N")


def execute(args: argparse.Namespace) -> int:
    """Do it."""
    from fastcascade.gateway.key_store import KeyFile  # noqa: PLC0415 - only where it is wanted

    path, account, prefix = _where(args)
    file = KeyFile(path)
    if args.what == "create":
        return _made(args, file, path)
    if args.what == "revoke":
        ended = file.revoke(args.key)
        said = f"revoked {ended.name} ({ended.id}); gateways refuse it within a second"
        print(json.dumps(_shown(ended, time.time())) if args.json else said)
        return 0
    return _listed(args, file.read(), path, (account, prefix))


def _made(args: argparse.Namespace, file: Any, path: Path) -> int:
    from fastcascade.gateway.keys import expiry_of, new_key  # noqa: PLC0415 - as above

    more = {name: getattr(args, name) for name in (*PLAIN, *LISTS)}
    more["fields"] = {name: getattr(args, name) for name in SETS if getattr(args, name) is not None}
    more["expires"] = expiry_of(args.expires, time.time()) if args.expires else None
    if args.config is not None and (more["models"] or more["fields"]):
        _fitting(args.config, new_key(args.name, time.time(), admin=args.admin, **more)[0])
    record, secret = file.create(args.name, admin=args.admin, **more)
    if args.json:
        print(json.dumps({**_shown(record, time.time()), "secret": secret}))
        return 0
    print(secret)
    print(f"key {record.name} ({record.id}) is in {path}; its secret is shown this once", file=sys.stderr)
    return 0


def _fitting(path: Path, record: "KeyRecord") -> None:
    """Refuse a key that names a model or a tier which the cascade's file has not: each of its requests would fail."""
    from fastcascade import config  # noqa: PLC0415 - as above
    from fastcascade.cli.keys_fit import misfits  # noqa: PLC0415 - as above

    try:
        whole = config.load_all(path)
    except ConfigError as error:  # secrets, maybe, that are known only where the gateway runs
        first = str(error).partition("\n")[0]
        print(f"its models and tiers are not checked, for {first}; fastcascade doctor does that", file=sys.stderr)
        return
    for each in misfits(record, whole):
        if each.grave:
            raise ConfigError(f"{path}: {each.said}")
        print(each.said, file=sys.stderr)


def _listed(args: argparse.Namespace, records: "list[KeyRecord]", path: Path, account: tuple[str, str]) -> int:
    now = time.time()
    spent, note = _spent(account, path, now, [each.id for each in records])
    shown = []
    for record in records:
        said = _shown(record, now)
        if spent is not None:
            for period, used in zip(("today", "this_month"), (each.get(record.id) for each in spent), strict=True):
                said[f"usd_{period}"] = used.nanos / 1e9 if used else 0.0
                said[f"requests_{period}"] = used.requests if used else 0
        shown.append(said)
    if args.json:
        print(json.dumps(shown))
    elif not shown:
        print(f"{path} has no keys; make one: fastcascade keys create --keys {path} --name NAME")
    else:
        rows = [
            [said["id"], said["name"], said.get("tenant", ""), said["state"], said.get("limit", ""),
             _dollars(said, "usd_today"), _dollars(said, "usd_this_month"), _budget(said)]
            for said in shown
        ]  # fmt: skip
        heads = ["id", "name", "tenant", "state", "limit", "today", "month", "budget"]
        print("\n".join(table(heads, rows, left=4)))
    if note:
        print(note, file=sys.stderr)
    return 0


def _spent(
    account: tuple[str, str], path: Path, now: float, keys: list[str]
) -> "tuple[tuple[dict[str, Used], dict[str, Used]] | None, str]":
    """What each has spent today and this month; None and why, where that cannot be told."""
    from fastcascade.errors import StoreError  # noqa: PLC0415 - as above
    from fastcascade.gateway.account import account_of, beside, periods_at  # noqa: PLC0415 - as above

    where, prefix = account[0] or beside(path), account[1]
    if where.startswith("sqlite:") and not Path(where.removeprefix("sqlite:")).exists():
        return None, f"nothing was spent yet, as far as {where.removeprefix('sqlite:')} goes: it is not there"
    if not where.startswith("sqlite:"):
        from fastcascade.gateway.account_redis import used_at  # noqa: PLC0415 - as above

        try:
            found = used_at(where, keys, prefix)
        except StoreError as error:
            return None, f"what was spent cannot be told: {error}"
        return ({key: day for key, (day, _) in found.items()}, {key: month for key, (_, month) in found.items()}), ""
    book, periods = account_of(where), periods_at(now)
    try:
        totals = book.exchange(0, {}, (periods.day, periods.month), 0).totals
    except StoreError as error:
        return None, f"what was spent cannot be told: {error}"
    finally:
        book.close()
    sides = [{key: used for (period, key), used in totals.items() if period == each} for each in periods[:2]]
    return (sides[0], sides[1]), ""


def _shown(record: "KeyRecord", now: float) -> dict[str, Any]:
    said = {name: value for name, value in record.written().items() if name != "digest"}
    return {**said, "state": record.ended(now) or "works"}


def _dollars(said: dict[str, Any], name: str) -> str:
    return f"${said[name]:.4f}" if name in said else "?"


def _budget(said: dict[str, Any]) -> str:
    parts = [f"${said[f'budget_{each}']:g}/{each}" for each in ("day", "month") if f"budget_{each}" in said]
    return " ".join(parts)


def _where(args: argparse.Namespace) -> tuple[Path, str, str]:
    """The file of keys; the account, where one is named or something is shared; and what names in Redis begin with."""
    account: str = getattr(args, "account", "")
    if args.config is None:
        return args.keys or Path("keys.json"), account, PREFIX
    try:
        said = tomllib.loads(args.config.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{args.config}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{args.config}: {error}") from None
    gateway = said.get("gateway")
    named = gateway if isinstance(gateway, dict) else {}
    keys, kept = named.get("keys"), named.get("account", "")
    if args.keys is None and not isinstance(keys, str):
        raise ConfigError(
            f"{args.config}: it names no file of keys: write keys = 'keys.json' under [gateway], or say --keys"
        )
    folder = args.config.parent
    if not account and isinstance(kept, str) and kept:
        inside = kept.removeprefix("sqlite:")
        account = f"sqlite:{folder / inside}" if kept.startswith("sqlite:") else kept
    shared = named.get("shared")
    together = shared if isinstance(shared, dict) else {}
    return args.keys or folder / str(keys), account or str(together.get("url", "")), str(together.get("prefix", PREFIX))


def _names(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _usd(text: str) -> float:
    try:
        value = float(text.removeprefix("$"))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of dollars above 0")
    return value
