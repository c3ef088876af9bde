"""`UserCheck`, `Command` and `Similarity`: what cannot check abstains, and nothing it started is left behind."""

import asyncio
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastcascade.effects import Check, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.check import KEPT, Command, UserCheck
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.gates.similarity import Similarity, cosine, vectors
from fastcascade.messages import Reply, Request, ToolCall

FAILED = Failure("bug", "ValueError: bad\nTraceback")


class Model:
    """A backend that is never asked."""

    name = "model"
    gives: frozenset[str] = frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def exam(reply: Reply | str = "4", asked: str = "What is 2 + 2?") -> Exam:
    """A reply to be judged."""
    return Exam(Request.of(asked), reply if isinstance(reply, Reply) else Reply(reply), Model())


def drive(gate: Gate, about: Exam, *outcomes: Outcome) -> tuple[Verdict, list[Any]]:
    """The verdict when what the gate asks for comes out so, and what it asked for."""
    judging: Any = gate.judge(about)
    seen = [next(judging)]
    for outcome in outcomes[:-1]:
        seen += [judging.send(outcome)]
    with pytest.raises(StopIteration) as end:
        judging.send(outcomes[-1])
    return end.value.value, seen


def passes(request: Request, reply: Reply) -> bool:
    """A check of a user's."""
    raise NotImplementedError


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (True, Verdict(1.0, "passes gave 1")),
        (False, Verdict(0.0, "passes gave 0")),
        (0.25, Verdict(0.25, "passes gave 0.25")),
        (1, Verdict(1.0, "passes gave 1")),
        ((0.5, "half of it"), Verdict(0.5, "half of it")),
        ((False, "wrong\nat all"), Verdict(0.0, "wrong")),
        ((None, "cannot say"), Verdict(None, "cannot say")),
        (None, Verdict(None, "passes abstained")),
        (Verdict(0.3, "mine", decisive=True), Verdict(0.3, "mine", decisive=True)),
        (Verdict(1.5), Verdict(None, "passes returned 1.5, which is no score from 0 to 1")),
        (7, Verdict(None, "passes returned 7, which is no score from 0 to 1")),
        (math.nan, Verdict(None, "passes returned nan, which is no score from 0 to 1")),
        ("1", Verdict(None, "passes returned str, which is no score from 0 to 1")),
        ((1, 2, 3), Verdict(None, "passes returned tuple, which is no score from 0 to 1")),
        pytest.param(10**5000, Verdict(None, "passes returned int, which is no score from 0 to 1"), id="huge"),
    ],
)
def test_user_check(value: Any, verdict: Verdict) -> None:
    """What a check returns is its verdict; what is no score is an abstention that says so."""
    given_, (effect,) = drive(UserCheck(passes, timeout=2), exam(), Outcome(value))
    assert given_ == verdict
    assert effect == Check(passes, (exam().request, exam().reply), timeout=2.0)


def test_user_check_fails() -> None:
    """An exception is an abstention with its first line."""
    verdict, _ = drive(UserCheck(passes), exam(), Outcome(failure=FAILED))
    assert verdict == Verdict(None, "passes failed (bug): ValueError: bad")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@given(VALUES | st.tuples(VALUES, VALUES) | st.builds(Verdict, st.none() | st.floats()))
def test_user_check_is_a_score_or_none(value: Any) -> None:
    """Whatever a check returns, the score is from 0 to 1 or there is none."""
    score = drive(UserCheck(passes), exam(), Outcome(value))[0].score
    assert score is None or 0 <= score <= 1


@pytest.mark.parametrize(
    ("function", "name", "called"),
    [(passes, "", "passes"), (lambda request, reply: True, "", "check"), (passes, "mine", "mine")],
)
def test_user_check_name(function: Callable[..., Any], name: str, called: str) -> None:
    """A check has its function's name, or the one it is given."""
    assert UserCheck(function, name=name).name == called


def run(command: Command, reply: Reply | str = "4") -> Verdict:
    """Run a command as a driver does."""
    judging = command.judge(exam(reply))
    effect = next(judging)
    assert effect.inline is False

    async def main() -> Outcome:
        return Outcome(await effect.function(*effect.arguments))

    with pytest.raises(StopIteration) as end:
        judging.send(asyncio.run(main()))
    verdict: Verdict = end.value.value
    return verdict


