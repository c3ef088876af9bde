"""Retry, breaker, bulkhead and hedge around any async function."""

import asyncio
from typing import Any

import pytest

from fastcascade import BackendError, ConfigError, Hedge
from fastcascade.entry.guarded import said_by
from fastcascade.errors import FailureKind
from fastcascade.fallbacks import Breaker, Bulkhead, Retry, Static
from fastcascade.testing import run_virtual

AT_ONCE = Retry(base=0.0, jitter=0.0)


class Flaky:
    """An async function that raises these, one after another, and then returns what it was given."""

    def __init__(self, *errors: Exception, lasting: float = 0.0) -> None:
        self.errors = list(errors)
        self.lasting = lasting
        self.calls = 0
        self.running = 0
        self.most = 0

    async def __call__(self, value: str, *, suffix: str = "") -> str:
        """Do what is next."""
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.lasting)
            if self.errors:
                raise self.errors.pop(0)
            return value + suffix
        finally:
            self.running -= 1


def function(flaky: Flaky) -> Any:
    """It as a function proper."""

    async def called(value: str, *, suffix: str = "") -> str:
        """Call it."""
        return await flaky(value, suffix=suffix)

    return called


def test_a_function_is_retried_until_it_returns() -> None:
    """What passes is called again with the same arguments after growing pauses; its value is what comes back."""
    flaky = Flaky(ConnectionError("reset"), TimeoutError(), lasting=0.0)
    wrapped = Retry(jitter=0.0)(function(flaky))

    async def main() -> tuple[str, float]:
        return await wrapped("a", suffix="b"), asyncio.get_running_loop().time()

    assert run_virtual(main()) == ("ab", 3.0)
    assert flaky.calls == 3


def test_the_function_s_own_error_is_what_is_raised() -> None:
    """When retries are used up, the last error comes as it was, with its traceback, not one of ours."""
    last = ConnectionError("third")
    flaky = Flaky(ConnectionError("one"), ConnectionError("two"), last)
    with pytest.raises(ConnectionError, match="third") as caught:
        run_virtual(Retry(times=2, base=0.0)(function(flaky))("a"))
    assert caught.value is last


@pytest.mark.parametrize("error", [ValueError("bad"), TypeError("bad"), KeyError("x"), FileNotFoundError("x")])
def test_a_mistake_is_not_retried(error: Exception) -> None:
    """What would go wrong again in the same way is raised at once."""
    flaky = Flaky(error, error)
    with pytest.raises(type(error)):
        run_virtual(AT_ONCE(function(flaky))("a"))
    assert flaky.calls == 1


class Status(Exception):
    """As HTTP clients raise it."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__("SECRET words of a provider")
        self.response = type("Response", (), {"status_code": status, "headers": headers or {}})()


class ReadTimeout(Exception):
    """As httpx has it, by a name it derives from."""


class TimeoutException(Exception):
    """The base of httpx's timeouts."""


class Specific(TimeoutException):
    """One of them."""


SAID: list[tuple[Exception, FailureKind, float | None]] = [
    (Status(429, {"retry-after": "7"}), "rate_limited", 7.0),
    (Status(503), "overloaded", None),
    (Status(500), "server", None),
    (Status(404), "not_found", None),
    (Status(401), "auth", None),
    (Status(400), "bad_request", None),
    (TimeoutError(), "timeout", None),
    (Specific(), "timeout", None),
    (ConnectionResetError(), "connection", None),
    (BackendError("quota", "x", retry_after=1.0), "quota", 1.0),
    (PermissionError(), "bug", None),
    (ZeroDivisionError(), "bug", None),
    (Exception("anything"), "server", None),
]


@pytest.mark.parametrize(("error", "kind", "wait"), SAID, ids=[repr(case[0])[:24] for case in SAID])
def test_what_an_exception_of_anyone_s_means(error: Exception, kind: FailureKind, wait: float | None) -> None:
    """Statuses, timeouts and broken connections of common clients are known; none of their words are repeated."""
    failure = said_by(error)
    assert (failure.kind, failure.retry_after) == (kind, wait)
    assert "SECRET" not in failure.message


def test_a_time_that_was_named_is_waited_for() -> None:
    """A 429 with Retry-After holds back every call of the function until then."""
    flaky = Flaky(Status(429, {"retry-after": "5"}))
    wrapped = Retry(jitter=0.0)(function(flaky))

    async def main() -> list[float]:
        loop, ended = asyncio.get_running_loop(), []

        async def one() -> None:
            await wrapped("a")
            ended.append(loop.time())

        await asyncio.gather(one(), one())
        await one()
        return ended

    first, *held = run_virtual(main())
    assert first == 0.0  # it was under way when the time was named
    assert all(5.0 <= each <= 5.5 for each in held)


