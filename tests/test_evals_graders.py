"""Graders: what is right, what is wrong, and what could not be told."""

import asyncio
import json
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.blocks import ToolCall
from fastcascade.errors import ConfigError
from fastcascade.evals.cases import Case
from fastcascade.evals.graders import (
    Choice,
    Exact,
    Function,
    Grade,
    Grader,
    Judged,
    Normalized,
    Numeric,
    Regex,
    Schema,
    Subprocess,
    grader_for,
    grader_of,
)
from fastcascade.evals.graders.words import folded
from fastcascade.messages import Reply, Request
from fastcascade.testing import ScriptedBackend


def graded(grader: Grader, said: str | Reply, expected: str | None = None, **case: Any) -> Grade:
    """One grade."""
    return asyncio.run(grader.grade(Case(**{"id": "c", "input": "Well?", "expected": expected} | case), said))


RIGHT: list[tuple[Grader, str, str]] = [
    (Exact(), " Paris\n", "Paris"),
    (Normalized(), "**The** U.S. of A.", "us of a"),
    (Normalized(), "\uff30aris!", "paris"),
    (Normalized(), "It\u2019s well\u2014known", "its well known"),
    (Normalized(), "1,234.50 m", "1234.50 m"),
    (Normalized(), "?!", "?!"),
    (Numeric(), "So 3 + 4 is 7.", "7"),
    (Numeric(), "It is $1,234.50", "1234.5"),
    (Numeric(), "about 3/4", "0.75"),
    (Numeric(), "-2e3", "-2000"),
    (Numeric(), "\u22125 degrees", "-5"),
    (Numeric(), "it rose by 12%", "12"),
    (Numeric(), "it rose by 12 percent", "0.12"),
    (Numeric(), "0.12", "12%"),
    (Numeric(), r"\boxed{\frac{3}{4}} in 2 steps", "0.75"),
    (Numeric(), "#### 18", "He makes 9 * 2\n#### 18"),
    (Numeric(0.01), "100.9", "100"),
    (Numeric(0.0, 0.5), "0.4", "0"),
    (Regex("(?i)par.s"), "It is PARIS.", ""),
    (Regex(), "year 1999", r"\b19\d\d\b"),
    (Regex("a|b", whole=True), " b\n", ""),
    (Choice(), "B", "B"),
    (Choice(), "(b)", "B"),
    (Choice(), "**B**", "B"),
    (Choice(), "B) Paris", "B"),
    (Choice(), "A dog is not it. The answer is (B).", "B"),
    (Choice(), "The answer is A at first. No: the correct answer is **C**, as I said", "C"),
    (Choice(), r"So \boxed{\text{D}}", "D"),
    (Choice(), "Answer: B", "Answer: B"),
    (Choice(), "I choose option B because A is wrong", "B"),
    (Choice(), "Let me think.\n\nB.", "B"),
]
WRONG: list[tuple[Grader, str, str]] = [
    (Exact(), "paris", "Paris"),
    (Exact(strip=False), "Paris ", "Paris"),
    (Normalized(), "C#", "C"),
    (Normalized(), "-5", "5"),
    (Normalized(), "vitamin A", "vitamin"),
    (Normalized(), "35", "3.5"),
    (Normalized(articles=False), "the cat", "cat"),
    (Normalized(), "", "x"),
    (Numeric(), "8", "7"),
    (Numeric(), "many", "7"),
    (Numeric(), "", "7"),
    (Numeric(), "12%", "13"),
    (Numeric(), "0.12", "12"),
    (Numeric(0.01), "101.1", "100"),
    (Regex("a|b", whole=True), "ab", ""),
    (Regex("^x$"), "yx", ""),
    (Choice(), "A", "B"),
    (Choice(), "A dog", "A"),
    (Choice(), "A) or\nB) perhaps", "A"),
    (Choice(), "I think so", "I"),
    (Choice(), "the answer is not B", "B"),
    (Choice("ABCD"), "E", "A"),
    (Choice(), "", "A"),
]
UNTOLD: list[tuple[Grader, str, str | None]] = [
    (Exact(), "a", None),
    (Normalized(), "a", None),
    (Numeric(), "7", None),
    (Numeric(), "7", "seven"),
    (Regex(), "a", None),
    (Regex(), "a", "(?=a)"),
    (Choice(), "A", None),
    (Choice(), "A", "Paris"),
    (Schema(), "{}", None),
]


