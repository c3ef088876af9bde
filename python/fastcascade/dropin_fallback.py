"""What is served when the app has failed before its answer began. It says so in `x-cascade-degraded`.

A text is served with 200: it is the answer that the operator has written for that moment. Who wants clients to see
a failure says so: `fallback=Ending.text(503, "back soon", {"retry-after": "30"})`.
"""

import json
import logging
from dataclasses import replace
from inspect import isawaitable
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call, Ending

__all__ = ["LAST_WORDS", "TEXT", "Fallback", "framed", "given", "log", "once", "told"]

log: Final = logging.getLogger("fastcascade")
LAST_WORDS: Final = "This cannot be answered right now. Please try again in a moment."
TEXT: Final = "text/plain; charset=utf-8"


class Fallback:
    """Comes to the answer that stands in.

    Args:
        answer: a text, bytes, a dict or a list (JSON), an `Ending`, a `Static`, or a function of the call and of the
            error (None where the app has answered with a failing status) that gives one of these. It may be async
            where the app is. A function that raises is stood in for by a plain text: the last answer must not fail.
    """

    def __init__(self, answer: Any) -> None:
        """See above."""
        answer = getattr(answer, "answer", answer)  # a `Static` holds what it says
        if answer is None or answer == "":
            raise ConfigError("a fallback needs something to say: a text, an Ending, or a function")
        self._function = answer if callable(answer) else None
        self._ending = None if callable(answer) else ending_of(answer)

    def made(self, call: Call, error: BaseException | None) -> Ending:
        """What is served, in plain code."""
        if self._ending is not None:
            return self._ending
        try:
            return ending_of(_plain(self._ask(call, error)))
        except Exception:
            log.exception("the fallback has raised; a plain text is served")
        return ending_of(LAST_WORDS)

    async def amade(self, call: Call, error: BaseException | None) -> Ending:
        """What is served, in async code."""
        if self._ending is not None:
            return self._ending
        try:
            said = self._ask(call, error)
            return ending_of(await said if isawaitable(said) else said)
        except Exception:
            log.exception("the fallback has raised; a plain text is served")
        return ending_of(LAST_WORDS)

    def _ask(self, call: Call, error: BaseException | None) -> Any:
        function = self._function
        return None if function is None else function(call, error)


def _plain(said: Any) -> Any:
    if isawaitable(said):
        getattr(said, "close", int)()
        raise TypeError("an async fallback needs an ASGI app")
    return said


def ending_of(said: Any) -> Ending:
    """What was said as something that can be sent, marked as a stand-in."""
    if isinstance(said, Ending):
        return said if said.degraded else replace(said, degraded="fallback")
    text = getattr(said, "text", said)  # a `Reply` of the cascade
    heads = [("content-type", TEXT), ("cache-control", "no-store")]
    if isinstance(text, dict | list):
        heads[0] = ("content-type", "application/json")
        text = json.dumps(text, ensure_ascii=False)
    if isinstance(text, str):
        text = text.encode()
    if not isinstance(text, bytes):
        raise ConfigError(f"a fallback gives a text, bytes, a dict, a list or an Ending, and not {type(said).__name__}")
    return Ending(200, heads, text, "fallback")


def framed(call: Call, ending: Ending) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body of an ending as they are sent."""
    headers = list(ending.headers)
    if ending.degraded:
        headers.append(("x-cascade-degraded", ending.degraded))
    bare = ending.status in {204, 304} or ending.status < 200
    if not bare and not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("content-length", str(len(ending.body))))
    return headers, b"" if bare or call.method == "HEAD" else ending.body


def given(ending: Any, *, answered: bool) -> Ending | None:
    """What guards have ended a request with. One that gives something else, or nothing at all, would leave it open.

    `answered`: the app's answer is out, or the app has ended without one, which is for the server to mend.
    """
    if ending is None and not answered:
        raise TypeError("a guard has given None, and nobody answers: it must return an Ending, or what proceed() gave")
    if ending is not None and not isinstance(ending, Ending):
        raise TypeError(f"a guard gives an Ending, or what proceed() gave, and not {type(ending).__name__}")
    return ending


def once(*, begun: bool) -> None:
    """Refuse to go on a second time: the app would do all over again what it has been asked for."""
    if begun:
        raise RuntimeError("a guard has called proceed() again, and an answer is out already")


def told(call: Call) -> None:
    """Tell whoever wanted to hear of the end; what they raise is logged, for the request is over."""
    for tell in call._ends:  # noqa: SLF001 - the call is ours
        try:
            tell(call)
        except Exception:
            log.exception("what a guard left for the end has raised")
