"""Cache hits at 1,000 and 100,000 entries, by the same key objects and by new ones, and bytes per entry."""

import functools
import random
import time
from collections.abc import Callable
from typing import Any

from cython_core import core
from harness import Contender, Inline, Job, Missing, timed
from inputs import SEED
from memory import Target
from memory import table as memory_table
from ours import fastcascade
from report import run

SIZES = (1_000, 100_000)
TTL = 3_600.0
POLICIES = ("s3fifo", "s3-fifo", "sieve", "tinylfu", "w-tinylfu", "tiny_lfu", "lfu", "adaptive", "hybrid", "scan")


def keys(count: int) -> list[str]:
    """What a web server caches by: paths of some forty bytes."""
    rng = random.Random(SEED)
    return [f"/repos/{rng.getrandbits(48):012x}/{index:06x}/contents" for index in range(count)]


def second_policy() -> str:
    """The name of fastcascade's other policy: the first known name that this build accepts."""
    for name in POLICIES:
        try:
            fastcascade().Cache(max_items=8, policy=name)
        except ValueError:
            continue
        return name
    raise Missing("this build of fastcascade has one policy")


class _Filled:
    """Each library's cache, filled with `keys` and `values`, and what is timed to read it."""

    def __init__(self, names: list[str], values: list[Any]) -> None:
        self.names, self.values = names, values

    def _fill(self, put: Callable[[str, Any], Any]) -> None:
        for name, value in zip(self.names, self.values, strict=True):
            put(name, value)

    def plain_dict(self) -> Inline:
        return Inline("get(a)", get=dict(zip(self.names, self.values, strict=True)).get)

    def cachebox_lru(self) -> Inline:
        import cachebox

        cache = cachebox.LRUCache(len(self.names))
        self._fill(cache.insert)
        return Inline("get(a)", get=cache.get)

    def cachebox_ttl(self) -> Inline:
        import cachebox

        cache = cachebox.TTLCache(len(self.names), TTL)
        self._fill(cache.insert)
        return Inline("get(a)", get=cache.get)

    def cachebox_vttl(self) -> Inline:
        import cachebox

        cache = cachebox.VTTLCache(len(self.names))
        self._fill(lambda name, value: cache.insert(name, value, TTL))
        return Inline("get(a)", get=cache.get)

    def lru_cache(self) -> Inline:
        source = dict(zip(self.names, self.values, strict=True))
        get = functools.lru_cache(len(self.names))(lambda name: source[name])
        self._fill(lambda name, _: get(name))
        source.clear()
        return Inline("get(a)", get=get)

    def lru_dict(self) -> Inline:
        from lru import LRU

        cache = LRU(len(self.names))
        self._fill(cache.__setitem__)
        return Inline("get(a)", get=cache.get)

    def moka(self, policy: str = "lru", ttl: float | None = None) -> Inline:
        from moka_py import Moka

        cache = Moka(len(self.names), ttl=ttl, policy=policy)
        self._fill(cache.set)
        cache.run_pending_tasks()
        return Inline("get(a)", get=cache.get)

    def cachetools_lru(self) -> Inline:
        import cachetools

        cache = cachetools.LRUCache(len(self.names))
        self._fill(cache.__setitem__)
        return Inline("get(a)", get=cache.get)

    def cachetools_ttl(self) -> Inline:
        import cachetools

        cache = cachetools.TTLCache(len(self.names), TTL)
        self._fill(cache.__setitem__)
        return Inline("get(a)", get=cache.get)

    def theine(self) -> Inline:
        from theine import Cache

        cache = Cache(len(self.names) * 2)
        self._fill(cache.set)
        time.sleep(0.5)  # its maintenance runs in a thread
        return Inline("get(a)[0]", get=cache.get)

    def cython(self, ttl: float = TTL) -> Inline:
        cache = core().Lru(len(self.names), ttl)
        self._fill(cache.put)
        return Inline("get(a)", get=cache.get)

    def ours(self, policy: str = "lru", ttl: float | None = None, stale_for: float = 0.0) -> Inline:
        cache = fastcascade().Cache(max_items=len(self.names), ttl=ttl, stale_for=stale_for, policy=policy)
        self._fill(cache.put)
        return Inline("get(a)", get=cache.get)

    def ours_second(self) -> Inline:
        return self.ours(second_policy())


