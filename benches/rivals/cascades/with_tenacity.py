"""tenacity: `@retry` around an async function, alone and over circuitbreaker, which it is used with.

Set as our `Retry()` is: three retries after 1, 2 and 4 seconds with some chance in them. It has no budget of retries.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from load import Dead, Down, Storm, stormed
from said import answering

PACKAGE = "tenacity"


def _retried(function: Callable[[], Awaitable[str]]) -> Any:
    import tenacity

    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(Down),
        stop=tenacity.stop_after_attempt(4),
        wait=tenacity.wait_exponential_jitter(initial=1, max=8),
        reraise=True,
    )(function)


def _guarded(function: Callable[[], Awaitable[str]]) -> Any:
    from circuitbreaker import circuit

    return _retried(circuit(expected_exception=Down)(function))


def succeeding() -> Any:
    return _retried(answering())


def succeeding_behind_circuitbreaker() -> Any:
    return _guarded(answering())


def outage(requests: int, rate: float) -> Storm:
    dead = Dead()
    return stormed(_retried(dead.call), dead, requests, rate)


def outage_behind_circuitbreaker(requests: int, rate: float) -> Storm:
    import circuitbreaker
    from load import loop_time

    circuitbreaker.monotonic = loop_time  # it reads no loop's clock, and time is virtual here
    dead = Dead()
    return stormed(_guarded(dead.call), dead, requests, rate)
