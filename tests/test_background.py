"""`run_sync`: plain code has loops in threads, which nothing that runs on them can stop or block for ever."""

import asyncio
import contextvars
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fastcascade import Cascade, PriceSheet, Reply, Request, Tier, background
from fastcascade.drive import close_sync
from fastcascade.effects import Call, Check, Gather
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.testing import ScriptedBackend

NO_PRICES = PriceSheet(source=None)
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


def one(backend: object, **settings: object) -> Cascade:
    """A cascade of one tier."""
    return Cascade(Tier(backend, **settings), prices=NO_PRICES)  # type: ignore[arg-type]


async def names_caller(request: Request) -> str:
    """Say who asked, as far as the context knows."""
    await asyncio.sleep(0)
    return NAME.get()


def test_plain_code_can_run_a_cascade() -> None:
    """`run_sync` needs no event loop of the caller's."""
    assert one(ScriptedBackend("yes")).run_sync("q").text == "yes"


def test_run_sync_works_inside_a_running_loop() -> None:
    """Called from code that an event loop runs, it answers all the same."""

    async def main() -> str:
        return one(ScriptedBackend("yes")).run_sync("q").text

    assert asyncio.run(main()) == "yes"


def test_run_sync_from_many_threads() -> None:
    """Threads share the loop behind `run_sync`, and each has its own answer."""
    found: dict[int, str] = {}

    async def echo(request: Request) -> str:
        await asyncio.sleep(0)
        return request.text

    def ask(number: int) -> None:
        found[number] = one(echo).run_sync(str(number)).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(8)}


def test_run_sync_keeps_the_callers_context() -> None:
    """Context variables, such as a trace id, are seen by the backend."""
    NAME.set("ann")
    assert one(names_caller).run_sync("q").text == "ann"


def test_what_needs_no_loop_starts_none() -> None:
    """A cascade of rules alone is answered in the caller's thread."""

    class Here:
        name = "here"
        gives: frozenset[str] = frozenset()

        def answer(self, request: Request) -> Reply:
            return Reply(threading.current_thread().name)

        async def complete(self, request: Request) -> Reply:
            raise AssertionError

    assert one(Here()).run_sync("q").text == threading.current_thread().name


class Asks(Gate):
    """Is content once a function has been run."""

    def __init__(self, function: Callable[[], Any], *, inline: bool = False) -> None:
        self.function = function
        self.inline = inline

    def judge(self, exam: Exam, /) -> Judging:
        outcome = yield Check(self.function, inline=self.inline)
        return Verdict(0.9, str(outcome.value or outcome.failure))


def inner() -> str:
    """Plain code that asks a cascade."""
    return one(names_caller).run_sync("q").text


async def inner_later() -> str:
    """The same in the middle of an event loop."""
    return inner()


async def in_lost_context(_: Request) -> str:
    """The same where the context variables are not the caller's."""
    return contextvars.Context().run(inner)


NESTED: list[tuple[str, Cascade]] = [
    ("async backend", one(lambda _: inner_later())),
    ("threaded backend", one(lambda _: inner())),
    ("lost context", one(in_lost_context)),
    ("threaded check", one(ScriptedBackend("x"), gate=Asks(inner))),
    ("async check", one(ScriptedBackend("x"), gate=Asks(inner_later))),
    ("inline check", one(ScriptedBackend("x"), gate=Asks(inner, inline=True))),
]


@pytest.mark.parametrize(("where", "cascade"), NESTED)
def test_run_sync_within_run_sync(where: str, cascade: Cascade) -> None:
    """Whatever runs in a cascade may call `run_sync` itself, and so may others afterwards."""
    NAME.set("ann")
    answer = cascade.run_sync("q")
    said = answer.attempts[0].reason or answer.text
    assert said == ("nobody" if where == "lost context" else "ann")
    assert one(names_caller).run_sync("q").text == "ann"


def test_run_sync_within_itself_has_an_end() -> None:
    """A backend that asks its own cascade for ever fails, and the cascade answers as it does when a tier fails."""
    deep: list[str] = []

    async def again(_: Request) -> str:
        answer = cascade.run_sync("q")
        if answer.attempts[0].error:
            deep.append(answer.attempts[0].error.message)
        return answer.text

    cascade = one(again)
    assert "try again" in cascade.run_sync("q").text
    assert len(deep) == 1
    assert f"called from within itself, {background.DEEPEST} deep" in deep[0]


