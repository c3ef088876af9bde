"""What one key has spent, and the most that its next request may.

    spent + held <= budget      always, as far as this process knows

What a request may spend is held for it from when it is let in until it ends, and is the `usd` of its `Budget`: a
cascade makes no call for which, by the estimate of its cost, that does not suffice. So requests at once share what is
left, and cannot pass it but by the errors of their estimates.

    alone         half of what is left, or all of it where that is but two shares: others can still come in
    with others   a share of what nobody holds: `MEANS` times the mean of the key's last requests, `SHARE` dollars, or
                  one of `PARTS` parts of it, whichever is the most, so that with much left dear requests find room
"""

from typing import Final, Literal

from fastcascade.gateway.account import NANO, nanos
from fastcascade.gateway.keys import KeyRecord

__all__ = ["FIRST", "SHARE", "WEIGHT", "Held", "Money", "most_for"]

FIRST: Final = nanos(0.01)
"""What a key's first request is taken to cost."""
WEIGHT: Final = 8
"""Of so many of a key's last requests, about, the cost of the next is estimated."""
NO_END: Final = nanos(1e15)
MEANS: Final = 4
PARTS: Final = 256
SHARE: Final = 0.05
"""Dollars: the least that a request among others is given, while so much is free."""


class Held:
    """What one request in work holds of a key's budgets: the most that it may spend, where one of them is hard."""

    __slots__ = ("estimate", "gone", "nanos", "warning")

    def __init__(self, held: int, estimate: int, warning: str = "") -> None:
        """So many nano-dollars; what it is taken to cost; and what the client is to be warned of, or nothing."""
        self.nanos, self.estimate, self.warning, self.gone = held, estimate, warning, False

    @property
    def usd(self) -> float:
        """The same in dollars."""
        return self.nanos / NANO


class Money:
    """What one key has spent, as it is known here; what of it no account has heard of yet is counted apart."""

    __slots__ = (
        *("day", "held", "in_work", "mean", "month", "period"),
        *("hard", "most_day", "most_month", "record"),
        *("nanos", "requests", "tokens", "unknown"),
    )

    def __init__(self, record: KeyRecord) -> None:
        """Nothing yet."""
        self.day = self.month = self.held = self.in_work = 0
        self.nanos = self.requests = self.tokens = self.unknown = 0
        self.mean = FIRST
        self.period: tuple[str, str] = ("", "")
        self.bind(record)

    def bind(self, record: KeyRecord) -> None:
        """Go by the budgets of this record from now on."""
        self.record = record
        self.hard = record.budget_day is not None or record.budget_month is not None
        self.most_day = NO_END if record.budget_day is None else nanos(record.budget_day)
        self.most_month = NO_END if record.budget_month is None else nanos(record.budget_month)

    def learn(self, spent: int) -> None:
        """Let the mean go with what a request did cost."""
        self.mean += (spent - self.mean) // WEIGHT if self.mean != FIRST else spent - self.mean


def most_for(
    money: Money, share: int, workers: int = 1, asked: int | None = None
) -> "int | Literal['day', 'month', 'held']":
    """The most nano-dollars that the next request may spend; or what is in the way: a budget, or what others hold.

    `share` is the least of a share. Of several `workers` each holds no more than its part of what is left, for none
    knows what the others hold. `asked` is what the client itself has set as the most.
    """
    month, day = money.most_month - money.month, money.most_day - money.day
    left = min(day, month)
    if left <= 0:
        return "month" if month <= 0 else "day"
    share = max(share, MEANS * money.mean)
    few, part = min(left, 2 * share), left // workers
    if not money.in_work:
        most = max(few, part // 2)
    else:
        free = max(few, part) - money.held
        if free < money.mean or free < 1:
            return "held"
        most = min(free, max(share, free // PARTS))
    return most if asked is None else max(1, min(most, asked))
