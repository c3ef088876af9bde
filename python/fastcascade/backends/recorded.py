"""Answers from a file instead of a model: for tests, for demos, and to work on a cascade without paying."""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastcascade.backends.backend import Backend
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Reply, Request
from fastcascade.prices import Price
from fastcascade.records import dump, load

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
    """Passes requests on to a backend and appends what it replies to a file that `Recorded` reads."""

    def __init__(self, backend: Backend, path: str | Path) -> None:
        """Stand in front of a backend."""
        self.backend = backend
        self.path = Path(path)
        self.name = backend.name
        self.gives = backend.gives
        self.price: Price | None = getattr(backend, "price", None)
        self._lock = threading.Lock()

    async def complete(self, request: Request, /) -> Reply | None:
        """Ask, and write down what was said."""
        reply = await self.backend.complete(request)
        if reply is not None:
            line = json.dumps({"ask": request.text, "reply": dump(reply)}, ensure_ascii=False)
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        return reply


def _lines(path: Path) -> list[tuple[str, Any]]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            held = json.loads(line)
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
