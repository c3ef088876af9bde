"""The last good answer to the same question, for when there is no better one; and one call where many ask the same.

What is kept is what was accepted, nothing else. Two requests are the same where everything that may change the answer
is: the conversation, the tools, the parameters, the tiers it may use, and, unless told otherwise, who asks.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable
from dataclasses import dataclass
from functools import wraps
from threading import Lock
from time import monotonic
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from fastcascade.effects import Effect, Outcome, Sleep
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.retry import RetryShare
from fastcascade.messages import Reply, Request
from fastcascade.question import Per, Question
from fastcascade.records import known
from fastcascade.signals import Signal

__all__ = ["Found", "Kept", "Shelf", "Stale"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was good, and when that was, on the driver's clock."""

    reply: Reply
    at: float
    tier: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that was not asked for anew: how it came, and its age in seconds, if it was kept."""

    kept: Kept
    via: Literal["cache", "joined", "semantic", "stale"]
    age: float | None = None
    degraded: str = ""
    ticket: str = ""
    level: str = ""  # where it was found: memory, shared, or joined, in a cache that has levels


class Flight(Generic[T]):
    """A question that somebody is asking now. `signal` is given when that is over; `landed` says how."""

    __slots__ = ("landed", "result", "signal")

    def __init__(self) -> None:
        self.signal = Signal()
        self.landed = False
        self.result: T | None = None


class Shelf(Generic[T]):
    """What is kept, and what is being asked, by key. Shared by all requests, in all threads."""

    def __init__(self, max_items: int) -> None:
        """Begin empty."""
        self._most = max_items
        self._kept: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()  # the last used are last
        self._flights: dict[Hashable, Flight[Any]] = {}
        self._refreshing: set[Hashable] = set()
        self._lock = Lock()

    def find(self, key: Hashable, now: float) -> tuple[T, float] | None:
        """What is kept, and how old it is."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
        return found[0], max(0.0, now - found[1])

    def keep(self, key: Hashable, value: T, now: float) -> None:
        """Keep it, unless what is there is younger."""
        gone = None
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[1] <= now:
                self._kept[key] = (value, now)
                self._kept.move_to_end(key)
                if len(self._kept) > self._most:
                    gone = self._kept.popitem(last=False)
        del gone  # after the lock: dropping a value can run anything

    def board(self, key: Hashable) -> tuple[Flight[Any], bool]:
        """The flight under way for this key, or a new one; and whether it is for the caller to bring it home."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = Flight()
            return flight, True

    def land(self, key: Hashable, flight: Flight[Any], result: Any = None, *, shared: bool = False) -> None:
        """Bring it home: those who waited get the result, or, if it is not to be shared, ask for themselves."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.landed = shared
        flight.result = result
        flight.signal.give()

    def begin_refresh(self, key: Hashable) -> bool:
        """Whether nobody refreshes this one yet; it is then for the caller to do."""
        with self._lock:
            if key in self._refreshing:
                return False
            self._refreshing.add(key)
            return True

    def end_refresh(self, key: Hashable) -> None:
        """The refresh is over, however it went."""
        with self._lock:
            self._refreshing.discard(key)


