"""What one circuit and its like in other processes agree on. Does no I/O; circuits.py does.

    what happens here                  what is done
    ---------------------------------  -----------------------------------------------------------------------------
    it opens, or a probe closes it     told to all. Held open or closed by hand: a matter of this process alone
    it opens elsewhere                 it is open here, until the same time and no longer than one cooling
    it is closed elsewhere             it is closed here
    it may be tried again              one process has the lease of probing; the others stay open, and wait for news
    the store is away                  each goes on alone, as if there were no others

*Order.* All hear the same words in the same order, their own too. From the time a word is to be told until it is heard,
what others say on the same circuit was said before it, and is passed over. So all end with the last word of all.

*Probes.* A lease, not a permit for each probe: one question in place of three, it can be had before the first probe is
wanted, and the circuit, whose `admit` cannot wait, counts the permits under it as it always did. It is asked for
shortly before the cooling is over by those whose calls were refused meanwhile, or else by the first call, which is
refused once more. It lasts `LEASE` seconds, is renewed while probes are out, and given back when they are over or none
was wanted for `IDLE` seconds. So there are at most `probes` probes at once, and per lease, at all gateways that reach
the store; who dies with the lease holds up the others for `LEASE` seconds.
"""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from fastcascade.fallbacks.circuit import Circuit

__all__ = ["IDLE", "LEAD", "LEASE", "Agreement", "Outside", "Word"]

LEASE: Final = 10.0
MARGIN: Final = 1.0
"""Seconds before its end at which a lease is no longer relied on."""
LEAD: Final = 0.5
"""Seconds before the end of a cooling at which the lease is asked for."""
IDLE: Final = 1.0
AGAIN: Final = 1.0
"""Seconds after which to ask again for a lease that another has."""


class Word(NamedTuple):
    """What is told: the how-manieth word of ours on this circuit, what it has become, and until when."""

    number: int
    state: Literal["open", "closed"]
    until: float = inf


class Outside(Protocol):
    """What an `Agreement` cannot do itself."""

    def soon(self, do: Callable[..., object], /, *args: object) -> None:
        """Call something in the event loop, from any thread."""
        ...

    def say(self, agreement: "Agreement", word: Word, /) -> None:
        """Have it told; `heard` comes back with it, or `untold`."""
        ...

    def take(self, agreement: "Agreement", /) -> None:
        """Ask for the lease, or renew it; `taken` comes back."""
        ...

    def give_back(self, agreement: "Agreement", /) -> None:
        """Let another have the lease."""
        ...


class Agreement:
    """One circuit's part in it. All but `changed` and `beg` are called in the event loop."""

    __slots__ = ("_asking", "_clock", "_lease", "_not_before", "_number", "_outside", "_unheard", "_used", "circuit")

    def __init__(self, circuit: "Circuit", outside: Outside, clock: Callable[[], float]) -> None:
        """Begin alone."""
        self.circuit, self._outside, self._clock = circuit, outside, clock
        self._number = 0
        self._unheard = False
        self._lease = -inf  # until when it is ours
        self._used = -inf  # when it was last of use
        self._asking = False
        self._not_before = -inf
        circuit.leased = inf
        circuit.peers = self

    # What the circuit tells, in any thread.

    def changed(self, old: str, new: str) -> None:
        """See `Peers`."""
        self._outside.soon(self._changed, old, new, self.circuit.look(0.0, 0.0)[1])

    def beg(self) -> None:
        """See `Peers`."""
        self._outside.soon(self._beg)

    def _changed(self, old: str, new: str, until: float) -> None:
        if new != "half-open" and self.circuit.look(0.0, 0.0)[0] != "half-open":  # as it may be again by now
            self._drop()
        if old in ("closed", "half-open") and new in ("open", "closed"):
            self._number += 1
            self._unheard = True
            word = Word(self._number, "open", until) if new == "open" else Word(self._number, "closed")
            self._outside.say(self, word)

    def _beg(self) -> None:
        now = self._clock()
        if not self._asking and now >= self._not_before and self.circuit.leased != inf:
            self._asking = True
            self._outside.take(self)

    # What others tell.

    def heard(self, word: Word, *, ours: bool) -> None:
        """A word was heard, after all that were told before it."""
        state = self.circuit.look(0.0, 0.0)[0]
        if ours:
            if word.number != self._number:
                return
            self._unheard = False
            if state == "half-open":  # our own doing, later than the word
                return
        elif self._unheard:
            return
        if word.state == "closed":
            self._drop()
            self.circuit.hear_closed(self._clock())
        elif not ours or state == "closed":
            self._drop()
            self.circuit.hear_open(word.until, self._clock())

    def untold(self, word: Word) -> None:
        """It is not worth telling any more."""
        if word.number == self._number:
            self._unheard = False

    def stands(self, until: float | None) -> None:
        """It was opened by somebody and not closed since, or None; what comes from here on is later."""
        self._unheard = False
        if until is not None and self.circuit.look(0.0, 0.0)[0] in ("closed", "open"):
            self.circuit.hear_open(until, self._clock())

    # The lease.

    def together(self) -> None:
        """The store is there: who probes needs the lease."""
        self._lease = self.circuit.leased = self._not_before = -inf
        self._asking = False

    def alone(self) -> None:
        """It is away."""
        self._lease = -inf
        self.circuit.leased = inf

    def leave(self) -> None:
        """It is not shared any more."""
        self._drop()

    def taken(self, asked: float, won: bool | None) -> None:  # noqa: FBT001 - what it is told
        """Whether the lease that was asked for then is ours; None: nobody knows."""
        self._asking = False
        circuit, now = self.circuit, self._clock()
        if circuit.leased == inf:  # alone since
            return
        if won is None:
            circuit.leased, self._not_before = now + AGAIN, now + AGAIN  # for so long each by itself
        elif won:
            self._used = max(self._used, now) if self._lease == -inf else self._used
            self._lease = circuit.leased = asked + LEASE - MARGIN
            if circuit.look(0.0, 0.0)[0] not in ("open", "half-open"):
                self._drop()
        else:
            self._lease = circuit.leased = -inf
            self._not_before = now + AGAIN

    def _drop(self) -> None:
        if self._lease != -inf:
            self._lease = -inf
            if self.circuit.leased != inf:
                self.circuit.leased = -inf
            self._outside.give_back(self)

    def tick(self) -> bool:
        """Do what is due, some times a second; whether there is something to wait for."""
        circuit, now = self.circuit, self._clock()
        state, until, probing = circuit.look(now, IDLE)
        if self._lease == -inf:
            if state == "open" and circuit.wanted and now >= until - LEAD:
                self._beg()
        elif probing or now < until:
            self._used = max(self._used, now)
            if self._lease - now < LEASE / 2:
                self._beg()
        elif now - self._used >= IDLE:
            self._drop()
        return self._lease != -inf or state in ("open", "half-open")
