"""Exact routes: one path in, its target out; then how that grows up to a million routes, and many paths in one call."""

import random
import time
from collections.abc import Callable
from typing import Any

from cython_core import core
from harness import Contender, Inline, Job, Missing, timed
from inputs import SEED, requests, table, word
from memory import Target
from memory import table as memory_table
from ours import fastcascade
from report import run

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)


class FrozenRoutes(dict[str, int]):
    """A dict that cannot be changed: what a careful Python programmer would hand around."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("this table is frozen")

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]


def paths(count: int) -> list[str]:
    """Paths of three segments, none a prefix of another, in random order."""
    rng = random.Random(SEED)
    places = [f"/{word(rng, 3, 8)}/{word(rng, 3, 8)}" for _ in range(max(4, count // 50))]
    made = [f"{places[i % len(places)]}/{i:x}" for i in range(count)]
    rng.shuffle(made)
    return made


def contenders(routes: dict[str, int]) -> list[Contender]:
    """Everyone who holds full paths."""

    def cython() -> Inline:
        return Inline("find(a)", find=core().Exact(routes).lookup)

    def ours() -> Inline:
        return Inline("find(a)", find=fastcascade().Router(routes).lookup)

    return [
        Contender("dict.get", lambda: Inline("get(a)", get=routes.get), role="limit"),
        Contender("fastcascade lookup", ours, package="fastcascade", role="ours"),
        Contender("frozen class over dict", lambda: Inline("find(a)", find=FrozenRoutes(routes).get)),
        Contender("cython exact table", cython, package="Cython"),
    ]


def new_each_time(quick: bool) -> list[dict[str, Any]]:
    """1,000 paths of the GitHub table, a new str each time."""
    asked = [path for (path, _) in requests(table("github"), 1_000, each=5).args]
    routes = {path: index for index, path in enumerate(dict.fromkeys(asked))}
    rng = random.Random(SEED)
    drawn = rng.choices(list(routes), k=10_000)
    job = Job("exact", [(path,) for path in drawn], [routes[path] for path in drawn])
    rows = contenders(routes)
    if not quick:
        rows.append(
            Contender(
                "fastcascade match",
                lambda: fastcascade().Router(routes).match,
                answer=lambda m: m.target,
                package="fastcascade",
                note="returns a Match",
            )
        )
    return timed(f"exact: {len(routes):,} paths, new str each time", rows, job, quick)


def many(quick: bool) -> list[dict[str, Any]]:
    """1,000 new paths in one call; ns per path."""
    routes = {path: index for index, path in enumerate(paths(1_000))}
    rng = random.Random(SEED)
    lists = [tuple(rng.choices(list(routes), k=1_000)) for _ in range(20)]
    job = Job(
        "batch",
        [(batch,) for batch in lists],
        [[routes[path] for path in batch] for batch in lists],
        (False,),
        per=1_000,
    )

    def renew(batch: tuple[str, ...]) -> tuple[list[str]]:
        return ([str(path.encode(), "utf-8") for path in batch],)

    rows = [
        Contender("[get(path) for path in paths]", lambda: Inline("[get(p) for p in a]", get=routes.get), role="limit"),
        Contender(
            "fastcascade match_many",
            lambda: fastcascade().Router(routes).match_many,
            role="ours",
            package="fastcascade",
            answer=lambda found: [match.target for match in found],
            note="returns a Match each",
        ),
        Contender("list(map(get, paths))", lambda: Inline("list(map(get, a))", get=routes.get)),
        Contender("cython lookup_many", lambda: core().Exact(routes).lookup_many, package="Cython"),
    ]
    for row in rows:
        row.convert = renew
    return timed("exact: batch of 1,000 paths, ns per path", rows, job, quick)


def growth(quick: bool) -> dict[str, Any]:
    """The same lookup in tables of 100 to 1,000,000 routes, each against its own smallest table."""
    tables: dict[str, Any] = {}
    for size in SIZES[:3] if quick else SIZES:
        routes = {path: index for index, path in enumerate(paths(size))}
        rng = random.Random(SEED)
        drawn = rng.choices(list(routes), k=20_000)
        job = Job(f"{size}", [(path,) for path in drawn], [routes[path] for path in drawn])
        tables[f"{size}"] = timed(f"exact: {size:,} routes", contenders(routes), job, quick)
    first = {row["name"]: row for row in tables[f"{SIZES[0]}"] if "ns" in row}
    print("\ngrowth from 100 routes, x")
    for size, rows in tables.items():
        grown = [f"{row['name']} {row['ns'] / first[row['name']]['ns']:.2f}" for row in rows if "ns" in row]
        print(f"{int(size):>10,}  " + ", ".join(grown), flush=True)
    return tables


def build_times(quick: bool) -> list[dict[str, Any]]:
    """Seconds to build the largest table from a dict of its routes."""
    count = SIZES[2] if quick else SIZES[-1]
    routes = {path: index for index, path in enumerate(paths(count))}
    makers: dict[str, Callable[[], Any]] = {
        "dict(routes)": lambda: dict(routes),
        "cython Exact": lambda: core().Exact(routes),
        "fastcascade Router": lambda: fastcascade().Router(routes),
    }
    print(f"\n## exact: building a table of {count:,} routes\n")
    rows: list[dict[str, Any]] = []
    for name, make in makers.items():
        try:
            make_time = min(_seconds(make) for _ in range(2))
        except Missing as why:
            rows.append({"name": name, "absent": str(why)})
            print(f"{name:<36}  {why}")
            continue
        rows.append({"name": name, "seconds": make_time})
        print(f"{name:<36}{make_time:>10.3f} s", flush=True)
    return rows


def _seconds(make: Callable[[], Any]) -> float:
    start = time.perf_counter()
    kept = make()
    spent = time.perf_counter() - start
    del kept
    return spent


def fill_dict(count: int) -> Callable[[], Any]:
    """For `memory`: a dict over paths and targets that are there already."""
    names, targets = paths(count), list(range(count))
    return lambda: dict(zip(names, targets, strict=True))


def fill_cython(count: int) -> Callable[[], Any]:
    """For `memory`: the Cython table, which is a dict."""
    names, targets, exact = paths(count), list(range(count)), core().Exact
    return lambda: exact(zip(names, targets, strict=True))


def fill_router(count: int) -> Callable[[], Any]:
    """For `memory`: fastcascade's table, from routes handed over one by one. It keeps a copy of the text: taken off."""
    package = fastcascade()
    package.Router({"/": 0})
    routes = dict(zip(paths(count), range(count), strict=True))
    return lambda: package.Router(routes)


def memory(quick: bool) -> list[dict[str, Any]]:
    """Bytes per route beyond the path's text and the target."""
    count = SIZES[2] if quick else SIZES[-1]
    fills = {"dict": fill_dict, "cython Exact": fill_cython, "fastcascade Router": fill_router}
    targets: dict[str, Target] = {name: (f"exact:{fill.__name__}", {}) for name, fill in fills.items()}
    mean = sum(map(len, paths(count))) / count
    notes = {"fastcascade Router": f"its own copy of the text included, {mean:.1f} B in the mean"}
    return memory_table(
        f"exact: bytes per route, {count:,} routes, paths and targets not counted", targets, count, notes
    )


def main(quick: bool) -> dict[str, Any]:
    """All tables of this job."""
    return {
        "exact, new str": new_each_time(quick),
        "exact, growth": growth(quick),
        "exact, build": build_times(quick),
        "exact, memory": memory(quick),
        "exact, batch": many(quick),
    }


if __name__ == "__main__":
    run(main, __doc__)
