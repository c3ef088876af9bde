"""`fastcascade serve`: a cascade as a service, behind the APIs that clients speak already."""

import argparse
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.options import count, seconds
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.gateway.following import Following

__all__ = ["SUMMARY", "VARIABLE", "add_arguments", "execute", "url_of"]

VARIABLE: Final = "FASTCASCADE_CONFIG_URL"

SUMMARY = "serve a cascade over the APIs of OpenAI and Anthropic, and routes to your own services"
EPILOG = """\
Clients ask it as they ask the providers: POST /v1/chat/completions, /v1/responses, /v1/messages. There are
/healthz (it lives), /readyz (somebody can be asked) and /metrics (for Prometheus) beside.

In place of FILE, what `fastcascade publish` has published can be followed: each new version is served as a changed file
is, and a copy of the last good one is kept for when the store is away. A URL with a password is better given in the
environment, as FASTCASCADE_CONFIG_URL, than on the command line, which others on this machine can see: `serve --from`.
Whoever can publish decides where requests go, and with which keys; with --allow-functions, which code runs here.

SIGTERM takes no more requests and lets those in work end; SIGHUP serves the file as it is now, without losing a
request: what is wrong with it is said, and what ran before still runs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", nargs="?",
                        help="the configuration, such as cascade.toml; options go before its [gateway]")  # fmt: skip
    parser.add_argument("--host", metavar="ADDRESS",
                        help="where to listen (default: 127.0.0.1, this machine alone)")  # fmt: skip
    parser.add_argument("--port", type=_port, metavar="N", help="0 is any that is free (default: 8080)")
    parser.add_argument("--workers", type=count, metavar="N", help="processes that answer (default: 1)")
    parser.add_argument("--allow-anyone", action="store_const", const=True,
                        help="listen beyond this machine though callers need no keys")  # fmt: skip
    parser.add_argument("--reload", action="store_true", help="serve the file anew whenever it changes")
    parser.add_argument("--drain", type=seconds, metavar="N",
                        help="seconds that requests in work have at the end (default: 30)")  # fmt: skip
    parser.add_argument(
        "--access-log", action="store_const", const=True, help="a line of JSON for each request, to stderr"
    )
    following(parser.add_argument_group("what is published"))
    tls = parser.add_argument_group("TLS")
    tls.add_argument("--tls-cert", type=Path, metavar="FILE", help="the certificate with its chain, as PEM")
    tls.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, as PEM, not encrypted")
    tls.add_argument("--client-ca", type=Path, metavar="FILE",
                     help="clients must show a certificate that one of these has signed")  # fmt: skip


def following(group: Any) -> None:
    """The options of who follows what is published."""
    group.add_argument("--from", dest="source", nargs="?", const="", metavar="URL",
                       help="follow it there (default: $FASTCASCADE_CONFIG_URL)")  # fmt: skip
    group.add_argument("--name", default="default", metavar="NAME", help="under this name (default: default)")
    group.add_argument("--prefix", default="fastcascade", metavar="WORD", help="of keys there (default: fastcascade)")
    group.add_argument("--folder", type=Path, default=Path(), metavar="DIR",
                       help="where its relative paths begin (default: here)")  # fmt: skip
    group.add_argument("--copies", type=Path, metavar="DIR",
                       help="where copies are kept (default: ~/.local/state/fastcascade)")  # fmt: skip
    group.add_argument("--allow-functions", action="store_true", help="let it name code, which is run here")


def execute(args: argparse.Namespace) -> int:
    """Serve until told to end."""
    gc.disable()  # nothing is garbage yet, and to look for some takes a tenth of the start
    try:
        given = _given(args)
        from fastcascade.gateway.serve import serve  # noqa: PLC0415 - an extra

        return serve(_source(args), given, reload=args.reload)
    finally:
        gc.enable()


def _source(args: argparse.Namespace) -> "str | Following":
    """The file, or where it is published."""
    if (args.file is None) == (args.source is None):
        raise ConfigError("give a FILE to serve, or say --from to follow what is published: one of the two")
    if args.file is not None:
        return str(args.file)
    from fastcascade.config import Place  # noqa: PLC0415 - for those who follow
    from fastcascade.gateway.following import Following  # noqa: PLC0415 - as above

    place = Place(args.folder.resolve(), functions=args.allow_functions)
    return Following(url_of(args.source), args.name, place=place, copies=args.copies, prefix=args.prefix)


def url_of(given: str) -> str:
    """The URL that was given, or that of the environment."""
    url = given or os.environ.get(VARIABLE, "")
    if not url:
        raise ConfigError(f"where is it published? Set {VARIABLE}, or give a URL such as redis://host:6379/0")
    if given and "@" in given:
        warn(f"a password on the command line can be seen by others on this machine: {VARIABLE} is not")
    return url


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given here: they go before those of the file."""
    from fastcascade.gateway.settings import Tls  # noqa: PLC0415 - only where it is wanted

    if (args.tls_cert is None) != (args.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together")
    if args.client_ca is not None and args.tls_cert is None:
        raise ConfigError("--client-ca needs --tls-cert and --tls-key")
    names = ("host", "port", "workers", "drain", "access_log", "allow_anyone")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.tls_cert is not None:
        given["tls"] = Tls(args.tls_cert, args.tls_key, args.client_ca)
    return given


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"'{text}' is no port from 0 to 65535")
    return int(text)
