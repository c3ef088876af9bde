"""circuitbreaker: `@circuit` around an async function. It counts failures one after another, without a lock."""

from typing import Any

from said import answering

PACKAGE = "circuitbreaker"


def succeeding() -> Any:
    from circuitbreaker import circuit

    return circuit(answering())
