"""A terminal that is drawn on: keys as they are pressed, and all as it was when this ends."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Terminal"]

BEGIN: Final = "\x1b[?1049h\x1b[?25l"  # another screen than that of the shell, without a cursor
END: Final = "\x1b[?25h\x1b[?1049l"


class Terminal:
    """The terminal of this process, as a context; in the main thread."""

    def __enter__(self) -> Self:
        """Take it over."""
        self._keys = sys.stdin.fileno()
        self._before: list[Any] = termios.tcgetattr(self._keys)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._pipe = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._handlers = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, _nothing),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _ended),
        }
        tty.setcbreak(self._keys)
        self._write(BEGIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back as it was."""
        with suppress(OSError):  # it may have gone away
            self._write(END)
        with suppress(termios.error):
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._pipe)
        os.close(self._woken)
        os.close(self._waker)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            found = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these in the place of what was there, all at once."""
        self._write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")

    def key(self, seconds: float) -> str | None:
        """Wait for a key; empty where none was pressed, or the window was resized; None where the terminal is gone."""
        ready, _, _ = select.select([self._keys, self._woken], [], [], max(0.0, seconds))
        if self._woken in ready:
            os.read(self._woken, 1_024)
        if self._keys not in ready:
            return ""
        try:
            pressed = os.read(self._keys, 64)
        except OSError:
            return None
        return pressed.decode("ascii", "replace")[-1] if pressed else None

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _nothing(_number: int, _frame: object) -> None:
    """The signal has woken whoever waits."""


def _ended(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