def test_the_three_numbers_work_as_they_are_written() -> None:
    """After N failures calls are refused without being made; after the timeout a few are let through, and close it."""
    flaky = Flaky(*(ConnectionError(str(number)) for number in range(3)))
    wrapped = Breaker(failure_threshold=3, recovery_timeout=30, half_open_max_calls=1)(function(flaky))

    async def main() -> list[str]:
        found = []
        for pause in (0, 0, 0, 0, 29, 2, 0):
            await asyncio.sleep(pause)
            try:
                found.append(await wrapped("fine"))
            except (ConnectionError, BackendError) as error:
                found.append(type(error).__name__)
        return found

    assert run_virtual(main()) == [*["ConnectionError"] * 3, "BackendError", "BackendError", "fine", "fine"]
    assert flaky.calls == 5
    assert wrapped.pool.look(100.0)[0].circuit == "closed"  # type: ignore[attr-defined]


def test_a_bulkhead_bounds_calls_at_once() -> None:
    """No more than the limit run; beyond the queue a call is refused, with when to come again."""
    flaky = Flaky(lasting=1.0)
    wrapped = Bulkhead(limit=2, queue=2, patience=10.0)(function(flaky))

    async def main() -> list[Any]:
        return await asyncio.gather(*(wrapped("a") for _ in range(6)), return_exceptions=True)

    found = run_virtual(main())
    refused = [each for each in found if isinstance(each, BackendError)]
    assert (flaky.most, len(refused), found.count("a")) == (2, 2, 4)
    assert all(each.failure.kind == "full" and each.failure.retry_after for each in refused)


def test_a_hedge_calls_again_and_takes_the_faster() -> None:
    """Where the first call takes long a second is made; the loser is cancelled, and the winner's value returned."""
    calls: list[int] = []
    cancelled: list[int] = []

    @Hedge(after=1.0)
    async def slow_at_first(value: str) -> str:
        calls.append(len(calls))
        mine = len(calls)
        try:
            await asyncio.sleep(60.0 if mine == 1 else 0.5)
        except asyncio.CancelledError:
            cancelled.append(mine)
            raise
        return f"{value} {mine}"

    async def main() -> tuple[str, float]:
        return await slow_at_first("try"), asyncio.get_running_loop().time()

    assert run_virtual(main()) == ("try 2", 1.5)
    assert cancelled == [1]


def test_links_that_are_stacked_are_one_pool() -> None:
    """In whatever order they are written, each try asks the breaker, and the retry is around that."""
    orders: list[Any] = [
        lambda f: AT_ONCE(Breaker(failure_threshold=2)(f)),
        lambda f: Breaker(failure_threshold=2)(AT_ONCE(f)),
    ]
    for order in orders:
        flaky = Flaky(*(ConnectionError() for _ in range(9)))
        wrapped = order(function(flaky))
        with pytest.raises((ConnectionError, BackendError)):
            run_virtual(wrapped("a"))
        assert flaky.calls == 2  # the breaker opened in between
        assert wrapped.__name__ == "called" and wrapped.__doc__ == "Call it."
    chain = Static("sorry")(AT_ONCE(function(Flaky(*(ConnectionError() for _ in range(9))))))
    assert run_virtual(chain("a")) == "sorry"


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """A caller that goes away gives back the probe it held."""
    flaky = Flaky(ConnectionError(), lasting=1.0)
    wrapped = Breaker(failure_threshold=1, recovery_timeout=5, half_open_max_calls=1)(function(flaky))

    async def main() -> str:
        with pytest.raises(ConnectionError):
            await wrapped("a")
        await asyncio.sleep(6.0)
        probe = asyncio.create_task(wrapped("b"))
        await asyncio.sleep(0.5)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        return str(await wrapped("c"))

    assert run_virtual(main()) == "c"


def test_only_async_functions_are_wrapped() -> None:
    """A plain function is refused by name when it is wrapped."""

    def plain() -> None: ...

    for link in (Retry(), Breaker(), Bulkhead(2), Hedge(after=1.0)):
        with pytest.raises(ConfigError, match="'plain' is no async function"):
            link(plain)  # type: ignore[arg-type]
