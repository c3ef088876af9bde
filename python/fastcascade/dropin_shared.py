"""How often, where a limit is shared with other processes: what `Front.charge` does, with one question to Redis.

In ASGI it is awaited. WSGI has no loop to wait in: there the question is asked on the loop behind plain code.
"""

from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from fastcascade._core import Clock, FastPath, Quota, RateLimiter, Refused, Router
from fastcascade.guards.guard import Call, Ending, Headers
from fastcascade.guards.limits import RateFields, bucket_of
from fastcascade.guards.refusal import Refusals

if TYPE_CHECKING:
    from fastcascade.shared.limits import SharedLimiter

__all__ = ["Together"]

LARGE: Final = 1e6
MOST: Final = 10_000
"""Routes, each with its methods, whose cost is remembered."""


class Together:
    """Whether it is not too often, by all processes together.

    Args:
        limiter: the limit.
        table: the routes, which know what each costs.
        refusals: how it is said that it is.
        tell: whether what is left is told on other answers too.
    """

    def __init__(self, limiter: "SharedLimiter", table: Router[Any] | None, refusals: Refusals, *, tell: bool) -> None:
        """Nobody has asked yet."""
        self._limiter, self._refusals, self._tell = limiter, refusals, tell
        self._fields = RateFields(limiter)
        self._costs = None if table is None else _Costs(table)

    async def charge(self, call: Call) -> Ending | None:
        """None lets it pass, and what it costs has been taken."""
        bucket = bucket_of(call.identity, call.client)
        cost = 1.0 if self._costs is None or call.match is None else self._costs.of(call)
        wait = await self._limiter.admit(bucket, cost)
        if wait:
            return self._refusals.limited(call, wait, self._fields.left(bucket, wait))
        if self._tell:
            left: Headers = self._fields.left(bucket)
            call.on_head(lambda _, headers: headers.extend(left))
        return None


class _Costs:
    """What routes cost. They tell by taking it: so it is taken of a bucket that stands still, once for each."""

    def __init__(self, table: Router[Any]) -> None:
        self._bucket = RateLimiter(Quota(LARGE, LARGE), max_clients=1, clock=Clock())
        self._take = FastPath(table, None, None, self._bucket)
        self._known: dict[tuple[str, str], float] = {}
        self._lock = Lock()

    def of(self, call: Call) -> float:
        method = call.method.upper()
        name = (call.template, method)
        cost = self._known.get(name)
        if cost is None:
            with self._lock:
                if len(self._known) >= MOST:
                    self._known.clear()
                cost = self._known[name] = self._taken(call.path, method)
        return cost

    def _taken(self, path: str, method: str) -> float:
        bucket = self._bucket
        taken = self._take.take(path, method, None, "")
        if isinstance(taken, Refused):
            return inf if taken.status == 429 else 1.0
        cost = bucket.quota.burst - bucket.available("")
        bucket.settle("", cost, 0.0)
        return cost
