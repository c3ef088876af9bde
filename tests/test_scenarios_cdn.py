"""The CDN scenario of `benches/scenarios`: its model against naive caches, and a small run with real parts."""

import importlib
import json
import os
import subprocess
import sys
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_server import WHY_NOT, binary

SCENARIOS: Final = Path(__file__).parents[1] / "benches" / "scenarios"
EDGE, SHIELD, ORIGIN, JOINED = range(4)
PATIENCE: Final = 120.0


def module(name: str) -> Any:
    """A file of the scenarios, which are no package."""
    before = sys.path[:]
    sys.path.insert(0, str(SCENARIOS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before


model, traces = module("cdn_model"), module("cdn_traces")


class Lru:
    """An LRU of so many keys, by hand."""

    def __init__(self, items: int) -> None:
        self.items, self.kept = items, OrderedDict[int, None]()

    def asked(self, key: int) -> bool:
        """Whether it is a hit; it is kept from now on."""
        hit = key in self.kept
        self.kept[key] = None
        self.kept.move_to_end(key)
        if len(self.kept) > self.items:
            self.kept.popitem(last=False)
        return hit


def naive(keys: Sequence[int], at: Sequence[int], edges: int, items: int, shield: int) -> list[int]:
    """The level of each request, where nothing takes any time."""
    near, far = [Lru(items) for _ in range(edges)], Lru(shield)
    return [
        EDGE if near[edge].asked(key) else SHIELD if far.asked(key) else ORIGIN
        for key, edge in zip(keys, at, strict=True)
    ]


@st.composite
def small_traces(draw: st.DrawFn) -> Any:
    """A trace as the model takes it, drawn."""
    edges = draw(st.integers(1, 3))
    drawn = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, edges - 1)), min_size=1, max_size=80))
    keys, at = [key for key, _ in drawn], bytes(edge for _, edge in drawn)

    class Drawn(SimpleNamespace):
        def __len__(self) -> int:
            return len(keys)

    return Drawn(keys=keys, at=at, edges=edges, distinct=len(set(keys)))


@given(small_traces(), st.integers(1, 14), st.integers(1, 14))
def test_the_model_is_what_naive_caches_do(of: Any, items: int, shield: int) -> None:
    """Every request has the level that LRUs written by hand give it, and a window's shares are counts of these."""
    levels = naive(of.keys, of.at, of.edges, items, shield)
    site = model.Site(of, items, "lru", shield)
    assert list(site.levels) == levels
    half = len(levels) // 2
    told = site.shares(half)
    assert (told.edge, told.shield, told.origin) == tuple(levels[half:].count(each) for each in (EDGE, SHIELD, ORIGIN))


@given(small_traces(), st.integers(1, 14), st.integers(0, 80))
def test_warmed_edges_are_as_though_all_had_been_asked(of: Any, items: int, since: int) -> None:
    """Asking each key once, in the order of last use, leaves an LRU of any size as asking all does."""
    for edge, order in enumerate(traces.warming(of, since)):
        asked, warmed = Lru(items), Lru(items)
        for key, at in zip(of.keys[:since], of.at[:since], strict=True):
            if at == edge:
                asked.asked(key)
        for key in order:
            warmed.asked(key)
        assert list(asked.kept) == list(warmed.kept)


@given(small_traces(), st.integers(1, 14), st.integers(1, 4))
def test_clients_who_wait_join_what_is_fetched(of: Any, items: int, clients: int) -> None:
    """With distances, the origin is still asked once for each key; one client at each edge sees what an LRU does."""
    timed = model.Site(of, items, timed=model.Timed(clients, (0.01, 0.03, 0.16)))
    assert timed.levels.count(ORIGIN) == of.distinct
    if clients == 1:
        still = model.Site(of, items)
        assert [each == EDGE for each in timed.levels] == [each == EDGE for each in still.levels]
    if of.edges == 1 and clients == 1:
        assert JOINED not in timed.levels


