"""The one budget of a request, and the book of what was spent from it."""

from dataclasses import dataclass, field
from typing import Final

from fastcascade.answers import Spent
from fastcascade.effects import Call, Outcome
from fastcascade.errors import Failure, FailureKind
from fastcascade.messages import Budget, Reply
from fastcascade.prices import PriceSheet
from fastcascade.tiers import CHARACTERS_PER_TOKEN, Tier, cost_of

__all__ = ["Ledger"]

PAID_UNSEEN: Final[frozenset[FailureKind]] = frozenset({"timeout", "cancelled", "cut", "malformed"})
"""Failures after which the provider may have read the prompt, and charges for it."""


@dataclass(slots=True)
class Ledger:
    """Counts time, money and calls against the budget. `now` is when the last outcome came."""

    budget: Budget
    sheet: PriceSheet
    started: float
    now: float
    spent_usd: float = 0.0
    made: int = 0
    ran_out: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    book: list[Spent] = field(default_factory=list)  # of the attempt being made
    _counts: dict[str, int] = field(default_factory=dict)

    def label(self, tier: str, purpose: str) -> str:
        """Name a call: the tier, what for, and which of them."""
        name = f"{tier}/{purpose}"
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return f"{name}/{count}" if count else name

    def refuses(self, estimate: float | None = None) -> str:
        """What would run out if one more call of this cost were made; empty if nothing would."""
        budget = self.budget
        if self.late:
            self.ran_out = self.late
        elif budget.attempts is not None and self.made >= budget.attempts:
            self.ran_out = "attempts"
        elif budget.usd is not None and (
            self.spent_usd >= budget.usd or self.spent_usd + (estimate or 0.0) > budget.usd
        ):
            self.ran_out = "money"
        return self.ran_out

    @property
    def late(self) -> str:
        """The word "deadline" once it has come."""
        deadline = self.budget.deadline
        return "deadline" if deadline is not None and self.now - self.started >= deadline else ""

    def time_left(self, own: float | None) -> float | None:
        """The seconds a call may take: its own limit, and no more than is left of the deadline."""
        if self.budget.deadline is None:
            return own
        left = max(0.0, self.started + self.budget.deadline - self.now)
        return left if own is None else min(own, left)

    def open(self, tier: Tier, call: Call) -> Failure | None:
        """Make a call ready: label it and bound its time. A failure if the budget does not allow it."""
        budget = self.budget
        estimate = (
            tier.estimate(call.request, self.sheet) if budget.usd is not None and call.backend is tier.backend else None
        )
        call.label = self.label(tier.name, call.purpose)
        if ran_out := self.refuses(estimate):
            return Failure("budget", f"no {ran_out} left in the request's budget")
        call.timeout = self.time_left(call.timeout)
        self.made += 1
        return None

    def charge(self, tier: Tier, call: Call, outcome: Outcome, written: int = 0) -> None:
        """Write down what a call came to; `written` is how many characters were seen of one that broke off."""
        self.now = max(self.now, outcome.ended)
        self.outcomes[call.label] = outcome
        reply = outcome.value
        failure = outcome.failure
        estimated = False
        cost: float | None = 0.0
        model = call.backend.name
        usage = None
        if failure is None:
            if isinstance(reply, Reply):
                own = call.backend is tier.backend
                cost = tier.cost(reply, self.sheet) if own else cost_of(call.backend, reply, self.sheet)
                model, usage = reply.model or model, reply.usage
        elif failure.kind in PAID_UNSEEN:
            estimated = True
            cost = (
                tier.estimate(call.request, self.sheet, output=written // CHARACTERS_PER_TOKEN)
                if call.backend is tier.backend
                else None
            )
        self.spent_usd += cost or 0.0
        latency = outcome.ended - outcome.started
        started = outcome.started - self.started
        self.book.append(Spent(call.label, model, usage, cost, estimated, started, latency, failure))

    def close(self) -> tuple[Spent, ...]:
        """Take the page of the attempt that has ended."""
        page = tuple(self.book)
        self.book.clear()
        return page
