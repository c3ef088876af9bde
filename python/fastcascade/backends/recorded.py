"""Answers from a file instead of a model: for tests, for demos, and to work on a cascade without paying."""

import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from fastcascade.backends.backend import Backend
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Reply, Request
from fastcascade.prices import Price
from fastcascade.records import load, read_lines, write_line

__all__ = ["Recorded", "Recorder"]


class Recorded:
    """Replies by the text that was asked.

    `replies` is a mapping, or a file of JSON lines: `{"ask": text, "reply": text or reply}`. A text that has several
    replies gives them in turn and then begins again: that is how samples differ. `strict=False` has no answer,
    rather than an error, for what was not recorded.
    """

    def __init__(
        self,
        replies: str | Path | Mapping[str, Any],
        *,
        name: str = "recorded",
        gives: Iterable[str] = (),
        price: Price | None = None,
        strict: bool = True,
    ) -> None:
        """Read the replies."""
        self.name = name
        self.gives = frozenset(gives)
        self.price = price
        self.strict = strict
        pairs = replies.items() if isinstance(replies, Mapping) else _lines(Path(replies))
        self._replies: dict[str, list[Reply]] = {}
        for asked, reply in pairs:
            held = reply if isinstance(reply, list | tuple) else [reply]
            self._replies.setdefault(asked, []).extend(_reply(each, name) for each in held)
        self._given: dict[str, int] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request, /) -> Reply | None:
        """The next of the replies to this text."""
        asked = request.text
        replies = self._replies.get(asked)
        if not replies:
            if not self.strict:
                return None
            msg = f"{self.name} has no recorded reply to {asked[:80]!r}"
            raise BackendError("missing", msg)
        with self._lock:
            turn = self._given.get(asked, 0)
            self._given[asked] = turn + 1
        return replies[turn % len(replies)]

    async def complete(self, request: Request, /) -> Reply | None:
        """As `answer`."""
        return self.answer(request)

    def __repr__(self) -> str:
        """Say how much it holds."""
        return f"Recorded(name={self.name!r}, {len(self._replies)} texts)"


class Recorder:
    """Passes requests on to a backend and appends what it replies to a file that `Recorded` reads.

    It has what the backend has: `answer`, `stream`, `cost`, `price`, `free`, `base_url`, `aclose`. Of a stream the
    whole reply at its end is written down; one that breaks off leaves nothing.
    """

    def __init__(self, backend: Backend, path: str | Path) -> None:
        """Stand in front of a backend."""
        self.backend = backend
        self.path = Path(path)
        self.name = backend.name
        self.gives = backend.gives
        # Only what the backend has: others look for these to see what it can do.
        for name in ("cost", "price", "free", "base_url", "provider", "listed", "remote", "account", "probe", "aclose"):
            if hasattr(backend, name):
                setattr(self, name, getattr(backend, name))
        if hasattr(backend, "answer"):
            self.answer = self._answer
        if hasattr(backend, "stream"):
            self.stream = self._stream
        self._lock = threading.Lock()

    async def complete(self, request: Request, /) -> Reply | None:
        """Ask, and write down what was said."""
        return self._written(request, await self.backend.complete(request))

    def _answer(self, request: Request, /) -> Reply | None:
        backend: Any = self.backend
        return self._written(request, backend.answer(request))

    async def _stream(self, request: Request, /) -> AsyncIterator[Any]:
        backend: Any = self.backend
        stream = backend.stream(request)
        try:
            async for item in stream:
                yield self._written(request, item) if isinstance(item, Reply) else item
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()

    def _written(self, request: Request, reply: Reply | None) -> Reply | None:
        if reply is not None:
            line = write_line({"ask": request.text, "reply": reply})
            with self._lock, self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(line)
        return reply

    def __repr__(self) -> str:
        """Say whom it listens to."""
        return f"Recorder({self.backend!r}, {str(self.path)!r})"


def _lines(path: Path) -> list[tuple[str, Any]]:
    found = []
    for number, held in read_lines(path):
        try:
            found.append((held["ask"], load(held["reply"])))
        except (ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            msg = f'{path}, line {number}: not a recorded reply ({why}); a line is {{"ask": text, "reply": text}}'
            raise ConfigError(msg) from None
    return found


def _reply(given: Any, name: str) -> Reply:
    if isinstance(given, Reply):
        return given
    if isinstance(given, str):
        return Reply(given, model=name)
    msg = f"a recorded reply must be a text or a Reply, not {type(given).__name__}"
    raise ConfigError(msg)
