"""The gateway's scenario runs from end to end, and its books are right; no time is promised here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("granian")

SCRIPT: Final = Path(__file__).parents[1] / "benches" / "scenarios" / "gateway.py"
OURS: Final = "fastcascade"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run with whoever is there has written."""
    found = tmp_path_factory.mktemp("scenario") / "tables.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--rate", "300", "--json", str(found)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told: dict[str, Any] = json.loads(found.read_text())["tables"]
    return told


@pytest.mark.parametrize("name", ["respond", "proxied", "respond at rates", "proxied at rates"])
def test_every_request_of_a_load_is_answered_as_it_should(tables: dict[str, Any], name: str) -> None:
    """Whoever takes part has routed all routes alike, and answered every request of the mix with its page."""
    rows = [row for row in tables[name] if "absent" not in row]
    assert OURS in {row["name"] for row in rows}
    for row in rows:
        assert row["requests"] > 0
        assert row["failed"] == 0
        assert 0 < row["p50"] <= row["p99"] <= row["p99.9"]
        assert row["us"] > 0
        assert row["mb"] > 0
    for row in tables[name]:
        assert row.get("absent", "left out with a reason") != ""


def test_a_dead_region_costs_no_get_and_doubles_no_post(tables: dict[str, Any]) -> None:
    """With the primary region killed under load every GET is answered, no POST is doubled, and it comes back."""
    (ours,) = (row for row in tables["region"] if row["name"] == OURS)
    assert ours["gets"] > 0
    assert ours["gets_failed"] == 0
    assert ours["posts"] > 0
    assert ours["posts_twice"] == ours["posts_lost"] == 0
    assert ours["posts_failed"] == sum(ours["failed_statuses"].values())
    assert ours["posts_failed_carried_out"] <= ours["posts_failed"]
    assert ours["first_secondary"] is not None
    assert ours["first_return"] is not None


def test_a_part_that_is_none_is_refused() -> None:
    """An unknown part is named, together with those there are."""
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "proxy"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "no part is called 'proxy': respond, proxied, rates, region" in ran.stderr
