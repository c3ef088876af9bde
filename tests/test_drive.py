"""The driver: one effect at a time, errors as values, and nothing left running."""

import asyncio
import threading

import pytest

from fastcascade import Answer, Budget, Cascade, Hedge, Outcome, PriceSheet, Request, Tier
from fastcascade.drive import Driver
from fastcascade.effects import Call, Check, Gather
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.testing import FakeClock, Fault, ScriptedBackend, Slow, Stall, run_virtual

NO_PRICES = PriceSheet(source=None)


def one(backend: object, **settings: object) -> Cascade:
    """A cascade of one tier."""
    return Cascade(Tier(backend, **settings), prices=NO_PRICES)  # type: ignore[arg-type]


def test_cancelling_a_run_cancels_its_call() -> None:
    """A run that is not wanted any more leaves nothing running."""
    backend = ScriptedBackend(Stall())

    async def main() -> None:
        task = asyncio.create_task(one(backend).run("q"))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
    assert backend.cancelled == 1


class Samples(Gate):
    """Takes samples, and has enough after the first."""

    def __init__(self, k: int) -> None:
        self.k = k

    def judge(self, exam: Exam, /) -> Judging:
        calls = tuple(Call(exam.backend, exam.request, "sample") for _ in range(self.k))
        outcome = yield Gather(calls, lambda came: any(each is not None for each in came))
        kinds = [each.failure.kind if each.failure else "ok" for each in outcome.value]
        return Verdict(0.9, ",".join(kinds))


def test_samples_that_cannot_matter_are_cancelled() -> None:
    """Once there is enough the rest is stopped, and counts as cancelled."""
    backend = ScriptedBackend("first", Slow(1.0, "a"), Slow(5.0, "b"), Slow(9.0, "c"))
    answer = run_virtual(one(backend, gate=Samples(3)).run("q"))
    assert (answer.attempts[0].reason, answer.latency, backend.cancelled) == ("ok,cancelled,cancelled", 1.0, 2)


def test_cancelling_a_run_cancels_its_samples() -> None:
    """Samples under way end with the run."""
    backend = ScriptedBackend("first", Stall())

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one(backend, gate=Samples(3)).run("q"), 4.0)

    run_virtual(main())
    assert backend.cancelled == 3


class Asks(Gate):
    """Runs a function."""

    def __init__(self, function: object, timeout: float | None = None) -> None:
        self.function = function
        self.timeout = timeout

    def judge(self, exam: Exam, /) -> Judging:
        outcome = yield Check(self.function, (exam.reply.text,), timeout=self.timeout)  # type: ignore[arg-type]
        if outcome.failure:
            return Verdict(None, outcome.failure.message)
        return Verdict(outcome.value)


def test_a_plain_check_runs_beside_the_loop() -> None:
    """A user's plain function runs in a thread; an async one in the loop."""
    places: list[str] = []

    def plain(text: str) -> float:
        places.append(threading.current_thread().name)
        return 0.8

    async def later(text: str) -> float:
        places.append(threading.current_thread().name)
        return 0.7

    async def main() -> list[float | None]:
        return [(await one(ScriptedBackend("x"), gate=Asks(check)).run("q")).confidence for check in (plain, later)]

    assert asyncio.run(main()) == [0.8, 0.7]
    assert places[0] != threading.current_thread().name == places[1]


def test_errors_become_values() -> None:
    """Whatever a backend raises stands in the trace as a failure: its own kind, a timeout, or a bug."""

    def failing(error: Exception) -> str:
        async def raises(request: Request) -> str:
            raise error

        attempt = asyncio.run(one(raises).run("q")).attempts[0]
        assert attempt.error is not None
        return f"{attempt.error.kind}: {attempt.error.message}"

    assert failing(ValueError("oh")) == "bug: ValueError: oh"
    assert failing(TimeoutError("slow")).startswith(("timeout", "bug"))


def test_a_driver_knows_no_time_but_its_clock() -> None:
    """Outcomes carry when they began and ended, by the clock the driver was given."""
    clock = FakeClock()
    clock.now = 7.0

    async def main() -> Outcome:
        driver = Driver(clock=asyncio.get_running_loop().time)
        return await driver.perform(Call(ScriptedBackend(Slow(2.0, "x")), Request.of("q")))

    outcome = run_virtual(main(), clock)
    assert (outcome.started, outcome.ended) == (7.0, 9.0)


def test_many_runs_at_once_do_not_mix() -> None:
    """A cascade holds no state of a run: a hundred at once are as one after another."""
    cascade = Cascade(
        Tier(ScriptedBackend(Fault("server"), name="a")), lambda request: f"to {request.text}", prices=NO_PRICES
    )

    async def main() -> list[Answer]:
        return list(await asyncio.gather(*(cascade.run(str(number)) for number in range(100))))

    assert [answer.text for answer in asyncio.run(main())] == [f"to {number}" for number in range(100)]


def test_an_answer_comes_within_the_deadline_however_much_is_asked() -> None:
    """Samples and judges are cut off by the request's deadline too."""
    backend = ScriptedBackend(Slow(1.0, "x"), Stall())

    class All(Samples):
        """Wants all samples."""

        def judge(self, exam: Exam, /) -> Judging:
            outcome = yield Gather(tuple(Call(exam.backend, exam.request, "sample") for _ in range(self.k)))
            return Verdict(None if all(each.failure for each in outcome.value) else 1.0, "samples")

    answer = run_virtual(one(backend, gate=All(3)).run("q", budget=Budget(deadline=3.0)))
    assert (answer.latency, answer.degraded, answer.text) == (3.0, "deadline", "x")


def test_a_cancelled_call_began_when_it_was_started() -> None:
    """The loser of a hedge stands in the trace from its beginning to its end."""
    tiers = (ScriptedBackend(Slow(10.0, "late"), name="a"), ScriptedBackend(Slow(1.0, "quick"), name="b"))
    clock = FakeClock()
    clock.now = 7.0
    answer = run_virtual(Cascade(*tiers, hedge=Hedge(after=2.0), prices=NO_PRICES).run("q"), clock)
    loser = next(call for call in answer.calls if call.label == "a/answer")
    assert (loser.started, loser.latency) == (0.0, 3.0)


def test_a_thread_has_its_time_though_time_is_virtual() -> None:
    """In virtual time a plain function in a thread is waited for: no deadline passes meanwhile."""
    release = threading.Event()

    def slow(request: Request) -> str:
        release.wait(10)
        return "done"

    async def main() -> Answer:
        task = asyncio.ensure_future(one(slow).run("q", budget=Budget(deadline=1.0)))
        for _ in range(50):
            await asyncio.sleep(0)
        release.set()
        return await task

    answer = run_virtual(main())
    assert (answer.text, answer.degraded, answer.latency) == ("done", "", 0.0)
