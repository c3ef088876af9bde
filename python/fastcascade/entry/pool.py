"""Several places where one model can be asked, as one backend.

    Pool(Instance(Anthropic("m", api_key=a), region="eu"), Instance(Anthropic("m", api_key=b), region="us", priority=1))

A pool chooses an instance, holds each to its breaker, its bulkhead and the times its provider has named, moves and
repeats what fails (tries.py), and finds by itself when things are well again. It is a backend like any other: it can
stand in a tier, under a gate, or alone. What it does is a generator of effects; the driver does them.
"""

import time
from collections.abc import AsyncIterator, Generator, Sequence
from math import inf
from threading import Lock
from typing import Any, Final, Literal, cast
from weakref import ReferenceType, ref

from fastcascade.backends.backend import Backend
from fastcascade.effects import NOT_WANTED, Call, Effect, Handle, Outcome, Spawn
from fastcascade.entry.balance import Balancer, PowerOfTwo
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance, instances_of
from fastcascade.entry.outliers import Outliers
from fastcascade.entry.seen import Seen, seen, why_nobody
from fastcascade.entry.tries import Tries
from fastcascade.entry.watch import Told, found, watching
from fastcascade.errors import BackendError, ConfigError, Failure, FailureKind
from fastcascade.fallbacks.breaker import COUNTS, Breaker
from fastcascade.fallbacks.bulkhead import OVERLOADS, Bulkhead, Ticket
from fastcascade.fallbacks.hedge import Hedge
from fastcascade.fallbacks.latencies import Latencies
from fastcascade.fallbacks.remedies import undone
from fastcascade.fallbacks.retry import Retry
from fastcascade.messages import Delta, Reply, Request
from fastcascade.notices import log, notify
from fastcascade.signals import Signal

__all__ = ["DEFAULT_BREAKER", "DEFAULT_RETRY", "Pool"]

DEFAULT_RETRY: Final = Retry()
DEFAULT_BREAKER: Final = Breaker()
PASSED_ON: Final = ("cost", "price", "free", "base_url", "provider", "listed", "remote")
"""What others look for on a backend, to see what it can do and what it costs."""
AUTOMATIC: Final = cast("Any", object())
BLAMELESS: Final[frozenset[FailureKind]] = frozenset({"cancelled", "full", "unavailable", "unsupported", "budget"})
"""Failures that say nothing about the instance."""
IN_A_ROW: Final = 3
"""Replies from another priority, after which that is where requests go."""
LONGEST_WAIT: Final = 86_400.0
"""Seconds. No provider means a longer one."""
HEARTBEAT: Final = 120.0
"""Seconds without a sign of the active checks, after which they are begun anew."""