@pytest.mark.parametrize(
    ("grader", "said", "expected", "score"),
    [
        *((*each, 1.0) for each in RIGHT),
        *((*each, 0.0) for each in WRONG),
        *((*each, None) for each in UNTOLD),
    ],
)
def test_right_wrong_and_untold(grader: Grader, said: str, expected: str | None, score: float | None) -> None:
    """Each grader says 1, 0, or nothing where the case does not let it tell; and always why, for free."""
    grade = graded(grader, said, expected)
    assert grade.score == score, grade
    assert grade.reason and grade.cost_usd == 0.0 and grade.priced
    assert graded(grader, Reply(said) if said else Reply(()), expected) == grade


@given(st.text(max_size=40))
def test_folding_is_settled(text: str) -> None:
    """White space around a text changes nothing, something is left of any word, and each is the same as itself."""
    assert folded(f"  {text}\n") == folded(text)
    bare = folded(text, articles=False)
    assert bare or not any(map(str.isalnum, text))
    assert graded(Normalized(), text.strip() or "x", text.strip() or "x").score == 1.0


@given(st.floats(-1e12, 1e12), st.sampled_from(["{}", "It is {}.", "${}", "**{}**", "{} km", r"\boxed{{{}}}, I think"]))
def test_numbers_are_found(value: float, form: str) -> None:
    """A number is read as it was written, with thousands separators, whatever stands around it."""
    assert graded(Numeric(1e-6, 1e-6), form.format(f"{value:,.6f}"), repr(value)).score == 1.0


@given(st.text("ABCDE answeris:().*\n\\boxed{}", max_size=60))
def test_choices_of_any_text(text: str) -> None:
    """Whatever is said, what is chosen is one of the letters that stand in it, or nothing."""
    chosen = Choice().chosen(text)
    assert chosen == "" or (len(chosen) == 1 and chosen in text.upper())


def test_choice_by_wording() -> None:
    """An option may be chosen by its wording, and be expected by it."""
    asked = "Capital of France?\nA) Rome\nB) Paris\n(C) Bonn"
    assert graded(Choice(), "paris.", "B", input=asked).score == 1.0
    assert graded(Choice(), "C", "Bonn", input=asked).score == 1.0
    assert graded(Choice(), "Berlin", "B", input=asked).score == 0.0


def test_tool_calls_are_graded() -> None:
    """Of a reply its tool calls count too, in whatever order their arguments stand and whatever their ids."""
    said = Reply((ToolCall("call_9", "look", '{"b": 1, "a": 2}'),))
    assert graded(Exact(), said, '{"arguments": {"a": 2, "b": 1}, "name": "look"}').score == 1.0


def test_schemas() -> None:
    """An answer fits the grader's schema, or that of the request; amid words only where that is allowed."""
    schema = {"type": "object", "required": ["a"]}
    asked = Request.of("Well?", schema=schema)
    cases: list[dict[str, Any]] = [{"input": asked}, {}]
    for case in cases:
        grader = Schema() if case else Schema(schema)
        assert graded(grader, '{"a": 1}', **case).score == 1.0
        assert graded(grader, '{"b": 1}', **case).score == 0.0
        assert graded(grader, 'Here: {"a": 1}', **case).score == 0.0
    assert graded(Schema(schema, anywhere=True), 'Here: {"a": 1}').score == 1.0
    assert graded(Schema(schema, anywhere=True), "no").score == 0.0
    assert graded(Schema(), "{}", input=Request.of("Well?", schema={"type": 3})).score is None
    with pytest.raises(ConfigError):
        Schema({"type": 3})


def length(case: Case, reply: Reply) -> bool:
    """Whether the answer is as long as is expected."""
    return len(reply.text) == len(case.expected or "")


async def later(case: Case, reply: Reply) -> tuple[float, str]:
    """Half right."""
    await asyncio.sleep(0)
    return 0.5, f"half of {case.id}"


def failing(_case: Case, _reply: Reply) -> bool:
    """Fail."""
    raise KeyError("x")


