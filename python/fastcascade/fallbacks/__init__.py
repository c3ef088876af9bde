"""Layer 5: what is done when the first way does not lead to an answer.

Links of a cascade's chain, `Cascade(..., fallbacks=[Retry(), Stale(), Static("...")])`; `Hedge` and `Bulkhead` are
given to a cascade or a pool by name. Each works alone around any async function: `@Retry(times=2)`.
"""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.fallbacks.breaker import Breaker
    from fastcascade.fallbacks.bulkhead import Bulkhead
    from fastcascade.fallbacks.hedge import Hedge
    from fastcascade.fallbacks.limits import Adaptive
    from fastcascade.fallbacks.region import Region
    from fastcascade.fallbacks.retry import Retry, RetryShare
    from fastcascade.fallbacks.review import Review
    from fastcascade.fallbacks.stale import Stale
    from fastcascade.fallbacks.static import Static

__all__ = [
    "Adaptive",
    "Breaker",
    "Bulkhead",
    "Hedge",
    "Region",
    "Retry",
    "RetryShare",
    "Review",
    "Stale",
    "Static",
]

__getattr__ = loader(
    __name__,
    {
        "breaker": "Breaker",
        "bulkhead": "Bulkhead",
        "hedge": "Hedge",
        "limits": "Adaptive",
        "region": "Region",
        "retry": "Retry RetryShare",
        "review": "Review",
        "stale": "Stale",
        "static": "Static",
    },
)
