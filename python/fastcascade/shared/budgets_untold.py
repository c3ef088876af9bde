"""What the server is still to hear of one key: in pieces that have numbers, each told as it was until it is heard."""

from typing import Final

from fastcascade.gateway.account import Used

__all__ = ["KEPT", "Untold"]

SENDER_KEPT: Final = 86_400
"""Seconds after which a process is not known any more by what it has told: the longest after which it tells again."""
KEPT: Final = 400 * 86_400
NOTHING: Final = Used()
COUNT: Final = 5
FIRST: Final = 6
"""Where in a piece it is said how many periods there are, and where these begin; each takes `EACH` places."""
EACH: Final = 5


class Untold:
    """Sums by period, what is owed to the buckets of requests and of tokens, and what is held no more."""

    __slots__ = ("_gone", "_more", "_number", "_sending", "_used")

    def __init__(self) -> None:
        """Nothing."""
        self._used: dict[str, Used] = {}
        self._more = [0, 0]
        self._gone: dict[str, int | str] = {}
        self._sending: list[str | int] | None = None
        self._number = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._sending or self._used or self._gone or any(self._more))

    def count(self, period: str, used: Used) -> None:
        """Something was used in a day or a month."""
        self._used[period] = self._used.get(period, NOTHING).plus(used)

    def owe(self, place: int, nanos: int) -> None:
        """A bucket, the first or the second, is to have so many nanoseconds less."""
        self._more[place] += nanos

    def let_go(self, name: str, nanos: int | None) -> None:
        """This is held no more; None, where it was never heard how much it was, or whether it was."""
        self._gone[name] = "?" if nanos is None else nanos

    def spent(self, period: str) -> int:
        """Nano-dollars of a period of which it is not known that the server has heard."""
        total, sent = self._used.get(period, NOTHING).nanos, self._sending
        if sent is not None:
            places = range(FIRST, FIRST + EACH * int(sent[COUNT]), EACH)
            total += sum(int(sent[place + 1]) for place in places if sent[place] == period)
        return total

    @property
    def released(self) -> int:
        """Nano-dollars that are held no more, of which it has not heard."""
        return sum(each for each in self._gone.values() if isinstance(each, int))

    def piece(self) -> list[str | int]:
        """What is to be told: what was told and not heard, as it was; else all that has come since, as a new one."""
        if self._sending is None:
            self._number += 1
            used, more, gone = self._used, self._more, self._gone
            self._used, self._more, self._gone = {}, [0, 0], {}
            periods: list[str | int] = [each for period, what in used.items() for each in (period, *what)]
            let_go: list[str | int] = [each for pair in gone.items() for each in pair]
            self._sending = [self._number, *more, SENDER_KEPT, KEPT, len(used), *periods, *let_go]
        return self._sending

    def heard(self) -> None:
        """The piece was heard."""
        self._sending = None
