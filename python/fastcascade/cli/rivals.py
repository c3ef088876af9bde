"""`--vs`: the rivals that are installed, each given the user's own routes as far as it takes them.

A rival and ours take turns on the same requests. Requests to routes a rival cannot be given are put to neither, and
what a rival answers otherwise is counted.
"""

import functools
import importlib
import platform
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from time import perf_counter_ns
from typing import Any, Literal

from fastcascade import Cache
from fastcascade.cli.document import Rival
from fastcascade.cli.figures import median
from fastcascade.cli.jobs import Workload
from fastcascade.cli.rival_routers import ROUTERS, Finder, RouterRival
from fastcascade.cli.routefile import Line
from fastcascade.cli.timing import loop, loop_clock, loop_empty, quiet
from fastcascade.cli.traffic import MIX, fresh

__all__ = ["compare"]

SLICE = 1_000  # requests in a turn at most
SLICE_NS = 4_000_000  # and nanoseconds, for those that walk all routes
CHECK_NS = 300_000_000  # and for comparing its answers to ours before that
MOST_ROUTES = 5_000
ENTRIES = 1_000  # of the caches
ROUNDS = 5


@dataclass
class Pairing:
    """A rival and ours at one job."""

    row: Rival
    theirs: Callable[..., object]
    ours: Callable[..., object]
    convert: Callable[[list[str]], Sequence[Any]]
    ours_convert: Callable[[list[str]], Sequence[Any]]
    arity: int
    ours_arity: int
    pool: list[bytes]
    read_params: bool
    calls: int = 0
    spent: list[float] = field(default_factory=list)
    ours_spent: list[float] = field(default_factory=list)

    def turn(self, rng: random.Random) -> None:
        """One slice each over the same requests, who is first changing from turn to turn."""
        if not self.calls:
            # The quickest of a few small slices tells how many calls fit in one.
            least = min(self._slice(rng.choices(self.pool, k=8), ours=False) for _ in range(3))
            self.calls = max(1, min(SLICE, int(SLICE_NS / max(1.0, least))))
        chosen = rng.choices(self.pool, k=self.calls)
        for ours in (True, False) if len(self.spent) % 2 else (False, True):
            # Not counted: others have had the processor's caches meanwhile.
            self._slice(rng.choices(self.pool, k=self.calls), ours=ours)
            (self.ours_spent if ours else self.spent).append(self._slice(chosen, ours=ours))

    def _slice(self, chosen: Sequence[bytes], *, ours: bool) -> float:
        args = (self.ours_convert if ours else self.convert)(fresh(chosen))
        arity = self.ours_arity if ours else self.arity
        run = loop_params if ours and self.read_params else loop
        spent = run(self.ours if ours else self.theirs, args, arity) - loop_empty(args, arity)
        return max(0, spent) / len(chosen)

    def close(self) -> Rival:
        """Fill in the figures."""
        theirs, ours = median(self.spent), median(self.ours_spent)
        ratio = round(theirs / ours, 4) if ours else None
        self.row["ns"], self.row["ours_ns"], self.row["ratio"] = round(theirs, 2), round(ours, 2), ratio
        self.row["calls"] = self.calls * len(self.spent)
        return self.row


def loop_params(fn: Callable[..., Any], args: Sequence[Any], arity: int) -> int:
    """Like `loop`, the params read too: the rivals always make them."""
    if arity != 2:
        raise ValueError(f"params are read of calls with 2 arguments, not {arity}")
    start = loop_clock()
    for a, b in args:
        fn(a, b).params  # noqa: B018
    return loop_clock() - start


def compare(work: Workload, rng: random.Random, seconds: float) -> list[Rival]:
    """Everybody at everything, in turns, until the time is up."""
    pairings: list[Pairing] = []
    absent: list[Rival] = []
    for rival in ROUTERS:
        _add_router(rival, work, pairings, absent)
    _add_caches(rng, pairings, absent)
    with quiet():
        start, rounds = perf_counter_ns(), 0
        while rounds < ROUNDS or perf_counter_ns() - start < seconds * 1e9:
            for pairing in pairings:
                pairing.turn(rng)
            rounds += 1
    order = ["exact", "prefix", "regex", "mix", "cache hit"]
    return sorted((pairing.close() for pairing in pairings), key=lambda row: order.index(row["job"])) + absent