def always(value: Any) -> Callable[[Case, Reply], Any]:
    """A function of the user's that returns this."""
    return lambda _case, _reply: value


FUNCTIONS: list[tuple[Any, float | None, str]] = [
    (length, 1.0, "length gave 1"),
    (later, 0.5, "half of c"),
    (always(Grade(0.25, "so", 0.5)), 0.25, "so"),
    (always(None), None, "could not tell"),
    (always((None, "no key")), None, "no key"),
    (always(2), None, "no score from 0 to 1"),
    (always("1"), None, "gave a str"),
    (always(float("nan")), None, "gave nan"),
    (failing, None, "failing failed (bug): KeyError: 'x'"),
]


@pytest.mark.parametrize(("function", "score", "reason"), FUNCTIONS)
def test_functions(function: Any, score: float | None, reason: str) -> None:
    """A function's word is the grade; what is no score, and an exception, leave the answer ungraded."""
    grade = graded(Function(function), "abc", "xyz")
    assert grade.score == score and reason in grade.reason


def test_functions_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function is found by its module and name; one that is not there is refused at once."""
    (tmp_path / "own_graders.py").write_text("def right(case, reply):\n    return reply.text == case.expected\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert graded(grader_of("own_graders:right"), "a", "a").score == 1.0
    for name, said in (("own_graders:rigth", "did you mean 'right'"), ("no_module:x", "cannot be imported")):
        with pytest.raises(ConfigError, match=said):
            grader_of(name)


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs this."""
    return [sys.executable, "-c", code, *arguments]


COMMANDS: list[tuple[str, float | None, str]] = [
    ("import sys; sys.exit(sys.stdin.read() != 'abc')", 1.0, "exited with 0"),
    ("import sys; sys.stdin.read(); sys.exit('no such luck')", 0.0, "exited with 1: no such luck"),
    ('print(\'x\'); print(\'{"score": 0.5, "reason": "half"}\')', 0.5, "half"),
    ("print('{\"score\": 1}'); print('{\"score\": 0.25}')", 0.25, "gave 0.25"),
    ("print('{\"score\": 1}'); raise SystemExit(1)", 0.0, "exited with 1"),
    ("print('{\"score\": 7}')", None, "no score from 0 to 1"),
    ("print('x' * 10_000_000)", 1.0, "exited with 0"),
    ("raise SystemExit(5)", None, "exited with 5"),
    ("import os; raise SystemExit('SOME_KEY' in os.environ)", 1.0, "exited with 0"),
    ("import os; raise SystemExit(len(os.listdir()))", 1.0, "exited with 0"),
]


