"""The state of a circuit breaker: what it has seen of one backend, and whether that may be called.

    state        what happens                                          then
    -----------  ----------------------------------------------------  ------------------------------------------
    closed       a counted result, after which the window holds at     open
                 least `minimum` calls, of which a share of at least
                 `failure_rate` failed or of `slow_rate` were slow
    open         a call asks less than `cooling` seconds after         stays; it is told how long it must wait
    open         a call asks later                                     half-open, and this call is the first probe
    open         `try_now()`: it is known to be well again         half-open
    half-open    a call asks, and of `probes` permits one is left      stays; it is a probe, and holds the permit
    half-open    a call asks, and none is left                         stays; the call is told to ask again soon
    half-open    a probe's backend fails                               open, for another `cooling` seconds
    half-open    a share of `slow_rate` of the `probes` were slow      open, likewise
    half-open    `probes` of them have succeeded                       closed, with an empty window
    any          `force("open")`, `force("closed")`                    held open, held closed: nothing is counted
    held open    `force(None)`                                         half-open: nobody knows how it does by now
    held closed  `force(None)`                                         closed, with an empty window
    closed,      `hear_open`: others that ask the same backend have    open, until their cooling is over, but no longer
    half-open    found it failing                                      than one from now
    open,        `hear_closed`: the probes of others were well         closed, with an empty window
    half-open
    open,        a call asks, and others may be probing: it has no     stays; `peers` are asked for leave, and the call
    half-open    leave to (`leased` is over)                           is told to ask again soon

*Probes*: all must succeed, and the first failure decides. (resilience4j decides by the rate over the probes. Three
calls say little about a rate: at a half, one of three failing would let all traffic in. Being wrong costs one more
cooling here, and `minimum` failed calls there.) At most `probes` permits are out or used up at any time. One that
is given back (`forget`) may be had by another call. If none was given out for `lapse` seconds, those that are out
lapse: their calls hang, or were lost by a bug. A lapsed probe that ends after all counts as a probe all the same,
so that calls which always take longer than that close a circuit too.

*Cooling* does not grow. So the time to return is known beforehand: when everything is well again, the circuit is
closed no later than `cooling` seconds and `probes` calls after it opened. At most `probes` calls per cooling is what
a dead backend costs.

*Late results*: a call that began before the circuit opened says nothing of what is now. Its result counts neither
while the circuit is open or half-open, nor once it is closed again. Which calls these are is told by when they
began, `now - took`: the cooling being over is the dividing line. So `admit` is asked just before the call is made.

*Kinds of failure*: those in `counts` are failures. Those that are not the backend's doing, or never reached it
(`SILENT`), are as if there had been no call. All others show that it is alive, and count as successes.
"""

import logging
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from fastcascade.errors import ConfigError, FailureKind
from fastcascade.fallbacks.window import CountWindow, Tally, TimeWindow, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastcascade.fallbacks.breaker import Breaker

__all__ = ["SILENT", "Circuit", "Peers", "State"]

State: TypeAlias = Literal["closed", "open", "half-open", "held open", "held closed"]

SILENT: Final[frozenset[FailureKind]] = frozenset(
    {"cancelled", "unsupported", "quota", "unavailable", "full", "budget", "missing"}
)
"""What says nothing about the backend: given up by us, or never sent."""

SOON: Final = 1.0
"""Seconds after which to ask again, when all probes are under way: nobody knows how long they take."""
BRIEF: Final = 0.05
"""Seconds after which to ask again, when others are being asked for leave to probe."""
ROUNDING: Final = 1e-6
"""`now - took` may come out this much before the time the call began."""

log: Final = logging.getLogger("fastcascade")


class Peers(Protocol):
    """Circuits of the same backend elsewhere; see shared/agreement.py. Called in any thread, without the lock."""

    def changed(self, old: str, new: str, /) -> None:
        """This circuit has found something out by itself."""
        ...

    def beg(self) -> None:
        """A call wants to be a probe, and there is no leave for it."""
        ...