def _add_router(rival: RouterRival, work: Workload, pairings: list[Pairing], absent: list[Rival]) -> None:
    pools: dict[str, Sequence[str]] = {kind: work.pools[kind] for kind in MIX}
    pools["mix"] = work.mix if len(work.shares) > 1 else []
    ours = {path: work.table.router.lookup(path, work.method) for pool in pools.values() for path in pool}
    known = {path: line for path, line in ours.items() if line is not None}
    if rival.role == "rival" and len(work.table.lines) > MOST_ROUTES:
        why = f"not set up: some rivals take minutes to be given more than {MOST_ROUTES:,} routes"
        absent.append(_row("all", rival.name, rival.package, absent=why))
        return
    try:
        finder = rival.build(work.table.lines, known)
    except ImportError:
        absent.append(_row("all", rival.name, rival.package, absent=f"not installed; pip install {rival.package}"))
        return
    except Exception as error:  # noqa: BLE001 - one rival that cannot be set up must not take the others with it
        absent.append(_row("all", rival.name, rival.package, absent=f"not set up: {type(error).__name__}: {error}"))
        return
    for job, pool in pools.items():
        if not pool:
            continue
        row = _row(job, rival.name, rival.package, rival.role, note=rival.note, ours=f"Router.{rival.ours}")
        row["left_out"] = len(finder.left_out)
        given = [path for path in pool if known[path].number not in finder.left_out]
        usable = _checked(given, finder, known, work, row)
        if not usable:
            absent.append({**row, "absent": "takes none of these routes"})
            continue
        if row["checked"] < len(set(given)):
            row["note"] += f"{'; ' if row['note'] else ''}on {row['checked']} of {len(set(given)):,} paths"
        pairings.append(_pairing(row, rival, finder, work, usable))


def _checked(pool: Sequence[str], finder: Finder, known: dict[str, Line], work: Workload, row: Rival) -> list[bytes]:
    """Those requests that it answers, rightly or not, without an error; and how many it answers otherwise."""
    usable: list[str] = []
    until = perf_counter_ns() + CHECK_NS
    for path in dict.fromkeys(pool):
        if perf_counter_ns() > until and usable:
            break
        row["checked"] += 1
        (args,) = finder.arguments([path], work.method)
        try:
            found = finder.fn(*args) if isinstance(args, tuple) else finder.fn(args)
        except Exception:  # noqa: BLE001 - a router that raises for what it does not find
            row["other"] += 1
            continue
        row["other"] += finder.answer(found, work.method) is not known[path]
        usable.append(path)
    chosen = set(usable)
    return [path.encode() for path in pool if path in chosen]


def _pairing(row: Rival, rival: RouterRival, finder: Finder, work: Workload, pool: list[bytes]) -> Pairing:
    router, method = work.table.router, work.method
    return Pairing(
        row=row,
        theirs=finder.fn,
        convert=lambda paths: finder.arguments(paths, method),
        arity=2 if finder.with_method else 1,
        ours=router.match if rival.ours == "match" else router.lookup,
        ours_convert=lambda paths: [(path, method) for path in paths],
        ours_arity=2,
        read_params=rival.ours == "match",
        pool=pool,
    )


def _add_caches(rng: random.Random, pairings: list[Pairing], absent: list[Rival]) -> None:
    keys = [f"/cached/{rng.getrandbits(40)}" for _ in range(ENTRIES)]
    cache: Cache[bytes] = Cache(max_items=2 * ENTRIES, ttl=3600.0)
    for key in keys:
        cache.put(key, b"answer")
    for name, package, build, note in CACHES:
        try:
            get = build(keys)
        except ImportError:
            absent.append(_row("cache hit", name, package, absent=f"not installed; pip install {package}"))
            continue
        row = _row("cache hit", name, package, "rival" if package else "limit", note=note, ours="Cache.get")
        pool = [key.encode() for key in keys]
        pairings.append(Pairing(row, get, cache.get, list, list, 1, 1, pool, read_params=False))


def _dict(keys: Sequence[str]) -> Callable[..., object]:
    return dict.fromkeys(keys, b"answer").get


def _lru_cache(keys: Sequence[str]) -> Callable[..., object]:
    get = functools.lru_cache(maxsize=2 * len(keys))(lambda key: b"answer")
    for key in keys:
        get(key)
    return get


def _cachebox(name: str, *options: float) -> Callable[[Sequence[str]], Callable[..., object]]:
    def build(keys: Sequence[str]) -> Callable[..., object]:
        cache = getattr(importlib.import_module("cachebox"), name)(2 * len(keys), *options)
        for key in keys:
            cache[key] = b"answer"
        get: Callable[..., object] = cache.get
        return get

    return build


CACHES: tuple[tuple[str, str | None, Callable[[Sequence[str]], Callable[..., object]], str], ...] = (
    ("dict.get", None, _dict, "without bound, without time to live"),
    ("functools.lru_cache", None, _lru_cache, "without time to live"),
    ("cachebox.LRUCache", "cachebox", _cachebox("LRUCache"), "without time to live"),
    ("cachebox.TTLCache", "cachebox", _cachebox("TTLCache", 3600.0), "first in, first out"),
)


def _row(
    job: str, name: str, package: str | None, role: Literal["rival", "limit"] = "rival", *,
    absent: str | None = None, note: str = "", ours: str = "",
) -> Rival:  # fmt: skip
    return {
        "job": job, "name": name, "version": _version(package), "role": role, "pip": package, "ours": ours,
        "ns": None, "ours_ns": None, "ratio": None, "calls": 0, "left_out": 0, "other": 0, "checked": 0,
        "absent": absent, "note": note,
    }  # fmt: skip


def _version(package: str | None) -> str:
    try:
        return metadata.version(package) if package else platform.python_version()
    except metadata.PackageNotFoundError:
        return ""
