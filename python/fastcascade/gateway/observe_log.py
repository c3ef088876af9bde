"""Where observing is written down, and the money it may take in a day; both are shared by all workers."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, Final

from fastcascade.records import write_line

__all__ = ["DayPurse", "Log"]

LONG: Final = 80
MOST: Final = 4_096
OURS: Final = 0o600
"""It holds what people have written."""

_log: Final = logging.getLogger("fastcascade")


class Log:
    """A file that lines are added to, each in one piece."""

    def __init__(self, path: Path) -> None:
        """Make nothing before the first line."""
        self.path = path
        self.failing = False

    def write(self, value: Any) -> bool:
        """Add a line; whether that was done. The first failure of a row is logged."""
        line = write_line(value).encode()
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OURS)
            try:
                whole = os.write(handle, line) == len(line)
            finally:
                os.close(handle)
        except OSError as error:
            whole = False
            if not self.failing:
                _log.error("%s cannot be written: %s", self.path, error.strerror or type(error).__name__)
        self.failing = not whole
        return whole


def _today() -> date:
    return datetime.now(UTC).date()


class DayPurse:
    """Dollars for a day, kept in a file, so that neither a restart nor another worker has them anew.

    What was taken and never settled, by a process that was killed, stays spent.
    """

    def __init__(self, path: Path, usd: float, today: Callable[[], date] = _today) -> None:
        """Take nothing yet."""
        self.path, self.usd, self._today = path, usd, today
        self._day = ""

    def take(self, usd: float) -> bool:
        """Take so much, if there is enough left; where the file cannot be kept there is none."""
        try:
            with self._held() as state:
                self._day = state["day"]
                if state["usd"] + usd > self.usd * (1 + 1e-9):  # a hundred hundredths are a whole
                    return False
                state["usd"] += usd
        except OSError as error:
            _log.error("%s cannot be kept: %s", self.path, error.strerror or type(error).__name__)
            return False
        return True

    def settle(self, taken: float, spent: float) -> None:
        """Put back what was not spent; what was taken the day before is that day's."""
        with suppress(OSError), self._held() as state:
            if state["day"] == self._day:
                state["usd"] = max(0.0, state["usd"] + spent - taken)

    @property
    def spent(self) -> float:
        """What was taken today."""
        with suppress(OSError), self._held() as state:
            return float(state["usd"])
        return 0.0

    @contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, OURS)
        try:
            flock(handle, LOCK_EX)
            state = {"day": self._today().isoformat(), "usd": 0.0}
            kept = os.pread(handle, MOST, 0)
            with suppress(ValueError, TypeError, KeyError):
                found = json.loads(kept)
                if found["day"] == state["day"]:
                    state["usd"] = float(found["usd"])
            before = dict(state)
            yield state
            if state != before:
                # As long as what it takes the place of: some file systems wait for the disk where a file was cut.
                os.pwrite(handle, json.dumps(state).encode().ljust(max(LONG, len(kept))), 0)
        finally:
            os.close(handle)
