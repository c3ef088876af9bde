"""Lines from standard input on an event loop: from a terminal, a pipe or a file, with a time limit."""

import asyncio
import os
import sys
from typing import Final

__all__ = ["Lines"]

CHUNK: Final = 65_536


class Lines:
    """What is typed, line by line. Nothing is read before somebody waits for it."""

    def __init__(self, number: int | None = None) -> None:
        """From this file, by its number; standard input by default."""
        self._number = sys.stdin.fileno() if number is None else number
        self._kept = b""
        self._ended = False

    @property
    def terminal(self) -> bool:
        """Whether a person types."""
        return os.isatty(self._number)

    async def next(self, prompt: str = "", limit: float | None = None) -> str | None:
        """The next line without its end; None at the end of the input. `TimeoutError` after so many seconds."""
        if prompt:
            sys.stdout.write(prompt)
        sys.stdout.flush()
        async with asyncio.timeout(limit):
            while b"\n" not in self._kept and not self._ended:
                await self._ready()
                chunk = os.read(self._number, CHUNK)
                self._kept, self._ended = self._kept + chunk, not chunk
        line, found, rest = self._kept.partition(b"\n")
        self._kept = rest
        if not found and not line:
            return None
        return line.decode("utf-8", "replace").rstrip("\r")

    async def _ready(self) -> None:
        """Wait until there is something to read, without a thread that would outlive us."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        try:
            loop.add_reader(self._number, came.set)
        except (NotImplementedError, OSError):  # a plain file is always ready; Windows cannot tell
            return
        try:
            await came.wait()
        finally:
            loop.remove_reader(self._number)
