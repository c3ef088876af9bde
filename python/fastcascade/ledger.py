"""The one budget of a request, and the book of what was spent from it.

Every call goes through `open`, which labels it, bounds its time and refuses what the budget or the tier's quota does
not allow, and through `charge`, which writes down what it came to. Between the two its estimated cost is held, so
that calls made at once do not spend the same money twice.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final

from fastcascade.answers import Spent
from fastcascade.effects import Call, Outcome
from fastcascade.errors import Failure, FailureKind
from fastcascade.messages import Budget, Reply, Usage
from fastcascade.prices import PriceSheet
from fastcascade.tiers import CHARACTERS_PER_TOKEN, Tier, cost_of, rate_of

__all__ = ["Ledger"]

PAID_UNSEEN: Final[frozenset[FailureKind]] = frozenset({"timeout", "cancelled", "cut", "malformed"})
"""Failures after which the provider may have read the prompt, and charges for it."""

UNPRICED: Final = "unpriced"


@dataclass(slots=True)
class Ledger:
    """Counts time, money and calls against the budget. `now` is when the last outcome came.

    `counting` is off in replays: what the quotas let pass then is not asked of them again.
    """

    budget: Budget
    sheet: PriceSheet
    started: float
    now: float
    counting: bool = True
    reserve: float = 0.0  # seconds of the deadline that are kept back
    spent_usd: float = 0.0
    made: int = 0
    ran_out: str = ""  # what a call was refused for
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    book: list[Spent] = field(default_factory=list)  # of the attempt being made
    _counts: dict[str, int] = field(default_factory=dict)
    _held: dict[str, float] = field(default_factory=dict)  # estimated costs of calls under way
    _reserved: dict[str, float] = field(default_factory=dict)  # tokens taken from quotas by calls under way

    def label(self, tier: str, purpose: str) -> str:
        """Name a call: the tier, what for, and which of them."""
        name = f"{tier}/{purpose}"
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return f"{name}/{count}" if count else name

    @property
    def spent(self) -> str:
        """What of the budget is gone, so that no call at all can be made; empty if nothing is."""
        budget = self.budget
        if budget.deadline is not None and self.now - self.started >= budget.deadline - self.reserve:
            return "deadline"
        return "attempts" if budget.attempts is not None and self.made >= budget.attempts else ""

    def time_left(self, own: float | None) -> float | None:
        """The seconds a call may take: its own limit, and no more than is left of the deadline."""
        if self.budget.deadline is None:
            return own
        left = max(0.0, self.started + self.budget.deadline - self.reserve - self.now)
        return left if own is None else min(own, left)

    def open(self, tier: Tier, call: Call, *, spare: bool = False) -> Failure | None:
        """Make a call ready, or say why it cannot be made. A `spare` call is one that the run can do without."""
        call.label = self.label(tier.name, call.purpose)
        refused = self.spent or self._short_of_money(tier, call)
        if refused == UNPRICED:
            return Failure("budget", f"the price of {call.backend.name} is not known, and the budget is in money")
        if refused:
            if not spare:
                self.ran_out = refused
            return Failure("budget", f"no {refused} left in the request's budget")
        if self.counting and call.backend is tier.backend:
            wait, tokens = tier.admit(call.request)
            if wait:
                self._held.pop(call.label, None)
                return Failure("quota", f"tier {tier.name!r} has used its quota", retry_after=wait)
            if tokens:
                self._reserved[call.label] = tokens
        call.timeout = self.time_left(call.timeout)
        if hasattr(call.backend, "asking"):
            call.again = lambda call, now, before: self.again(tier, call, now, before)
        self.made += 1
        return None

    def _short_of_money(self, tier: Tier, call: Call) -> str:
        """What a call is refused for, if the money does not suffice for it; else its estimated cost is held."""
        if self.budget.usd is None:
            return ""
        estimate = self._estimate(tier, call)
        if estimate is None:
            return UNPRICED
        if estimate > 0.0:
            if self.spent_usd + sum(self._held.values()) + estimate > self.budget.usd:
                return "money"
            self._held[call.label] = self._held.get(call.label, 0.0) + estimate
        return ""

    def again(self, tier: Tier, call: Call, now: float, before: Failure | None) -> Failure | None:
        """Whether a pool may make one more try of a call that is open, or why the budget or the quota is against it.

        `before` is how the try before has failed; None, where that is still under way, and can be waited for alone.
        """
        self.now = max(self.now, now)
        paid = before is None or before.kind in PAID_UNSEEN
        refused = self.spent or (self._short_of_money(tier, call) if paid else "")
        if refused:
            if before is not None:
                self.ran_out = refused
            return Failure("budget", f"no {refused} left in the request's budget")
        if self.counting and call.backend is tier.backend:
            wait, tokens = tier.admit(call.request)
            if wait:
                return Failure("quota", f"tier {tier.name!r} has used its quota", retry_after=wait)
            self._reserved[call.label] = self._reserved.get(call.label, 0.0) + tokens
        self.made += 1
        return None

    def charge(self, tier: Tier, call: Call, outcome: Outcome, written: int = 0) -> None:
        """Write down what a call came to; `written` is how many characters were seen of one that broke off."""
        self.now = max(self.now, outcome.ended)
        self.outcomes[call.label] = outcome
        if outcome.tries:
            self._charge_tries(tier, call, outcome)
        failure = outcome.failure
        reply = outcome.value if failure is None else None
        usage = reply.usage if isinstance(reply, Reply) else None
        paid = failure is not None and (written > 0 or failure.kind in PAID_UNSEEN)
        cost: float | None = 0.0
        if isinstance(reply, Reply):
            own = call.backend is tier.backend
            try:
                cost = tier.cost(reply, self.sheet) if own else cost_of(call.backend, reply, self.sheet)
            except Exception:  # noqa: BLE001 - a backend's own sums must not lose a reply that is paid for
                cost = None
            if cost is not None and not 0.0 <= cost < inf:  # NaN too: no budget would ever be spent again
                cost = None
        elif paid:
            cost = self._estimate(tier, call, output=written // CHARACTERS_PER_TOKEN)
        held = self._held.pop(call.label, 0.0)
        self.spent_usd += held if cost is None else cost  # what is not known counts as it was estimated
        reserved = self._reserved.pop(call.label, 0.0)
        if reserved and (usage is not None or (failure is not None and not paid)):
            tier.settle(reserved, usage or Usage())
        model = (reply.model if isinstance(reply, Reply) else "") or call.backend.name
        started, latency = outcome.started - self.started, outcome.ended - outcome.started
        self.book.append(Spent(call.label, model, usage, cost, paid, started, latency, failure, outcome.by))

    def _charge_tries(self, tier: Tier, call: Call, outcome: Outcome) -> None:
        """Write down the tries of a pool that came to nothing before the one that counts."""
        if not self.counting:
            self.made += len(outcome.tries)  # a replay has not asked whether they may be made
        for number, each in enumerate(outcome.tries):
            paid = each.failure.kind in PAID_UNSEEN
            cost = self._estimate(tier, call, output=0) if paid else 0.0
            self.spent_usd += cost or 0.0
            label, began, took = f"{call.label}~{number}", each.started - self.started, each.ended - each.started
            self.book.append(Spent(label, call.backend.name, None, cost, paid, began, took, each.failure, each.by))

    def tick(self, outcome: Outcome) -> None:
        """Go on to when an outcome came."""
        self.now = max(self.now, outcome.ended)

    def close(self) -> tuple[Spent, ...]:
        """Take the page of the attempt that has ended."""
        page = tuple(self.book)
        self.book.clear()
        return page

    def _estimate(self, tier: Tier, call: Call, output: int | None = None) -> float | None:
        if call.backend is tier.backend:
            return tier.estimate(call.request, self.sheet, output=output)
        price = rate_of(call.backend, self.sheet)
        written = tier.expected_output if output is None else output
        read = call.request.size // CHARACTERS_PER_TOKEN
        return None if price is None else price.cost(Usage(input=read, output=written))
