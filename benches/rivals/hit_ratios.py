"""Hit ratios on eight public traces, with room for 1 % and for 10 % of their keys.

LRU, S3-FIFO, SIEVE and Belady are simulated (`policies.py`, checked on small cases worked out by hand); W-TinyLFU is
the one that two packages offer, run through their own caches, which buffer their bookkeeping; fastcascade is run
through `Cache` itself.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from caches import second_policy
from harness import Missing
from inputs import TRACES, trace
from ours import fastcascade
from policies import ALL, check
from report import run

SHARES = (0.01, 0.10)


def own(policy: str) -> Callable[[Sequence[int], int], int]:
    """fastcascade's `Cache` as a policy."""

    def simulate(keys: Sequence[int], size: int) -> int:
        name = second_policy() if policy == "second" else policy
        cache = fastcascade().Cache(max_items=size, policy=name)
        return _through(cache.get, cache.put, keys)

    return simulate


def moka(keys: Sequence[int], size: int) -> int:
    """W-TinyLFU of moka; its pending work is done after every miss, so that it is never over its size."""
    from moka_py import Moka

    cache = Moka(size, policy="tiny_lfu")

    def put(key: int, value: bool) -> None:
        cache.set(key, value)
        cache.run_pending_tasks()

    return _through(cache.get, put, keys)


def theine(keys: Sequence[int], size: int) -> int:
    """Adaptive W-TinyLFU of theine; writes reach its policy in batches, so it may hold a few more than its size."""
    from theine import Cache

    cache: Any = Cache(size, nolock=True)
    hits = 0
    for key in keys:
        if cache.get(key)[1]:
            hits += 1
        else:
            cache.set(key, True)
    cache.close()
    return hits


def _through(get: Callable[[int], Any], put: Callable[[int, bool], Any], keys: Sequence[int]) -> int:
    hits = 0
    for key in keys:
        if get(key):
            hits += 1
        else:
            put(key, True)
    return hits


CONTENDERS: dict[str, Callable[[Sequence[int], int], int]] = {
    **ALL,
    "moka TinyLFU": moka,
    "theine TinyLFU": theine,
    "fastcascade LRU": own("lru"),
    "fastcascade second": own("second"),
}


def main(quick: bool) -> dict[str, Any]:
    """One table per share of the keys, a row per trace."""
    check()
    tables: dict[str, Any] = {}
    loaded = {name: trace(name)[: 50_000 if quick else None] for name in TRACES}
    absent: dict[str, str] = {}
    for share in SHARES:
        title = f"hit ratios %, room for {share:.0%} of the keys"
        print(
            f"\n## {title}\n\n{'trace':<20}{'accesses':>10}{'size':>8}" + "".join(f"{name:>19}" for name in CONTENDERS)
        )
        rows = tables[title] = []
        for name, keys in loaded.items():
            size = max(2, int(len(set(keys)) * share))
            row: dict[str, Any] = {"trace": name, "accesses": len(keys), "size": size}
            for contender, simulate in CONTENDERS.items():
                start = time.perf_counter()
                try:
                    row[contender] = 100 * simulate(keys, size) / len(keys)
                except (ImportError, Missing) as why:
                    absent[contender] = str(why)
                row[f"{contender} seconds"] = time.perf_counter() - start
            rows.append(row)
            figures = [f"{row[one]:.2f}" if one in row else "-" for one in CONTENDERS]
            print(f"{name:<20}{len(keys):>10,}{size:>8,}" + "".join(f"{figure:>19}" for figure in figures), flush=True)
        _verdict(rows)
    for contender, why in absent.items():
        print(f"{contender}: {why}")
    return tables


def _verdict(rows: list[dict[str, Any]]) -> None:
    if "fastcascade second" in rows[0]:
        at_or_above = sum(row["fastcascade second"] >= max(row[n] for n in ("LRU", "S3-FIFO", "SIEVE")) for row in rows)
        print(f"fastcascade second at or above the best of LRU, S3-FIFO, SIEVE on {at_or_above} of {len(rows)}")


if __name__ == "__main__":
    run(main, __doc__)
