"""`fastcascade admit` and `compare` as a user gives them: which tiers, what is promised, and how they end."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from fastcascade.cli import main
from fastcascade.evals.admitted import Admission

MODELS: Final = """
from fastcascade.messages import Reply, Usage

def said(right):
    return Reply("right" if right else "wrong", usage=Usage(input=10, output=1))

def small(request):
    return said("easy" in request.text)

def middle(request):
    return said(True)

large = middle

def sure(request, reply):
    return 0.9 if reply.text == "right" else 0.4
"""
TIER: Final = """
[[tiers]]
name = "{name}"
backend = {{ function = "{module}:{name}" }}
gate = "{module}:sure"
accept = {accept}
price = {{ input = {price}, output = {price} }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade of three tiers, another that accepts too soon, and a recording of 240 cases."""
    folder = tmp_path_factory.mktemp("three")
    (folder / "three_models.py").write_text(MODELS, encoding="utf-8")
    for file, accept in (("old", 0.8), ("new", 0.3)):
        prices = {"small": 1.0, "middle": 10.0, "large": 100.0}
        tiers = [
            TIER.format(name=name, module="three_models", accept=accept, price=price) for name, price in prices.items()
        ]
        (folder / f"{file}.toml").write_text("prices = { source = false }\n" + "".join(tiers), encoding="utf-8")
    cases = [
        json.dumps({"id": f"{kind}{place}", "input": f"{kind} {place}", "expected": "right", "slice": kind})
        for place in range(120)
        for kind in ("easy", "hard")
    ]
    (folder / "cases.jsonl").write_text("\n".join(cases), encoding="utf-8")
    words = ["record", str(folder / "old.toml"), str(folder / "cases.jsonl"), "--to", str(folder / "run.db")]
    assert main([*words, "--grader", "exact"]) == 0
    return folder


PAIRS: Final = [
    ([], {"easy"}),
    (["--cheap", "small", "--dear", "middle"], {"easy"}),
    (["--cheap", "middle"], {"easy", "hard"}),
]


@pytest.mark.parametrize(("words", "admitted"), PAIRS)
def test_any_two_tiers_of_a_recording_are_judged(
    folder: Path, words: list[str], admitted: set[str], tmp_path: Path
) -> None:
    """By their names; without any, the first and the last."""
    to = tmp_path / "admitted.json"
    assert main(["admit", str(folder / "run.db"), *words, "--keep", "0.95", "--to", str(to)]) == 0
    assert Admission.load(to).admitted == admitted


REFUSED: Final = [
    (["admit", "run.db", "--cheap", "tiny"], "no tier 'tiny' was recorded"),
    (["admit", "run.db", "--cheap", "large"], "both tiers are 'large'"),
    (["admit", "run.db", "--confidence", "0.3"], "'0.3' is no confidence above 0.5 and below 1"),
    (["admit", "run.db", "--confidence", "1"], "'1' is no confidence"),
    (["admit", "run.db", "--keep", "0"], "'0' is no share"),
    (["admit", "run.db", "--keep", "1"], "no data can show a share of 1"),
    (["compare", "old.toml", "new.toml", "cases.jsonl", "--run", "run.db", "--json", "--markdown", "-"], "--json and"),
    (["compare", "old.toml", "gone.toml", "cases.jsonl", "--run", "run.db"], "gone.toml: cannot be read"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_done_ends_with_two(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with one message that names the option or the tier."""
    monkeypatch.chdir(folder)
    try:
        code = main(words)
    except SystemExit as error:  # as argparse ends
        code = int(error.code or 0)
    assert code == 2 and said in capsys.readouterr().err


def test_a_gate_tells_cost_and_latency_with_their_units(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the terminal and in the pull request, a figure says what it counts."""
    files = [str(folder / name) for name in ("old.toml", "new.toml", "cases.jsonl")]
    assert main(["compare", *files, "--run", str(folder / "run.db"), "--markdown", str(folder / "gate.md")]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("worse: the worst of overall and 2 slices")
    assert "cost, dollars a case: " in printed and "latency, seconds a case: " in printed
    assert "| cost, dollars a case | 240 |" in (folder / "gate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["admit", "compare"])
def test_help_says_how_it_ends(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every exit code is in the help of the command."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    assert "It ends with" in said
    for code in (0, 1, 2) if command == "compare" else (0, 2):
        assert re.search(rf"^ *{code} {{4}}|with {code}\b", said, re.MULTILINE)
