"""What `fastcascade doctor` says of the store that gateways share."""

from pathlib import Path

import pytest

from fastcascade.cli.doctor_checks import Finding, examined
from redis_server import SAFE, redis_server

FILE = """
[gateway]
port = 0
keys = "keys.json"
[gateway.shared]
url = "{url}"

[[tiers]]
backend = {{ kind = "scripted", script = ["yes"] }}
"""


def found(folder: Path, url: str) -> list[Finding]:
    """What is said of it."""
    file = folder / "cascade.toml"
    file.write_text(FILE.format(url=url), encoding="utf-8")
    return [each for each in examined(file) if each.check == "shared"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"), []),
        (("--maxmemory", "100mb", "--maxmemory-policy", "noeviction"), ["with noeviction"]),
        (("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), ["with allkeys-lru"]),
        ((), ["it has no maxmemory"]),
    ],
)
def test_a_store_that_is_there_is_looked_at(tmp_path: Path, settings: tuple[str, ...], told: list[str]) -> None:
    """It says what it is, how far it is, and by which of its settings it may fail."""
    with redis_server(*SAFE, *settings) as redis:
        first, *others = found(tmp_path, redis.url)
    assert (first.status, "a round trip of" in first.said) == ("ok", True)
    assert [any(each.said.startswith(one) for one in told) for each in others] == [True] * len(told)


def test_a_store_that_is_away_or_takes_nothing_is_said_to_be(tmp_path: Path) -> None:
    """It is an error, in words that hold no password."""
    with redis_server(*SAFE, "--requirepass", "hunter2") as redis:
        (wrong,) = found(tmp_path, redis.url)
        (away,) = found(tmp_path, "redis://127.0.0.1:1/0")
    for each in (wrong, away):
        assert each.status == "fail"
        assert "hunter2" not in each.said
