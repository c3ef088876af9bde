"""One call to one instance: let in, made, and settled once, however it ends."""

from collections.abc import Generator
from math import inf
from typing import TYPE_CHECKING, Final

from fastcascade.effects import NOT_WANTED, Call, Cancel, Effect, Handle, Outcome, Sleep, Start, Try, Wait
from fastcascade.errors import Failure
from fastcascade.notices import notify

if TYPE_CHECKING:
    from fastcascade.entry.instance import Instance
    from fastcascade.entry.tries import Tries
    from fastcascade.fallbacks.bulkhead import Ticket

__all__ = ["Turn", "asked", "entered"]

LOST: Final = Failure("cancelled", "the other of two calls was faster")


class Turn:
    """A call that is counted as under way."""

    __slots__ = ("_ended", "call", "instance", "now", "ticket", "tries")

    def __init__(self, tries: "Tries", instance: "Instance", ticket: "Ticket | None", now: float) -> None:
        """Count it, and make the call ready."""
        self.tries = tries
        self.instance = instance
        self.ticket = ticket
        self.now = now
        self._ended = False
        asked, pool = tries.call, tries.pool
        left = tries.deadline - now
        if pool.timeout is not None:
            left = min(left, pool.timeout)
        until = instance.down if pool.health is not None and instance.alive else None
        timeout = None if left == inf else max(0.0, left)
        self.call = Call(instance.backend, asked.request, asked.purpose, timeout, asked.label, None, until)
        instance.begin()

    def end(self, outcome: Outcome, took: float | None = None) -> None:
        """Take note of how it ended, and how long the instance took; only the first word counts."""
        if not self._ended:
            self._ended = True
            took = outcome.ended - outcome.started if took is None else took
            self.tries.pool.settle(self.instance, self.ticket, outcome.failure, took, max(outcome.ended, self.now))

    def drop(self) -> None:
        """It was given up with the whole request: nothing is learned from it."""
        self.end(Outcome(None, NOT_WANTED, self.now, self.now))


def entered(tries: "Tries", instance: "Instance", now: float) -> Generator[Effect, Outcome, Turn | Outcome | float]:
    """Wait for a slot, where they are counted. The time, if nobody may ask the instance any more when there is one."""
    slots, circuit = instance.slots, instance.circuit
    if slots is None:
        return Turn(tries, instance, None, now)
    ticket = slots.enter(now, tries.call.request.priority, tries.deadline - now)
    if ticket.state != "in" and circuit is not None:
        circuit.forget()
    if ticket.state == "waiting":
        try:
            now = (yield Sleep(max(0.0, ticket.until - now), ticket.signal)).ended
        except GeneratorExit:
            slots.give_up(ticket, now)
            raise
        if not _is_in(ticket):
            slots.give_up(ticket, now)
        elif instance.closed_until > now or (circuit is not None and circuit.admit(now) > 0.0):
            slots.give_up(ticket, now)
            return now
    if _is_in(ticket):
        return Turn(tries, instance, ticket, now)
    name = tries.pool.name
    notify("overloaded", name, f"calls to {instance.name!r} are turned away: its slots are taken, its queue is full")
    why = f"{name}: {instance.name!r} has all the calls at once that it may have, and nobody's turn came in time"
    return Outcome(None, Failure("full", why, retry_after=slots.hint(now)), now, now)


def asked(turn: Turn) -> Generator[Effect, Outcome, Outcome]:
    """Make the call, or two of which one is wanted."""
    tries = turn.tries
    stagger = tries.pool.stagger(tries.call.request)
    try:
        if stagger is None or turn.now + stagger >= tries.deadline:
            outcome = yield turn.call
        else:
            outcome = yield from _race(turn, stagger)
    except GeneratorExit:
        turn.drop()
        raise
    turn.end(outcome)
    return outcome


def _race(turn: Turn, stagger: float) -> Generator[Effect, Outcome, Outcome]:
    """Ask a second one where the first takes long; the loser is cancelled."""
    first: Handle = (yield Start(turn.call)).value
    now = (yield Wait((first,), stagger)).ended
    spare = None if first.outcome is not None else _spare(turn, now)
    if spare is None:
        return (yield from _awaited(first))
    try:
        second: Handle = (yield Start(spare.call)).value
        yield Wait((first, second))
        if first.outcome is not None and first.outcome.failure is not None and second.outcome is None:
            turn.end(first.outcome)  # others are to know at once, not when the race is over
            yield from _awaited(second)
        elif second.outcome is not None and second.outcome.failure is not None and first.outcome is None:
            spare.end(second.outcome)
            yield from _awaited(first)
        won, lost = (first, second) if _replied(first) or not _replied(second) else (second, first)
        if lost.outcome is None:
            yield Cancel(lost)
    except GeneratorExit:
        spare.drop()
        raise
    return _told(turn, spare, first, second, won)


def _told(turn: Turn, spare: Turn, first: Handle, second: Handle, won: Handle) -> Outcome:
    """Settle both runners, and write the loser down: what it cost is counted."""
    unknown = Outcome(None, LOST, turn.now, turn.now)
    outcomes = (first.outcome or unknown, second.outcome or unknown)
    turn.end(outcomes[0])
    spare.end(outcomes[1])
    winner, loser = (outcomes[0], outcomes[1]) if won is first else (outcomes[1], outcomes[0])
    behind = spare if won is first else turn
    if loser.failure is not None and loser.failure.kind == "cancelled":
        turn.tries.pool.latencies.add(loser.ended - loser.started)  # it took that long at least
    turn.tries.past.append(Try(behind.instance.name, loser.started, loser.ended, loser.failure or LOST))
    turn.tries.instance = turn.instance if won is first else spare.instance
    if winner.failure is not None:
        winner.ended = max(winner.ended, loser.ended)  # both were waited for
    return winner


def _spare(turn: Turn, now: float) -> Turn | None:
    """A second runner: at another instance of the same priority, if there is one; at once or not at all."""
    tries = turn.tries
    pool, call = tries.pool, tries.call
    instance = pool.beside(turn.instance, call.request, now)
    if instance is None or (instance.circuit is not None and instance.circuit.admit(now) > 0.0):
        return None
    ticket = None if instance.slots is None else instance.slots.enter(now, call.request.priority, 0.0)
    spare = Turn(tries, instance, ticket, now)
    no_room = ticket is not None and not _is_in(ticket)
    no_share = pool.spares is not None and not no_room and not pool.spares.withdraw(now)
    if no_room or no_share or (call.again is not None and call.again(call, now, None) is not None):
        spare.drop()
        return None
    return spare


def _is_in(ticket: "Ticket") -> bool:
    return ticket.state == "in"


def _awaited(handle: Handle) -> Generator[Effect, Outcome, Outcome]:
    while handle.outcome is None:
        yield Wait((handle,))
    return handle.outcome


def _replied(handle: Handle) -> bool:
    return handle.outcome is not None and handle.outcome.failure is None
