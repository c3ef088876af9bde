"""stamina: `@retry` around an async function, with as many attempts as our `Retry()` makes, and as it comes."""

from typing import Any

from load import Dead, Down, Storm, stormed
from said import answering

PACKAGE = "stamina"
ATTEMPTS = 4


def succeeding() -> Any:
    import stamina

    return stamina.retry(on=Down, attempts=ATTEMPTS)(answering())


def _outage(requests: int, rate: float, **settings: Any) -> Storm:
    import stamina

    dead = Dead()
    return stormed(stamina.retry(on=Down, **settings)(dead.call), dead, requests, rate)


def outage(requests: int, rate: float) -> Storm:
    return _outage(requests, rate, attempts=ATTEMPTS)


def outage_by_default(requests: int, rate: float) -> Storm:
    return _outage(requests, rate)
