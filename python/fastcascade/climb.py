"""One request on its way up the ladder: try a tier, judge what it says, remember the best.

Nothing here does I/O: every step is a generator of effects. The order of steps is policy's (policies.py), the
order of the whole is the cascade's (cascade.py).
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from fastcascade.answers import Attempt, Ended
from fastcascade.backends.failures import scrub
from fastcascade.effects import NOT_WANTED, Call, Cancel, Effect, Handle, Outcome, Start, Wait, recalled
from fastcascade.errors import Failure
from fastcascade.examine import examine
from fastcascade.fallbacks.hedge import Hedge
from fastcascade.fallbacks.remedies import undone
from fastcascade.fallbacks.retry import Allowance
from fastcascade.gates.gate import Exam, Gate, Verdict, Watch
from fastcascade.ledger import Ledger
from fastcascade.messages import Reply, Request
from fastcascade.policies import Standing
from fastcascade.streaming import Piped, pipe
from fastcascade.tiers import Tier

__all__ = ["Best", "Climb"]


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
    """The state of one run."""

    tiers: tuple[Tier, ...]
    request: Request
    ledger: Ledger
    last: int
    streaming: bool = False
    trusting: bool = False  # whether a gate that abstains lets through
    weighing: bool = False  # whether the policy weighs scores, rather than holding them to a threshold
    recording: bool = False  # whether all that could be asked is asked
    hedge: Hedge | None = None
    spares: Allowance | None = None  # how many may be hedged
    standing_by: bool = False  # whether a model's refusal is its answer
    attempts: list[Attempt] = field(default_factory=list)
    best: Best | None = None
    tried: set[int] = field(default_factory=set)
    piped: Piped = field(default_factory=Piped)  # the stream of the tier being tried
    ahead: dict[int, Handle] = field(default_factory=dict)  # tiers started before it was their turn

    def attempt(self, position: int) -> Generator[Effect, Outcome, Standing]:
        """Try one tier, and judge its reply."""
        tier = self.tiers[position]
        self.tried.add(position)
        began = self.ledger.now
        self.piped = Piped()
        handle = self.ahead.pop(position, None)
        if handle is None:
            call = Call(tier.backend, self.request, "answer", tier.timeout)
            if refused := self._refusal(tier, call, position):
                return self._ended(position, began, "failed", error=refused)
            if self.streaming or self.hedge is not None:
                other = yield from self._ask(tier, call, position)
                if other is None:
                    return (yield from self._overtaken(position, began))
                outcome = other
            else:
                outcome = yield call
        else:
            call, began = handle.call, handle.started
            outcome = yield from self._await(handle)
        self.ledger.charge(tier, call, outcome, self.piped.characters if self.streaming else 0)
        if tier.latencies is not None and outcome.failure is None and self.ledger.counting:
            tier.latencies.add(outcome.ended - outcome.started)
        return (yield from self._judged(position, began, call.request, outcome))

    @property
    def maybe_done(self) -> bool:
        """Whether what was asked has effects, and may have had them though there is no reply: nobody is asked again."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or last.error is None or self.request.idempotency or undone(last.error):
            return False
        return any(tier.name == last.tier and getattr(tier.backend, "effects", False) for tier in self.tiers)

    def _has_effects(self, position: int) -> bool:
        both = self.tiers[position : position + 2]
        return not self.request.idempotency and any(getattr(tier.backend, "effects", False) for tier in both)

    def finish(self) -> Generator[Effect, Outcome, None]:
        """Stop what was started and is not wanted any more; what it cost is counted."""
        for position, handle in list(self.ahead.items()):
            yield from self._stop(position, handle)
        self.ahead.clear()

    # Asking.

    def _refusal(self, tier: Tier, call: Call, position: int, *, spare: bool = False) -> Failure | None:
        """Make a call ready, unless the tier's gate, its quota or the budget is against it."""
        try:
            call.request = tier.prepare(self.request, gated=not self._through(position))
        except Exception as error:  # noqa: BLE001 - a user's gate may raise anything
            return Failure("bug", scrub(f"preparing the request failed: {type(error).__name__}: {error}"))
        return self.ledger.open(tier, call, spare=spare)

    def _through(self, position: int) -> bool:
        """Whether this tier's stream goes straight to the client."""
        return self.streaming and position == self.last

    def _ask(self, tier: Tier, call: Call, position: int) -> Generator[Effect, Outcome, Outcome | None]:
        """Get the reply, in the way the run asks for. None if the next tier was faster."""
        if self.streaming:
            last = self._through(position)
            watch = None if last else self._watch(tier, call.request)
            self.piped = Piped(watch, free=last or tier.gate is None, last=last)
            fresh = (lambda: None) if last else (lambda: self._watch(tier, call.request))
            return (yield from pipe(self.piped, self.ledger, call, stall=tier.stall, watch=fresh))
        if self.hedge is not None and position < self.last and not self._has_effects(position):
            return (yield from self._race(tier, call, position, self.hedge))
        return (yield call)

    def _watch(self, tier: Tier, sent: Request) -> Watch | None:
        """What judges the stream. A policy that weighs scores needs that of the whole reply."""
        if tier.gate is None or self.weighing:
            return None
        try:
            return tier.gate.watch(sent, tier.accept)
        except Exception:  # noqa: BLE001 - then the whole reply is judged
            return None

    def _race(self, tier: Tier, call: Call, position: int, hedge: Hedge) -> Generator[Effect, Outcome, Outcome | None]:
        """Start the next tier too, at once or after a while. None if it was faster."""
        if self.spares is not None:
            self.spares.deposit(self.ledger.now)
        first: Handle = (yield Start(call)).value
        wait = yield from self._stagger(tier, call, hedge)
        if wait is not None and wait > 0:
            self.ledger.tick((yield Wait((first,), self.ledger.time_left(wait))))
        if wait is None or first.done:
            return (yield from self._await(first))
        following = self.tiers[position + 1]
        spare = Call(following.backend, self.request, "answer", following.timeout)
        if not self._granted() or self._refusal(following, spare, position + 1, spare=True):
            self.ledger.outcomes.pop(f"{call.label}/hedged", None)
            return (yield from self._await(first))
        second: Handle = (yield Start(spare)).value
        self.ahead[position + 1] = second
        self.ledger.tick((yield Wait((first, second))))
        if not first.done:
            self.ahead[position] = first
        return first.outcome

    def _stagger(self, tier: Tier, call: Call, hedge: Hedge) -> Generator[Effect, Outcome, float | None]:
        """When to start the next tier. What goes by latencies seen is written down: a replay has seen others."""
        if hedge.percentile is None:
            return hedge.stagger(tier.quality)
        label, now = f"{call.label}/hedged", self.ledger.now
        if not self.ledger.counting:
            outcome = yield recalled(label)
            wait: float | None = outcome.value if outcome.failure is None else None
            return wait
        wait = hedge.stagger(tier.quality, tier.latencies)
        self.ledger.outcomes[label] = Outcome(wait, None, now, now)
        return wait

    def _granted(self) -> bool:
        return self.spares is None or self.spares.withdraw(self.ledger.now)

    def _overtaken(self, position: int, began: float) -> Generator[Effect, Outcome, Standing]:
        """The tier above replied first: if its reply will do, the one below is not waited for."""
        standing = yield from self.attempt(position + 1)
        handle = self.ahead.pop(position)
        if standing.accepted:
            yield from self._stop(position, handle)
            return standing
        handle.started = began
        self.ahead[position] = handle
        below = yield from self.attempt(position)
        return replace(below, position=position if below.accepted else position + 1)

    def _await(self, handle: Handle) -> Generator[Effect, Outcome, Outcome]:
        while handle.outcome is None:
            self.ledger.tick((yield Wait((handle,))))
        return handle.outcome

    def _stop(self, position: int, handle: Handle) -> Generator[Effect, Outcome, None]:
        self.ledger.tick((yield Cancel(handle)))
        tier = self.tiers[position]
        unknown = Outcome(None, NOT_WANTED, handle.started, self.ledger.now)
        self.ledger.charge(tier, handle.call, handle.outcome or unknown)
        self.tried.add(position)
        self._ended(position, handle.started, "cancelled", reason="another tier was good enough")

    # Judging.

    def _judged(
        self, position: int, began: float, sent: Request, outcome: Outcome
    ) -> Generator[Effect, Outcome, Standing]:
        tier, gate = self.tiers[position], self.tiers[position].gate
        reply: Reply | None = outcome.value
        if reply is None or outcome.failure is not None:
            return self._without_reply(position, began, outcome)
        if reply.empty and reply.stop != "refusal":
            reason = "neither text nor a tool call in it"
            return self._ended(position, began, "empty", score=0.0, reason=reason, reply=reply)
        if self.piped.seen:
            seen = self.piped.verdict or Verdict(None)
            return self._ended(position, began, "accept", score=seen.score, reason=seen.reason, reply=reply)
        if reply.stop == "refusal" and (ruled := self._on_refusal(position, reply)):
            score = 0.0 if ruled == "escalate" else None
            return self._ended(position, began, ruled, score=score, reason="the model refused", reply=reply)
        if gate is None or self._through(position):
            return self._ended(position, began, "accept", reply=reply)
        bar = None if self.weighing else tier.accept
        exam = Exam(sent, reply, tier.backend, tier.name, bar, gate.clean, every=self.recording)
        verdict = yield from examine(self.ledger, tier, gate, exam)
        ended = self._ruling(tier, verdict)
        return self._ended(
            position, began, ended, score=verdict.score, reason=verdict.reason, reply=_cleaned(gate, reply)
        )

    def _without_reply(self, position: int, began: float, outcome: Outcome) -> Standing:
        """Why there is none: the gate gave it up as it streamed, it broke off, it failed, there is no answer."""
        piped = self.piped
        if piped.aborted:
            aborted = piped.aborted
            return self._ended(position, began, "escalate", score=aborted.score, reason=aborted.reason)
        if outcome.failure is None:
            return self._ended(position, began, "empty", reason="it had no answer")
        if piped.seen:
            return self._ended(position, began, "incomplete", reply=piped.partial(), error=outcome.failure)
        return self._ended(position, began, "failed", error=outcome.failure)

    def _on_refusal(self, position: int, reply: Reply) -> Ended | None:
        """What a refusal comes to. One that is all there is goes to the gate, as any reply does."""
        if self.standing_by and not reply.empty:
            return "accept"
        return "escalate" if position < self.last or self.best is not None or reply.empty else None

    def _ruling(self, tier: Tier, verdict: Verdict) -> Ended:
        if verdict.score is None:
            return "accept" if self.trusting else "abstain"
        needed = 0.5 if verdict.decisive else tier.accept
        return "accept" if verdict.score >= needed else "escalate"

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
        if reply is not None and (not reply.empty or accepted or self.piped.seen):
            self._keep(Best(reply, position, score, accepted, _worth(tier, score)))
        best = self.best.score if self.best else None
        failed = ended in ("failed", "empty")
        return Standing(position, self.last, score, accepted, failed, best, ledger.spent_usd, frozenset(self.tried))

    def _keep(self, new: Best) -> None:
        """Of equals the later is kept: it comes from higher up. What the client has seen stands."""
        old = self.best
        if (
            old is None
            or self.piped.seen
            or (new.accepted, new.worth, new.position)
            >= (
                old.accepted,
                old.worth,
                old.position,
            )
        ):
            self.best = new


def _worth(tier: Tier, score: float | None) -> float:
    """What a reply is taken for beside others: its score; without a gate it is good enough by definition."""
    if score is not None:
        return score
    if tier.gate is None:
        return 1.0
    return 0.5 if tier.quality is None else tier.quality


def _cleaned(gate: Gate, reply: Reply) -> Reply:
    try:
        return gate.clean(reply)
    except Exception:  # noqa: BLE001 - a user's gate may raise anything; the reply stands as it came
        return reply
