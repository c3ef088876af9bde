"""Graders of the user's own: a function, plain or async, or a command that is run, such as a suite of tests."""

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from fastcascade.blocks import Text
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.references import NotFound, References
from fastcascade.drive import Driver
from fastcascade.effects import Check
from fastcascade.errors import ConfigError
from fastcascade.evals.graders.grader import Grade, read, ungraded
from fastcascade.gates.check import Command, line, patience
from fastcascade.gates.gate import Verdict
from fastcascade.messages import Reply

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Function", "Subprocess"]

ENVIRONMENT: Final = (
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "TEMP", "TMP", "TMPDIR", "TZ", "VIRTUAL_ENV"),
    *("COMSPEC", "PATHEXT", "SYSTEMROOT", "USERPROFILE", "WINDIR"),
)
"""The variables that a command is given: what programs need to start, and no key."""


class Function:
    """Ask a function: `function(case, reply)`, plain (run in a thread) or async.

    It returns True or False, a score from 0 to 1, `(score, reason)`, a `Grade`, or None where it cannot tell.
    Anything else, a score out of range and an exception leave the answer ungraded, and say why.

    Args:
        function: the function, or "module:function".
        timeout: seconds; a plain function that runs longer goes on in its thread, its result unheard.
    """

    def __init__(self, function: Callable[..., Any] | str, *, timeout: float | None = None) -> None:
        """Find the function, if a name was given."""
        found: Any = function
        if isinstance(function, str):
            try:
                found = References(None, Mistakes("")).object(function)
            except NotFound as error:
                raise ConfigError(f"a grader's function cannot be had: {error}") from None
        if not callable(found):
            raise ConfigError(f"a grader needs a function of the case and the reply, not {type(found).__name__}")
        self.function: Callable[..., Any] = found
        self.timeout = patience("a grader's timeout", timeout)
        self._name = getattr(found, "__name__", type(found).__name__)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Ask it."""
        given = Reply((Text(reply),)) if isinstance(reply, str) else reply
        outcome = await Driver().perform(Check(self.function, (case, given), timeout=self.timeout))
        if outcome.failure is not None:
            return ungraded(f"{self._name} failed ({outcome.failure.kind}): {line(outcome.failure.message)}")
        return _grade(self._name, outcome.value)


class Subprocess:
    """Run a command, without a shell: exit code 0 is right, any other wrong.

    The answer is on its standard input; `{answer}` in an argument stands for a file that holds it, and `{case}` for
    one with the case as JSON (id, input, expected, rubric, slice). Of what it writes, 64 KiB are kept and the rest is
    dropped. Where it exits with 0, and the last line it wrote is a JSON object with a `score` from 0 to 1, that is the
    score, and its `reason` the reason; after another exit code nothing it wrote is believed.

    It runs in an empty folder of its own, unless `folder` is given, and without the secrets in this process's
    environment, unless `environment` is. That is no sandbox: what a model wrote runs with your rights, so put one
    (a container, a user of its own) into the command; and what it leaves running when it ends in time runs on. A
    command that cannot be started leaves the answer ungraded.

    Args:
        command: the program and its arguments, as a list, or as one text that is split as a shell would.
        timeout: seconds, after which it is killed with its whole process group.
        late: what an answer is worth whose command was killed so; None leaves it ungraded.
        ungraded: exit codes that say nothing of the answer, such as 5 of pytest: there were no tests.
        folder: where it runs.
        environment: what it is given in place of the harmless part of this process's.
    """

    def __init__(
        self,
        command: Sequence[str] | str,
        *,
        timeout: float = 30.0,
        late: float | None = 0.0,
        ungraded: Iterable[int] = (),
        folder: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Check the settings; the command itself is looked for when it is run."""
        try:
            self.command = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
        except ValueError as error:
            raise ConfigError(f"the command {command!r} cannot be split into words: {error}") from None
        self.timeout = timeout
        self.late = Grade(late).score
        self.ungraded = frozenset(ungraded)
        self.folder = folder
        self._environment = (
            {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
            if environment is None
            else dict(environment)
        )
        self._made(self.command, folder)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Run it."""
        said = read(reply).encode("utf-8", "replace")
        with TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as name:
            place = Path(name)
            (place / "work").mkdir()
            (place / "answer").write_bytes(said)
            (place / "case.json").write_text(json.dumps(_shown(case)), encoding="utf-8")
            files = {"{answer}": str(place / "answer"), "{case}": str(place / "case.json")}
            run = self._made(tuple(_filled(each, files) for each in self.command), self.folder or place / "work")
            verdict = await run.run(said)
        if run.was_late:
            return Grade(self.late, verdict.reason)
        return Grade(verdict.score, verdict.reason)

    def _made(self, command: tuple[str, ...], folder: str | os.PathLike[str] | None) -> "_Scored":
        return _Scored(command, timeout=self.timeout, cwd=folder, env=self._environment, abstain=self.ungraded)


class _Scored(Command):
    """A command that may say a score on its standard output."""

    was_late = False

    def _verdict(self, code: int | None, process: Any) -> Verdict:
        self.was_late = process.late
        verdict = super()._verdict(code, process)
        if verdict.score != 1.0:
            return verdict
        said = _told(process.kept[1].decode("utf-8", "replace"))
        if said is None:
            return verdict
        grade = _grade(self.name, said.get("score"))
        return Verdict(grade.score, line(str(said.get("reason") or grade.reason)))


def _told(output: str) -> dict[str, Any] | None:
    """The object on the last line of an output, if it has a score."""
    last = next((each for each in reversed(output.splitlines()) if each.strip()), "")
    try:
        said = json.loads(last)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and "score" in said else None


def _grade(who: str, given: Any) -> Grade:
    """What a function returned, as a grade."""
    if isinstance(given, Grade):
        return given
    pair = isinstance(given, tuple) and len(given) == 2
    value: Any
    value, reason = (given[0], line(str(given[1]))) if pair else (given, "")
    if value is None:
        return ungraded(reason or f"{who} could not tell")
    try:
        score = -1.0 if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = -1.0
    if 0 <= score <= 1:
        return Grade(score, reason or f"{who} gave {score:g}")
    shown = f"{value!r}" if isinstance(value, float) else f"a {type(value).__name__}"
    return ungraded(f"{who} gave {shown}, which is no score from 0 to 1")


def _filled(argument: str, files: Mapping[str, str]) -> str:
    for name, path in files.items():
        argument = argument.replace(name, path)
    return argument


def _shown(case: "Case") -> dict[str, Any]:
    return {
        "id": case.id,
        "input": case.text,
        "expected": case.expected,
        "rubric": case.rubric,
        "slice": case.slice,
    }
