"""A file of JSON lines to which several processes add, any of which may be killed while the disk fills up.

A line goes out in one write to the end of the file, so lines of two processes do not mix on a local disk. What could
not be written waits, up to a bound, and goes out before the next line. A line that was cut off is ended before another
is begun, and costs itself alone.
"""

import errno
import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.notices import notify
from fastcascade.records import write_line

__all__ = ["LineFile"]

FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
WAITING: Final = 1_000
"""Lines that are kept while a disk is full."""


class LineFile:
    """Adds lines, and reads what is there. Not safe to share between threads: its user holds a lock.

    Args:
        path: the file; made, for its owner alone, with the first line.
        about: what the lines are, for notices.
    """

    def __init__(self, path: str | Path, about: str) -> None:
        """Nothing is opened yet."""
        self.path = Path(path)
        self.about = about
        self.damaged = 0
        self._waiting: deque[bytes] = deque(maxlen=WAITING)

    def add(self, line: dict[str, Any]) -> None:
        """Write it, after those that wait. Never raises: what goes wrong is a notice."""
        try:
            self._waiting.append(write_line(line).encode())
        except (ConfigError, RecursionError) as error:
            notify("at risk", str(self.path), f"{self.about} cannot be written down: {error}")
            return
        try:
            self._write()
        except OSError as error:
            notify("at risk", str(self.path), f"{self.about} are not written down: {error.strerror or error}")

    @property
    def waiting(self) -> int:
        """Lines that are not in the file yet."""
        return len(self._waiting)

    def _write(self) -> None:
        handle = os.open(self.path, FLAGS, 0o600)
        try:
            while self._waiting:
                line = self._waiting[0]
                if (size := os.fstat(handle).st_size) > 0:  # whoever was cut off, here or elsewhere
                    os.lseek(handle, size - 1, os.SEEK_SET)
                    line = line if os.read(handle, 1) == b"\n" else b"\n" + line
                written = os.write(handle, line)
                # The disk is nearly full: the line will be written again as a whole, unless it lacks its end alone.
                if written < len(line) - 1:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._waiting.popleft()
        finally:
            os.close(handle)

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines that are whole; others are counted in `damaged`."""
        if not self.path.exists():
            return
        if not self.path.is_file():  # a device may have no end
            raise ConfigError(f"{self.path} is no file that lines can be added to")
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line.strip():
                        yield from self._read(line)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror or error}") from None

    def _read(self, line: bytes) -> Iterator[dict[str, Any]]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            self.damaged += 1
            return
        if isinstance(value, dict):
            yield value
        else:
            self.damaged += 1
