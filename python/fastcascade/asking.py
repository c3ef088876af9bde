"""How backends and functions are asked, and errors as values: no exception of theirs may lose a request."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from inspect import CO_COROUTINE, isawaitable, iscoroutine, iscoroutinefunction
from types import FunctionType
from typing import Any, cast

from fastcascade.backends.backend import Backend, Streaming
from fastcascade.backends.failures import scrub
from fastcascade.effects import Check, Outcome
from fastcascade.errors import BackendError, Failure, FastcascadeError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.streaming import pieces

__all__ = [
    "checked",
    "failure_of",
    "instant",
    "is_cancelled",
    "is_enough",
    "is_given_up",
    "opened",
    "piece",
    "reply_of",
]


def instant(backend: Backend) -> Callable[[Request], Reply | None] | None:
    """How to ask a backend that needs no I/O; None if this one does."""
    answer: Callable[[Request], Reply | None] | None = getattr(backend, "answer", None)
    return answer if callable(answer) else None


def failure_of(error: Exception | asyncio.CancelledError) -> Failure:
    """An exception as a value."""
    if isinstance(error, BackendError):
        return error.failure
    if isinstance(error, TimeoutError):
        return Failure("timeout", scrub(str(error)) or "no answer in time")
    if isinstance(error, FastcascadeError):
        return Failure("bad_request" if error.fault == "caller" else "bug", scrub(str(error)))
    if isinstance(error, asyncio.CancelledError):
        return Failure("bug", "CancelledError: raised by what was called, while nobody had cancelled it")
    return Failure("bug", scrub(f"{type(error).__name__}: {error}"))


def is_cancelled() -> bool:
    """Whether the current task is being cancelled, rather than something that it called raising as if it were."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def is_given_up(error: BaseException) -> bool:
    """Whether this says that the current task is being cancelled, and is to go on."""
    return isinstance(error, asyncio.CancelledError) and is_cancelled()


def is_enough(enough: Callable[[list[Outcome | None]], bool], outcomes: list[Outcome | None]) -> bool:
    """Ask a gate's own function; one that fails cannot say that it is."""
    try:
        return bool(enough(outcomes))
    except Exception:  # noqa: BLE001 - a user's function may raise anything
        return False


def reply_of(value: Any) -> Reply | None:
    """What a backend gave, if it is what one gives."""
    if value is None or isinstance(value, Reply):
        return value
    msg = f"the backend gave {type(value).__name__}, not a Reply or None"
    raise BackendError("bug", msg)


async def checked(check: Check) -> Any:
    """Ask a function; a plain one in a thread, where it holds up nobody."""
    function = check.function
    if type(function) is FunctionType and function.__code__.co_flags & CO_COROUTINE:  # what most are, told at once
        return await function(*check.arguments)
    if check.inline or iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        found = function(*check.arguments)
    else:
        found = await asyncio.to_thread(function, *check.arguments)
    return await found if isawaitable(found) else found


def opened(backend: Backend, request: Request) -> AsyncIterator[Any]:
    """A reply piece by piece; one of a backend that cannot stream as a stream of its blocks."""
    if not hasattr(backend, "stream"):
        return _whole(backend, request)
    stream: Any = cast("Streaming", backend).stream(request)
    if iscoroutine(stream):
        stream.close()
        raise BackendError("bug", "the backend's stream() is to be an async generator: it has no `yield`")
    return aiter(stream)


async def _whole(backend: Backend, request: Request) -> AsyncGenerator[Delta | Reply | None, None]:
    answer = instant(backend)
    reply = reply_of(await backend.complete(request) if answer is None else answer(request))
    if reply is not None:
        for delta in pieces(reply):
            yield delta
    yield reply


async def piece(stream: AsyncIterator[Any]) -> Any:
    """The next piece; None where there is none, as from a backend that has no answer."""
    item = await anext(stream, None)
    return item if type(item) is Delta else reply_of(item)
