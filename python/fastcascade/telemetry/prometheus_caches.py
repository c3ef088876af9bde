"""What the levels of caches did, as Prometheus reads it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastcascade.telemetry.prometheus_kinds import Labels, Sample

if TYPE_CHECKING:
    from fastcascade.caching.answers import AnswerCache
    from fastcascade.gateway.proxy_cache import RouteCache

__all__ = ["samples"]


def samples(caches: "Sequence[AnswerCache | RouteCache]") -> Iterator[Sample]:
    """All of them, by the cache's name and level. Caches of one name are counted as one."""
    found: dict[tuple[str, Labels], float] = {}
    for name, labels, value in _each(caches):
        found[name, labels] = found.get((name, labels), 0.0) + value
    for (name, labels), value in found.items():
        yield name, labels, value


def _each(caches: "Sequence[AnswerCache | RouteCache]") -> Iterator[Sample]:
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
            yield "fastcascade_cache_negative_total", (own,), stats.negative
        if (savings := getattr(cache, "savings", None)) is not None:
            yield "fastcascade_cache_saved_usd_total", (own,), savings.usd
            yield "fastcascade_cache_semantic_total", (own,), savings.semantic