class Stale:
    """Serves the last good answer where no better one can be had, says how old it is, and asks again behind it.

    Identical questions that come while one of them is being asked wait for its answer: a thousand make one call.
    Streams are given what is kept, but each asks for itself.

    Args:
        fresh_for: seconds in which a kept answer is given without asking. 0 always asks.
        stale_for: seconds for which an answer may be served when asking fails.
        while_refreshing: seconds after `fresh_for` in which the kept answer is given at once, and asked for anew
            behind it.
        refresh: seconds after a stale answer was served until it is asked for again, in the background; doubled
            with each of at most five tries, and no more of them in all than a share of the traffic, as retries are.
        max_items: how many answers are kept; those not used for longest go first.
        per: whether an answer is for the same `user` alone, for all users of a `customer`, or for `all`.
    """

    def __init__(
        self,
        *,
        fresh_for: float = 0.0,
        stale_for: float = 86_400.0,
        while_refreshing: float = 0.0,
        refresh: float = 5.0,
        max_items: int = 10_000,
        per: Per = "user",
    ) -> None:
        """Check the settings."""
        if max_items < 1:
            msg = f"Stale: max_items must be 1 or more, not {max_items!r}"
            raise ConfigError(msg)
        for name, value in (
            ("fresh_for", fresh_for),
            ("stale_for", stale_for),
            ("while_refreshing", while_refreshing),
            ("refresh", refresh),
        ):
            if not value >= 0:
                msg = f"Stale: {name} is in seconds, 0 or above, not {value!r}"
                raise ConfigError(msg)
        if stale_for < fresh_for + while_refreshing:
            msg = f"Stale: stale_for ({stale_for:g}) must cover fresh_for and while_refreshing together"
            raise ConfigError(msg)
        self._question = Question(per)
        self.fresh_for = fresh_for
        self.stale_for = stale_for
        self.while_refreshing = while_refreshing
        self.refresh = refresh
        self.max_items = max_items
        self.per = per
        self.shelf: Shelf[Kept] = Shelf(max_items)
        self.again = RetryShare(share=0.01, reserve=2.0).allowance()  # beside the retries, so that both stay within 1.1

    def key(self, request: Request) -> str:
        """What the answer to a request is filed under."""
        return self._question.key(request)

    def keep(self, request: Request, reply: Reply, now: float, *, tier: str = "", score: float | None = None) -> None:
        """Keep a good answer."""
        self.shelf.keep(self.key(request), Kept(reply, now, tier, score), now)

    def learn(self, review: Any) -> None:
        """Keep what a person has answered, as the answer of a tier called review."""
        if review.answer is not None:
            self.keep(review.request, review.answer, monotonic(), tier="review")

    def joined(
        self, key: str, now: float, left: float | None
    ) -> Generator[Effect, Outcome, tuple[Flight[Any], bool, float]]:
        """Board the flight of this key; where somebody else flies it, wait for `left` seconds until it has landed.

        Comes to the flight, and whether it is for the caller to bring it home. One that has not landed is late.
        """
        until = None if left is None else now + left
        while True:
            flight, mine = self.shelf.board(key)
            if mine:
                return flight, True, now
            now = (yield Sleep(None if until is None else max(0.0, until - now), flight.signal)).ended
            if flight.landed or (until is not None and now >= until):
                return flight, False, now

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Keep what an async function returns, by its arguments. A call with arguments that have no hash is just made.

        Lists, dicts and sets among them go by what is in them.
        """
        shelf: Shelf[T] = Shelf(self.max_items)

        async def fetch(key: Hashable, *args: P.args, **kwargs: P.kwargs) -> T:
            value = await function(*args, **kwargs)
            shelf.keep(key, value, monotonic())
            return value

        @wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                key = _frozen((args, kwargs))
            except TypeError:
                return await function(*args, **kwargs)
            found = shelf.find(key, monotonic())
            if found is not None and found[1] < self.fresh_for:
                return found[0]
            if found is not None and found[1] < self.fresh_for + self.while_refreshing:
                _behind(shelf, key, fetch(key, *args, **kwargs))
                return found[0]
            try:
                return await _alone(shelf, key, lambda: fetch(key, *args, **kwargs))
            except Exception:
                found = shelf.find(key, monotonic())
                if found is None or found[1] > self.stale_for:
                    raise
                return found[0]

        return called

    def __repr__(self) -> str:
        """Show its bounds."""
        return f"Stale(fresh_for={self.fresh_for:g}, stale_for={self.stale_for:g}, per={self.per!r})"


def _frozen(value: Any) -> Hashable:
    """A value by what is in it, with the kinds of its parts; `TypeError` where a part has no hash."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, _frozen(each)) for key, each in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(_frozen(each) for each in value))
    if isinstance(value, set | frozenset):
        return ("set", frozenset(value))
    hash(value)
    return (type(value), value)


async def _alone(shelf: Shelf[Any], key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
    """Fetch, or wait for whoever fetches the same; their failure is everybody's."""
    from fastcascade.patience import asleep  # noqa: PLC0415 - importing the package must not load asyncio

    flight: Flight[Any]
    while True:
        flight, mine = shelf.board(key)
        if mine:
            break
        await asleep(None, flight.signal)
        if flight.landed and flight.result is not None:
            value, error = flight.result
            if error is not None:
                raise error
            return value  # type: ignore[no-any-return]
    try:
        value = await fetch()
    except Exception as error:
        shelf.land(key, flight, (None, error), shared=True)
        raise
    except BaseException:  # cancelled: the others ask for themselves
        shelf.land(key, flight)
        raise
    shelf.land(key, flight, (value, None), shared=True)
    return value


def _behind(shelf: Shelf[Any], key: Hashable, fetching: Any) -> None:
    """Fetch anew behind a caller who has an answer already, once."""
    import asyncio  # noqa: PLC0415 - as above

    if not shelf.begin_refresh(key):
        fetching.close()
        return
    task = asyncio.ensure_future(fetching)
    _fetching.add(task)

    def over(task: "asyncio.Future[Any]") -> None:
        _fetching.discard(task)
        shelf.end_refresh(key)
        if not task.cancelled():
            task.exception()  # the answer that is kept goes on being served

    task.add_done_callback(over)


_fetching: set[Any] = set()
known(Found, Kept)