def python(code: str, **settings: Any) -> Command:
    """A command that runs this code."""
    return Command([sys.executable, "-c", code], **settings)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (
            "import sys; sys.exit(sys.stdin.buffer.read() != 'é4'.encode())",
            Verdict(1.0, "command exited with 0", decisive=True),
        ),
        ("raise SystemExit(3)", Verdict(0.0, "command exited with 3", decisive=True)),
        (
            "import sys; print('out'); print('\\n \\x1b[31mred\\x00\\nmore', file=sys.stderr); sys.exit(1)",
            Verdict(0.0, "command exited with 1: [31mred", decisive=True),
        ),
        (
            "print('first'); print('second'); raise SystemExit(1)",
            Verdict(0.0, "command exited with 1: first", decisive=True),
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            Verdict(0.0, "command was ended by signal 9", decisive=True),
        ),
        ("raise SystemExit(5)", Verdict(None, "command exited with 5")),
        (
            "import os; os.write(1, b'\\xff\\xfe'); os._exit(1)",
            Verdict(0.0, "command exited with 1: \ufffd\ufffd", decisive=True),
        ),
    ],
)
def test_command(code: str, verdict: Verdict) -> None:
    """Exit code 0 accepts, others reject with the first line that was written, but those that are to abstain."""
    assert run(python(code, abstain=(5,)), "é4") == verdict


def test_command_reads_json(tmp_path: Path) -> None:
    """With json it reads the whole reply; its folder and environment are those it is given."""
    code = "import os, pathlib, sys; pathlib.Path('said').write_text(sys.stdin.read() + os.environ['MARK'])"
    command = python(code, input="json", cwd=tmp_path, env={**os.environ, "MARK": " marked"})
    assert run(command, Reply((ToolCall("1", "f", "{}"),), model="m", stop="tool")).score == 1
    text, mark = (tmp_path / "said").read_text().rsplit(" ", 1)
    call = {"id": "1", "name": "f", "arguments": "{}"}
    assert mark == "marked"
    assert json.loads(text) == {
        "question": "What is 2 + 2?",
        "text": "",
        "tool_calls": [call],
        "stop": "tool",
        "model": "m",
    }


@pytest.mark.parametrize("command", [["no-such-program-at-all"], [sys.executable, "\0"], [str(Path(__file__).parent)]])
def test_command_that_cannot_start(command: list[str]) -> None:
    """A command that cannot be started abstains and says why."""
    verdict = run(Command(command))
    assert verdict.score is None and "could not be started" in verdict.reason


def test_command_that_hangs() -> None:
    """A command that does not end in time abstains."""
    verdict = run(python("import signal; signal.pause()", timeout=0.05))
    assert verdict == Verdict(None, "command did not end within 0.05 s")


def test_command_that_does_not_read() -> None:
    """A command need not read its input, however long."""
    assert run(python("import os; os.close(0)"), "x" * 5_000_000).score == 1


def test_command_that_writes_much() -> None:
    """Of what a command writes only the beginning is kept, and it is never held up."""
    code = f"import sys; sys.stderr.write(' ' * {KEPT} + 'never seen' * 500_000); sys.stdout.write('seen'); sys.exit(1)"
    assert run(python(code)).reason == "command exited with 1: seen"


