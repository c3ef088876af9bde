"""Where the store of decisions is, as `report`, `export` and `top` are told: a cascade's file, or the store itself."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.gateway.settings_seen import Promises
    from fastcascade.telemetry.decisions import Decisions

__all__ = ["HOW", "Source", "add_source", "since", "source_of"]

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
SQLITE: Final = b"SQLite format 3\0"
STORES: Final = frozenset({".db", ".sqlite", ".sqlite3"})
HOW: Final = """\
    [gateway.decisions]
    file = "decisions.db"
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A store of decisions.

    Args:
        decisions: its reader.
        promises: what the cascade's file promises; None where the store itself was named.
        said: the file as the user named it.
        cascade: what to call the cascade's file in advice.
    """

    decisions: "Decisions"
    promises: "Promises | None"
    said: str
    cascade: str


def since(text: str) -> float:
    """A span of time, in seconds."""
    found = SPAN.fullmatch(text)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= 10 * 366 * UNITS["d"]:
        raise argparse.ArgumentTypeError(f"'{text}' is no span of time, such as 90s, 30m, 24h, 7d or 4w")
    return seconds


def add_source(parser: argparse.ArgumentParser, span: str = "7d") -> None:
    """FILE, and `--since` where a span is given."""
    parser.add_argument("file", metavar="FILE", nargs="?", default="cascade.toml",
                        help="the cascade's configuration, or the store itself (default: cascade.toml)")  # fmt: skip
    if span:
        parser.add_argument("--since", type=since, default=since(span), metavar="SPAN",
                            help=f"how far back, such as 90s, 30m, 24h or 4w (default: {span})")  # fmt: skip


def source_of(said: str) -> Source:
    """Find the store. Raises `ConfigError` where there is none, with what to write for there to be one."""
    from fastcascade.telemetry.decisions import Decisions  # noqa: PLC0415 - loads SQLite

    path = Path(said)
    if path.suffix.casefold() in STORES or _begins(path) == SQLITE:
        if not path.exists():
            raise ConfigError(f"{said} is not there; it is made when a gateway keeps its first decision")
        return Source(Decisions(path), None, said, "cascade.toml")
    if not path.exists():
        raise ConfigError(f"{said} is not there; name a cascade's file, or a store of decisions")
    from fastcascade.gateway.loading import settings_of  # noqa: PLC0415 - reads the file

    settings = settings_of(path)
    if settings.decisions is None:
        raise ConfigError(f"{said} keeps no decisions; to switch that on, write into it\n\n{HOW}\nand serve it")
    return Source(Decisions(path.parent / settings.decisions.file), settings.promises, said, said)


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE))
    except OSError:
        return b""