@pytest.mark.parametrize(("code", "score", "reason"), COMMANDS)
def test_commands(code: str, score: float | None, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's exit code is the grade, or the score it says after a good end; it is told no secret."""
    monkeypatch.setenv("SOME_KEY", "x")
    grade = graded(Subprocess(python(code), ungraded=[5]), "abc")
    assert grade.score == score and reason in grade.reason, grade


def test_commands_with_files() -> None:
    """The answer and the case are in files for a command that names them, and are gone afterwards."""
    code = (
        "import json, sys; case = json.load(open(sys.argv[2])); print(sys.argv[1]);"
        "sys.exit(open(sys.argv[1]).read() != case['expected'] and sys.argv[1])"
    )
    command = Subprocess(python(code, "{answer}", "{case}"))
    assert graded(command, "abc", "abc").score == 1.0
    grade = graded(command, "abc", "abd")
    assert grade.score == 0.0 and not Path(grade.reason.rpartition(" ")[2]).exists()
    assert graded(Subprocess(["no-such-program-here"]), "abc").score is None


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_a_command_is_killed_at_its_limit(tmp_path: Path) -> None:
    """A command that does not end is killed, and so is every process that it began; the answer counts as wrong."""
    held = tmp_path / "held"
    os.mkfifo(held)
    # The child alone has the pipe open for writing, so that the end of the pipe is the end of the child.
    child = f"import time; out = open({str(held)!r}, 'w'); out.write('x'); out.flush(); time.sleep(600)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    pipe = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        grade = graded(Subprocess(python(code), timeout=3.0), "a")
        assert os.read(pipe, 1) == b"x"
        assert select.select([pipe], [], [], 30.0)[0] and os.read(pipe, 1) == b""
    finally:
        os.close(pipe)
    assert grade.score == 0.0 and "did not end within 3 s" in grade.reason


def test_what_a_late_answer_is_worth() -> None:
    """A command that was killed leaves the answer ungraded where that is asked for."""
    grade = graded(Subprocess(python("import time; time.sleep(600)"), timeout=0.1, late=None), "a")
    assert grade.score is None and "did not end within 0.1 s" in grade.reason


NAMES: list[tuple[Any, type]] = [
    ("exact", Exact),
    ("normalized", Normalized),
    ("numeric", Numeric),
    ("numeric:0.01", Numeric),
    ("regex", Regex),
    ("regex:a:b", Regex),
    ("schema", Schema),
    ("choice:ABCD", Choice),
    ("judged:yes_no", Judged),
    ("json:dumps", Function),
    ("subprocess:pytest -q", Subprocess),
    ({"kind": "numeric", "relative": 0.01, "absolute": 1}, Numeric),
    ({"kind": "judged", "beside": "expected"}, Judged),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_graders_by_name(name: Any, kind: type) -> None:
    """A short text or a table stands for a grader with its settings."""
    made: Any = grader_of(name, judge=ScriptedBackend("1"))
    assert isinstance(made, kind)
    settings = {name: getattr(made, name, None) for name in ("relative", "command", "pattern")}
    assert kind is not Numeric or settings["relative"] == (0.01 if name != "numeric" else 1e-6)
    assert kind is not Subprocess or settings["command"] == ("pytest", "-q")
    assert name != "regex:a:b" or settings["pattern"] == "a:b"


REFUSED: list[tuple[Any, str]] = [
    ("exakt", "did you mean 'exact'"),
    ("numeric:much", "a tolerance is a number"),
    ("numeric:-1", "0 or more"),
    ("numeric:nan", "0 or more"),
    ("regex:(", "pattern 0"),
    ("regex:(?=a)", "linear"),
    ("exact:1", "there is no grader 'exact:1'"),
    ("choice:abc", "capitals"),
    ("subprocess", "what to run"),
    ("subprocess:", "list of texts"),
    ("subprocess:'", "cannot be split"),
    ("judged", "needs a model"),
    ({"relative": 1}, "there is no grader None"),
    ({"kind": "numeric", "relativ": 1}, "did you mean 'relative'"),
    ({"kind": "function"}, "cannot be made"),
    ({"kind": "subprocess", "command": ["a"], "timeout": 0}, "timeout"),
    ({"kind": "subprocess", "command": ["a"], "late": 2}, "from 0 to 1"),
]


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_graders_that_cannot_be(name: Any, reason: str) -> None:
    """A grader that is not known, or whose settings cannot work, is refused with what may have been meant."""
    with pytest.raises(ConfigError, match=reason.replace("'", "['\"]")):
        grader_of(name)


def test_graders_of_cases() -> None:
    """A case's own grader goes before the default; one that runs code needs the cases to be trusted."""
    default = Exact()
    assert grader_for(Case("c", "a"), default) is default
    assert type(grader_for(Case("c", "a", grader="numeric:0.1"), default)) is Numeric
    for name in ("subprocess:rm -rf x", "json:dumps"):
        with pytest.raises(ConfigError, match="trust=True"):
            grader_for(Case("c", "a", grader=name), default)
        assert grader_for(Case("c", "a", grader=name), default, trust=True) is not default
    with pytest.raises(ConfigError, match="the grader of case 'c'"):
        grader_for(Case("c", "a", grader="exakt"), default)


def test_a_british_spelling_will_do() -> None:
    """Both spellings of normalized are the same grader, as a text and in a table."""
    assert type(grader_of("normalised")) is type(grader_of({"kind": "normalised"})) is Normalized


@pytest.mark.parametrize("wrong", [{"score": 1.5}, {"score": float("nan")}, {"score": 1.0, "cost_usd": -1.0}])
def test_grades_that_cannot_be(wrong: dict[str, Any]) -> None:
    """A score lies from 0 to 1, or there is none; a cost is never below 0."""
    with pytest.raises(ConfigError):
        Grade(**wrong)
    assert json.dumps(Grade(None).score) == "null"