class Circuit:
    """How one backend does, and whether it may be called. Shared by all requests, in all threads.

    `admit` first, just before the call is made; then `record` what came of it, or `forget` it. `changed` is called
    with the old and the new state, in the thread whose call changed it, once the circuit can be used again; what it
    raises is logged and dropped. `state` is of the last call: an open circuit whose cooling is over stays open until
    somebody asks.
    """

    __slots__ = (
        "_counts",
        "_free",
        "_from",
        "_good",
        "_latest",
        "_lock",
        "_out",
        "_round",
        "_slow",
        "_slow_after",
        "_state",
        "_until",
        "_window",
        "breaker",
        "changed",
        "leased",
        "name",
        "peers",
        "wanted",
    )

    def __init__(self, breaker: "Breaker", name: str = "") -> None:
        """Begin closed."""
        self.breaker = breaker
        self.name = name
        self.changed: Callable[[str, str], object] | None = None
        self.peers: Peers | None = None
        self.leased = inf  # until when permits may be given out here: for ever, where there are no peers
        self.wanted = False  # whether a call was refused since it opened
        self._counts = breaker.counts
        self._slow_after = inf if breaker.slow_after is None else breaker.slow_after
        limits = (breaker.minimum, breaker.failure_rate, breaker.slow_rate)
        self._window: Window = (
            TimeWindow(breaker.window or 30.0, *limits)
            if breaker.calls is None
            else CountWindow(breaker.calls, *limits)
        )
        self._lock = Lock()
        self._state: State = "closed"
        self._free = True  # calls pass without a permit: closed or held closed
        self._from = -inf  # results of calls begun before do not count
        self._until = -inf  # the end of the cooling
        # Of the half-open state.
        self._out = 0  # permits that are held
        self._good = 0  # probes that succeeded
        self._slow = 0  # those of them that were slow
        self._latest = -inf  # when the latest permit was given out
        self._round = -inf  # permits of calls begun before have lapsed

    @property
    def state(self) -> str:
        """Closed, open, half-open, held open or held closed."""
        return self._state

    @property
    def tally(self) -> Tally:
        """What the window held after the latest call that was counted; half-open, what the probes came to."""
        with self._lock:
            return Tally(self._good, 0, self._slow) if self._state == "half-open" else self._window.tally

    def admit(self, now: float) -> float:
        """Whether a call may be made now: 0.0 if so, else seconds until it is worth asking again."""
        return 0.0 if self._free else self._let_in(now)

    def _let_in(self, now: float) -> float:
        with self._lock:
            if self._state in ("closed", "held closed"):  # since a moment ago
                return 0.0
            if now < self._until:
                self.wanted = True
                return self._until - now
            leave = now < self.leased
            if leave:
                if self._state == "half-open":
                    return self._permit(now)
                self._begin_probing(self._until)
                self._permit(now)
        if not leave:
            if (peers := self.peers) is not None:
                peers.beg()
            return BRIEF
        self._tell("open", "half-open")
        return 0.0

    def wait(self, now: float) -> float:
        """As `admit`, for those who only want to know: nothing is admitted by it."""
        with self._lock:
            if self._state in ("closed", "held closed"):
                return 0.0
            if now < self._until:
                return self._until - now
            taken = self._state == "half-open" and self._good + self._out >= self.breaker.probes
            return SOON if taken else 0.0

    def record(self, now: float, took: float, kind: FailureKind | None) -> None:
        """Say what came of a call that was admitted: when it ended, after how many seconds, and how it failed."""
        failed = False
        if kind is not None:
            if kind in SILENT:
                self.forget(now - took)
                return
            failed = kind in self._counts
        slow = took > self._slow_after
        self._lock.acquire()  # on CPython 3.11 this costs half of what `with` does
        try:
            old = self._state
            if now - took < self._from:
                return
            if old == "closed":
                if not self._window.add(now, failed, slow):
                    return
                self._open(now)
            elif old != "half-open" or not self._probed(now, took, failed=failed, slow=slow):
                return
            new = self._state
        finally:
            self._lock.release()
        self._tell(old, new)

    def forget(self, began: float | None = None) -> None:
        """A call that was admitted was not made, or given up without a result: its permit can be had by another.

        `began` is the time it was admitted, or began. Without it the call is taken to be one of the latest; if it is
        not, a probe more than `probes` may be let through.
        """
        if self._free:
            return
        with self._lock:
            if self._out and (began is None or began >= self._round):
                self._out -= 1

    def try_now(self, now: float) -> None:
        """Do not wait for the end of the cooling: somebody knows that the backend is well again."""
        with self._lock:
            if self._state != "open":
                return
            self._begin_probing(now)
        self._tell("open", "half-open")

    def force(self, to: Literal["open", "closed"] | None, now: float) -> None:
        """Hold it open or closed, whatever comes; None: back to automatic."""
        if to not in ("open", "closed", None):
            raise ConfigError(f"a circuit is forced 'open', 'closed', or None for automatic, not {to!r}")
        with self._lock:
            old = self._state
            if to is None:
                if old == "held open":
                    self._begin_probing(now)
                elif old == "held closed":
                    self._state = "closed"
                    self._from = now - ROUNDING
                    self._window.clear()
            else:
                self._state = "held open" if to == "open" else "held closed"
                self._free = to == "closed"
                self._until = inf
            new = self._state
        if old != new:
            self._tell(old, new)

    # What others found out.

    def hear_open(self, until: float, now: float) -> None:
        """Others found it failing: no call before then, or before one `cooling` from now. One held is left alone."""
        with self._lock:
            old, until = self._state, min(until, now + self.breaker.cooling)
            if old == "open":
                self._until = max(self._until, until)
            elif old in ("closed", "half-open"):
                self._open(now)
                self._until = until
            new = self._state
        if old != new:
            self._say(old, new)

    def hear_closed(self, now: float) -> None:
        """The probes of others were well."""
        with self._lock:
            old = self._state
            if old not in ("open", "half-open"):
                return
            self._state = "closed"
            self._free = True
            self._from = now - ROUNDING
            self._window.clear()
        self._say(old, "closed")

    def look(self, now: float, recent: float) -> tuple[str, float, bool]:
        """The state, the end of its cooling, and whether it is at its probes: some out, or given that recently."""
        with self._lock:
            while_out = self.breaker.lapse if self._out else recent
            return self._state, self._until, self._state == "half-open" and now - self._latest < while_out

    def __repr__(self) -> str:
        """Show its state."""
        calls, failed, slow = self.tally
        return f"<Circuit {self.name!r} {self._state}: of {calls} calls {failed} failed and {slow} were slow>"

    # With the lock held.

    def _open(self, now: float) -> None:
        self._state = "open"
        self._free = self.wanted = False
        self._until = now + self.breaker.cooling
        self._out = 0

    def _begin_probing(self, since: float) -> None:
        self._state = "half-open"
        self._until = since
        self._from = self._round = since - ROUNDING
        self._out = self._good = self._slow = 0
        self._latest = since

    def _permit(self, now: float) -> float:
        lapse = self._latest + self.breaker.lapse
        if now >= lapse:
            self._out = 0
            self._round = lapse - ROUNDING
        elif self._good + self._out >= self.breaker.probes:
            return min(SOON, lapse - now)
        self._out += 1
        self._latest = now
        return 0.0

    def _probed(self, now: float, took: float, *, failed: bool, slow: bool) -> bool:
        """Count a probe; whether the state changed."""
        if self._out and now - took >= self._round:
            self._out -= 1
        self._good += 1
        self._slow += slow
        if failed or self._slow / self.breaker.probes >= self.breaker.slow_rate:
            self._open(now)
        elif self._good >= self.breaker.probes:
            self._state = "closed"
            self._free = True
        else:
            return False
        self._window.clear()
        return True

    # Without it.

    def _tell(self, old: str, new: str) -> None:
        self._say(old, new)
        if (peers := self.peers) is not None:
            peers.changed(old, new)

    def _say(self, old: str, new: str) -> None:
        changed = self.changed
        if changed is None:
            return
        try:
            changed(old, new)
        except Exception as error:  # noqa: BLE001 - a listener's fault is no matter of the request's
            log.warning("what was to hear of a breaker's change failed: %s", type(error).__name__)
