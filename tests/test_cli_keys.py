"""`fastcascade keys` as an operator uses it: create, list, revoke, and what it says of mistakes."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pytest

from fastcascade.cli import keys
from fastcascade.errors import ConfigError
from fastcascade.gateway.account import Used, account_of, beside, nanos, periods_at
from fastcascade.gateway.key_store import KeyFile, Listed


def run(*given: object) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser()
    keys.add_arguments(parser)
    return keys.execute(parser.parse_args([str(each) for each in given]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where keys are."""
    return tmp_path / "keys.json"


def listed(capsys: pytest.CaptureFixture[str], *given: object) -> list[dict[str, Any]]:
    """What `list --json` says."""
    capsys.readouterr()
    assert run("list", "--json", *given) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_a_key_is_made_shown_once_listed_and_ended(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is all that `create` prints to stdout; `list` has no secret; what is revoked is listed as such."""
    assert run("create", "--keys", path, "--name", "ci", "--tenant", "acme", "--limit", "100/min burst 20") == 0
    said = capsys.readouterr()
    secret = said.out.strip()
    record = Listed(KeyFile(path).read()).find(secret)
    assert record is not None
    assert record.id in said.err
    assert secret not in said.err
    assert run("list", "--keys", path) == 0
    said = capsys.readouterr()
    assert "100/min burst 20" in said.out
    assert "works" in said.out
    assert secret not in said.out
    assert record.digest not in said.out
    assert "nothing was spent yet" in said.err
    assert run("revoke", "--keys", path, "ci") == 0
    assert record.id in capsys.readouterr().out
    assert [each["state"] for each in listed(capsys, "--keys", path)] == ["revoked"]


def test_every_option_is_kept(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `create` is told of a key is what the key then has."""
    given = ("--models", "chat, code-*", "--routes", "/v1/messages", "--tokens-per-minute", 5000, "--scopes", "a,b",
             "--budget-day", "$2.5", "--budget-month", 40, "--soft-day", 2, "--soft-month", 30, "--expires", "90d",
             "--admin", "--customer", "acme", "--max-tier", "small", "--priority", 3, "--json")  # fmt: skip
    assert run("create", "--keys", path, "--name", "ci", *given) == 0
    said = json.loads(capsys.readouterr().out)
    [record] = KeyFile(path).read()
    assert said["secret"].startswith("fck_")
    assert "digest" not in said
    assert (record.models, record.routes, record.scopes) == (("chat", "code-*"), ("/v1/messages",), ("a", "b"))
    assert (record.budget_day, record.budget_month, record.soft_day, record.soft_month) == (2.5, 40, 2, 30)
    assert (record.tokens_per_minute, record.admin) == (5000, True)
    assert record.fields == {"customer": "acme", "max_tier": "small", "priority": 3}
    assert record.expires is not None
    assert abs(record.expires - time.time() - 90 * 86_400) < 60


def test_what_was_spent_is_listed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is an account, each key's money of today and this month is shown."""
    record, _ = KeyFile(path).create("ci", budget_day=2.0)
    KeyFile(path).create("idle")
    account, periods = account_of(beside(path)), periods_at(time.time())
    used = {(periods.day, record.id): Used(nanos(0.25), 3), (periods.month, record.id): Used(nanos(1.5), 9)}
    account.exchange(1, used, (periods.day, periods.month), 0)
    account.close()
    busy, idle = listed(capsys, "--keys", path)
    assert (busy["usd_today"], busy["usd_this_month"], busy["requests_this_month"]) == (0.25, 1.5, 9)
    assert idle["usd_today"] == 0.0
    run("list", "--keys", path)
    out = capsys.readouterr().out
    assert "$0.2500" in out
    assert "$2/day" in out


def test_the_file_is_found_by_the_cascade_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--config` names the file of keys, and the account, as seen from its own folder."""
    config = tmp_path / "cascade.toml"
    config.write_text('[gateway]\nkeys = "mine.json"\naccount = "sqlite:books.db"\n', encoding="utf-8")
    assert run("create", "--config", config, "--name", "ci") == 0
    [record] = KeyFile(tmp_path / "mine.json").read()
    account, periods = account_of("sqlite:books.db", tmp_path), periods_at(time.time())
    account.exchange(1, {(periods.month, record.id): Used(nanos(1.5), 9)}, (periods.month,), 0)
    account.close()
    assert [each["usd_this_month"] for each in listed(capsys, "--config", config)] == [1.5]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("revoke", "ci"), "the key 'ci' is not there"),
        (("create", "--name", "ci", "--limit", "lots"), "limit 'lots' cannot be read: write it as 100/min"),
        (("create", "--name", "ci", "--expires", "soon"), "'soon' is no time: write it as 90d"),
        (("create", "--name", ""), "name must be 1 to 100 letters"),
    ],
)
def test_mistakes_are_named(path: Path, given: tuple[str, ...], said: str) -> None:
    """What cannot be done is said, with what to do; nothing is written."""
    with pytest.raises(ConfigError) as caught:
        run(*given, "--keys", path)
    assert said in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("[gateway]\n", "it names no file of keys"), ("[", "cascade.toml: ")]
)
def test_a_config_without_keys_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    """A cascade's file that cannot be read, or names no keys, is named."""
    config = tmp_path / "cascade.toml"
    if text is not None:
        config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        run("list", "--config", config)
    assert str(config) in str(caught.value)
    assert said in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Where the file cannot be written, it is named, with what to see to."""
    with pytest.raises(ConfigError, match=r"none/keys\.json: cannot be written: .*see whether its folder is there"):
        run("create", "--name", "ci", "--keys", tmp_path / "none" / "keys.json")


def test_an_account_that_is_off_hides_no_keys(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys are listed though what they spent cannot be told."""
    KeyFile(path).create("ci")
    assert run("list", "--keys", path, "--account", "redis://127.0.0.1:1/0") == 0
    said = capsys.readouterr()
    assert "ci" in said.out
    assert "cannot be told: redis at 127.0.0.1:1/0" in said.err
