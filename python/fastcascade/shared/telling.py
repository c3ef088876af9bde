"""The newest word on each of many things, told to the others in the background: first noted, then as news."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from fastcascade.errors import StoreError
from fastcascade.notices import log

__all__ = ["Telling"]

Word = TypeVar("Word")
BETWEEN: Final = 0.1
"""Seconds between two words on the same thing: what changes all the time is told ten times a second."""
AGAIN: Final = 1.0
"""Seconds until what could not be told is tried again."""


class Telling(Generic[Word]):
    """Holds at most one word on each, however long the store is away. Of one event loop, as the store is.

    Args:
        send: tells them, or raises `StoreError`; then they are kept, and tried again.
        between: seconds between two words on the same thing; the first of a while goes out at once.
    """

    def __init__(self, send: Callable[[dict[bytes, Word]], Awaitable[None]], between: float = BETWEEN) -> None:
        """Nothing to tell yet."""
        self._send, self._between = send, between
        self._words: dict[bytes, Word] = {}
        self._not_before: dict[bytes, float] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def say(self, name: bytes, word: Word) -> None:
        """Have it told. A newer word takes the place of one that was not told yet."""
        self._words[name] = word
        self.again()

    def again(self) -> None:
        """Try at once: the store is back."""
        self._news.set()
        if self._words and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._tell())

    @property
    def waiting(self) -> frozenset[bytes]:
        """What there is a word on that was not told yet."""
        return frozenset(self._words)

    async def aclose(self) -> None:
        """Tell no more."""
        self._words.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        while self._words:
            now = loop.time()
            due = {name: word for name, word in self._words.items() if self._not_before.get(name, 0.0) <= now}
            self._news.clear()
            if not due:
                await self._wait(min(self._not_before[name] for name in self._words) - now)
                continue
            try:
                await self._send(due)
            except StoreError as error:
                log.debug("what others should know is not told yet: %s", error)
                await self._wait(AGAIN)
                continue
            for name, word in due.items():
                self._not_before[name] = now + self._between
                if self._words.get(name) is word:
                    del self._words[name]

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()
