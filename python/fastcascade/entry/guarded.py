"""Any async function behind a retry, a breaker, a bulkhead or a hedge: what a pool does for a backend.

    @Retry(times=2)
    @Breaker(failure_threshold=5, recovery_timeout=30, half_open_max_calls=3)
    async def fetch(order): ...

However many of them are stacked, it is one pool, in which the order of parts is fixed: each try waits for a place, then
asks the breaker, and is made; the retry is around that.
"""

from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, ParamSpec, TypeVar, cast

from fastcascade.backends.failures import failure_kind, retry_after
from fastcascade.effects import Call, Effect, Outcome
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.errors import BackendError, ConfigError, Failure, FailureKind, FastcascadeError

__all__ = ["guarded", "said_by"]

P = ParamSpec("P")
T = TypeVar("T")

MISTAKES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""Exceptions of the language, after which the same call would go wrong in the same way."""
BY_NAME: Final[tuple[tuple[frozenset[str], FailureKind], ...]] = (
    (frozenset({"TimeoutError", "TimeoutException", "APITimeoutError", "Timeout", "ServerTimeoutError"}), "timeout"),
    (
        frozenset(
            {
                "APIConnectionError",
                "ClientConnectionError",
                "ConnectionError",
                "IncompleteReadError",
                "NetworkError",
                "ProtocolError",
                "SSLError",
                "TransportError",
                "gaierror",
            }
        ),
        "connection",
    ),
)
"""What exceptions of well-known clients mean, by the name of their class or of one it derives from."""


class Asked:
    """One call of the function: what a pool takes for a request."""

    __slots__ = ("args", "error", "kwargs", "value")
    priority = 0
    idempotency = ""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.value: Any = None
        self.error: Exception | None = None


class Function:
    """The function as a backend. Its value lies beside the reply, which it has none of."""

    gives: frozenset[str] = frozenset()

    def __init__(self, function: Callable[..., Awaitable[Any]], name: str) -> None:
        self.function = function
        self.name = name

    async def complete(self, asked: Any, /) -> None:
        """Call it."""
        try:
            asked.value = await self.function(*asked.args, **asked.kwargs)
        except Exception as error:  # noqa: BLE001 - any of them is told to the pool
            asked.error = error
            raise BackendError.of(said_by(error)) from None
        asked.error = None


def guarded(function: Callable[P, Awaitable[T]], **parts: Any) -> Callable[P, Coroutine[Any, Any, T]]:
    """The function behind these parts of a pool: `retry`, `breaker`, `bulkhead`, `hedge`; `pool` shows how it does."""
    # What merely wraps one of ours shows its attributes too; only one of ours refers to itself.
    ours = getattr(function, "guarded", None) is function
    stacked: dict[str, Any] = {**(getattr(function, "parts", {}) if ours else {}), **parts}
    inner: Callable[P, Awaitable[T]] = getattr(function, "bare", function) if ours else function
    if not iscoroutinefunction(inner):
        msg = f"{getattr(inner, '__name__', inner)!r} is no async function; only those can be wrapped"
        raise ConfigError(msg)
    backend = Function(inner, getattr(inner, "__qualname__", "function"))
    pool = Pool(Instance(cast("Any", backend)), **{"retry": None, "breaker": None, **stacked})
    only = pool.instances[0]
    circuit, allowance = only.circuit, pool.allowance
    straight = only.slots is None and pool.hedge is None

    @wraps(inner)
    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        clock = get_running_loop().time
        now = clock()
        if not straight or only.closed_until > now or (circuit is not None and circuit.admit(now) > 0.0):
            asked = Asked(args, kwargs)
            return _value(asked, await _driven(pool.asking(Call(pool, cast("Any", asked)), now)), inner)
        if allowance is not None:
            allowance.deposit(now)
        try:
            value = await inner(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - sorted out by the pool
            asked = Asked(args, kwargs)
            asked.error = error
        except BaseException:
            if circuit is not None:
                circuit.forget(now)
            raise
        else:
            if circuit is not None:
                ended = clock()
                circuit.record(ended, ended - now, None)
            return value
        failed = Outcome(None, said_by(asked.error), now, clock())
        only.begin()
        return _value(asked, await _driven(pool.resumed(Call(pool, cast("Any", asked)), failed)), inner)

    called.pool = pool  # type: ignore[attr-defined]
    called.parts = stacked  # type: ignore[attr-defined]
    called.bare = inner  # type: ignore[attr-defined]
    called.guarded = called  # type: ignore[attr-defined]
    return called


def said_by(error: Exception) -> Failure:
    """What an exception of anyone's means, as far as can be told; no words of its own, which may hold anything."""
    name = type(error).__name__
    if isinstance(error, BackendError):
        return error.failure
    status = _status(error)
    if status is not None:
        headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None) or {}
        return Failure(failure_kind(status), name, status, retry_after(headers) if hasattr(headers, "items") else None)
    names = {each.__name__ for each in type(error).__mro__}
    for known, kind in BY_NAME:
        if names & known:
            return Failure(kind, name)
    if isinstance(error, FastcascadeError):
        return Failure("server" if error.fault == "backend" else "bad_request", name)
    if isinstance(error, (*MISTAKES, OSError, NotImplementedError)):
        return Failure("bug", name)
    return Failure("server", name)


def _status(error: Exception) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if type(value) is int and 400 <= value <= 599:
                return value
    return None


async def _driven(flow: Generator[Effect, Outcome, Outcome]) -> Outcome:
    from fastcascade.drive import Driver  # noqa: PLC0415 - the driver is above

    return await Driver(clock=get_running_loop().time).run(flow)


def _value(asked: Asked, outcome: Outcome, _like: Callable[..., Awaitable[T]]) -> T:
    """What the function returned; or its own error, or why it was not called."""
    if outcome.failure is None:
        value: T = asked.value
        return value
    error, asked.error = asked.error, None  # or the error would hold itself by way of its frames
    if error is not None and outcome.failure.kind not in ("unavailable", "full"):
        raise error
    raise BackendError.of(outcome.failure) from error
