"""Bounds on time: those that share a timer hold as those do that have one of their own."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.patience import GRACE, Bound, Limit
from fastcascade.testing import run_virtual


def shared() -> Callable[[float], Limit | Bound]:
    """All by one timer."""
    return Bound()


def single() -> Callable[[float], Limit | Bound]:
    """A timer for each."""
    return Limit


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0, 8.0]), st.sampled_from([0.25, 0.75, 1.5, 3.0, 9.0])), max_size=6
)


async def played(bounds: Callable[[float], Limit | Bound], steps: list[tuple[float, float]]) -> list[tuple[str, float]]:
    """Do things that take so long within so long, one after the other; how each ended, and when."""
    loop, ends = asyncio.get_running_loop(), []
    for takes, most in steps:
        try:
            with bounds(most):
                await asyncio.sleep(takes)
            ended = "done"
        except TimeoutError as error:
            ended = str(error)
        ends.append((ended, round(loop.time(), 6)))
    assert asyncio.current_task() is not None
    return ends


@given(STEPS)
def test_bounds_that_share_a_timer_hold_as_others_do(steps: list[tuple[float, float]]) -> None:
    """Whatever is bounded one after the other ends as it would with a timer of its own, at the same time."""

    async def main(make: Callable[[], Callable[[float], Limit | Bound]]) -> list[tuple[str, float]]:
        return await played(make(), steps)

    assert run_virtual(main(shared)) == run_virtual(main(single))


@pytest.mark.parametrize("make", [shared, single])
def test_what_cleans_up_for_long_is_cancelled_again(make: Callable[[], Callable[[float], Limit | Bound]]) -> None:
    """Cleaning up outlives a bound by a little, and the task can go on as if nobody had cancelled it."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(100.0)

    async def main() -> float:
        with pytest.raises(TimeoutError, match="no answer within 1 s"), make()(1.0):
            await stubborn()
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(1.0 + GRACE, abs=0.01)


@pytest.mark.parametrize("make", [shared, single])
def test_a_cancellation_from_elsewhere_goes_on(make: Callable[[], Callable[[float], Limit | Bound]]) -> None:
    """Who cancels the task in time is heard, and no time was up."""

    async def work() -> None:
        with make()(5.0):
            await asyncio.sleep(100.0)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_bound_is_for_tasks() -> None:
    """Outside of one there is nobody to cancel."""

    async def main() -> None:
        bound, refused = Bound(), asyncio.get_running_loop().create_future()

        def outside() -> None:
            try:
                with bound(1.0):
                    pass
            except RuntimeError as error:
                refused.set_result(str(error))

        asyncio.get_running_loop().call_soon(outside)
        assert await refused == "a limit is for a task"

    run_virtual(main())
