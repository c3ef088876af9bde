"""One request on its way up the ladder: try a tier, judge what it says, remember the best.

Nothing here does I/O: every step is a generator of effects. The order of steps is policy's (policies.py), the
order of the whole is the cascade's (cascade.py).
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from types import GeneratorType

from fastcascade.answers import Attempt, Ended
from fastcascade.effects import Call, Cancel, Check, Effect, Gather, Handle, Outcome, Start, Wait
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.ledger import Ledger
from fastcascade.messages import Reply, Request
from fastcascade.policies import Standing
from fastcascade.streaming import Piped, pipe
from fastcascade.tiers import Tier

__all__ = ["Best", "Climb", "Hedge"]


@dataclass(frozen=True, slots=True)
class Hedge:
    """When to start the next tier before this one has replied: the loser is cancelled, and its cost counted.

    `after` seconds without a reply; and at once where the tier's `quality` says that it is wrong with at least the
    probability `likely`. Streams are not hedged: two cannot be shown at once.
    """

    after: float | None = None
    likely: float | None = None

    def __post_init__(self) -> None:
        """Refuse what could never be meant."""
        if self.after is None and self.likely is None:
            raise ConfigError("a hedge needs `after`, in seconds, or `likely`, a probability, or both")
        if (self.after is not None and not self.after > 0) or (self.likely is not None and not 0 < self.likely <= 1):
            msg = f"a hedge needs after > 0 and 0 < likely <= 1, not {self!r}"
            raise ConfigError(msg)

    def stagger(self, tier: Tier) -> float | None:
        """Seconds to wait for this tier before the next is started; None is for ever."""
        if self.likely is not None and tier.quality is not None and 1.0 - tier.quality >= self.likely:
            return 0.0
        return self.after


@dataclass(slots=True)
class Best:
    """The best reply so far."""

    reply: Reply
    position: int
    score: float | None
    accepted: bool
    worth: float


@dataclass(slots=True)
class Climb:
    """The state of one run. `counting` is off in replays: what was admitted then is not asked again."""

    tiers: tuple[Tier, ...]
    request: Request
    ledger: Ledger
    last: int
    streaming: bool = False
    counting: bool = True
    trusting: bool = False  # whether a gate that abstains lets through
    weighing: bool = False  # whether the policy weighs scores, rather than holding them to a threshold
    hedge: Hedge | None = None
    attempts: list[Attempt] = field(default_factory=list)
    best: Best | None = None
    tried: set[int] = field(default_factory=set)
    piped: Piped | None = None  # a stream the client has seen something of
    ahead: dict[int, Handle] = field(default_factory=dict)  # tiers started before it was their turn

    def attempt(self, position: int) -> Generator[Effect, Outcome, Standing]:
        """Try one tier, and judge its reply."""
        tier = self.tiers[position]
        self.tried.add(position)
        began = self.ledger.now
        handle = self.ahead.pop(position, None)
        if handle is None:
            call = Call(tier.backend, self.request, "answer", tier.timeout)
            if refused := self._refusal(tier, call, position):
                return self._ended(position, began, "failed", error=refused)
            outcome = yield from self._ask(tier, call, position)
            if outcome is None:
                return (yield from self._overtaken(position, began))
        else:
            call = handle.call
            outcome = yield from self._await(handle)
        written = self.piped.characters if self.piped else 0
        self.ledger.charge(tier, call, outcome, written)
        if self.counting and outcome.value is not None:
            tier.settle(call.request, outcome.value.usage)
        return (yield from self._judged(position, began, call.request, outcome))

    def finish(self) -> Generator[Effect, Outcome, None]:
        """Stop what was started and is not wanted any more; what it cost is counted."""
        for position, handle in list(self.ahead.items()):
            yield from self._stop(position, handle, self.ledger.now)
        self.ahead.clear()

    # Asking.

    def _refusal(self, tier: Tier, call: Call, position: int) -> Failure | None:
        """Make a call ready, unless a quota or the budget is against it."""
        if self.counting and (wait := tier.admit(self.request)):
            return Failure("quota", f"tier {tier.name!r} has used its quota", retry_after=wait)
        call.request = tier.prepare(self.request, gated=not (self.streaming and position == self.last))
        return self.ledger.open(tier, call)

    def _ask(self, tier: Tier, call: Call, position: int) -> Generator[Effect, Outcome, Outcome | None]:
        """Get the reply, in the way the run asks for. None if the next tier was faster."""
        if self.streaming:
            self.piped = Piped()
            watch = tier.gate.watch(call.request, tier.accept) if tier.gate and position < self.last else None
            through = position == self.last or tier.gate is None
            return (yield from pipe(self.piped, self.ledger, call, watch, through=through, stall=tier.stall))
        if self.hedge is not None and position < self.last:
            return (yield from self._race(tier, call, position, self.hedge))
        return (yield call)

    def _race(self, tier: Tier, call: Call, position: int, hedge: Hedge) -> Generator[Effect, Outcome, Outcome | None]:
        """Start the next tier too, at once or after a while. None if it was faster."""
        first: Handle = (yield Start(call)).value
        wait = hedge.stagger(tier)
        if wait is not None and wait > 0:
            self._tick((yield Wait((first,), self.ledger.time_left(wait))))
        if wait is None or first.done:
            return (yield from self._await(first))
        following = self.tiers[position + 1]
        spare = Call(following.backend, self.request, "answer", following.timeout)
        if self._refusal(following, spare, position + 1):
            return (yield from self._await(first))
        second: Handle = (yield Start(spare)).value
        self.ahead[position + 1] = second
        self._tick((yield Wait((first, second))))
        if not first.done:
            self.ahead[position] = first
        return first.outcome

    def _overtaken(self, position: int, began: float) -> Generator[Effect, Outcome, Standing]:
        """The tier above replied first: if its reply will do, the one below is not waited for."""
        standing = yield from self.attempt(position + 1)
        handle = self.ahead.pop(position)
        if standing.accepted:
            yield from self._stop(position, handle, began)
            return standing
        self.ahead[position] = handle
        below = yield from self.attempt(position)
        return replace(below, position=position if below.accepted else position + 1)

    def _await(self, handle: Handle) -> Generator[Effect, Outcome, Outcome]:
        while handle.outcome is None:
            self._tick((yield Wait((handle,))))
        return handle.outcome

    def _stop(self, position: int, handle: Handle, began: float) -> Generator[Effect, Outcome, None]:
        self._tick((yield Cancel(handle)))
        tier = self.tiers[position]
        outcome = handle.outcome or Outcome(None, Failure("cancelled", "not wanted any more"), began, self.ledger.now)
        self.ledger.charge(tier, handle.call, outcome)
        if position not in self.tried:
            self.tried.add(position)
        self._ended(position, outcome.started, "cancelled", reason="another tier was good enough")

    def _tick(self, outcome: Outcome) -> None:
        self.ledger.now = max(self.ledger.now, outcome.ended)

    # Judging.

    def _judged(
        self, position: int, began: float, sent: Request, outcome: Outcome
    ) -> Generator[Effect, Outcome, Standing]:
        tier = self.tiers[position]
        reply: Reply | None = outcome.value
        if reply is None or outcome.failure is not None:
            return self._without_reply(position, began, outcome)
        if self.piped and self.piped.seen:
            seen = self.piped.verdict or Verdict(None)
            return self._ended(position, began, "accept", score=seen.score, reason=seen.reason, reply=reply)
        if reply.stop == "refusal":
            if position < self.last:
                return self._ended(position, began, "escalate", score=0.0, reason="the model refused", reply=reply)
        elif reply.empty:
            reason = "neither text nor a tool call in it"
            return self._ended(position, began, "empty", score=0.0, reason=reason, reply=reply)
        if tier.gate is None or (self.streaming and position == self.last):
            return self._ended(position, began, "accept", reply=reply)
        verdict = yield from self._verdict(tier, tier.gate, Exam(sent, reply, tier.backend, tier.name, self._bar(tier)))
        ended = self._ruling(tier, verdict)
        clean = tier.gate.clean(reply)
        return self._ended(position, began, ended, score=verdict.score, reason=verdict.reason, reply=clean)

    def _without_reply(self, position: int, began: float, outcome: Outcome) -> Standing:
        """Why there is none: the gate gave it up as it streamed, it broke off, it failed, there is no answer."""
        piped = self.piped or Piped()
        if piped.aborted:
            aborted = piped.aborted
            return self._ended(position, began, "escalate", score=aborted.score, reason=aborted.reason)
        if outcome.failure is None:
            return self._ended(position, began, "empty", reason="it had no answer")
        if piped.seen:
            return self._ended(position, began, "incomplete", reply=piped.partial(), error=outcome.failure)
        return self._ended(position, began, "failed", error=outcome.failure)

    def _bar(self, tier: Tier) -> float | None:
        """What a score must reach, where no more than that is asked of it."""
        return None if self.weighing else tier.accept

    def _ruling(self, tier: Tier, verdict: Verdict) -> Ended:
        if verdict.score is None:
            return "accept" if self.trusting else "abstain"
        needed = 0.5 if verdict.decisive else tier.accept
        return "accept" if verdict.score >= needed else "escalate"

    def _verdict(self, tier: Tier, gate: Gate, exam: Exam) -> Generator[Effect, Outcome, Verdict]:
        """Ask the gate. What goes wrong inside it is an abstention: it must not lose the request."""
        try:
            judging = gate.judge(exam)
            if isinstance(judging, GeneratorType):
                judging = yield from self._through(tier, judging)
            return gate.calibrated(judging)  # type: ignore[arg-type] # a generator was run to its end
        except Exception as error:  # noqa: BLE001 - a user's gate may raise anything
            return Verdict(None, f"the gate failed: {type(error).__name__}: {error}")

    def _through(self, tier: Tier, judging: Generator[Effect, Outcome, Verdict]) -> Generator[Effect, Outcome, Verdict]:
        """Pass a gate's effects on, within the budget and into the book."""
        try:
            effect = next(judging)
            while True:
                effect = judging.send((yield from self._for_gate(tier, effect)))
        except StopIteration as done:
            verdict: Verdict = done.value
            return verdict

    def _for_gate(self, tier: Tier, effect: Effect) -> Generator[Effect, Outcome, Outcome]:
        ledger = self.ledger
        if isinstance(effect, Call):
            if refused := ledger.open(tier, effect):
                return Outcome(None, refused, ledger.now, ledger.now)
            outcome = yield effect
            ledger.charge(tier, effect, outcome)
            return outcome
        if isinstance(effect, Gather):
            return (yield from self._gathered(tier, effect))
        if isinstance(effect, Check):
            effect.label = ledger.label(tier.name, effect.purpose)
            effect.timeout = ledger.time_left(effect.timeout)
            outcome = yield effect
            ledger.outcomes[effect.label] = outcome
            self._tick(outcome)
            return outcome
        msg = f"a gate may yield Call, Gather and Check, not {type(effect).__name__}"
        raise TypeError(msg)

    def _gathered(self, tier: Tier, effect: Gather) -> Generator[Effect, Outcome, Outcome]:
        """The samples the budget allows; the others come to failures."""
        ledger = self.ledger
        refused = [ledger.open(tier, call) for call in effect.calls]
        allowed = tuple(call for call, failure in zip(effect.calls, refused, strict=True) if failure is None)
        came: list[Outcome] = []
        if allowed:
            outcome = yield Gather(allowed, effect.enough if len(allowed) == len(effect.calls) else None)
            came = outcome.value
            for call, each in zip(allowed, came, strict=True):
                ledger.charge(tier, call, each)
            self._tick(outcome)
        rest = iter(came)
        now = ledger.now
        return Outcome(
            [next(rest) if failure is None else Outcome(None, failure, now, now) for failure in refused], None, now, now
        )

    # Keeping the book.

    def _ended(
        self,
        position: int,
        began: float,
        ended: Ended,
        *,
        score: float | None = None,
        reason: str = "",
        reply: Reply | None = None,
        error: Failure | None = None,
    ) -> Standing:
        tier, ledger = self.tiers[position], self.ledger
        calls = ledger.close()
        model = reply.model if reply else ""
        began_at, latency = began - ledger.started, ledger.now - began
        self.attempts.append(Attempt(tier.name, ended, score, reason, model, error, began_at, latency, calls))
        accepted = ended in ("accept", "incomplete")
        if reply is not None and (not reply.empty or accepted):
            self._keep(Best(reply, position, score, accepted, self._worth(tier, score)))
        best = self.best.score if self.best else None
        failed = ended in ("failed", "empty")
        return Standing(position, self.last, score, accepted, failed, best, ledger.spent_usd, frozenset(self.tried))

    def _worth(self, tier: Tier, score: float | None) -> float:
        return score if score is not None else tier.quality or 0.0

    def _keep(self, new: Best) -> None:
        """Of equals the later is kept: it comes from higher up."""
        old = self.best
        if old is None or (new.accepted, new.worth, new.position) >= (old.accepted, old.worth, old.position):
            self.best = new
