"""The places a drill strikes: each backend behind faults, and a book of when it was called and what it said."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from fastcascade.backends.backend import Backend
from fastcascade.errors import BackendError, StoreError
from fastcascade.messages import Reply, Request
from fastcascade.stores.reviews import Review
from fastcascade.testing.faulty import Faulty
from fastcascade.testing.plans import Plan

if TYPE_CHECKING:
    from fastcascade.entry.pool import Pool

__all__ = ["Group", "Kept", "Place", "Probed", "Watched"]

SOON: Final = 1e-6
"""Seconds that a clock may be off."""


class Watched(Faulty):
    """A backend with faults; `told` holds when it named a time, and until when it is not to be called."""

    def __init__(self, backend: Backend, plan: Plan, clock: Callable[[], float]) -> None:
        """Stand in front of a backend."""
        super().__init__(backend, plan)
        self.told: list[tuple[float, float]] = []
        self._clock = clock
        if hasattr(self, "stream"):
            self._inner = self.stream
            self.stream = self._listened

    @property
    def answer(self) -> Callable[[Request], Reply | None]:
        """Ask at once, where the backend can."""
        inner = super().answer

        def answer(request: Request, /) -> Reply | None:
            try:
                return inner(request)
            except BackendError as error:
                self._hear(error)
                raise

        return answer

    async def complete(self, request: Request, /) -> Reply | None:
        """Ask, and listen for a time to wait."""
        try:
            return await super().complete(request)
        except BackendError as error:
            self._hear(error)
            raise

    async def _listened(self, request: Request, /) -> AsyncIterator[Any]:
        stream: Any = self._inner(request)
        try:
            async for item in stream:
                yield item
        except BackendError as error:
            self._hear(error)
            raise
        finally:
            await stream.aclose()

    def _hear(self, error: BackendError) -> None:
        if error.failure.retry_after is not None:
            now = self._clock()
            self.told.append((now, now + error.failure.retry_after))

    def early(self) -> int:
        """How many calls came before a time that it had named, though that was known when they began."""
        return sum(any(told + SOON < at < until - SOON for told, until in self.told) for at in self.times)

    def between(self, start: float, end: float) -> int:
        """How many calls began then."""
        return sum(start <= at < end for at in self.times)


class Probed:
    """A backend whose active checks go another way than its own."""

    def __init__(self, backend: Backend, probe: Callable[[Backend], Any] | None) -> None:
        """Without a probe it is taken for alive, as long as no fault strikes it."""
        self._backend = backend
        self._probe = probe

    async def probe(self) -> Any:
        """See whether anybody is there."""
        return None if self._probe is None else await self._probe(self._backend)

    def __getattr__(self, name: str) -> Any:
        """Be the backend in all else."""
        return getattr(self._backend, name)


@dataclass(slots=True)
class Group:
    """A pool, or a plain backend, and when it was asked; what a pool tries in vain counts once."""

    name: str
    tier: str
    pool: "Pool | None"
    asked: list[float] = field(default_factory=list)

    def between(self, start: float, end: float) -> int:
        """How often it was asked then."""
        return sum(start <= at < end for at in self.asked)


@dataclass(slots=True)
class Place:
    """One instance of a pool, or a backend that is in none."""

    name: str
    label: str  # the tier and the instance, as answers are counted
    region: str
    priority: int
    group: Group
    backend: Watched
    local: bool  # it needs no network, and cannot be off
    struck: bool = False

    @property
    def tier(self) -> str:
        """The first tier that asks it."""
        return self.group.tier


class Kept:
    """Keeps the reviews of a drill, in memory: no drill writes into a queue that people work on."""

    def __init__(self) -> None:
        """Begin empty."""
        self.reviews: dict[str, Review] = {}
        self.off: Callable[[], bool] = lambda: False
        self._lock = Lock()

    async def add(self, review: Review, /) -> Review:
        """Keep it."""
        if self.off():
            raise StoreError("off, as drilled")
        with self._lock:
            return self.reviews.setdefault(review.id, review)

    async def aclose(self) -> None:
        """Nothing is open."""

    def __repr__(self) -> str:
        """Say what it is."""
        return "Kept()"
