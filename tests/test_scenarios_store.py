"""The store's scenario runs from end to end, and its books are right; no time is promised here."""

import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_server import WHY_NOT, binary

pytest.importorskip("granian")

SCENARIOS: Final = Path(__file__).parents[1] / "benches" / "scenarios"
PATIENCE: Final = 110.0


def ran(folder: Path, *words: str) -> dict[str, Any]:
    """A quick run of one part: what it has written. It ends with 0 where nothing failed and nothing was lost."""
    if binary() is None:
        pytest.skip(WHY_NOT)
    found = folder / "tables.json"
    command = [sys.executable, str(SCENARIOS / "store_away.py"), "--quick", "--json", str(found), *words]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, errors = done.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(done.pid, signal.SIGKILL)  # with all that it has begun, should it have been too slow
    assert done.returncode == 0, said[-3000:] + errors[-2000:]
    tables: dict[str, Any] = json.loads(found.read_text())["tables"]
    return tables


def check(told: dict[str, Any]) -> None:
    """No request failed, nothing was lost, limits went by the rule, and are shared again."""
    assert told["whole"]["asked"] > 500
    assert told["whole"]["failed"] == {}
    for key, book in told["books"].items():
        assert book["answered"] > 0, key
        assert book["kept"] == book["charged"], key
        assert book["counted"] == book["answered"], key
    assert told["books"]["money"]["charged"] > 0
    assert set(told["returned"]) == {"own0", "own1", "shared"}
    assert told["purge"]["seconds"] >= 0
    assert told["complaints"] == []


def test_with_redis_killed_under_load_nothing_fails_and_nothing_is_lost(tmp_path: Path) -> None:
    """Both gateways go on, each by a half of a limit that is asked at one alone; the account is what was charged."""
    told = ran(tmp_path, "killed")["killed"]
    check(told)
    assert not told["purge"]["everywhere"]
    assert told["purge"]["given meanwhile"]
    away = next(each for each in told["admitted"] if each["window"] == "away")
    assert away["own0"] < 0.9
    assert away["own1"] < 0.9


def test_a_cluster_that_loses_a_primary_loses_nothing_else(tmp_path: Path) -> None:
    """The one is killed that has the news and all keys; a replica takes its place."""
    check(ran(tmp_path, "cluster")["cluster"])


def test_what_is_exact_is_exact(tmp_path: Path) -> None:
    """One call for many misses at both, one round trip for a hit of the other's and none in memory; limits hold."""
    told = ran(tmp_path, "exact")["exact"]
    assert (told["misses"]["calls"], told["misses"]["texts"]) == (1, 1)
    _, shared, memory = told["trips"].values()
    assert 0.8 <= shared["evalsha"] <= 1.2  # what runs anyway is taken off, and cannot be told exactly
    assert memory.get("evalsha", 0.0) <= 0.2
    for row in told["limits"]:
        assert row["admitted"] <= row["burst"] + row["rate"] * (row["seconds"] + 1)
    assert len(told["purges"]) > 1


def test_a_part_that_is_none_is_refused() -> None:
    """An unknown part is named, together with those there are."""
    command = [sys.executable, str(SCENARIOS / "store_away.py"), "lost"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 2
    assert "no part is called 'lost': killed, frozen, cut, cluster, exact" in done.stderr


@given(st.lists(st.integers(0, 40), min_size=2, max_size=40).map(sorted), st.integers(1, 10))
def test_windows_are_those_that_counting_by_hand_finds(at: list[int], window: int) -> None:
    """The fullest and the emptiest of all that begin with an admission."""
    before = sys.path[:]
    sys.path.insert(0, str(SCENARIOS))
    try:
        strayed = importlib.import_module("store_load").strayed
    finally:
        sys.path[:] = before
    counts = [(first, sum(each < first + window for each in at[place:])) for place, first in enumerate(at)]
    most = max(count for _, count in counts)
    least = min((count for first, count in counts if first + window <= at[-1]), default=len(at))
    assert strayed(at, 2.0, 1.0, window) == pytest.approx(
        ((most - 1 - 2 * window) / (2 * window), least / (2 * window) - 1)
    )
