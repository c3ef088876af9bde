"""Any function as a backend: from a request to a text."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from fastcascade.backends.failures import scrub
from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.messages import Delta, Reply, Request, Text, Thinking, ToolCall
from fastcascade.prices import Price

__all__ = ["Function"]

FREE: Final = Price(0.0, 0.0)
_END: Final = object()


class Function:
    """Answers with what a function returns for the request.

    The function is plain or async. It returns a text, a `Reply`, None for no answer, or texts one after another
    (a list, a generator, an async generator), which are streamed. A plain function runs in a thread, with the
    caller's context variables; one that is given up on (a timeout, a cancelled run) runs on to its end unheard,
    since a thread cannot be stopped. With `threaded=False` it runs where it is called, which saves some 50 us and
    makes the backend instant; only for functions that do not block.

    What it costs is not known unless it is said, for a function may well ask a model: `free=True`, a `price` for
    the tokens its replies report, or `Reply.cost_usd`.

    Raises `BackendError` as it is; any other exception becomes one of kind "bug" with its type and message.

    Args:
        function: what is asked.
        name: what it is called in traces, and the replies' model; the function's own name by default.
        price: what its tokens cost.
        threaded: whether a plain function runs in a thread.
        free: whether it costs nothing.
        gives: what its replies hold beyond content: {"logprobs"}.
    """

    answer: Callable[[Request], Reply | None]
    """Answers at once. There only with `threaded=False`: having it is what makes a backend instant."""

    def __init__(
        self,
        function: Callable[[Request], Any],
        name: str | None = None,
        price: Price | None = None,
        *,
        threaded: bool = True,
        free: bool = False,
        gives: frozenset[str] = frozenset(),
    ) -> None:
        """Find out what kind of function it is."""
        given: Any = function
        if not callable(given):
            msg = f"a function backend needs a function of the request, not {type(given).__name__}"
            raise ConfigError(msg)
        self.name = name or getattr(function, "__name__", "") or type(function).__name__
        if free and price is not None:
            msg = f"function {self.name!r} is free or has a price, not both"
            raise ConfigError(msg)
        self.price = FREE if free else price
        self.free = free
        self.gives = frozenset(gives)
        self._function = function
        waits = any(_is_async(each) for each in (function, getattr(function, "__call__", None)))  # noqa: B004 - its code
        if waits and not threaded:
            msg = f"function {self.name!r} is async and never runs in a thread; leave out threaded=False"
            raise ConfigError(msg)
        self._in_thread = threaded and not waits
        if not threaded:
            self.answer = self._answer

    async def complete(self, request: Request, /) -> Reply | None:
        """Answer; texts one after another are joined."""
        value = await self._ask(request)
        if value is None:
            return None
        if isinstance(value, str | Reply):
            return self._reply(value)
        if isinstance(value, Iterator):
            value = await self._run(list, value)  # one trip to the thread instead of one a piece
        return self._reply("".join([piece async for piece in self._pieces(value)]))

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply | None]:
        """The pieces as they come, then the whole; None alone where the function has no answer."""
        value = await self._ask(request)
        if value is None:
            yield None
            return
        if isinstance(value, str | Reply):
            reply = self._reply(value)
            for delta in _deltas(reply):
                yield delta
            yield reply
            return
        said: list[str] = []
        pieces = self._pieces(value)
        try:
            async for piece in pieces:
                if piece:
                    said.append(piece)
                    yield Delta("text", piece)
        finally:
            await pieces.aclose()
        yield self._reply("".join(said))

    def _answer(self, request: Request, /) -> Reply | None:
        value = self._guarded(self._function, request)
        if value is None:
            return None
        if isinstance(value, str | Reply):
            return self._reply(value)
        if isinstance(value, Iterator | list | tuple):
            return self._reply("".join(self._text(piece) for piece in self._guarded(list, value)))
        if inspect.iscoroutine(value):
            value.close()
        if isinstance(value, Awaitable):
            raise self._bug("returned an awaitable, which threaded=False cannot wait for")
        raise self._unfit(value)

    async def _ask(self, request: Request) -> Any:
        value = await self._run(self._function, request)
        if not isinstance(value, str | Reply) and isinstance(value, Awaitable):
            try:
                value = await value
            except BackendError:
                raise
            except Exception as error:
                raise self._raised(error) from error
        return value

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if not self._in_thread:
            return self._guarded(function, *arguments)
        from asyncio import to_thread  # noqa: PLC0415 # importing the package must not load asyncio

        return await to_thread(self._guarded, function, *arguments)

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # Caught here, in the thread: a StopIteration could not be handed to the loop at all.
        try:
            return function(*arguments)
        except BackendError:
            raise
        except Exception as error:
            raise self._raised(error) from error

    async def _pieces(self, value: Any) -> AsyncGenerator[str, None]:
        if isinstance(value, list | tuple):
            for piece in value:
                yield self._text(piece)
            return
        if isinstance(value, AsyncIterator):
            pieces = self._awaited(value)
        elif isinstance(value, Iterator):
            pieces = self._drawn(value)
        else:
            raise self._unfit(value)
        try:
            async for piece in pieces:
                yield self._text(piece)
        finally:
            await pieces.aclose()

    async def _awaited(self, value: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            async for piece in value:
                yield piece
        except BackendError:
            raise
        except Exception as error:
            raise self._raised(error) from error
        finally:
            if inspect.isasyncgen(value):
                await value.aclose()

    async def _drawn(self, value: Iterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            while (piece := await self._run(next, value, _END)) is not _END:
                yield piece
        finally:
            if inspect.isgenerator(value):
                with suppress(ValueError):  # it runs still, in a thread that was given up on
                    value.close()

    def _text(self, piece: Any) -> str:
        if isinstance(piece, str):
            return piece
        raise self._bug(f"gave a piece of {type(piece).__name__}, not a text")

    def _reply(self, value: str | Reply) -> Reply:
        cost = 0.0 if self.free else None
        if isinstance(value, str):
            return Reply((Text(value),), self.name, cost_usd=cost)
        if value.cost_usd is not None:
            cost = value.cost_usd
        if value.model and cost == value.cost_usd:
            return value
        return replace(value, model=value.model or self.name, cost_usd=cost)

    def _raised(self, error: Exception) -> BackendError:
        kind: FailureKind = "timeout" if isinstance(error, TimeoutError) else "bug"
        return BackendError(kind, scrub(f"{type(error).__name__}: {error}"))

    def _unfit(self, value: Any) -> BackendError:
        return self._bug(f"returned {type(value).__name__}, not a text, a Reply, texts or None")

    def _bug(self, what: str) -> BackendError:
        return BackendError("bug", f"function {self.name!r} {what}")

    def __repr__(self) -> str:
        """Show how it was made."""
        return f"Function({self.name!r}, price={self.price!r}, threaded={self._in_thread}, free={self.free})"


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _deltas(reply: Reply) -> Iterator[Delta]:
    """The pieces that a whole reply would have come in; its tokens go with the first piece of their kind."""
    tokens = reply.logprobs or ()
    said = tuple(token for token in tokens if not token.tool)
    called = tuple(token for token in tokens if token.tool)
    for index, block in enumerate(reply.content):
        if type(block) is Text:
            yield Delta("text", block.text, index, tokens=said)
            said = ()
        elif type(block) is Thinking:
            yield Delta("thinking", block.text, index)
        elif type(block) is ToolCall:
            yield Delta("tool", block.arguments, index, block.id, block.name, tokens=called)
            called = ()
