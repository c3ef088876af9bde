"""`fastcascade record`: what it prints, what it keeps, and how it ends."""

import json
import sys
from pathlib import Path

import pytest

from evals_pieces import ladder
from fastcascade.cli import main
from fastcascade.evals.runs import Runs

CASCADE = """
[[tiers]]
name = "small"
backend = {{ function = "{module}:small" }}
gate = {{ kind = "consistency", k = 3 }}
price = {{ input = 1.0, output = 5.0, per_call = 1.0 }}

[[tiers]]
name = "large"
backend = {{ function = "{module}:large" }}
price = {{ input = 3.0, output = 15.0, per_call = 1.0 }}
"""
MODELS = """
from fastcascade.messages import Reply, Usage

def small(request):
    return Reply("4", usage=Usage(1, 1))

def large(request):
    if "fail" in request.text:
        raise ValueError("as told")
    return Reply("The answer is 4.", usage=Usage(1, 1))
"""


def files(folder: Path, *inputs: str) -> list[str]:
    """A cascade, its models, and cases."""
    module = f"models_{abs(hash(folder))}"
    (folder / f"{module}.py").write_text(MODELS, encoding="utf-8")
    (folder / "cascade.toml").write_text(CASCADE.format(module=module), encoding="utf-8")
    lines = [json.dumps({"id": text, "input": text, "expected": "4"}) for text in inputs]
    (folder / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return ["record", *(str(folder / name) for name in ("cascade.toml", "cases.jsonl")), "--to", str(folder / "run.db")]


def test_it_records_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All is recorded and graded, the second run finds it there, and progress is on the error stream."""
    command = [*files(tmp_path, "2+2", "1+3"), "--grader", "numeric"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "2 of 2 cases recorded: 2 now, 0 before; 0 failed" in out and "2 of 2 cases" in err
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["asked"], found["kept"], found["left"], found["stopped"]) == (0, 2, 0, "")
    with Runs(tmp_path / "run.db") as runs:
        table = runs.table()
    assert table["cheap"] == table["dear"] == [1.0, 1.0] and table["signals"]["consistency"] == [1.0, 1.0]


def test_calls_that_failed_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 1 where a call has failed, and says which, how often and why."""
    assert main([*files(tmp_path, "2+2", "fail", "fail too"), "--grader", "numeric"]) == 1
    out, err = capsys.readouterr()
    assert "2 failed" in out
    assert "failed 2 times: large/answer: bug: ValueError: as told" in err
    assert "unknown cost" not in err and "name no grader" not in err


def test_what_will_be_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cases without a grader, and replies whose cost nobody knows, are told at once: every figure would lack them."""
    command = files(tmp_path, "2+2", "1+3")
    for module in tmp_path.glob("models_*.py"):
        module.write_text(MODELS.replace(", usage=Usage(1, 1)", ""), encoding="utf-8")
    lines = [json.dumps({"id": text, "input": text}) for text in ("2+2", "1+3")]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert main(command) == 0
    assert "2 cases name no grader: give --grader" in capsys.readouterr().err
    assert main([*command, "--grader", "regex:4"]) == 0
    err = capsys.readouterr().err
    assert "2 cases are of unknown cost" in err and "name no grader" not in err


def test_why_replies_could_not_be_graded_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reasons that graders gave are told, the commonest first, as one where they differ by the case alone."""
    command = [*files(tmp_path, *"abc"), "--grader", "schema"]
    for words in ([], ["--json"]):
        assert main([*command, *words]) == 0
        out, _ = capsys.readouterr()
        why = "the case has no schema, and neither has the grader"
        assert f"6 replies ungraded: {why}" in out or json.loads(out)["why_ungraded"] == {why: 6}


def test_options_are_named_and_not_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a case's grader runs code or asks a judge, the command names its own option for that."""
    command = files(tmp_path, "2+2")
    drill = ["evaluate", "--drill", command[2], "--cascade", command[1]]
    for grader, option in (("json:dumps", "--trust"), ("judged", "--judge")):
        line = {"id": "a", "input": "2+2", "expected": "4", "grader": grader}
        (tmp_path / "cases.jsonl").write_text(json.dumps(line), encoding="utf-8")
        for words in (command, drill, [*command, "--grader", "judged"]):
            assert main(words) == 2
            err = capsys.readouterr().err
            assert ("--judge" if words[-1] == "judged" else option) in err
            assert "trust=True" not in err and "as judge" not in err


def test_a_trusted_grader_may_lie_beside_the_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A function that a case names is found in the folder of the cases, where they are trusted, and only then."""
    command = files(tmp_path, "2+2")
    folder, module, path = tmp_path / "cases", f"marks_{abs(hash(tmp_path))}", list(sys.path)
    folder.mkdir()
    (folder / f"{module}.py").write_text("def mark(case, reply):\n    return 0.5\n", encoding="utf-8")
    line = {"id": "a", "input": "2+2", "grader": f"{module}:mark"}
    (folder / "cases.jsonl").write_text(json.dumps(line), encoding="utf-8")
    command[2] = str(folder / "cases.jsonl")
    assert main(command) == 2
    assert "--trust" in capsys.readouterr().err and module not in sys.modules
    assert main([*command, "--trust"]) == 0
    with Runs(tmp_path / "run.db") as runs:
        assert runs.table()["dear"] == [0.5]
    assert sys.path == path


def test_the_cap_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the money does not suffice it ends with 3, says what is left and its cost, and goes on with more."""
    command = files(tmp_path, *"abcdefgh")
    monkeypatch.setattr("fastcascade.config.load", lambda _: ladder(lambda _: None))
    assert main([*command, "--cap-usd", "0.03"]) == 3
    assert "the cap of $0.03 is reached" in (out := capsys.readouterr().out) and "are left" in out
    with Runs(tmp_path / "run.db") as runs:
        assert 0.0 < runs.spent_usd <= 0.03
    assert main([*command, "--cap-usd", "1"]) == 0


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, a grader that is none, a judge that is none and another's file end with 2."""
    command = files(tmp_path, "2+2")
    (tmp_path / "text").write_text("not a database, as anybody can see from this" * 20, encoding="utf-8")
    for given, said in (
        (["record", "none.toml", *command[2:]], "none.toml"),
        ([*command, "--grader", "numerik"], "numerik"),
        ([*command, "--judge", "tiny"], "no tier 'tiny'"),
        ([*command[:-1], str(tmp_path / "text")], "no SQLite database"),
    ):
        assert main(given) == 2
        assert said in capsys.readouterr().err
    for option, value in (("--cap-usd", "-1"), ("--concurrency", "0"), ("--per-minute", "x")):
        with pytest.raises(SystemExit, match="2"):
            main([*command, option, value])


def test_an_interrupt_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with 130, and the file can be given again."""
    command = files(tmp_path, "2+2")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastcascade.evals.recorder.Recorder._work", interrupted)
        assert main(command) == 130
    assert "again to go on" in capsys.readouterr().err
    assert main(command) == 0