def test_cancelled_command_is_killed_with_its_children(tmp_path: Path) -> None:
    """When a check is cancelled, the command and what it started are gone."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = f"import signal; held = open({str(fifo)!r}, 'wb', 0); held.write(b'up'); signal.pause()"
    command = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", timeout=100)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        up = asyncio.Event()
        loop.add_reader(reader, up.set)
        task = asyncio.ensure_future(command.run(b""))
        await up.wait()
        loop.remove_reader(reader)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(main())
        os.set_blocking(reader, True)
        assert os.read(reader, 9) == b"up"
        assert os.read(reader, 9) == b""  # its end: nobody holds the other side any more
    finally:
        os.close(reader)


def test_command_keeps_its_environment_to_itself() -> None:
    """What may hold secrets is not shown."""
    assert "hidden" not in repr(Command(["true"], env={"KEY": "hidden"}))


UP = [1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        ([UP, [0.0, 1.0], [2.0, 0.0]], 1.0),
        ([UP, [3.0, 4.0], [0.0, 1.0]], 0.6),
        ([UP, [-1.0, 0.0], [-1.0, 0.1]], 0.0),
        ([UP, [0.0, 0.0], [3.0, 4.0]], 0.6),
        ([UP, [0.0, 0.0], [0.0, 0.0]], None),
        ([[0.0, 0.0], UP, UP], None),
        ([UP, [math.nan, 1.0], [math.inf, 1.0]], None),
        ([UP, UP], None),
        ([UP, UP, [1.0]], None),
        ([UP, UP, ["a", "b"]], None),
        (None, None),
        ("abc", None),
        (3, None),
    ],
)
def test_similarity(rows: Any, score: float | None) -> None:
    """The score is the largest cosine, none below zero; what cannot be compared is an abstention."""
    verdict, (effect,) = drive(Similarity(to=["a", "b"], embedder=len, timeout=1), exam(), Outcome(rows))
    assert verdict.score == (pytest.approx(score) if score else score)
    assert effect == Check(len, (["4", "a", "b"],), "embed", timeout=1.0)


def test_similarity_to_what_the_request_says() -> None:
    """The texts may be the question, or what a function makes of the request."""
    (_, (effect,)) = drive(Similarity(to="question", embedder=len), exam(), Outcome([UP, UP]))
    assert effect.arguments == (["4", "What is 2 + 2?"],)

    def passages(request: Request) -> list[str]:
        raise NotImplementedError

    found = Outcome(["p", "", "q"])
    verdict, effects = drive(Similarity(to=passages, embedder=len), exam(), found, Outcome([UP, [0, 1], [0, 1]]))
    assert (effects[0].function, effects[0].arguments, effects[1].arguments) == (
        passages,
        (exam().request,),
        (["4", "p", "q"],),
    )
    assert verdict.score == 0


@pytest.mark.parametrize("found", [Outcome(failure=FAILED), Outcome([]), Outcome(None), Outcome([""]), Outcome([3])])
def test_similarity_to_nothing(found: Outcome) -> None:
    """Without texts to compare with it abstains, and no embedder is asked."""
    assert drive(Similarity(to=lambda request: [], embedder=len), exam(), found)[0].score is None


def test_similarity_abstains() -> None:
    """It abstains where the embedder fails, and where the reply has no text."""
    gate = Similarity(to=["a"], embedder=len)
    assert drive(gate, exam(), Outcome(failure=FAILED))[0].score is None
    with pytest.raises(StopIteration) as end:
        next(gate.judge(exam(Reply((ToolCall("1", "f"),)))))
    assert end.value.value.score is None


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=6))
def test_cosine_bounds(pairs: list[tuple[float, float]]) -> None:
    """A cosine is from -1 to 1, the same both ways, or there is none."""
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    value = cosine(one, other)
    assert value is None or -1 <= value <= 1
    assert value == cosine(other, one)


@example([1e9], 1e3)
@example([1e-9], 1e3)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6).filter(lambda parts: max(map(abs, parts)) > 1e-3),
    st.floats(1e-3, 1e3),
)
def test_cosine_of_itself(vector: list[float], scale: float) -> None:
    """A vector is as near as can be to itself at any length."""
    assert cosine(vector, [each * scale / 1e3 for each in vector]) == pytest.approx(1)
    assert cosine(vector, vector) == pytest.approx(1)


def test_vectors_of_arrays() -> None:
    """An embedder may give arrays, or lists of them."""
    numpy = pytest.importorskip("numpy")
    rows = [[1.0, 2.0], [3.0, 4.0]]
    assert vectors(numpy.array(rows, "float32"), 2) == rows
    assert vectors([numpy.array(row) for row in rows], 2) == rows
    assert vectors((row for row in rows), 2) == rows


@pytest.mark.parametrize(
    "make",
    [
        lambda: UserCheck(3),  # type: ignore[arg-type]
        lambda: UserCheck(passes, timeout=0),
        lambda: UserCheck(passes, threshold=-1),
        lambda: Command("pytest -q"),
        lambda: Command([]),
        lambda: Command([1]),  # type: ignore[list-item]
        lambda: Command(["x"], timeout=math.inf),
        lambda: Command(["x"], timeout=None),  # type: ignore[arg-type]
        lambda: Command(["x"], input="xml"),  # type: ignore[arg-type]
        lambda: Similarity(to="some text", embedder=len),
        lambda: Similarity(to=[], embedder=len),
        lambda: Similarity(to=["a", ""], embedder=len),
        lambda: Similarity(to=["a"], embedder=3),  # type: ignore[arg-type]
        lambda: Similarity(to=["a"], embedder=len, threshold=2),
        lambda: Similarity(to=["a"], embedder=len, timeout=-1),
    ],
)
def test_settings(make: Callable[[], Gate]) -> None:
    """Settings that cannot work are refused when the gate is made."""
    with pytest.raises(ConfigError):
        make()
