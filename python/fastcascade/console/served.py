"""The console as a gateway serves it, from its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastcascade.console.asked import Sight
from fastcascade.console.console import Console
from fastcascade.console.people import People
from fastcascade.console.sessions import Sessions
from fastcascade.errors import ConfigError
from fastcascade.telemetry.events import by_name

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.gateway.settings import Settings

__all__ = ["SESSIONS", "console_of"]

SESSIONS = "console.db"
"""The file of sessions, beside that of decisions."""


def console_of(
    settings: "Settings",
    folder: Path,
    file: Path | None,
    cascades: "Mapping[str, Cascade]",
    board: Callable[[], str],
) -> Console:
    """The console of one worker. Raises `ConfigError` where it could be overheard, or nobody may see it.

    Args:
        settings: those of the gateway, with a `console`.
        folder: what its files are relative to.
        file: the cascade's file.
        cascades: what is shown.
        board: the text of /metrics, of all workers.
    """
    wanted = settings.console
    if wanted is None:
        raise ConfigError("there is no console in these settings: give console = {} under [gateway]")
    if not (settings.is_local or settings.tls is not None or wanted.allow_plain):
        raise ConfigError(
            f"gateway.console: {settings.host} can be reached by others, who could read passwords on their way: give"
            " [gateway.tls] a certificate, or listen at 127.0.0.1, or say allow_plain = true under [gateway.console]"
            " where a proxy before it has TLS"
        )
    people = People.at(folder / wanted.people)
    decisions, where = None, folder / SESSIONS
    if settings.decisions is not None:
        from fastcascade.telemetry.decisions import Decisions  # noqa: PLC0415 - where they are kept

        kept = folder / settings.decisions.file
        decisions, where = Decisions(kept), kept.parent / SESSIONS
    sessions = Sessions(where, people, hours=wanted.hours)
    sight = Sight(by_name(cascades), settings, folder, file, decisions, board)
    return Console(sight, people, sessions, secure=settings.tls is not None)
