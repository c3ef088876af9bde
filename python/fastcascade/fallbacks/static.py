"""The last answer, which always works: a text, made beforehand, that asks nothing of anyone."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar

from fastcascade.errors import ConfigError
from fastcascade.messages import Reply, Request

__all__ = ["LAST_RESORT", "Static"]

P = ParamSpec("P")
T = TypeVar("T")
LAST_RESORT = "This cannot be answered right now. Please try again in a moment."


class Static:
    """What is said when nothing else is left.

    Args:
        answer: a text, a `Reply`, or a function of the request that gives either. For `static(function)`, the
            decorator, it may be any value, or a function of the same arguments.

    A function of the request that raises is stood in for by a plain text: the last answer must not fail. As a
    decorator, where any kind of value may be wanted, what it raises is raised.
    """

    def __init__(self, answer: Any = LAST_RESORT) -> None:
        """Keep what is said."""
        if iscoroutinefunction(answer):
            raise ConfigError("a static answer waits for nothing: give a text, or a plain function")
        if answer is None or answer == "":
            raise ConfigError("a static answer needs a text: Static('Please try again in a moment.')")
        self.answer = answer

    def reply(self, request: Request) -> Reply:
        """What is said to this request, at no cost."""
        said = self.answer
        if callable(said):
            try:
                said = said(request)
            except Exception:  # noqa: BLE001 - a user's function may raise anything
                said = LAST_RESORT
        if isinstance(said, Reply):
            return said
        return Reply(said if isinstance(said, str) and said else LAST_RESORT, cost_usd=0.0)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Say it where an async function raises."""

        @wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await function(*args, **kwargs)
            except Exception:  # noqa: BLE001 - that is what it is for
                said: Any = self.answer(*args, **kwargs) if callable(self.answer) else self.answer
                return said  # type: ignore[no-any-return]

        return called

    def __repr__(self) -> str:
        """Show what is said."""
        return f"Static({self.answer!r})"
