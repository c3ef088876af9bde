"""What the levels of caches did, as Prometheus reads it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache

__all__ = ["KINDS", "samples"]

KINDS: Final = {
    "fastcascade_cache_level_hits_total": ("counter", "Answers found, by level; at the origin: made."),
    "fastcascade_cache_level_misses_total": ("counter", "Answers not found, by level; at the origin: given up."),
    "fastcascade_cache_level_seconds_total": ("counter", "Seconds spent, by level."),
    "fastcascade_cache_joined_total": (
        "counter",
        "Requests given what another was making, by where.",
    ),
    "fastcascade_cache_purges_total": ("counter", "Purges that were asked for here."),
    "fastcascade_cache_saved_usd_total": ("counter", "What the answers that were given again had cost, in US dollars."),
    "fastcascade_cache_semantic_total": ("counter", "Requests answered by what was asked in other words."),
}
Labels = tuple[tuple[str, str], ...]


def samples(caches: "Sequence[AnswerCache]") -> Iterator[tuple[str, Labels, float]]:
    """All of them, by the cache's name and level."""
    for cache in caches:
        own = ("cache", cache.name)
        for stats in cache.stats():
            for level in ("memory", "shared", "origin"):
                told, labels = getattr(stats, level), (own, ("level", level))
                yield "fastcascade_cache_level_hits_total", labels, told.hits
                yield "fastcascade_cache_level_misses_total", labels, told.misses
                yield "fastcascade_cache_level_seconds_total", labels, told.seconds
            yield "fastcascade_cache_joined_total", (own, ("where", "here")), stats.joined_here
            yield "fastcascade_cache_joined_total", (own, ("where", "elsewhere")), stats.joined_across
            yield "fastcascade_cache_purges_total", (own,), stats.purges
        yield "fastcascade_cache_saved_usd_total", (own,), cache.savings.usd
        yield "fastcascade_cache_semantic_total", (own,), cache.savings.semantic
