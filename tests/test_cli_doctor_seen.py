"""What `fastcascade doctor` says of the store of decisions, the console and traces."""

from pathlib import Path

import pytest

from fastcascade.cli import doctor_seen
from fastcascade.cli.doctor_checks import Finding, examined
from fastcascade.console.people_file import PeopleFile

FILE = """
[gateway]
port = 0
{tables}

[[tiers]]
backend = {{ kind = "scripted", script = ["yes"] }}
"""


def found(folder: Path, tables: str) -> list[Finding]:
    """What is said of them."""
    file = folder / "cascade.toml"
    file.write_text(FILE.format(tables=tables), encoding="utf-8")
    return [each for each in examined(file) if each.check in {"decisions", "console", "tracing"}]


def test_a_console_that_nobody_may_see_is_told_before_it_is_served(tmp_path: Path) -> None:
    """Without people it fails, and says with which command there are some; with one it is well, and so is its store."""
    store, console = found(tmp_path, "[gateway.console]")
    assert (store.check, store.status) == ("decisions", "ok")
    assert console.status == "fail" and "fastcascade console add" in console.said
    PeopleFile(tmp_path / "console.json").add("ann")
    assert [each.status for each in found(tmp_path, "[gateway.console]")] == ["ok", "ok"]


def test_a_recording_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    """The page on calibration would be without it; the gateway runs all the same."""
    PeopleFile(tmp_path / "console.json").add("ann")
    *_, run = found(tmp_path, '[gateway.console]\nrun = "run.db"')
    assert run.status == "warn" and "fastcascade record" in run.todo


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Its folder must be there: decisions would be lost one by one."""
    (store,) = found(tmp_path, '[gateway.decisions]\nfile = "nowhere/decisions.db"')
    assert store.status == "fail" and "nowhere" in store.said


def test_traces_need_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing, its name is told."""
    (there,) = found(tmp_path, "[gateway.tracing]")
    assert there.status == "ok"
    monkeypatch.setattr(doctor_seen, "find_spec", lambda _name: None)
    (missing,) = found(tmp_path, "[gateway.tracing]")
    assert missing.status == "fail" and "fastcascade[otel]" in missing.todo
