"""What looks at a worker: the store of decisions, the console, traces. Each is loaded where the file names it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from fastcascade.gateway.metrics import Board, exposition, told
from fastcascade.telemetry.events import HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastcascade.cascade import Cascade
    from fastcascade.console.console import Console
    from fastcascade.gateway.metrics import Metrics
    from fastcascade.gateway.settings import Settings
    from fastcascade.telemetry import decisions
    from fastcascade.telemetry.tracing import Tracing

__all__ = ["Seen"]


class Seen:
    """All that looks.

    Args:
        settings: what is wanted.
        folder: where its files lie.
        file: what is served.
        cascades: what the console shows.
        board: what all workers have counted.
    """

    def __init__(
        self, settings: "Settings", folder: Path, file: Path, cascades: "Mapping[str, Cascade]", board: Board
    ) -> None:
        """Look at nothing yet. Raises `ConfigError`."""
        self.writer: decisions.Writer | None = None
        self.console: Console | None = None
        self.tracing: Tracing | None = None
        self._ends: list[Callable[[], object]] = []
        kept = settings.decisions
        if kept is not None:
            from fastcascade.telemetry.decisions import Writer  # noqa: PLC0415 - for those who keep them

            self.writer = Writer(folder / kept.file, days=kept.days, megabytes=kept.megabytes, texts=kept.texts)
        if settings.console is not None:
            from fastcascade.console.served import console_of  # noqa: PLC0415 - for those who have one

            self.console = console_of(
                settings, folder, file, cascades, lambda: exposition(map(told, board.read().values()))
            )
        if settings.tracing is not None:
            from fastcascade.telemetry.tracing_served import tracing_of  # noqa: PLC0415 - an extra

            self.tracing = tracing_of(settings.tracing)

    def begin(self) -> None:
        """Look, from now on."""
        if self.writer is not None:
            self._ends.append(HUB.subscribe(self.writer))
        if self.tracing is not None:
            self.tracing.begin()

    def counted(self, metrics: "Metrics", gate: object) -> None:
        """Have the metrics tell of what was dropped, and of what keys have spent."""
        writer, meter = self.writer, getattr(gate, "meter", None)
        if writer is not None:
            metrics.dropped["decisions"] = lambda: writer.dropped
        if meter is not None:
            metrics.spending = meter.spending

    async def aclose(self) -> None:
        """Look no more; what was seen is written down and sent."""
        for end in self._ends:
            end()
        if self.console is not None:
            await self.console.aclose()
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close)
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.end)
