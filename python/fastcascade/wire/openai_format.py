"""What both formats of OpenAI's have alike: a clock, numbers for answers, and errors."""

import time
from collections.abc import Callable
from uuid import uuid4

from fastcascade.wire import openai_errors
from fastcascade.wire.format import Json

__all__ = ["Numbering"]


class Numbering:
    """Numbers and dates answers.

    Args:
        now: seconds since 1970, for when an answer was made.
        number: what makes the id of an answer its own.
    """

    def __init__(self, now: Callable[[], float] = time.time, number: Callable[[], str] = lambda: uuid4().hex) -> None:
        """Keep the clock and what numbers answers."""
        self._now = now
        self._number = number

    def error(self, status: int, message: str, /, *, kind: str = "", where: str = "") -> Json:
        """The body of an error."""
        return openai_errors.error(status, message, kind=kind, where=where)
