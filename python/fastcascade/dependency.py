"""A cascade in an app that exists: as a dependency of FastAPI, or around any function that knows what to ask.

ask = cascade_dependency(cascade)

@app.post("/help")
async def help(question: str, cascade: Annotated[Bound, Depends(ask)]) -> str:
    return (await cascade.run(question)).text

@answered_by(cascade, task="summary")
async def summary(document: str) -> str:
    return f"Summarize this in three sentences: {document}"

answer = await summary(document)                      # an Answer
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, overload

from fastcascade.answer_stream import AnswerStream
from fastcascade.answers import Answer
from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError, RequestError
from fastcascade.messages import Ask, Request
from fastcascade.wire.endpoint import ANYONE, Caller
from fastcascade.wire.endpoint_fields import fields_of, id_of
from fastcascade.wire.endpoint_models import UNSAID

__all__ = ["Bound", "CascadeDependency", "answered_by", "cascade_dependency"]

P = ParamSpec("P")
T = TypeVar("T", bound=Callable[..., Any])


class Bound:
    """A cascade for one request of an app: what its headers and its caller say goes with all that is asked.

    `fields` given with a question win over a request's headers; those of the caller win over both.
    """

    __slots__ = ("cascade", "fields", "ruled")

    def __init__(self, cascade: Cascade, fields: Mapping[str, Any], ruled: Mapping[str, Any]) -> None:
        """Keep the fields of headers, and those of the caller."""
        self.cascade, self.fields, self.ruled = cascade, fields, ruled

    async def run(self, asked: Ask, /, **fields: Any) -> Answer:
        """As `Cascade.run`."""
        return await self.cascade.run(asked, **self._merged(fields))

    def run_sync(self, asked: Ask, /, **fields: Any) -> Answer:
        """As `Cascade.run_sync`."""
        return self.cascade.run_sync(asked, **self._merged(fields))

    def stream(self, asked: Ask, /, **fields: Any) -> AnswerStream:
        """As `Cascade.stream`."""
        return self.cascade.stream(asked, **self._merged(fields))

    def _merged(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.fields, **fields, **self.ruled}


class CascadeDependency:
    """What FastAPI calls for each request, and anything else that has a request with headers: gives a `Bound`.

    Headers are those of the gateway: `x-cascade-task`, `-route`, `-customer`, `-feature`, `-session`, `-user`,
    `-min-tier`, `-max-tier`, `-budget-usd`, `-deadline`, `-regenerate`, `-priority`, `idempotency-key`, `x-request-id`.
    One that cannot be read raises `fails`, which is FastAPI's 400 where that is the framework.

    Args:
        cascade: what is asked.
        caller: who asks: a `Caller`, or a plain function of the request that gives one.
        headers: whether headers are read at all. Whoever may write them may ask the dearest tier, as any customer and
            with a budget of its own choice; so by default they are read only where `caller` says who asks.
    """

    def __init__(
        self, cascade: Cascade, *, caller: Caller | Callable[[Any], Caller] = ANYONE, headers: bool | None = None
    ) -> None:
        """Load no framework."""
        self.cascade, self.caller = cascade, caller
        self.headers = caller is not ANYONE if headers is None else headers

    @property
    def __signature__(self) -> inspect.Signature:
        """One argument, of the class by which FastAPI knows what to give: read when a route is made."""
        from starlette.requests import HTTPConnection  # noqa: PLC0415 - whoever asks for this has it loaded

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter("request", kind, annotation=HTTPConnection)])

    def __call__(self, request: Any) -> Bound:
        """The cascade, bound to this request."""
        caller = self.caller if isinstance(self.caller, Caller) else self.caller(request)
        fields: dict[str, Any] = {}
        if self.headers:
            given = {name.lower(): value for name, value in request.headers.items()}
            try:
                fields = fields_of(given, self.cascade.budget)
            except RequestError as error:
                raise _bad_request(error) from None
            fields["id"] = id_of(given)
        for name in caller.locked.intersection(fields):
            fields[name] = UNSAID[name]
        if not fields.get("customer") and (caller.tenant or caller.name):
            fields["customer"] = caller.tenant or caller.name
        return Bound(self.cascade, fields, dict(caller.fields))


def cascade_dependency(
    cascade: Cascade, *, caller: Caller | Callable[[Any], Caller] = ANYONE, headers: bool | None = None
) -> CascadeDependency:
    """For `Depends(cascade_dependency(cascade))`: see `CascadeDependency`."""
    return CascadeDependency(cascade, caller=caller, headers=headers)


def answered_by(cascade: Cascade, **fields: Any) -> "Answers":
    """A decorator: the function says what is asked, and whoever calls it gets the `Answer`.

    The function is async or plain, and gives a text, a `Request` or a list of messages. `fields` are those of
    `Request`: `task="code"`. An async one is awaited for its `Answer`; a plain one is answered from plain code.
    """
    return Answers(cascade, fields)


class Answers:
    """What `answered_by` makes: see there."""

    def __init__(self, cascade: Cascade, fields: Mapping[str, Any]) -> None:
        """Refuse fields that no request has, now rather than at each call."""
        try:
            Request.of("?", **fields)
        except RequestError as error:
            msg = f"these cannot be fields of each request: {error}"
            raise ConfigError(msg) from None
        self.cascade, self.fields = cascade, dict(fields)

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, Ask]]) -> Callable[P, Coroutine[Any, Any, Answer]]: ...

    @overload
    def __call__(self, function: Callable[P, Awaitable[Ask]]) -> Callable[P, Coroutine[Any, Any, Answer]]: ...

    @overload
    def __call__(self, function: Callable[P, Ask]) -> Callable[P, Answer]: ...

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function."""
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            name = getattr(function, "__name__", function)
            msg = f"{name!r} is a generator; a function that asks gives one question: return it"
            raise ConfigError(msg)
        cascade, fields = self.cascade, self.fields

        async def later(said: Awaitable[Ask]) -> Answer:
            return await cascade.run(await said, **fields)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def waited(*args: Any, **kwargs: Any) -> Answer:
                return await cascade.run(await function(*args, **kwargs), **fields)

            return _signed(waited, function)

        @wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            said = function(*args, **kwargs)
            # Async all the same: an object with an async `__call__`, or what another decorator has made.
            return later(said) if inspect.isawaitable(said) else cascade.run_sync(said, **fields)

        return _signed(plain, function)


def _signed(wrapped: T, function: Callable[..., Any]) -> T:
    """Say that it gives an `Answer`, to frameworks that read the signature."""
    told: Any = wrapped
    told.__signature__ = inspect.signature(function).replace(return_annotation=Answer)
    told.__annotations__ = {**getattr(function, "__annotations__", {}), "return": Answer}
    return wrapped


BAD_REQUEST: Final = 400


def _bad_request(error: RequestError) -> Exception:
    """What a framework answers with 400: Starlette's own exception, where that is what asks."""
    try:
        from starlette.exceptions import HTTPException  # noqa: PLC0415 - only where a header is at fault
    except ModuleNotFoundError:
        return error
    return HTTPException(BAD_REQUEST, str(error))
