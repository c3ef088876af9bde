"""A served cascade with a review desk, as the workers of a console have it, and what a page asks of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastcascade import Cascade, Tier
from fastcascade.console.api_reviews import CALLS
from fastcascade.console.asked import Asked, Person, Refusal, Sight
from fastcascade.fallbacks.review import Review as Link
from fastcascade.gateway.settings import Settings
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.stores.reviews import Review, ReviewStore
from fastcascade.testing import Fault, ScriptedBackend

__all__ = ["API", "CALLS_ROLES", "Refusal", "Site", "laddered"]

API = "/console/api/reviews"
DOWN = (Fault("server"),)
CALLS_ROLES = {key: call.role for key, call in CALLS.items()}


def laddered(desk: ReviewDesk, *said: Any) -> Cascade:
    """A cascade that ends at this desk; by default all its tiers are down."""
    tiers = [Tier(ScriptedBackend(each), name=f"tier{number}") for number, each in enumerate(said or DOWN)]
    return Cascade(*tiers, fallbacks=[Link(desk)])


@dataclass
class Site:
    """Workers that share a store; each has a desk and a console's sight of its own. Time stands unless it is moved."""

    make: Callable[[], ReviewStore]
    workers: int = 2
    lease: float = 60.0
    sample: float = 0.0
    now: float = 1_000.0
    told: list[Review] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Set the workers up."""
        self.desks = [
            ReviewDesk(
                self.make(),
                sla=None,
                lease=self.lease,
                sample=self.sample,
                clock=lambda: self.now,
                on_answer=self.told.append,
            )
            for _ in range(self.workers)
        ]
        self.cascades = [laddered(desk) for desk in self.desks]
        self.sights = [
            Sight({"shop": each}, Settings(), Path(), clock=lambda: self.now, now=lambda: self.now)
            for each in self.cascades
        ]

    async def call(self, who: str, verb: str = "", *, worker: int = 0, **body: Any) -> Any:
        """Ask as this reviewer's page does; what is said."""
        path = f"{API}/{verb}" if verb else API
        method = "POST" if verb else "GET"
        body = {"desk": "shop", **body} if verb else {}
        asked = Asked(method, path, {}, body or None, Person(who, "reviewer"), self.sights[worker % self.workers])
        return (await CALLS[method, path].run(asked)).value

    async def claim(self, who: str, ticket: str = "", *, worker: int = 0) -> dict[str, Any] | None:
        """Claim: what a page then sends with each call; None where there was nothing to have."""
        said = await self.call(who, "claim", worker=worker, ticket=ticket)
        return {"ticket": said["review"]["ticket"], "lease": said["lease"]} if said["review"] else None

    async def aclose(self) -> None:
        """End the workers in order, as a console does."""
        for sight in self.sights:
            for each in sight.kept.values():
                await each.aclose()
        for desk in self.desks:
            await desk.aclose()
