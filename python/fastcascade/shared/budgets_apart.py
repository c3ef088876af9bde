"""What one process may spend of a key's money while it cannot hear of the others: an N-th of what was last known left.

It has an N-th of what was left of the day and of the month as it began, and as much of each day that begins meanwhile.
What it has let in and what that did cost is taken from both. It shares this out among its requests as the script does.
"""

from typing import Final, Literal

__all__ = ["PARTS", "MoneyApart", "share_out"]

PARTS: Final = 256
"""With much left, a request among others is given one of so many parts of it."""


def share_out(left: int, held: int, in_work: int, least: int, mean: int, asked: int | None) -> int | None:
    """The most that a request may spend of what is left; None where others hold it.

    One alone is given half, or all where that is but two shares; one among others a share of what nobody holds.
    """
    if not in_work:
        most = max(min(left, 2 * least), left // 2)
    else:
        free = left - held
        if free < mean or free < 1:
            return None
        most = min(free, max(least, free // PARTS))
    return most if asked is None else max(1, min(most, asked))


class MoneyApart:
    """The money of one key at one process that goes by its own part.

    Args:
        day: nano-dollars of the budget of a day, and the same for a month; None is no bound.
        month: likewise.
        members: how many share it.
    """

    __slots__ = ("_day", "_day_left", "_held", "_members", "_month", "_month_left", "_names", "in_work")

    def __init__(self, day: int | None, month: int | None, members: int) -> None:
        """Nothing is known to be left yet."""
        self._day, self._month, self._members = day, month, members
        self._names = ("", "")
        self._day_left: int | None = None
        self._month_left: int | None = None
        self._held = self.in_work = 0

    def begin(self, names: tuple[str, str], spent_day: int, spent_month: int, held: int) -> None:
        """Take an N-th of what is left, in this day and month, of which so much was spent and is held by all."""
        self._names = names
        self._day_left = self._part(self._day, spent_day + held)
        self._month_left = self._part(self._month, spent_month + held)

    def turn(self, names: tuple[str, str]) -> None:
        """Go on to this day, and to this month."""
        day, month = self._names
        if names[0] != day:
            self._day_left = self._part(self._day, 0)
        if names[1] != month:
            self._month_left = self._part(self._month, 0)
        self._names = names

    def enter(self, least: int, mean: int, asked: int | None) -> "int | Literal['day', 'month', 'held']":
        """Hold what a request may spend, or say what is in the way."""
        day = self._day_left
        month = self._month_left
        left = min(each for each in (day, month) if each is not None)
        if left <= 0:
            return "month" if month is not None and month <= 0 else "day"
        most = share_out(left, self._held, self.in_work, least, mean, asked)
        if most is None:
            return "held"
        self._held += most
        self.in_work += 1
        return most

    def leave(self, held: int, spent: int) -> None:
        """Let go of what was held here, and take off what it did cost."""
        self._held -= held
        self.in_work -= 1
        self.spend(spent)

    def spend(self, spent: int) -> None:
        """Take off what something did cost, beyond what was held for it elsewhere."""
        if self._day_left is not None:
            self._day_left -= spent
        if self._month_left is not None:
            self._month_left -= spent

    def _part(self, budget: int | None, gone: int) -> int | None:
        return None if budget is None else max(0, budget - gone) // self._members