def test_functions_that_wait_for_functions_do_not_use_up_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked by a plain function in a thread does not need another thread of the same few."""
    monkeypatch.setattr(background, "LEVELS", (background.Background(0), background.Background(1)))

    async def has_one_thread(_: Request) -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        return "yes"

    assert one(has_one_thread).run_sync("q").text == "yes"
    within = one(lambda request: request.text)
    assert one(lambda _: within.run_sync("in").text).run_sync("q").text == "in"


class Sampled(Gate):
    """Takes a sample of this backend."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def judge(self, exam: Exam, /) -> Judging:
        yield Gather((Call(self.backend, exam.request, "sample"),))
        return Verdict(0.9)


class Raises:
    """A backend that raises what ends a program."""

    name = "raises"
    gives: frozenset[str] = frozenset()

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    async def complete(self, _: Request) -> Reply:
        raise self.error(3)

    def plain(self, _: Request) -> str:
        raise self.error(3)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_does_not_end_the_loop(error: type[BaseException]) -> None:
    """`sys.exit` in a backend, in its thread or in a sample comes to the caller, and others are answered still."""
    raises = Raises(error)
    for cascade in (one(raises), one(raises.plain), one(ScriptedBackend("x"), gate=Sampled(raises))):
        with pytest.raises(error, match="3"):
            cascade.run_sync("q")
        assert one(ScriptedBackend("yes")).run_sync("q").text == "yes"


def test_a_loop_that_is_told_to_stop_goes_on() -> None:
    """Code that stops the event loop it finds itself in does not leave its caller waiting."""

    async def stops(_: Request) -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        return "still here"

    assert one(stops).run_sync("q").text == "still here"


@pytest.mark.skipif(sys.platform == "win32", reason="no signal can be sent to one thread there")
def test_an_interrupt_cancels_what_is_waited_for() -> None:
    """Ctrl-C leaves `run_sync` at once, and the call is given up."""
    cancelled = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    async def stalls(_: Request) -> str:
        signal.pthread_kill(main, signal.SIGINT)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        one(stalls).run_sync("q")
    assert cancelled.wait(30.0)


FORK = """
import os, signal
from fastcascade import Cascade, PriceSheet, background

async def says(request):
    return request.text

cascade = Cascade(says, prices=PriceSheet(source=None))
assert cascade.run_sync("before").text == "before"
for each in background.LEVELS:
    each._lock.acquire()  # as if another thread had been at it
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if cascade.run_sync("child").text == "child" else 1)
for each in background.LEVELS:
    each._lock.release()
assert os.waitpid(child, 0)[1] == 0
assert cascade.run_sync("after").text == "after"
print("both")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork there")
def test_a_forked_process_has_a_loop_of_its_own() -> None:
    """After a fork both processes answer, even if a thread was making the loop at that moment."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False, timeout=100
    )
    assert (ran.stdout, ran.stderr) == ("both\n", "")


class Opens:
    """A backend that holds something open in each loop that it is asked in."""

    name = "opens"
    gives: frozenset[str] = frozenset()

    def __init__(self, inner: "Opens | None" = None, error: Exception | None = None) -> None:
        self.open: set[asyncio.AbstractEventLoop] = set()
        self.inner = inner
        self.error = error

    async def complete(self, _: Request) -> Reply:
        self.open.add(asyncio.get_running_loop())
        return Reply(one(self.inner).run_sync("q").text if self.inner else "x")

    async def aclose(self) -> None:
        self.open.discard(asyncio.get_running_loop())
        if self.error:
            raise self.error


def test_what_plain_code_has_opened_can_be_closed() -> None:
    """Connections are closed in the loops that opened them, and the next call opens new ones."""
    within = Opens()
    outer = Opens(within)
    for _ in range(2):
        assert one(outer).run_sync("q").text == "x"
        assert outer.open
        assert within.open
        close_sync(outer.aclose)
        close_sync(within.aclose)
        assert not outer.open
        assert not within.open


def test_an_error_in_closing_is_raised_when_all_are_closed() -> None:
    """One loop's error does not keep another loop's connections open."""
    backend = Opens(error=OSError("oh"))
    backend.inner = Opens()
    assert one(backend).run_sync("q").text == "x"
    with pytest.raises(OSError, match="oh"):
        close_sync(backend.aclose)
    assert not backend.open


def test_closing_starts_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `run_sync` was never used there is nothing to close."""
    levels = (background.Background(0),)
    monkeypatch.setattr(background, "LEVELS", levels)
    close_sync(Opens(error=OSError("never asked")).aclose)
    assert not levels[0].alive


def test_closing_from_within_does_not_wait_for_itself() -> None:
    """A backend that closes what plain code has opened leaves out the loop that it is holding up."""
    other = Opens()

    async def closes(_: Request) -> str:
        close_sync(other.aclose)
        return "done"

    assert one(closes).run_sync("q").text == "done"
