"""What the tests of a cascade are made of; ours use nothing else.

    backend = ScriptedBackend("first reply", Fault("overloaded"), Slow(5.0, "late"), Cut("half of it"))
    answer = run_virtual(cascade.run("?"))      # five seconds go by at once

Time in `run_virtual` is the event loop's own, and jumps to whatever is due next: nothing waits.

For drills, any backend can be made to fail by rate and by time, and so can a server on the loopback:

    primary = Faulty(backend, Plan(Error("rate_limited", retry_after=5.0), rate=0.3, seed=7))
    with FaultyServer() as server: ...          # Anthropic Messages and OpenAI Chat Completions
    with FaultyProcess() as server: ...         # the same in a process of its own, to be killed
"""

from typing import TYPE_CHECKING, Any

from fastcascade.testing.faults import (
    CutStream,
    Error,
    Garbage,
    Latency,
    Refused,
    Reset,
    SlowBytes,
    StallStream,
    Timeout,
    Trouble,
    WrongContent,
    fault_of,
)
from fastcascade.testing.faulty import Faulty
from fastcascade.testing.plans import Plan, Struck
from fastcascade.testing.scripted import Cut, Fault, ScriptedBackend, Slow, Stall, Step
from fastcascade.testing.virtual import FakeClock, run_virtual

if TYPE_CHECKING:
    from fastcascade.testing.faulty_process import FaultyProcess
    from fastcascade.testing.faulty_server import FaultyServer

__all__ = [
    "Cut",
    "CutStream",
    "Error",
    "FakeClock",
    "Fault",
    "Faulty",
    "FaultyProcess",
    "FaultyServer",
    "Garbage",
    "Latency",
    "Plan",
    "Refused",
    "Reset",
    "ScriptedBackend",
    "Slow",
    "SlowBytes",
    "Stall",
    "StallStream",
    "Step",
    "Struck",
    "Timeout",
    "Trouble",
    "WrongContent",
    "fault_of",
    "run_virtual",
]


def __getattr__(name: str) -> Any:
    """Load the servers when they are asked for; `python -m` must find its module not loaded yet."""
    if name == "FaultyServer":
        from fastcascade.testing.faulty_server import FaultyServer  # noqa: PLC0415

        return FaultyServer
    if name == "FaultyProcess":
        from fastcascade.testing.faulty_process import FaultyProcess  # noqa: PLC0415

        return FaultyProcess
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
