"""What a pool hears from its parts: of active checks that go on beside its calls, and of breakers."""

from collections.abc import Generator
from math import inf
from typing import TYPE_CHECKING

from fastcascade.effects import Effect, Outcome
from fastcascade.entry.instance import Instance
from fastcascade.notices import notify

if TYPE_CHECKING:
    from weakref import ReferenceType

    from fastcascade.entry.pool import Pool

__all__ = ["Told", "found", "watching"]


def found(pool: "ReferenceType[Pool]", instance: Instance) -> None:
    """Tell the pool, if it is still there, that the checks have found something new about an instance."""
    held = pool()
    if held is not None:
        held.checked(instance)


def watching(pool: "ReferenceType[Pool]", flow: Generator[Effect, Outcome, None]) -> Generator[Effect, Outcome, None]:
    """The active checks of a pool, for as long as somebody has it."""
    try:
        effect = next(flow)
        while True:
            outcome = yield effect
            held = pool()
            if held is None:
                return
            held.heartbeat(outcome.ended)
            del held
            effect = flow.send(outcome)
    except StopIteration:
        return
    finally:
        flow.close()
        if (held := pool()) is not None:
            held.heartbeat(-inf)


class Told:
    """Tells of a circuit that changed its state."""

    __slots__ = ("name", "pool")

    def __init__(self, pool: str, name: str) -> None:
        """Keep whose circuit it is."""
        self.pool = pool
        self.name = name

    def __call__(self, old: str, new: str) -> None:
        """Pass it on."""
        notify("breaker", self.name, f"{self.pool}: its breaker was {old} and is {new}")
