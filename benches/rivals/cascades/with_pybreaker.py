"""pybreaker: its decorator takes an async function for a plain one, and counts a success before it has run.

What it has for code that awaits is `with breaker.calling()`, so that is what is timed.
"""

from collections.abc import Awaitable, Callable

from said import answering

PACKAGE = "pybreaker"


def succeeding() -> Callable[[], Awaitable[str]]:
    from pybreaker import CircuitBreaker

    calling, answer = CircuitBreaker().calling, answering()

    async def run() -> str:
        with calling():
            return await answer()

    return run
