"""The small service that the playground runs: every part is the library's own, put together as any service would."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeAlias

from fastcascade._core import Cache, FastPath, KeyRing, PathPolicy, Quota, RateLimiter, Router
from fastcascade.backends.rules import Rules
from fastcascade.cascade import Cascade
from fastcascade.console.playground_models import FAQ, Clerk
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.fallbacks import Region, Retry, Review, Stale, Static
from fastcascade.gates.consistency import Consistency
from fastcascade.messages import Budget
from fastcascade.prices import Price, PriceSheet
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.routing import Route
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.testing.faults import Refused
from fastcascade.testing.faulty import Faulty
from fastcascade.testing.plans import Plan
from fastcascade.tiers import Tier

__all__ = ["CONDITIONS", "Condition", "Parts", "Target"]

Condition: TypeAlias = Literal["well", "primary", "all"]
CONDITIONS: Final[dict[Condition, str]] = {
    "well": "all is well",
    "primary": "the provider of small and large is down",
    "all": "every provider is down",
}
SMALL: Final = Price(0.15, 0.60)
LARGE: Final = Price(3.0, 15.0)
BACKUP: Final = Price(1.0, 5.0)
ACCEPT: Final = 0.7
SORRY: Final = "We cannot answer this right now. Call 0800 000 000; the line is open day and night."
UNKNOWN: Final = "Our guide says nothing about that."
TTL: Final = 600.0
DAY: Final = 86_400.0
PATIENCE: Final = Budget(deadline=20.0)
MOST: Final = 64 * 1024 * 1024
"""Bytes that the reviews of the playground may take."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a route leads: a text, a function of the path, a pool to be asked, or the name of a ladder."""

    kind: Literal["page", "function", "pool", "ladder"]
    what: Any


class Parcels:
    """An upstream of the service: where a parcel is. How long it takes is simulated."""

    gives: frozenset[str] = frozenset()
    free = True

    def __init__(self, name: str, seconds: float) -> None:
        """Keep its settings."""
        self.clerk = Clerk(name, seconds, Price(0.0, 0.0), overlooks=0.0, wide=False, otherwise="At the depot.")
        self.name = name

    async def complete(self, request: Any, /) -> Any:
        """Say it, after a while."""
        return await self.clerk.complete(request)


def tracked(params: dict[str, str]) -> str:
    """What a route's function says of a number: worked out of the number, nothing is asked."""
    digits = sum(map(int, params["code"][2:]))
    return f"{params['code']} is {'on its way' if digits % 2 else 'at the depot'}; the sum of its digits is {digits}."


class Parts:
    """All of them."""

    def __init__(self) -> None:
        """Put the service together; nothing is opened yet."""
        self.folder = TemporaryDirectory(prefix="fastcascade-playground-")
        self.policy = PathPolicy(trailing_slash="strip")
        near, far = Parcels("parcels-a", 0.02), Parcels("parcels-b", 0.02)
        self.pool = Pool(Instance(near), Instance(far), name="parcels")
        routes = [
            Route("GET /hours", Target("page", "Monday to Friday 8 to 18, Saturday 9 to 13."), public=True),
            Route("GET /parcels/{id}", Target("pool", self.pool), public=True),
            Route(re.compile("/track/(?P<code>[A-Z]{2}[0-9]{6})"), Target("function", tracked), ["GET"], public=True),
            Route("POST /ask", Target("ladder", "ask"), scopes=["ask"]),
            Route("POST /claims", Target("ladder", "claims"), scopes=["ask"]),
            Route("GET *", Target("page", "There is no such page; try /hours."), public=True),
        ]
        self.router: Router[Target] = Router(routes)
        self.cache: Cache[dict[str, Any]] = Cache(1_000, ttl=TTL)
        self.keys = KeyRing()
        self.secrets = {name: secrets.token_urlsafe(24) for name in ("shop", "bursty")}
        for name, secret in self.secrets.items():
            self.keys.add(secret, name, scopes=["ask"])
        self.limiter = RateLimiter(Quota(120, per="minute", burst=30))
        self.front: FastPath[Target] = FastPath(self.router, None, self.keys, self.limiter)
        self.store = SQLiteReviews(Path(self.folder.name) / "reviews.db", most=MOST)
        self.desk = ReviewDesk(self.store, sla=DAY)
        self.stale = Stale(stale_for=DAY, refresh=0.0, per="all")
        self.ladders = {
            (ladder, condition): self._ladder(ladder, condition)
            for ladder in ("ask", "claims")
            for condition in CONDITIONS
        }
        self.slowest = {"small": 0.09, "large": 0.4}
        """Seconds that a reply of each takes, simulated."""

    def _ladder(self, ladder: str, condition: Condition) -> Cascade:
        """One of the service's cascades, with what is broken in it; what is kept they share."""
        down, out = condition != "well", condition == "all"
        small = Clerk("small", 0.09, SMALL, overlooks=0.45, wide=False)
        large = Clerk("large", 0.4, LARGE, overlooks=0.25, wide=True, otherwise=UNKNOWN)
        backup = Clerk("backup", 0.2, BACKUP, overlooks=0.25, wide=True, otherwise=UNKNOWN)
        careful = ladder == "claims"
        rules = Rules(faq=FAQ, name="rules")
        return Cascade(
            Tier(rules, name="rules"),
            Tier(_pool(small, down=down), gate=_agreement(), accept=ACCEPT, name="small", expected_output=25),
            Tier(_pool(large, down=down), gate=_agreement() if careful else None, accept=ACCEPT if careful else 0.0,
                 name="large", expected_output=25),
            fallbacks=[
                Retry(times=1, base=0.15, jitter=0.0, budget=None),
                Region(Tier(_pool(backup, down=out), name="backup", expected_output=25)),
                self.stale,
                *([Review(self.desk)] if careful else []),
                Static(SORRY),
            ],
            budget=PATIENCE,
            prices=PriceSheet(source=None),
            name=f"playground/{ladder}",
        )  # fmt: skip

    async def aclose(self) -> None:
        """Close and remove what was opened."""
        await self.pool.aclose()
        for ladder in self.ladders.values():
            await ladder.aclose()
        await self.store.aclose()
        self.folder.cleanup()


def _agreement() -> Consistency:
    """Three replies, all of which are waited for, so that the share shown is that of three."""
    return Consistency(3, early=False, temperature=0.7)


def _pool(backend: Clerk, *, down: bool) -> Pool:
    """A place to ask. One that is down refuses each call; without a breaker, so that each run shows it."""
    plan = Plan(Refused()) if down else Plan()
    retry = Retry(times=1, base=0.15, jitter=0.0, budget=None)
    return Pool(Instance(Faulty(backend, plan)), retry=retry, breaker=None, name=backend.name)
