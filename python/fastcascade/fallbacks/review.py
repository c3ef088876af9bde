"""What nobody could answer, or not well enough, goes to a person. The queue and its keeper are in desk.py."""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from fastcascade.errors import ConfigError, InReview, RequestError
from fastcascade.messages import Reply, Request
from fastcascade.notices import notify

if TYPE_CHECKING:
    from fastcascade.reviews.desk import ReviewDesk
    from fastcascade.stores.reviews import Why

__all__ = ["Review"]

P = ParamSpec("P")
T = TypeVar("T")
REASONS: Final = frozenset({"failed", "unsure"})


class Review:
    """Hands a request to a person; the caller gets a ticket, and the best answer so far.

    Args:
        desk: takes the reviews.
        when: "failed", where no tier has answered; "unsure", where none was good enough. The desk's own `sample` draws
            from the good ones besides.
        reserve: seconds of the request's deadline that are kept back for handing it over.
    """

    def __init__(
        self, desk: "ReviewDesk", *, when: Collection[str] = ("failed", "unsure"), reserve: float = 0.5
    ) -> None:
        """Check the settings."""
        if not hasattr(desk, "submit"):
            msg = f"Review: it takes a ReviewDesk(store), not {desk!r}"
            raise ConfigError(msg)
        if unknown := set(when) - REASONS:
            msg = f"Review: when is made of {', '.join(sorted(REASONS))}; there is no {min(unknown)!r}"
            raise ConfigError(msg)
        if not reserve > 0:
            msg = f"Review: reserve is in seconds, above 0, not {reserve!r}"
            raise ConfigError(msg)
        self.desk = desk
        self.when = frozenset(when)
        self.reserve = reserve

    async def submit(self, request: Request, why: "Why", best: Reply | None, trace: dict[str, Any]) -> str:
        """Hand it over; the ticket. A callback that is not allowed is left out: the ticket can still be asked after."""
        callback = request.callback
        try:
            if callback:
                self.desk.callbacks.check(callback)
        except RequestError:
            notify("review", "callbacks", "a request wants to be called back where this is not allowed; it is not")
            callback = ""
        review = await self.desk.submit(request, why, best, trace, callback)
        return review.id

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Hand the first argument that is a text or a `Request` to a person where an async function raises.

        Raises `InReview`, which has the ticket; the function's own error is its cause.
        """

        @wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                said = [each for each in (*args, *kwargs.values()) if isinstance(each, Request | str)]
                request = Request.of(said[0] if said else f"{function.__qualname__}{args!r}")
                ticket = await self.submit(request, "failed", None, {})
                raise InReview(ticket) from error

        return called

    def __repr__(self) -> str:
        """Show when it does so."""
        return f"Review({self.desk!r}, when={sorted(self.when)})"
