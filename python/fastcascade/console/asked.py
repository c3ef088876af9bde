"""What a call of the console is given, and what it gives back.

    async def live(asked: Asked) -> Said:
        return Said(value={"n": 3})

    CALLS = {("GET", "/console/api/live"): Call(live)}

Each module of calls has such a `CALLS`. A path that ends in "/*" is asked for whatever stands there: `asked.rest`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.gateway.settings import Settings
    from fastcascade.telemetry.decisions import Decisions

__all__ = ["Asked", "Call", "Person", "Refusal", "Role", "Said", "Sight"]

Role: TypeAlias = Literal["operator", "reviewer"]
"""A reviewer sees the review desk alone; an operator sees all."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks."""

    name: str
    role: Role


@dataclass(slots=True)
class Sight:
    """What the console may look at.

    Args:
        cascades: by name.
        settings: those of the gateway.
        folder: of the cascade's file: what other files are relative to.
        file: the cascade's file; None where it was made in code.
        decisions: the reader of the store of decisions; None where there is none.
        board: the text of /metrics, of all workers.
        clock: seconds, as of `time.monotonic`.
        now: seconds since 1970.
        kept: what a module of calls keeps from one to the next; what has `aclose` or `close` is closed with the
            console.
    """

    cascades: "Mapping[str, Cascade]"
    settings: "Settings"
    folder: Path
    file: Path | None = None
    decisions: "Decisions | None" = None
    board: Callable[[], str] = str
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call.

    Args:
        method: in capitals.
        path: without the query.
        query: each name once; of several the last counts.
        body: the JSON, read; None without.
        person: who asks: their session and their role were looked at already.
        sight: what there is to look at.
        rest: what stands at the place of "*" in the path of the call.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    person: Person
    sight: Sight
    rest: str = ""


@dataclass(slots=True)
class Said:
    """What is answered: `value` as JSON; or `raw` bytes of a `kind`, such as "image/svg+xml"."""

    status: int = 200
    value: Any = None
    kind: str = ""
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """What answers, and who may ask for it."""

    run: Callable[[Asked], Awaitable[Said]]
    role: Role = "operator"


class Refusal(Exception):
    """Said to the person as `{"error": message}`.

    Args:
        status: of HTTP.
        message: what is wrong, and what to do.
        retry: how many seconds they are to wait.
        allow: which methods there are, of a 405.
    """

    def __init__(self, status: int, message: str, retry: float | None = None, allow: str = "") -> None:
        """Keep what is said."""
        super().__init__(message)
        self.status, self.message, self.retry, self.allow = status, message, retry, allow
