"""What all keys have used, as one process knows it: what was read of the account, and what is still to be written."""

from fastcascade.gateway.account import NOTHING, Read, Used

__all__ = ["Book"]

Where = tuple[str, str]
"""A period and a key."""


class Book:
    """Sums by period and key. Whoever has it guards it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._periods: tuple[str, ...] = ()
        self._mark, self._batch = 0, 1
        self._pending: dict[Where, Used] = {}
        self._sending: dict[Where, Used] = {}
        self._totals: dict[Where, Used] = {}

    @property
    def sending(self) -> bool:
        """Whether something has gone out of which it is not known that it was written."""
        return bool(self._sending)

    def add(self, period: str, key: str, used: Used) -> None:
        """Count what is to be written."""
        where = (period, key)
        self._pending[where] = self._pending.get(where, NOTHING).plus(used)

    def known(self, period: str, key: str) -> int:
        """The nano-dollars that everybody has spent, as far as it is known."""
        where = (period, key)
        parts = (self._totals.get(where), self._sending.get(where), self._pending.get(where))
        return sum(part.nanos for part in parts if part is not None)

    def read(self, period: str, key: str) -> Used:
        """What was used, as was last read."""
        return self._totals.get((period, key), NOTHING)

    def send(self, periods: tuple[str, ...]) -> tuple[int, dict[Where, Used], tuple[str, ...], int]:
        """What an account is to be asked: what it is to add, and what it is to tell."""
        if not self._sending:  # else it goes out once more as it was, under its own number
            self._sending, self._pending = self._pending, {}
        return self._batch, self._sending, periods, self._mark if self._periods == periods else 0

    def sent(self, periods: tuple[str, ...], read: Read) -> None:
        """What was sent is written, and this is what was read."""
        self._batch += bool(self._sending)
        self._sending = {}
        if self._periods != periods:
            self._totals = {where: used for where, used in self._totals.items() if where[0] in periods}
        self._totals.update(read.totals)
        self._periods, self._mark = periods, read.mark
