"""fastcascade's retry, breaker, bulkhead and pools as contenders, at their defaults where nothing else is said."""

from collections.abc import Awaitable, Callable
from typing import Any

from load import Dead, Storm, died, stormed
from said import GOOD, MODELS, QUESTION, answering

from ours import Job, _job, _openai, _package

PACKAGE = "fastcascade"
LIMIT = 20  # calls at once: what a bulkhead needs to be told


def succeeding(*links: str) -> Any:
    """An async function behind these: a `Retry` has its budget with it."""
    _package()
    from fastcascade.fallbacks import Breaker, Bulkhead, Retry

    made: dict[str, Callable[[], Any]] = {"retry": Retry, "breaker": Breaker, "bulkhead": lambda: Bulkhead(LIMIT)}
    function = answering()
    for link in reversed(links):
        function = made[link]()(function)
    return function


def _saying(name: str, text: str = GOOD) -> Any:
    from fastcascade.backends import Function

    async def say(request: Any) -> str:
        return text

    return Function(say, free=True, name=name)


def _failing(name: str) -> Any:
    from fastcascade.backends import Function
    from fastcascade.errors import BackendError

    async def fail(request: Any) -> str:
        raise BackendError("server", "made to fail")

    return Function(fail, free=True, name=name)


def pooled(what: str) -> Job:
    """A whole run of a cascade of one tier, its backend as it is or in a pool."""
    package = _package()
    from fastcascade.fallbacks import Bulkhead, Hedge

    backends = [_saying(name) for name in MODELS]
    made: dict[str, Callable[[], Any]] = {
        "bare": lambda: backends[0],
        "one": lambda: package.Pool(backends[0]),
        "bulkhead": lambda: package.Pool(backends[0], bulkhead=Bulkhead(LIMIT)),
        "hedge": lambda: package.Pool(backends[0], hedge=Hedge(after=1.0)),
        "two": lambda: package.Pool(*backends[:2]),
    }
    return _job(package.Tier(made[what](), name="only"), at=0)


# Failover. No breaker and nothing else that would leave the failing one alone: each request is to make two calls.


def _two(first: Any, second: Any) -> Any:
    package = _package()
    places = package.Instance(first, name="first"), package.Instance(second, name="second", priority=1)
    return package.Pool(*places, breaker=None, outliers=None, health=None)


def _once(backend: Any) -> Any:
    """As a tier of its own, which fails on to the next one without a pause."""
    return _package().Pool(backend, retry=None, breaker=None)


def failed_over() -> Job:
    return _job(_package().Tier(_two(_failing("first"), _saying("second")), name="only"), at=0)


def failed_over_by_tiers() -> Job:
    tier = _package().Tier
    return _job(tier(_once(_failing("first")), name="small"), tier(_once(_saying("second")), name="large"), at=1)


def failed_over_by_bare_tiers() -> Job:
    tier = _package().Tier
    return _job(tier(_failing("first"), name="small"), tier(_saying("second"), name="large"), at=1)


def call_pool(url: str) -> Job:
    tier = _package().Tier
    return _job(tier(_two(_openai(f"{url}/v1"), _openai(f"{url}/v1")), name="only", max_tokens=100), at=0)


def failover_pool(url: str) -> Job:
    tier = _package().Tier
    return _job(tier(_two(_openai(f"{url}/fail/v1"), _openai(f"{url}/v1")), name="only", max_tokens=100), at=0)


def failover_tiers(url: str) -> Job:
    tier = _package().Tier
    first = tier(_once(_openai(f"{url}/fail/v1")), name="small", max_tokens=100)
    return _job(first, tier(_once(_openai(f"{url}/v1")), name="large", max_tokens=100), at=1)


# Outages.


def outage(requests: int, rate: float, *without: str) -> Storm:
    """A cascade of one tier whose only place is dead: the calls that reached it, for each request."""
    package = _package()
    from fastcascade.errors import BackendError
    from fastcascade.fallbacks import Retry

    dead = Dead()

    async def fail(request: Any) -> str:
        dead.calls += 1
        raise BackendError("server", "made to fail")

    settings: dict[str, Any] = {}
    if "breaker" in without:
        settings["breaker"] = None
    if "budget" in without:
        settings["retry"] = Retry(budget=None)
    backend = package.backends.Function(fail, free=True, name="dead")
    cascade = package.Cascade(package.Tier(package.Pool(backend, **settings)), last_resort=None)

    async def ask() -> Any:
        return await cascade.run(QUESTION)

    return stormed(ask, dead, requests, rate)


def live(how: str, lasting: float, rate: float, within: float | None) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Two servers as a pool of two priorities; the first dies under load, and comes back."""
    package = _package()
    from fastcascade.entry import Health
    from fastcascade.testing import FaultyProcess

    async def run() -> dict[str, Any]:
        with FaultyProcess("first") as first, FaultyProcess("second") as second:
            places = [_openai(f"{place.url}/v1") for place in (first, second)]
            watched = {"health": Health(within=within)} if within is not None else {}
            pool = package.Pool(
                package.Instance(places[0], name="first"),
                package.Instance(places[1], name="second", priority=1),
                **watched,
            )
            cascade = package.Cascade(package.Tier(pool), last_resort=None)

            async def ask() -> str:
                return str((await cascade.run(QUESTION)).text)

            return await died(ask, first, how, lasting, rate)

    return run
