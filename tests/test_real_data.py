"""The router, the pattern set and the cache on public route tables, user-agent rules and traces."""

import re
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cache, PathPolicy, PatternSet, RouteConflict, Router
from oracles import Table

TABLES = {
    "github": 203,
    "gplus": 13,
    "parse": 26,
    "static": 157,
    "github_rest": 1_223,
    "gcp_compute": 1_025,
    "kubernetes": 998,
}
# The one pair of routes in all tables that would answer the same requests; the second is left out.
DOUBLE = ("GET", "/apis/{group}/{version}/{plural}", "/apis/{group}/{version}/{resource_plural}")
RULES = {"uap_ua": 433, "uap_os": 204, "uap_device": 633}
# So many agents as the slow loop over `re` has time for; all of them are asked about what the set itself found.
LOOPED = 500
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]


def read_table(shared: Path, name: str) -> list[tuple[str, str]]:
    """The (method, path) pairs of a table, without those that conflict."""
    lines = (shared / "routes" / f"{name}.txt").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return [(method, path) for method, path in pairs if (method, path) != (DOUBLE[0], DOUBLE[2])]


def concrete(path: str, row: int) -> tuple[str, dict[str, str]]:
    """A path that only this route answers, and its params."""
    params = {name: f"~{row}-{at}-é" for at, name in enumerate(re.findall(r"\{([^}]*)\}", path))}
    return re.sub(r"\{([^}]*)\}", lambda found: params[found[1]], path), params


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("normalize", [None, PathPolicy()])
def test_every_route_of_a_real_table_is_found(shared: Path, name: str, normalize: PathPolicy | None) -> None:
    """Each route answers a path made from it under its method, with its params, one by one and in a batch."""
    rows = read_table(shared, name)
    assert len(rows) == TABLES[name]
    router = Router({f"{method} {path}": at for at, (method, path) in enumerate(rows)}, normalize=normalize)
    assert len(router) == len(rows)
    by_method = defaultdict(list)
    for at, (method, path) in enumerate(rows):
        asked, params = concrete(path, at)
        match = router.match(asked, method)
        assert match is not None, (method, path)
        assert (match.target, match.params, match.route) == (at, params, path)
        assert match.by == ("prefix" if params else "exact")
        assert router.lookup(asked, method) == at
        assert method in router.allowed(asked)
        by_method[method].append((asked, at))
    for method, pairs in by_method.items():
        found = router.match_many([asked for asked, _ in pairs], method)
        assert [match and match.target for match in found] == [at for _, at in pairs]


