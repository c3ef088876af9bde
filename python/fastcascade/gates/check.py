"""The user's own checks: a function, plain or async, or a command that is run.

    UserCheck(function)             the function is told the request and the reply
    Command(["pytest", "-q"])       the command is given the reply on its standard input

A check that fails to check (it raises, hangs, cannot be started) abstains, and says why.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from fastcascade.effects import Check, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.gate import Exam, Gate, Verdict

if TYPE_CHECKING:
    import asyncio

__all__ = ["Command", "UserCheck"]

KEPT: Final = 64 * 1024
"""Bytes kept of what a command writes, of its output and its errors each; the rest is read and dropped."""
REASON: Final = 200
GRACE: Final = 1.0
"""Seconds for the pipes to close after the command ended or was killed: its own children may hold them open."""


def line(text: str) -> str:
    """The first line of a text that says something, in printable characters, short enough for a trace."""
    first = next(filter(None, map(str.strip, text.splitlines())), "")
    return "".join(each if each.isprintable() else " " for each in first[:REASON]).strip()


def failed(who: str, failure: Failure) -> Verdict:
    """Abstain because what was asked has no answer."""
    return Verdict(None, f"{who} failed ({failure.kind}): {line(failure.message)}")


def unit(name: str, value: Any) -> float:
    """A setting that must lie from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        msg = f"{name} must be a number from 0 to 1, not {value!r}"
        raise ConfigError(msg)
    return float(value)


def patience(name: str, timeout: Any) -> float | None:
    """A time limit in seconds, or None for no limit of its own."""
    if timeout is not None and (not isinstance(timeout, int | float) or not 0 < timeout < math.inf):
        msg = f"{name} must be above zero seconds, or None for no limit of its own, not {timeout!r}"
        raise ConfigError(msg)
    return None if timeout is None else float(timeout)


class UserCheck(Gate):
    """Ask a function of the user's: `function(request, reply)`, plain (run in a thread) or async.

    It returns True or False, a score from 0 to 1, `(score, reason)`, a `Verdict`, or None to abstain. Anything
    else, a score out of range and an exception abstain too. Return a `Verdict` to be `decisive`.
    """

    name = "check"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        timeout: float | None = None,
        threshold: float = 0.5,
    ) -> None:
        """Take the function; its own name is the gate's, unless another is given."""
        given: Any = function
        if not callable(given):
            msg = f"a check needs a function of the request and the reply, not {type(given).__name__}"
            raise ConfigError(msg)
        self.function = function
        self.name = name or _named(function)
        self.timeout = patience("a check's timeout", timeout)
        self.threshold = unit("a check's threshold", threshold)

    def judge(self, exam: Exam, /) -> Generator[Check, Outcome, Verdict]:
        """Run it, and read what it returned."""
        outcome = yield Check(self.function, (exam.request, exam.reply), timeout=self.timeout)
        return failed(self.name, outcome.failure) if outcome.failure else _read(self.name, outcome.value)


