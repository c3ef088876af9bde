"""What the cascade wants done, as values, and what came of it.

`flow()` yields effects and is sent outcomes; a driver (drive.py) does the I/O in between. Nothing in here runs.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fastcascade.errors import Failure
from fastcascade.signals import Signal

if TYPE_CHECKING:
    from fastcascade.backends.backend import Backend
    from fastcascade.messages import Delta, Request

__all__ = [
    "NOT_WANTED",
    "Call",
    "Cancel",
    "Check",
    "Close",
    "Effect",
    "Emit",
    "Gather",
    "Handle",
    "Next",
    "Open",
    "Outcome",
    "Relay",
    "Sleep",
    "Spawn",
    "Start",
    "Try",
    "Wait",
    "recalled",
]


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a call that another try took the place of: who was asked, and what came of it."""

    by: str
    started: float
    ended: float
    failure: Failure


@dataclass(slots=True)
class Outcome:
    """What came of an effect: a value or a failure, and when it began and ended on the driver's clock (seconds).

    `by` is the instance of a pool that it came from, `tries` are those that came to nothing before.
    """

    value: Any = None
    failure: Failure | None = None
    started: float = 0.0
    ended: float = 0.0
    by: str = ""
    tries: tuple[Try, ...] = ()


@dataclass(slots=True)
class Call:
    """Ask a backend. Comes to a `Reply`, or to None from a backend that has no answer (a rule set, a function).

    `purpose` says what for: answer, sample, judge, report. `label` is given by the flow: it is the call's name in
    the trace and in a recording. `again` is asked before each further try that a pool makes of it, with the time
    and with how the try before failed, if that is over; it says why the request's budget is against it, if it is.
    `until` is a signal that ends it, with a failure of kind connection: whoever is asked was found dead.
    """

    backend: "Backend"
    request: "Request"
    purpose: str = "answer"
    timeout: float | None = None
    label: str = ""
    again: "Callable[[Call, float, Failure | None], Failure | None] | None" = None
    until: Signal | None = None


@dataclass(slots=True)
class Check:
    """Run a user's function, plain or async, or an embedder, with these arguments. Comes to what it returns.

    A plain function runs in a thread, so that it cannot hold up others, unless `inline`.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    purpose: str = "check"
    timeout: float | None = None
    inline: bool = False
    label: str = ""


@dataclass(slots=True)
class Gather:
    """Make calls at once. Comes to a list of outcomes in their order.

    `enough`, asked after each with what is there so far (None where nothing is yet), may end it early: the rest
    is cancelled, and comes to failures of kind cancelled.
    """

    calls: tuple[Call, ...]
    enough: "Callable[[list[Outcome | None]], bool] | None" = None


@dataclass(slots=True, eq=False)
class Handle:
    """A call that was started and not waited for, or a stream. The driver keeps what it needs in `task`.

    Of a stream from a pool `ending` is told how it ended, and `tries` is where to go on from, should it break off.
    """

    call: Any  # a Call, or a Check
    task: Any = None
    started: float = 0.0
    outcome: Outcome | None = None
    ending: Callable[[Outcome], object] | None = None
    tries: Any = None

    @property
    def done(self) -> bool:
        """Whether its outcome is there."""
        return self.outcome is not None

    def settle(self, outcome: Outcome) -> None:
        """Say how a stream ended; only the first word counts."""
        if self.ending is not None:
            ending, self.ending = self.ending, None
            ending(outcome)


@dataclass(slots=True)
class Start:
    """Start a call and go on. Comes to a `Handle`."""

    call: Call | Check


@dataclass(slots=True)
class Wait:
    """Wait until one of these is done, or for `timeout` seconds, or until a signal is given.

    Comes to None; each done handle has its outcome.
    """

    handles: tuple[Handle, ...]
    timeout: float | None = None
    until: Signal | None = None


@dataclass(slots=True)
class Sleep:
    """Wait for so many seconds, or until a signal is given. Comes to whether it was."""

    seconds: float | None
    until: Signal | None = None


@dataclass(slots=True)
class Spawn:
    """Run a flow, made with the time it begins at, beside this one: nobody waits for it. Comes to None at once."""

    flow: "Callable[[float], Generator[Effect, Outcome, Any]]"


@dataclass(slots=True)
class Cancel:
    """Stop a started call. Comes to None; the handle has the outcome, which may be a reply that was just in time."""

    handle: Handle


@dataclass(slots=True)
class Open:
    """Begin a reply as a stream. Comes to a `Handle` for `Next` and `Close`.

    `after` is the handle of a stream of the same call that broke off, where a pool is to go on from there.
    """

    call: Call
    after: Handle | None = None


@dataclass(slots=True)
class Next:
    """The next piece of a stream: a `Delta`, or the whole `Reply` as the last.

    `timeout` in seconds; a stream that stalls or is cut comes to a failure.
    """

    handle: Handle
    timeout: float | None = None


@dataclass(slots=True)
class Relay:
    """Give the client all that is still to come of a stream whose beginning it has seen.

    Comes to what ended it: the whole `Reply`, or a failure. Each piece may take `stall` seconds, none longer than
    `until` on the driver's clock, and is added to `deltas`.
    """

    handle: Handle
    stall: float
    until: float
    deltas: "list[Delta]"

    def patience(self, now: float) -> float:
        """How long the next piece may take."""
        return max(0.0, min(self.stall, self.until - now))

    def following(self, now: float) -> Next:
        """What is next of it."""
        return Next(self.handle, self.patience(now))


@dataclass(slots=True)
class Close:
    """End a stream early."""

    handle: Handle


@dataclass(slots=True)
class Emit:
    """Give these pieces to the client, who has then seen them."""

    deltas: "tuple[Delta, ...]"


NOT_WANTED: Final = Failure("cancelled", "not wanted any more")
"""What a call comes to that was given up."""


def recalled(label: str) -> Check:
    """What was written down under a label: for replays, which find it there. Nothing is ever called."""
    return Check(_nothing, label=label, inline=True)


def _nothing() -> None: ...


Effect: TypeAlias = Call | Check | Gather | Start | Wait | Cancel | Sleep | Spawn | Open | Next | Relay | Close | Emit