def contenders(filled: _Filled) -> list[Contender]:
    def row(name: str, setup: Callable[[], Inline], package: str | None, note: str = "", **more: Any) -> Contender:
        return Contender(name, setup, package=package, note=note, **more)

    return [
        row("dict.get", filled.plain_dict, None, role="limit"),
        row(
            "fastcascade, ttl and stale window",
            lambda: filled.ours(ttl=TTL, stale_for=60.0),
            "fastcascade",
            role="ours",
        ),
        row("fastcascade, plain LRU", filled.ours, "fastcascade"),
        row("fastcascade, second policy", filled.ours_second, "fastcascade"),
        row("cython LRU with ttl", filled.cython, "Cython"),
        row("cachebox LRU", filled.cachebox_lru, "cachebox"),
        row("cachebox TTL", filled.cachebox_ttl, "cachebox", "one ttl; evicts in order of insertion, not LRU"),
        row("cachebox VTTL", filled.cachebox_vttl, "cachebox", "ttl per entry; not LRU"),
        row("functools.lru_cache", filled.lru_cache, None, "memoizes a function; no put"),
        row("lru-dict", filled.lru_dict, "lru-dict"),
        row("moka-py LRU", filled.moka, "moka-py"),
        row("moka-py LRU with ttl", lambda: filled.moka(ttl=TTL), "moka-py"),
        row("theine", filled.theine, "theine", "W-TinyLFU; capacity doubled so that all fit", settle=0.05),
        row("cachetools LRU", filled.cachetools_lru, "cachetools", "not safe between threads"),
        row("cachetools TTL", filled.cachetools_ttl, "cachetools", "not safe between threads"),
    ]


def hits(quick: bool) -> dict[str, Any]:
    """Reads that all hit, in random order."""
    tables = {}
    for size in SIZES:
        names = keys(size)
        values = [{"n": index} for index in range(size)]
        order = random.Random(SEED).choices(range(size), k=20_000)
        for fresh in (False, True):
            job = Job("hits", [(names[i],) for i in order], [values[i] for i in order], (fresh,))
            title = f"caches: hit among {size:,} entries, {'new key str each time' if fresh else 'same key objects'}"
            tables[title] = timed(title, contenders(_Filled(names, values)), job, quick)
    return tables


def fill(count: int, setup: str, **options: Any) -> Callable[[], Any]:
    """For `memory`: fill one of `_Filled`'s caches with keys and values that are there already."""
    names, values = keys(count), [object() for _ in range(count)]
    getattr(_Filled(keys(64), [object() for _ in range(64)]), setup)(**options)
    filled = _Filled(names, values)
    return lambda: getattr(filled, setup)(**options)


def memory(quick: bool) -> list[dict[str, Any]]:
    """Bytes per entry beyond key and value, of a cache that is full."""
    count = 20_000 if quick else 100_000
    setups: dict[str, tuple[str, dict[str, Any]]] = {
        "dict": ("plain_dict", {}),
        "fastcascade, ttl and stale window": ("ours", {"ttl": TTL, "stale_for": 60.0}),
        "fastcascade, second policy": ("ours_second", {}),
        "cython LRU with ttl": ("cython", {}),
        "cachebox LRU": ("cachebox_lru", {}),
        "cachebox TTL": ("cachebox_ttl", {}),
        "functools.lru_cache": ("lru_cache", {}),
        "lru-dict": ("lru_dict", {}),
        "moka-py LRU with ttl": ("moka", {"ttl": TTL}),
        "theine": ("theine", {}),
        "cachetools LRU": ("cachetools_lru", {}),
        "cachetools TTL": ("cachetools_ttl", {}),
    }
    targets: dict[str, Target] = {name: ("caches:fill", {"setup": s, **more}) for name, (s, more) in setups.items()}
    notes = {
        name: "keeps a digest: the key's own text could go, but is not counted here either way"
        for name in targets
        if name.startswith("fastcascade")
    }
    title = f"caches: bytes per entry, about {count:,} entries, keys and values not counted"
    return memory_table(title, targets, count, notes, span=not quick)


def main(quick: bool) -> dict[str, Any]:
    """Hits, then memory."""
    return {**hits(quick), "caches, memory": memory(quick)}


if __name__ == "__main__":
    run(main, __doc__)