class Command(Gate):
    """Run a command, without a shell: exit code 0 accepts, any other rejects, both beyond doubt.

    The reply is on its standard input, in UTF-8: its text, or with `input="json"` an object with `question`,
    `text`, `tool_calls`, `stop` and `model`. The reason for a rejection is the first line of what it wrote to
    its errors, else to its output. One that runs longer than `timeout` seconds, or is not wanted any more, is
    killed with its process group and abstains, as do exit codes in `abstain` and a command that does not start.

    The command has the environment of this process, with whatever secrets are in it, unless `env` is given:
    give one where the command runs what a model wrote.
    """

    name = "command"

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float = 10.0,
        input: Literal["text", "json"] = "text",  # noqa: A002 - the word for what a command reads
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        abstain: Iterable[int] = (),
        name: str = "",
    ) -> None:
        """Check the settings; the command itself is looked for when it is run."""
        if isinstance(command, str) or not command or not all(isinstance(each, str) for each in command):
            msg = f"a command must be a list of texts, the program first, not {command!r}; there is no shell"
            raise ConfigError(msg)
        if input not in ("text", "json"):
            msg = f"a command's input must be 'text' or 'json', not {input!r}"
            raise ConfigError(msg)
        if patience("a command's timeout", timeout) is None:
            raise ConfigError("a command needs a timeout")
        self.command = tuple(command)
        self.timeout = timeout
        self.input = input
        self.cwd = cwd
        self.abstain = frozenset(abstain)
        self.name = name or type(self).name
        self._env = None if env is None else dict(env)  # out of the repr: it may hold secrets

    def judge(self, exam: Exam, /) -> Generator[Check, Outcome, Verdict]:
        """Run it, and read its exit code."""
        outcome = yield Check(self.run, (self._given(exam),))
        return failed(self.name, outcome.failure) if outcome.failure else _read(self.name, outcome.value)

    async def run(self, given: bytes, /) -> Verdict:
        """Start the command, feed it, and wait for its end, or make an end of it."""
        import asyncio  # noqa: PLC0415 - importing the package must not load asyncio

        loop = asyncio.get_running_loop()
        process = _Process(loop)
        protocol: Any = lambda: process  # noqa: E731 - asyncio asks for a base class that would have it loaded
        try:
            transport, _ = await loop.subprocess_exec(
                protocol, *self.command, cwd=self.cwd, env=self._env, start_new_session=True
            )
        except (OSError, ValueError) as error:
            return Verdict(None, f"{self.name} could not be started: {type(error).__name__}: {line(str(error))}")
        try:
            process.feed(transport, given)
            await asyncio.wait((process.exited,), timeout=self.timeout)
            if process.exited.done():
                await asyncio.wait((process.closed,), timeout=GRACE)
        finally:
            if not process.exited.done():
                _kill(transport)
                await asyncio.wait((process.exited,), timeout=GRACE)
                process.late = True
            transport.close()
        return self._verdict(transport.get_returncode(), process)

    def _given(self, exam: Exam) -> bytes:
        reply = exam.reply
        if self.input == "text":
            return reply.text.encode("utf-8", "replace")
        calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
        whole = {"question": exam.request.text, "text": reply.text, "tool_calls": calls}
        return json.dumps(whole | {"stop": reply.stop, "model": reply.model}).encode()

    def _verdict(self, code: int | None, process: "_Process") -> Verdict:
        if process.late or code is None:
            return Verdict(None, f"{self.name} did not end within {self.timeout:g} s")
        if code == 0:
            return Verdict(1.0, f"{self.name} exited with 0", decisive=True)
        said = next(filter(None, (line(process.kept[fd].decode("utf-8", "replace")) for fd in (2, 1))), "")
        ended = f"{self.name} exited with {code}" if code > 0 else f"{self.name} was ended by signal {-code}"
        reason = f"{ended}: {said}" if said else ended
        return Verdict(None, reason) if code in self.abstain else Verdict(0.0, reason, decisive=True)


class _Process:
    """The protocol asyncio speaks with for one run: keeps the beginning of what is written, notes the end."""

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Begin with nothing."""
        self.kept = {1: bytearray(), 2: bytearray()}
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.late = False

    def feed(self, transport: "asyncio.SubprocessTransport", given: bytes) -> None:
        """Write the input and end it; a command that does not read it is no fault."""
        pipe: Any = transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.write(given)
            pipe.close()  # after what was written has gone out

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the beginning, drop the rest: the command must never wait for us."""
        self.kept[fd] += data[: KEPT - len(self.kept[fd])]

    def process_exited(self) -> None:
        """Note that it ended."""
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        """Note that it ended and all it wrote has been read."""
        if not self.closed.done():
            self.closed.set_result(None)

    def nothing(self, *_: object) -> None:
        """Take note of nothing: what else asyncio tells is of no use here."""

    connection_made = pipe_connection_lost = pause_writing = resume_writing = nothing


def _kill(transport: "asyncio.SubprocessTransport") -> None:
    if sys.platform == "win32":
        transport.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # it may have ended by itself meanwhile
        os.killpg(transport.get_pid(), signal.SIGKILL)


def _named(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else UserCheck.name


def _read(who: str, given: Any) -> Verdict:
    value: Any
    value, reason = (given[0], line(str(given[1]))) if isinstance(given, tuple) and len(given) == 2 else (given, "")
    if isinstance(value, Verdict):
        return value if value.score is None or 0 <= value.score <= 1 else _strange(who, value.score)
    if value is None:
        return Verdict(None, reason or f"{who} abstained")
    try:
        score = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    return Verdict(score, reason or f"{who} gave {score:g}") if 0 <= score <= 1 else _strange(who, value)


def _strange(who: str, value: Any) -> Verdict:
    shown = repr(value) if isinstance(value, float) or (isinstance(value, int) and -KEPT < value < KEPT) else None
    shown = shown or type(value).__name__  # a large integer cannot even be shown
    return Verdict(None, f"{who} returned {shown}, which is no score from 0 to 1")
