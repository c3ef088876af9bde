"""How far a recording has got: one line that is written over on a terminal, else one line for each tenth."""

from typing import TextIO

__all__ = ["Progress"]


class Progress:
    """Call it with how many cases are done, of how many, and what was spent."""

    def __init__(self, stream: TextIO, *, terminal: bool | None = None) -> None:
        """Ask the stream whether it is a terminal, where it is not said."""
        self._stream = stream
        self._terminal = stream.isatty() if terminal is None else terminal
        self._tenth = 0
        self._width = 0

    def __call__(self, done: int, total: int, usd: float) -> None:
        """Show it, if there is something new to show."""
        line = f"{done} of {total} cases, ${usd:.4f}"
        if self._terminal:
            self._stream.write(f"\r{line.ljust(self._width)}")
            self._width = len(line)
        elif total and 10 * done // total > self._tenth:
            self._tenth = 10 * done // total
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def end(self) -> None:
        """End the line, so that what follows begins its own."""
        if self._terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0
