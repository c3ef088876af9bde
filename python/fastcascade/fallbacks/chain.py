"""What is done when the ladder does not lead to an answer: a list, in its order.

    fallbacks=[Retry(), Region(Tier(other)), Stale(), Review(desk), Static("Please call us.")]

`Retry` and `Breaker` say how each call of each tier is made. The others are asked one after another, each when
those before it had nothing to offer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastcascade.errors import ConfigError
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.bulkhead import Bulkhead
from fastcascade.fallbacks.region import Region
from fastcascade.fallbacks.retry import Retry
from fastcascade.fallbacks.review import Review
from fastcascade.fallbacks.stale import Stale
from fastcascade.fallbacks.static import Static

__all__ = ["Chain"]

LINKS = (Retry, Breaker, Region, Stale, Review, Static)


@dataclass(slots=True)
class Chain:
    """The links of a list, each in its place. `order` is that of those which are asked in turn."""

    retry: Retry | None = None
    breaker: Breaker | None = None
    region: Region | None = None
    stale: Stale | None = None
    review: Review | None = None
    static: Static | None = None
    order: tuple[Any, ...] = field(default=())

    @classmethod
    def of(cls, links: Sequence[Any]) -> "Chain":
        """Read a list; what could never be reached, or is there twice, is refused."""
        chain = cls()
        if isinstance(links, LINKS):
            msg = f"fallbacks is a list of links: fallbacks=[{links!r}]"
            raise ConfigError(msg)
        for number, link in enumerate(links):
            if isinstance(link, Bulkhead):
                raise ConfigError(
                    "a bulkhead is no fallback: Cascade(bulkhead=...) for all, Pool(bulkhead=...) for each"
                )
            kind = next((each for each in LINKS if isinstance(link, each)), None)
            if kind is None:
                msg = f"fallbacks[{number}] is {link!r}; links are {', '.join(each.__name__ for each in LINKS)}"
                raise ConfigError(msg)
            name = kind.__name__.lower()
            if getattr(chain, name) is not None:
                msg = f"fallbacks[{number}]: there is a {kind.__name__} already"
                raise ConfigError(msg)
            if chain.static is not None and not isinstance(link, Retry | Breaker):
                msg = f"fallbacks[{number}]: nothing is ever asked after Static, which always answers; put it last"
                raise ConfigError(msg)
            setattr(chain, name, link)
            if isinstance(link, Region | Stale | Review):
                chain.order = (*chain.order, link)
        return chain

    @property
    def reserve(self) -> float:
        """Seconds of a deadline that are kept back for it."""
        return self.review.reserve if self.review is not None else 0.0