@pytest.mark.parametrize("name", TABLES)
def test_a_real_table_answers_as_its_twin_does(shared: Path, name: str) -> None:
    """On concrete and on slightly wrong paths, under any method, the router says what the naive table says."""
    rows = read_table(shared, name)
    router = Router({f"{method} {path}": at for at, (method, path) in enumerate(rows)})
    step = max(1, len(rows) // 12)
    twin = Table([(path, at, [method]) for at, (method, path) in enumerate(rows)])
    for at in range(0, len(rows), step):
        right, _ = concrete(rows[at][1], at)
        method = METHODS[at % len(METHODS)]
        for path in (
            right,
            right + "/",
            right[:-1],
            right + "x",
            right.replace("/", "//", 1),
            "/" + right.split("/", 2)[-1],
            rows[at][1],
        ):
            for asked in (None, rows[at][0], method):
                expected, match = twin.match(path, asked), router.match(path, asked)
                assert (match and (match.target, match.params, match.by)) == (
                    expected and (expected[0].target, expected[1], expected[0].by)
                ), (path, asked)


def test_a_conflict_in_a_real_table_is_found(shared: Path) -> None:
    """The two routes of the Kubernetes table that differ in a param's name alone are named."""
    rows = [*read_table(shared, "kubernetes"), (DOUBLE[0], DOUBLE[2])]
    with pytest.raises(RouteConflict) as caught:
        Router({f"{method} {path}": 1 for method, path in rows})
    assert all(path in str(caught.value) for path in DOUBLE[1:])


def test_all_real_tables_fit_into_one(shared: Path) -> None:
    """The tables together, each below a prefix of its own, answer as they do alone."""
    routes = {
        f"{method} /{name}{path}": (name, at)
        for name in TABLES
        for at, (method, path) in enumerate(read_table(shared, name))
    }
    router = Router(routes)
    assert len(router) == sum(TABLES.values())
    for key, target in routes.items():
        method, path = key.split(" ", 1)
        assert router.lookup(concrete(path, target[1])[0], method) == target


def read_rules(shared: Path, name: str) -> list[re.Pattern[str]]:
    """The patterns of a file, compiled with their flags."""
    lines = (shared / "regex" / f"{name}.tsv").read_text().splitlines()
    pairs = [line.split("\t", 1) for line in lines if line and not line.startswith("# ")]
    return [re.compile(pattern, re.IGNORECASE if flag == "i" else 0) for flag, pattern in pairs]


@pytest.mark.parametrize("name", RULES)
def test_real_user_agents_are_told_as_a_loop_would(shared: Path, name: str) -> None:
    """The first rule that matches is the first that `re` finds, and among all 5,000 agents it is one that matches."""
    rules = read_rules(shared, name)
    assert len(rules) == RULES[name]
    patterns = PatternSet(rules)
    agents = (shared / "regex" / "uap_user_agents.txt").read_text().splitlines()
    assert len(agents) == 5_000
    found = [patterns.first(agent) for agent in agents]
    for agent, index in zip(agents, found, strict=True):
        assert index is None or rules[index].search(agent)
    for agent, index in zip(agents[:LOOPED], found, strict=False):
        assert index == next((at for at, rule in enumerate(rules) if rule.search(agent)), None), agent
    for agent in agents[:40]:
        assert patterns.all(agent) == [at for at, rule in enumerate(rules) if rule.search(agent)], agent


def test_real_rules_route(shared: Path) -> None:
    """The same rules as the routes of a table: the first that matches, after what stands in it as text."""
    rules = read_rules(shared, "uap_os")
    agents = (shared / "regex" / "uap_user_agents.txt").read_text().splitlines()[:LOOPED]
    routes: dict[str | re.Pattern[str], int] = dict(zip(rules, range(len(rules)), strict=True))
    router = Router(routes | {agents[0]: -1, "*": -2})
    assert router.lookup(agents[0]) == -1
    for agent in agents[1:]:
        expected = next((at for at, rule in enumerate(rules) if rule.search(agent)), None)
        match = router.match(agent)
        assert match is not None
        assert (match.target, match.by) == ((-2, "wildcard") if expected is None else (expected, "regex"))


TRACES = [
    ("lirs_multi3", 500),
    ("lirs_sprite", 300),
    ("lirs_loop", 50),
    ("cache2k_web07", 1_000),
    ("cloudphysics_w106", 2_000),
]


def read_trace(shared: Path, name: str) -> list[int]:
    """The first 40,000 accesses of a trace."""
    numpy: Any = pytest.importorskip("numpy", reason="the traces are numpy files; install numpy")
    with numpy.load(shared / "traces" / f"{name}.npz") as file:
        keys: list[int] = file["keys"][:40_000].tolist()
    return keys


def replay(cache: Cache[int], keys: list[int]) -> int:
    """Look each key up and put what is missing; how often it was there."""
    for key in keys:
        if cache.get(key) is None:
            cache.put(key, key)
    return cache.stats().hits


def belady(keys: list[int], size: int) -> int:
    """The hits of a cache that knows the future and may keep a newcomer out: no policy has more."""
    upcoming: dict[int, list[int]] = defaultdict(list)
    for at in range(len(keys) - 1, -1, -1):
        upcoming[keys[at]].append(at)
    kept: dict[int, int] = {}
    hits = 0
    for key in keys:
        upcoming[key].pop()
        hits += key in kept
        kept[key] = upcoming[key][-1] if upcoming[key] else len(keys)
        if len(kept) > size:
            del kept[max(kept, key=kept.__getitem__)]
    return hits


@pytest.mark.parametrize(("name", "size"), TRACES)
def test_lru_has_the_hits_of_an_ordered_dict(shared: Path, name: str, size: int) -> None:
    """On a real trace, LRU hits exactly as often as the one everybody writes with an ordered dict."""
    keys, kept, hits = read_trace(shared, name), OrderedDict[int, None](), 0
    for key in keys:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
            continue
        kept[key] = None
        if len(kept) > size:
            kept.popitem(last=False)
    cache = Cache[int](max_items=size)
    assert replay(cache, keys) == hits
    assert {key for key in kept if key in cache} == set(kept)
    stats = cache.stats()
    assert (stats.misses, stats.evictions, stats.items) == (len(keys) - hits, len(keys) - hits - len(kept), len(kept))


@pytest.mark.parametrize(("name", "size"), TRACES[:3])
def test_no_policy_is_better_than_the_best(shared: Path, policy: Any, name: str, size: int) -> None:
    """On a real trace no policy has more hits than one that knows the future could have, or keeps too much."""
    keys = read_trace(shared, name)[:15_000]
    cache = Cache[int](max_items=size, policy=policy)
    assert replay(cache, keys) <= belady(keys, size)
    assert len(cache) <= size


@pytest.mark.parametrize(("name", "size"), TRACES)
def test_a_real_trace_is_counted(shared: Path, policy: Any, name: str, size: int) -> None:
    """Under each policy hits and misses add up to the accesses, and puts to what is there, evicted or not."""
    keys = read_trace(shared, name)
    cache = Cache[int](max_items=size, policy=policy)
    hits = replay(cache, keys)
    stats = cache.stats()
    assert hits + stats.misses == len(keys)
    assert stats.puts == stats.misses == stats.evictions + stats.items
    assert all(cache.get(key, key) == key for key in set(keys))
