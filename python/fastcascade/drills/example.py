"""A cascade to be drilled where no other is given: one model in three regions, and all of the chain behind it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from fastcascade.errors import BackendError
from fastcascade.messages import Delta, Reply, Request

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["example"]

REGIONS: Final = ("eu", "us", "ap")


class Nowhere:
    """A model that is not there: stand-ins take its place."""

    name = "model"
    gives: frozenset[str] = frozenset()
    remote = True

    async def complete(self, _request: Request, /) -> Reply:
        """Say so."""
        raise BackendError("connection", "the example has no models; it is drilled with stand-ins")

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        """Say so."""
        yield await self.complete(request)

    async def probe(self) -> None:
        """Say so."""
        raise BackendError("connection", "as above")

    def __repr__(self) -> str:
        """Say what it is."""
        return "Nowhere()"


def example() -> "Cascade":
    """The cascade, of default settings throughout."""
    from fastcascade.cascade import Cascade  # noqa: PLC0415 - the cascade is above
    from fastcascade.drills.places import Kept  # noqa: PLC0415 - as above
    from fastcascade.entry import Instance, Pool  # noqa: PLC0415 - as above
    from fastcascade.fallbacks import Review, Stale, Static  # noqa: PLC0415 - as above
    from fastcascade.reviews import ReviewDesk  # noqa: PLC0415 - as above
    from fastcascade.tiers import Tier  # noqa: PLC0415 - as above

    pool = Pool(*(Instance(Nowhere(), region=region, priority=at) for at, region in enumerate(REGIONS)), name="model")
    desk = ReviewDesk(Kept())  # type: ignore[arg-type] # what the cascade's side needs of it
    return Cascade(Tier(pool, name="chat"), fallbacks=[Stale(), Review(desk), Static("Please call us.")])
