"""Backends and functions that break their promises: whatever they do, the request is answered, and in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from fastcascade import Answer, Budget, Cascade, Delta, Hedge, IncompleteAnswer, PriceSheet, Reply, Request, Tier
from fastcascade.effects import Call, Gather
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.patience import GRACE, TIMES
from fastcascade.testing import FakeClock, ScriptedBackend, Slow, Stall, run_virtual

if TYPE_CHECKING:
    from fastcascade.answer_stream import AnswerStream

NO_PRICES = PriceSheet(source=None)


def one(backend: object, **settings: object) -> Cascade:
    """A cascade of one tier."""
    return Cascade(Tier(backend, **settings), prices=NO_PRICES)  # type: ignore[arg-type]


class Model:
    """A backend made of whatever it is given."""

    name = "model"
    gives: frozenset[str] = frozenset()

    def __init__(self, **methods: Any) -> None:
        self.complete = fails
        vars(self).update(methods)


def fails(*_: object) -> Any:
    """A plain function where an async one belongs, and a faulty one."""
    raise ValueError("oh")


def cancels(*_: object) -> Any:
    """Raises what only the event loop should."""
    raise asyncio.CancelledError


async def cancels_later(_: Request) -> Reply:
    """Likewise."""
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def says(_: Request) -> Any:
    """A text, where a reply belongs."""
    return "text"


async def streams_text(_: Request) -> AsyncIterator[Any]:
    """Likewise."""
    yield "text"


FAULTY: list[tuple[dict[str, Callable[..., Any]], str]] = [
    ({"complete": fails}, "ValueError: oh"),
    ({"complete": cancels}, "CancelledError: raised by what was called"),
    ({"complete": cancels_later}, "CancelledError: raised by what was called"),
    ({"complete": lambda _: 3}, "TypeError: object int can't be used in 'await' expression"),
    ({"complete": says}, "the backend gave str, not a Reply"),
    ({"answer": fails}, "ValueError: oh"),
    ({"answer": cancels}, "CancelledError: raised by what was called"),
    ({"answer": lambda _: "text"}, "the backend gave str, not a Reply"),
    ({"stream": fails}, "ValueError: oh"),
    ({"stream": cancels}, "CancelledError: raised by what was called"),
    ({"stream": says}, "the backend's stream() is to be an async generator"),
    ({"stream": lambda _: 3}, "TypeError: 'int' object is not an async iterable"),
    ({"stream": streams_text}, "the backend gave str, not a Reply"),
]


@pytest.mark.parametrize(("methods", "message"), FAULTY)
def test_a_faulty_backend_loses_no_request(methods: dict[str, Callable[..., Any]], message: str) -> None:
    """However a backend breaks what a backend is, its tier fails as a bug and the next one answers."""

    async def answered() -> Answer:
        cascade = Cascade(Tier(Model(**methods)), ScriptedBackend("well"), prices=NO_PRICES)
        if "stream" not in methods:
            return await cascade.run("q")
        stream = cascade.stream("q")
        assert "".join([delta.text async for delta in stream]) == "well"
        assert stream.answer is not None
        return stream.answer

    answer = run_virtual(answered())
    error = answer.attempts[0].error
    assert error is not None
    assert (answer.text, error.kind) == ("well", "bug")
    assert error.message.startswith(message)


def test_an_instant_backend_is_asked_at_once_in_a_stream_too() -> None:
    """What has no stream of its own gives its reply in one piece, in the way that suits it."""

    async def read() -> list[str]:
        backend = Model(answer=lambda _: Reply("here"))
        return [text async for text in one(backend).stream("q").text()]

    assert run_virtual(read()) == ["here"]


def test_an_attribute_called_answer_is_no_way_to_answer() -> None:
    """A backend is instant by a method, not by whatever it keeps under that name."""

    async def complete(_: Request) -> Reply:
        return Reply("asked")

    assert run_virtual(one(Model(answer="42", complete=complete)).run("q")).text == "asked"


def cleans_up(*, rounds: int, ending: BaseException | None = None) -> Model:
    """A model that never ends, and takes very long to clean up."""

    async def clean() -> None:
        for _ in range(rounds):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000.0)
        if ending is not None:
            raise ending

    async def complete(_: Request) -> Reply:
        try:
            await asyncio.sleep(1e6)
        finally:
            await clean()
        raise AssertionError

    async def stream(_: Request) -> AsyncIterator[Delta]:
        try:
            yield Delta("text", "so far")
            await asyncio.sleep(1e6)
        finally:
            await clean()

    return Model(complete=complete, stream=stream)


@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("streaming", [False, True])
def test_slow_cleaning_up_does_not_hold_a_request(streaming: bool, rounds: int) -> None:
    """What was cut off by the deadline may clean up for a moment, and is then cut off in that too."""

    async def answered() -> Answer | None:
        cascade = one(cleans_up(rounds=rounds))
        budget = Budget(deadline=5.0)
        if not streaming:
            return await cascade.run("q", budget=budget)
        stream = cascade.stream("q", budget=budget)
        with pytest.raises(IncompleteAnswer):
            async for _ in stream:
                pass
        return stream.answer

    clock = FakeClock()
    answer = run_virtual(answered(), clock)
    assert answer is not None
    assert answer.latency == clock.now == 5.0 + rounds * GRACE


@pytest.mark.parametrize("ending", [OSError("oh"), asyncio.CancelledError()])
@pytest.mark.parametrize("rounds", [0, 1])
def test_what_goes_wrong_with_closing_is_not_the_requests(ending: BaseException, rounds: int) -> None:
    """A stream whose `aclose` fails or hangs is left without harm."""

    class Gone(AsyncIterator[Any]):
        async def __anext__(self) -> Any:
            return Reply("all")

        async def aclose(self) -> None:
            if rounds:
                await asyncio.sleep(1e6)
            raise ending

    async def read() -> Answer | None:
        stream = one(Model(stream=lambda _: Gone())).stream("q")
        assert [text async for text in stream.text()] == ["all"]
        return stream.answer

    clock = FakeClock()
    answer = run_virtual(read(), clock)
    assert answer is not None
    assert answer.latency == clock.now == rounds * GRACE


def test_a_sample_that_will_not_end_is_left_behind() -> None:
    """Samples that are not wanted any more hold up their request for a second at most."""
    calls = (ScriptedBackend(Slow(1.0, "a")), cleans_up(rounds=9, ending=OSError("late")))

    class Both(Gate):
        def judge(self, exam: Exam, /) -> Judging:
            asked = tuple(Call(each, exam.request, "sample") for each in calls)
            outcome = yield Gather(asked, lambda came: any(came))
            return Verdict(0.9, outcome.value[1].failure.kind)

    answer = run_virtual(one(ScriptedBackend("x"), gate=Both()).run("q"))
    assert (answer.attempts[0].reason, answer.latency) == ("cancelled", 1.0 + TIMES * GRACE)


def test_a_gate_that_cannot_say_enough_gets_all() -> None:
    """An error in `enough` ends nothing early, and harms nothing."""

    class Fails(Gate):
        def judge(self, exam: Exam, /) -> Judging:
            outcome = yield Gather(tuple(Call(exam.backend, exam.request, "sample") for _ in range(2)), fails)
            return Verdict(0.9, ",".join(each.value.text for each in outcome.value))

    backend = ScriptedBackend("x", Slow(1.0, "a"), Slow(2.0, "b"))
    assert run_virtual(one(backend, gate=Fails()).run("q")).attempts[0].reason == "a,b"


def test_a_hedged_call_that_cancels_itself_is_a_failure() -> None:
    """What raises CancelledError in a task of its own does not cancel the run either."""
    tiers = (Model(complete=cancels_later), ScriptedBackend("well"))
    answer = run_virtual(Cascade(*map(Tier, tiers), hedge=Hedge(after=2.0), prices=NO_PRICES).run("q"))  # type: ignore[arg-type]
    assert (answer.text, [attempt.verdict for attempt in answer.attempts]) == ("well", ["failed", "accept"])


async def stalled(backend: ScriptedBackend) -> "tuple[AnswerStream, asyncio.Task[Delta]]":
    """A stream of which a piece was read, and a task that waits for the next."""
    stream = one(backend).stream("q")
    await anext(stream)
    reader = asyncio.create_task(stream.__anext__())
    await asyncio.sleep(1.0)
    return stream, reader


def test_a_stream_may_be_closed_while_another_task_reads_it() -> None:
    """Closing cancels the call; the reader is told, without being cancelled itself; then there is nothing more."""
    backend = ScriptedBackend(Stall("one two", 1))

    async def main() -> None:
        stream, reader = await stalled(backend)
        await asyncio.gather(stream.aclose(), stream.aclose())
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert reader.cancelling() == 0
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
    assert backend.cancelled == 1


def test_a_stream_may_be_closed_twice_at_once() -> None:
    """Two tasks may close a stream that takes its time to end."""

    async def main() -> None:
        stream = one(cleans_up(rounds=1)).stream("q")
        assert (await anext(stream)).text == "so far"
        await asyncio.gather(stream.aclose(), stream.aclose())

    run_virtual(main())


def test_a_stream_has_one_reader() -> None:
    """A second task that reads is refused, and the first goes on."""

    async def main() -> None:
        stream, reader = await stalled(ScriptedBackend(Slow(9.0, "one two")))
        with pytest.raises(RuntimeError, match="another task reads this stream"):
            await anext(stream)
        assert (await reader).text == "two"

    run_virtual(main())


def test_a_stream_is_not_closed_by_what_it_waits_for() -> None:
    """A backend that closes the stream it answers would wait for itself; it is told so, and the next tier answers."""
    streams: list[AnswerStream] = []

    async def closes(_: Request) -> Reply:
        await streams[0].aclose()
        raise AssertionError

    async def main() -> list[str]:
        streams.append(Cascade(Tier(Model(complete=closes)), ScriptedBackend("well"), prices=NO_PRICES).stream("q"))
        return [text async for text in streams[0].text()]

    assert run_virtual(main()) == ["well"]