class Pool:
    """Instances of one model, as one backend.

    Args:
        instances: `Instance`s; a backend is taken for an instance with nothing said about it.
        retry: what is done after a failure; None asks once.
        breaker: keeps calls from an instance that fails; None has none.
        bulkhead: how many calls at once each instance gets.
        hedge: asks a second instance (or the same again) when the first takes longer than usual.
        balance: who is asked among instances of one priority; `PowerOfTwo()` by default.
        outliers: leaves out instances that keep failing; on by default where there are several.
        health: active checks; on by default where there is more than one priority, so that a dead primary is known
            within 30 seconds, and calls under way to it are moved. Without them a call to an instance that hangs
            waits for its `timeout`.
        timeout: seconds for each try. The tier's own holds for all of them together.
        effects: whether asking changes something. Then a try that may have been carried out is not repeated, unless
            the request has an `idempotency` key.
        name: what it is called in traces; the backend's name by default.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        *instances: Instance | Backend,
        retry: Retry | None = DEFAULT_RETRY,
        breaker: Breaker | None = DEFAULT_BREAKER,
        bulkhead: Bulkhead | None = None,
        hedge: Hedge | None = None,
        balance: Balancer | None = None,
        outliers: Outliers | None = AUTOMATIC,
        health: Health | None = AUTOMATIC,
        timeout: float | None = None,
        effects: bool | None = None,
        name: str = "",
    ) -> None:
        """Check that the parts go together."""
        if not instances:
            raise ConfigError("a pool needs at least one instance: Pool(Instance(backend))")
        if timeout is not None and not timeout > 0:
            msg = f"a pool's timeout must be above zero, not {timeout!r}; None is no limit of its own"
            raise ConfigError(msg)
        for part, kind in ((retry, Retry), (breaker, Breaker), (bulkhead, Bulkhead), (hedge, Hedge)):
            _checked(part, kind)
        _checked(None if outliers is AUTOMATIC else outliers, Outliers)
        _checked(None if health is AUTOMATIC else health, Health)
        self.instances = instances_of(instances)
        first = self.instances[0].backend
        self.name = name or first.name
        self.gives = frozenset.intersection(*(each.backend.gives for each in self.instances))
        for passed in PASSED_ON:
            if hasattr(first, passed):
                setattr(self, passed, getattr(first, passed))
        self.effects = any(getattr(each.backend, "effects", False) for each in self.instances)
        self.effects = self.effects if effects is None else effects
        priorities = sorted({each.priority for each in self.instances})
        self.groups = tuple(tuple(each for each in self.instances if each.priority == level) for level in priorities)
        self.automatic = False  # made for a backend that was given without one
        self.only = self.instances[0] if len(self.instances) == 1 else None
        self.retry = retry
        self.allowance = retry.allowance() if retry is not None else None
        self.timeout = timeout
        self.balancer = balance or PowerOfTwo()
        several = self.only is None
        self.outliers = (Outliers() if several else None) if outliers is AUTOMATIC else outliers
        self.health = (Health() if len(priorities) > 1 else None) if health is AUTOMATIC else health
        self.hedge = hedge
        if hedge is not None and hedge.likely is not None:
            raise ConfigError("a pool's hedge goes by time: Hedge(after=...) or Hedge(percentile=...), not by `likely`")
        self.spares = hedge.allowance() if hedge is not None else None
        self.latencies = Latencies()
        # Where there is nothing to choose, to wait for or to race, the driver makes the first try itself.
        plain = bulkhead is None and hedge is None and self.health is None
        self.straight = self.only if plain else None
        self._closing = Signal()
        self._watched = -inf  # when the active checks last did something
        self._serving = priorities[0]
        self._strays = 0  # replies in a row that came from elsewhere
        self._lock = Lock()
        for each in self.instances:
            each.pooled = True
            if breaker is not None:
                each.circuit = breaker.circuit(each.name)
                each.circuit.changed = Told(self.name, each.name)
            if bulkhead is not None:
                each.slots = bulkhead.slots(each.name)

    # As a backend of its own.

    async def complete(self, request: Request, /) -> Reply | None:
        """Ask, with all that the pool does about failures."""
        from fastcascade.drive import Driver  # noqa: PLC0415 - the driver is above; it needs us only here

        outcome = await Driver().perform(Call(self, request))
        if outcome.failure is not None:
            raise BackendError.of(outcome.failure)
        return cast("Reply | None", outcome.value)

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply | None]:
        """Ask, piece by piece. What breaks off before its first piece is asked again; later it fails."""
        from fastcascade.drive import Driver  # noqa: PLC0415 - as above

        async for item in Driver().items(Call(self, request)):
            yield item

    async def aclose(self) -> None:
        """Close what the instances hold open."""
        self._closing.give()  # ends the active checks; the next call begins them anew
        self._closing = Signal()
        self._watched = -inf
        errors: list[Exception] = []
        for each in self.instances:
            closing = getattr(each.backend, "aclose", None)
            try:
                if closing is not None:
                    await closing()
            except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from theirs
                errors.append(error)
        if errors:
            raise errors[0]

    # What the driver runs.

    def asking(self, call: Call, now: float) -> Generator[Effect, Outcome, Outcome]:
        """The flow of one call."""
        if self.health is not None and now - self._watched > HEARTBEAT:
            yield from self._spawn(now)
        return (yield from Tries(self, call, now).run(now))

    def opening(self, call: Call, now: float, after: Handle | None = None) -> Generator[Effect, Outcome, Outcome]:
        """The flow that opens a stream; `after` one of the same call that broke off."""
        if self.health is not None and now - self._watched > HEARTBEAT:
            yield from self._spawn(now)
        tries = after.tries if after is not None else Tries(self, call, now)
        if after is not None and tries.failed is not None:
            again = yield from tries.after(tries.failed, now)
            if isinstance(again, Outcome):
                return again
            now = again
        return (yield from tries.open(now))

    def let_in(self, only: Instance, now: float) -> bool:
        """Count a first try of the one instance there is as begun, if it may be made now."""
        if only.closed_until > now or (only.circuit is not None and only.circuit.admit(now) > 0.0):
            return False
        if self.allowance is not None:
            self.allowance.deposit(now)
        only.begin()
        return True

    def replied(self, only: Instance, outcome: Outcome) -> Outcome:
        """The end of such a try that was well."""
        now = outcome.ended
        took = now - outcome.started
        only.end(now, took)
        if only.circuit is not None:
            only.circuit.record(now, took, None)
        only.failures = 0
        outcome.by = only.name
        return outcome

    def given_up(self, only: Instance, now: float) -> None:
        """The end of such a try that nobody waits for any more."""
        self.settle(only, None, NOT_WANTED, 0.0, now)

    def resumed(self, call: Call, failed: Outcome) -> Generator[Effect, Outcome, Outcome]:
        """Go on where such a try has failed."""
        only = self.instances[0]
        tries = Tries(self, call, failed.started)
        self.settle(only, None, failed.failure, failed.ended - failed.started, failed.ended)
        tries.instance = only
        again = yield from tries.after(failed, failed.ended)
        return again if isinstance(again, Outcome) else (yield from tries.run(again))

    def settle(
        self, instance: Instance, ticket: Ticket | None, failure: Failure | None, took: float, now: float
    ) -> None:
        """Learn from a call that is over, which took the instance so many seconds."""
        if failure is None:
            instance.end(now, took)
            if instance.circuit is not None:
                instance.circuit.record(now, took, None)
            if self.hedge is not None:
                self.latencies.add(took)
        else:
            instance.end()
            self._learn(instance, failure, took, now)
        if ticket is not None and instance.slots is not None:
            gone = failure is not None and failure.kind in BLAMELESS
            failed = failure is not None and failure.kind in OVERLOADS
            instance.slots.leave(ticket, now, None if gone else took, failed=failed)
        if failure is None or failure.kind in COUNTS:
            self._judge(instance, now, ok=failure is None)
        if failure is None and (instance.priority != self._serving or self._strays):
            self._moved(instance)

    # What it learns.

    def _learn(self, instance: Instance, failure: Failure, took: float, now: float) -> None:
        wait = failure.retry_after
        if wait is not None and 0.0 <= wait < inf and failure.kind not in BLAMELESS:
            instance.close_until(now + min(wait, LONGEST_WAIT))
        elif failure.kind == "rate_limited" and self.retry is not None:
            instance.close_until(now + self.retry.delay(0))
        # Found dead by the checks, which know more; but where all are, its breaker is what shields it.
        moved = not instance.alive and any(each.alive for each in self.instances)
        if failure.kind in BLAMELESS or moved:
            if instance.circuit is not None:
                instance.circuit.forget(now - took)
            return
        if instance.circuit is not None:
            instance.circuit.record(now, took, failure.kind)
        if failure.kind == "timeout":
            instance.measure(now, took)
        elif failure.kind == "not_found":
            notify("model gone", instance.backend.name, f"{instance.name!r} has no such model, or no longer")
        elif failure.kind in ("auth", "billing"):
            why = "its key is not taken" if failure.kind == "auth" else "its account cannot pay"
            notify("auth failed", instance.name, f"{self.name}: {why}")

    def _judge(self, instance: Instance, now: float, *, ok: bool) -> None:
        if self.outliers is None:
            instance.failures = 0 if ok else instance.failures + 1
            return
        peers = next(group for group in self.groups if group[0].priority == instance.priority)
        if self.outliers.note(instance, peers, now, ok=ok):
            notify("ejected", instance.name, f"{self.name}: it failed again and again, and is left out for a while")

    def _moved(self, instance: Instance) -> None:
        """Tell that another group serves now: after some replies in a row, for one is a matter of chance."""
        with self._lock:
            before = self._serving
            self._strays = self._strays + 1 if instance.priority != before else 0
            if self._strays < IN_A_ROW:
                return
            self._strays, self._serving = 0, instance.priority
        if instance.priority > before:
            notify("failed over", self.name, f"requests go to {instance.name!r}, priority {instance.priority}")
        else:
            notify("returned", self.name, f"requests go to {instance.name!r} again, priority {instance.priority}")

    def standing(self, group: Sequence[Instance], now: float) -> Sequence[Instance]:
        """Those of a group that are alive and not left out."""
        if self.outliers is not None:
            return self.outliers.standing(group, now)
        return [each for each in group if each.alive]

    def repeatable(self, request: Request, failure: Failure) -> bool:
        """Whether a call that failed so may be made again."""
        return not self.effects or bool(request.idempotency) or undone(failure)

    def unavailable(self, now: float) -> Failure:
        """Why nobody may be asked."""
        return why_nobody(self.name, self.instances, now)

    # Hedging.

    def stagger(self, request: Request) -> float | None:
        """Seconds after which a second instance is asked beside the first; None is never."""
        hedge = self.hedge
        if hedge is None or (self.effects and not request.idempotency):
            return None
        return hedge.stagger(None, self.latencies)

    def beside(self, first: Instance, request: Request, now: float) -> Instance | None:
        """Who is asked beside the first: another one of its priority, or itself where it is alone. Only the healthy."""
        group = next(group for group in self.groups if first in group)
        others = [each for each in self.standing(group, now) if each is not first and _sound(each, now)]
        if not others:
            return first if len(group) == 1 and _sound(first, now) else None
        return others[0] if len(others) == 1 else self.pick(others, request, now)

    def pick(self, candidates: Sequence[Instance], request: Request, now: float) -> Instance:
        """Whom the balancer chooses; one of a user's own that breaks must not lose the request."""
        try:
            chosen = self.balancer.pick(candidates, request, now)
        except Exception as error:  # noqa: BLE001 - a user's balancer may raise anything
            log.warning("the balancer of %s failed: %s", self.name, type(error).__name__)
            return candidates[0]
        return chosen if chosen in candidates else candidates[0]

    def count(self, now: float) -> None:
        """Take note of a first call: it pays into the budgets for further ones."""
        if self.allowance is not None:
            self.allowance.deposit(now)
        if self.spares is not None:
            self.spares.deposit(now)

    # By hand, and to see.

    def force(self, name: str, state: Literal["open", "closed"] | None, now: float | None = None) -> None:
        """Hold an instance's breaker open or closed, or leave it to itself again with None."""
        instance = next((each for each in self.instances if each.name == name), None)
        if instance is None:
            msg = f"{self.name}: no instance is called {name!r}; there are: {', '.join(e.name for e in self.instances)}"
            raise ConfigError(msg)
        if instance.circuit is None:
            msg = f"{self.name}: instance {name!r} has no breaker to hold: Pool(..., breaker=Breaker())"
            raise ConfigError(msg)
        instance.circuit.force(state, time.monotonic() if now is None else now)

    def look(self, now: float | None = None) -> tuple[Seen, ...]:
        """How each instance does."""
        now = time.monotonic() if now is None else now
        return tuple(
            seen(each, now, standing=each in self.standing(group, now)) for group in self.groups for each in group
        )

    def _spawn(self, now: float) -> Generator[Effect, Outcome, None]:
        """Begin the active checks, beside this call. Should the loop they run in be gone, they begin anew."""
        with self._lock:
            if now - self._watched <= HEARTBEAT:
                return
            self._watched = now
        health, instances, closing = self.health, self.instances, self._closing
        pool: ReferenceType[Pool] = ref(self)
        if health is not None:
            watch = health.watching(instances, lambda each: found(pool, each), closing)
            yield Spawn(lambda began: watching(pool, watch(began)))

    def heartbeat(self, now: float) -> None:
        """The active checks have done something; -inf, that they have ended."""
        self._watched = now

    def checked(self, instance: Instance) -> None:
        """The active checks have found something new about an instance."""
        if instance.alive:
            if instance.circuit is not None:
                instance.circuit.try_now(self._watched)
            notify("returned", instance.name, f"{self.name}: active checks find it alive again")
        else:
            notify("died", instance.name, f"{self.name}: active checks find it dead; its calls are moved")

    def __repr__(self) -> str:
        """Show who is in it."""
        return f"Pool({', '.join(map(repr, self.instances))})"


def _checked(part: object, kind: type) -> None:
    if part is not None and not isinstance(part, kind):
        msg = f"a pool's {kind.__name__.lower()} is a {kind.__name__}(...) or None, not {part!r}"
        raise ConfigError(msg)


def _sound(instance: Instance, now: float) -> bool:
    return instance.closed_until <= now and (
        instance.circuit is None or instance.circuit.state in ("closed", "held closed")
    )
