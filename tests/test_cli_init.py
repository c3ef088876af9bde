"""`fastcascade init`: a file that loads as it is, and a command line that loads no more than it must."""

import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastcascade import Cascade, Tier, config
from fastcascade.cli import COMMANDS, FILES, main
from fastcascade.cli.init import PROVIDERS
from fastcascade.gateway import loading
from fastcascade.gateway.observe import Observing
from fastcascade.testing import ScriptedBackend

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_written_loads_and_serves(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its keys set it is a cascade of two tiers with prices, and a gateway that observes."""
    file = tmp_path / "cascade.toml"
    assert main(["init", str(file), "--provider", provider]) == 0
    assert "fastcascade doctor" in capsys.readouterr().out
    for name in KEYS:
        monkeypatch.setenv(name, "made-up-for-the-tests")
    cascade = config.load(file)
    assert [tier.name for tier in cascade.tiers] == ["small", "large"]
    assert all(tier.price for tier in cascade.tiers)
    service = loading.load(file, loading.settings_of(file))
    assert isinstance(service.endpoint, Observing) and service.gate is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_left_out_can_be_put_in(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the gateway's that is commented out is good once it is not."""
    for name in (*KEYS, "METRICS"):
        monkeypatch.setenv(name, "made-up-for-the-tests")
    file = tmp_path / "cascade.toml"
    main(["init", str(file), "--provider", provider])
    text, between, rest = file.read_text().partition("[gateway]")
    lines = [re.sub(r'^# (?=[a-z_]+ = |"[a-z*-]+" = )', "", line) for line in rest.split("\n")]
    file.write_text(f"{text}{between}" + "\n".join(line for line in lines if not line.startswith("tls")))
    told = config.load_settings(file)
    assert (told.account_off, told.metrics_key, told.cache is not None) == ("closed", "made-up-for-the-tests", True)
    star, wire = ("gpt-*", "openai") if provider == "openai" else ("claude-*", "anthropic")
    found = config.load_all(file).models[star]
    assert found.instead == "cascade" and found.raw is not None and found.raw.wire == wire


def test_the_starters_gate_lets_no_doubt_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that is whole but unsure goes up: both of its checks have a say."""
    for name in KEYS:
        monkeypatch.setenv(name, "made-up-for-the-tests")
    file = tmp_path / "cascade.toml"
    main(["init", str(file)])
    small = config.load(file).tiers[0]

    def answered(text: str) -> str:
        made = Tier(ScriptedBackend(text), gate=small.gate, accept=small.accept, name="small")
        return Cascade(made, Tier(ScriptedBackend("It is open."), name="large")).run_sync("Is it open?").tier

    assert answered("It is open from nine to five.") == "small"
    assert answered("I'm not sure, it depends.") == "large"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_doctor_says_what_is_missing(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no key set, each variable that is wanted is named, and the exit code is 1."""
    file = tmp_path / "cascade.toml"
    main(["init", str(file), "--provider", provider])
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    capsys.readouterr()
    assert main(["doctor", str(file), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    missing = {name for name in KEYS if name in file.read_text()}
    failed = [each for each in said["findings"] if each["status"] == "fail"]
    assert {each["check"] for each in failed} == {"secrets"} and said["ok"] is False
    assert all(any(f"no variable {name}" in each["said"] for each in failed) for name in missing)


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only --force writes over it; where nothing can be written that is said in one line."""
    file = tmp_path / "cascade.toml"
    file.write_text("mine")
    assert main(["init", str(file)]) == 2
    assert capsys.readouterr().err == f"fastcascade: {file} is there already; --force writes over it\n"
    assert file.read_text() == "mine"
    assert main(["init", str(file), "--force"]) == 0 and "[[tiers]]" in file.read_text()
    assert main(["init", str(tmp_path / "nowhere" / "c.toml")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_summaries_are_those_of_the_commands() -> None:
    """What --help lists is what each command's own file says."""
    for name, summary in COMMANDS.items():
        file = f"fastcascade.cli.{FILES.get(name, name)}"
        if find_spec(file) is not None:
            assert summary == import_module(file).SUMMARY, name


def test_help_loads_no_command() -> None:
    """The list of commands, and one command, are had without any of the others."""
    told = """
import sys
from fastcascade.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(sorted(name for name in sys.modules if name.startswith("fastcascade.c")), file=sys.stderr)
"""
    for asked, wanted in (("--help", set()), ("init", {"fastcascade.cli.init"})):
        arguments = [asked, "--help"] if asked != "--help" else [asked]
        run = subprocess.run([sys.executable, "-c", told, *arguments], capture_output=True, text=True, check=True)
        loaded = set(json.loads(run.stderr.replace("'", '"')))
        core = {f"fastcascade.cli{each}" for each in ("", ".report", ".figures", ".file_error")}  # no commands
        assert loaded - core == wanted
        assert "usage: fastcascade" in run.stdout
