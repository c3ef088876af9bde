"""The README's examples run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest

from fastcascade import config
from fastcascade.evals import grader_of, load_cases

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS, TOML, JSON = (re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("python", "toml", "json"))


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key for the backends that want one when they are built, which no example uses; a folder for files."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {number}" for number in range(1, len(BLOCKS) + 1)])
def test_every_python_block_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block runs by itself, and whatever it asserts holds."""
    exec(compile(block, str(README), "exec"), {})
    capsys.readouterr()


def test_the_smallest_files_for_a_proof_load(tmp_path: Path) -> None:
    """The cascade and the cases that the README shows load as they stand, and the named grader can grade them."""
    (cascade,), (cases,) = [block for block in TOML if "[[tiers]]" in block], JSON
    assert [tier.name for tier in config.loads(cascade).tiers] == ["small", "large"]
    path = tmp_path / "cases.jsonl"
    path.write_text(cases, encoding="utf-8")
    loaded = load_cases(path)
    assert len(loaded) == 2 and all(case.expected and case.slice for case in loaded)
    for case in loaded:
        assert asyncio.run(grader_of("numeric").grade(case, f"It is {case.expected}.")).score == 1.0


def test_what_the_gateway_is_told_about_being_looked_at_loads(tmp_path: Path) -> None:
    """The tables that the README shows are settings, as it says them."""
    (block,) = [block for block in TOML if "[gateway" in block]
    (tmp_path / "cascade.toml").write_text(block, encoding="utf-8")
    told = config.load_settings(tmp_path / "cascade.toml")
    assert told.decisions is not None and told.console is not None
    assert (told.decisions.megabytes, told.promises.quality) == (512, {"small": 0.9})


def test_the_first_block_goes_the_way_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The first example is answered by its rules, as its comment says, and so for nothing."""
    exec(compile(BLOCKS[0], str(README), "exec"), {})
    out = capsys.readouterr().out
    assert out == "Visit account.example.com/reset. | rules 0.0\nrules accept None 0.0\n"


def test_the_fast_path_goes_the_way_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The example of the fast path prints what its comment says it prints."""
    block = next(block for block in BLOCKS if "FastPath(" in block)
    exec(compile(block, str(README), "exec"), {})
    assert capsys.readouterr().out == "to user {'id': '42'}\n"
