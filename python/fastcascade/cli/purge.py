"""`fastcascade purge`: have a running gateway forget answers, and with it all that share its workers or its store."""

import argparse
import http.client
import json
import os
import ssl
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fastcascade.cli.options import seconds
from fastcascade.errors import ConfigError

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "have a running gateway forget answers, by tag, by path, or all"
KEY: Final = "FASTCASCADE_ADMIN_KEY"
EPILOG = f"""\
The key of an operator (fastcascade keys create --admin) is read from {KEY}.

Answers of models have the tags tier:NAME, model:NAME, task:NAME, route:NAME, customer:NAME and user:NAME; pages of
routes those that their app names in Cache-Tag or Surrogate-Key. The exit code is 1 where the gateway has forgotten, but
could not tell the others that share its store yet: it tells them as soon as the store is back.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("url", metavar="URL", help="where the gateway is, such as http://127.0.0.1:8080")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tag", help="forget what has this tag")
    what.add_argument("--path", help="forget the pages at this path, whatever their query")
    what.add_argument("--everything", action="store_true", help="forget all")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust in place of the system's")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="N", help="seconds to wait (default: 10)")


def execute(args: argparse.Namespace) -> int:
    """Ask it."""
    key = os.environ.get(KEY, "")
    if not key:
        raise ConfigError(f"a purge needs the key of an operator: set {KEY}")
    what: dict[str, Any] = {"everything": True}
    if not args.everything:
        what = {"tag": args.tag} if args.tag is not None else {"path": args.path}
    status, said = _asked(args, key, json.dumps(what).encode())
    if status != 200:
        raise ConfigError(f"the gateway has not purged: it said {status}, {_why(said)}")
    everywhere = bool(said.get("everywhere"))
    print("purged" if everywhere else "purged at this gateway; the others are told once their store is back")
    return 0 if everywhere else 1


def _asked(args: argparse.Namespace, key: str, body: bytes) -> tuple[int, Any]:
    try:
        at = urlsplit(args.url)
        good = at.scheme in ("http", "https") and bool(at.hostname) and (at.port or 1) > 0
    except ValueError:
        at, good = SplitResult("", "", "", "", ""), False
    if not good:
        raise ConfigError("URL must be as http://HOST:PORT or https://HOST")
    host = at.hostname or ""
    link: http.client.HTTPConnection
    if at.scheme == "https":
        link = http.client.HTTPSConnection(
            host, at.port, timeout=args.timeout, context=ssl.create_default_context(cafile=args.ca)
        )
    else:
        link = http.client.HTTPConnection(host, at.port, timeout=args.timeout)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        link.request("POST", f"{at.path.rstrip('/')}/admin/purge", body, headers)
        response = link.getresponse()
        return response.status, json.loads(response.read() or b"null")
    except ValueError:
        return 502, None
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(f"the gateway at {host} cannot be asked: {type(error).__name__}") from None
    finally:
        link.close()


def _why(said: Any) -> str:
    """What it says of it, in whatever form."""
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else "and no more"
