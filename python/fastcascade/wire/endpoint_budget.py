"""Two budgets for one request: what its client and its cascade have set, and what its caller may spend at most."""

from typing import TypeVar

from fastcascade.messages import Budget

__all__ = ["lower"]

N = TypeVar("N", int, float)


def lower(budget: Budget, most: Budget) -> Budget:
    """The lower of both in each bound: neither can raise what the other holds."""
    deadline, usd = _least(budget.deadline, most.deadline), _least(budget.usd, most.usd)
    attempts = _least(budget.attempts, most.attempts)
    if (deadline, usd, attempts) == (budget.deadline, budget.usd, budget.attempts):
        return budget
    return Budget(deadline, usd, attempts)


def _least(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