@given(small_traces(), st.integers(0, 100))
def test_no_edge_beats_the_one_that_keeps_all(of: Any, percent: int) -> None:
    """The bound that is printed holds for every size and both policies."""
    bound = model.Site(of, None).shares().edge
    for policy in ("lru", "adaptive"):
        assert model.Site(of, max(1, of.distinct * percent // 100), policy).shares().edge <= bound


# The smaller the edge, the more hangs on the order of use.
RUNS: Final = [
    ("zipf", "levels", 100),
    ("zipf", "levels", 12),
    ("zipf", "gateways", 12),
    ("cache2k_web12", "levels", 100),
]


@pytest.mark.parametrize(("name", "site", "items"), RUNS)
def test_a_small_run_adds_up(name: str, site: str, items: int, tmp_path: Path) -> None:
    """Two edges, a Redis and an origin: right answers, one call for a key, and to the request the hits of an LRU."""
    needs(site)
    ended, found = ran(tmp_path, "--trace", name, "--site", site, "--edge", str(items), "--at", "480", "--only", "run")
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert found["exact"]
    assert [line for line, good in found["books"] if not good] == []

    asked = found["asked"]
    window, levels = found["window"], Counter(level for _, _, level, _ in asked)
    assert all(right for _, _, _, right in asked)
    assert len(asked) == window["until"] - window["since"] == sum(levels.values())
    assert set(levels) <= {"edge", "shield", "joined", "origin"}
    assert {level: row["requests"] for level, row in found["levels"].items() if level != "all"} == {
        level: levels[level] for level in ("edge", "shield", "joined", "origin")
    }

    # Who answers what, by LRUs of that size, from the trace itself.
    of = traces.Trace(name, 2, window["until"])
    expected = naive(of.keys, of.at, 2, window["items"], len(of))
    for edge in range(2):
        mine = [place for place in range(window["since"], window["until"]) if of.at[place] == edge]
        theirs = [(key, level) for at, key, level, _ in asked if at == edge]
        assert [key for key, _ in theirs] == [of.keys[place] for place in mine]
        assert [level == "edge" for _, level in theirs] == [expected[place] == EDGE for place in mine]

    # The origin, which counts for itself.
    before, after = found["origin"]["before"], found["origin"]["after"]
    assert after["most"] == 1
    assert after["calls"] == after["paths"] == len(set(of.keys))
    assert after["calls"] - before["calls"] == levels["origin"] == expected[window["since"] :].count(ORIGIN)


@pytest.mark.parametrize("site", ["levels", "gateways"])
def test_many_clients_of_cold_caches_ask_the_origin_once(site: str, tmp_path: Path) -> None:
    """Whatever many clients of both edges ask for at once, the origin is called once for a key, and books add up."""
    needs(site)
    ended, found = ran(tmp_path, "--trace", "zipf", "--site", site, "--at", "0", "--clients", "32", "--only", "run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not found["exact"]
    count = found["window"]["until"]
    keys = len(set(traces.Trace("zipf", 2, count).keys))
    counted = {level: row["requests"] for level, row in found["levels"].items()}
    assert counted["origin"] == found["origin"]["after"]["calls"] - found["origin"]["before"]["calls"] == keys
    assert counted["edge"] + counted["shield"] + counted["joined"] == count - keys
    assert found["origin"]["after"]["most"] == 1


def test_the_model_of_every_trace_is_told(tmp_path: Path) -> None:
    """Each size and policy has a row that sums to the requests, beside the bound that none of them is above."""
    ended, found = ran(tmp_path, "--trace", "zipf", "--only", "model")
    assert ended.returncode == 0, ended.stderr
    (row,) = found["model"]
    for cell in (*row["edges"].values(), *row["shields"].values()):
        assert sum(cell["cold"].values()) == row["requests"]
        assert cell["warm"]["edge"] <= row["bound"]["warm"] * sum(cell["warm"].values()) + 1e-6


def test_without_data_it_says_so(tmp_path: Path) -> None:
    """Where there are no traces nothing is run, the reason is printed, and that is no failure."""
    ended, found = ran(tmp_path, FASTCASCADE_DATA=str(tmp_path))
    assert ended.returncode == 0
    assert "no data folder" in found["skipped"]
    assert "skipped: no data folder" in ended.stdout


def needs(site: str) -> None:
    """Skip where a part is not there."""
    if binary() is None:
        pytest.skip(WHY_NOT)
    if site == "gateways":
        pytest.importorskip("granian")


def ran(folder: Path, *args: str, **more: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """A quick run, and the file that it wrote."""
    file = folder / "found.json"
    command = [sys.executable, str(SCENARIOS / "cdn.py"), "--quick", "--json", str(file), *args]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, **more}
    )
    assert file.exists(), ended.stderr
    return ended, json.loads(file.read_text())
