"""What each key has used, by day and by month (UTC), in an account that the processes of one machine share.

In Redis it is kept otherwise, and exactly for all machines: see `shared.budgets`.

Money is kept in whole nano-dollars, so that sums are exact in whatever order they are made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from fastcascade.gateway.account_sqlite import SQLiteAccount

__all__ = ["NANO", "Account", "Periods", "Read", "Used", "account_of", "beside", "nanos", "periods_at"]

NANO: Final = 1_000_000_000
KINDS: Final = ("usd", "requests", "tokens", "unknown")


class Used(NamedTuple):
    """What was used: nano-dollars, requests, tokens, and how many of the requests had a cost that nobody knows."""

    nanos: int = 0
    requests: int = 0
    tokens: int = 0
    unknown: int = 0

    def plus(self, other: "Used") -> "Used":
        """The sum."""
        return Used(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])


NOTHING: Final = Used()


class Periods(NamedTuple):
    """A day and its month, and when each ends, in seconds since 1970."""

    day: str
    month: str
    day_ends: float
    month_ends: float


@dataclass(frozen=True, slots=True)
class Read:
    """What was found: the totals that changed since `mark`, by period and key, and the mark to ask with next."""

    totals: Mapping[tuple[str, str], Used]
    mark: int


class Account(Protocol):
    """An account. It is used by one thread at a time, and may wait."""

    def exchange(
        self, batch: int, used: Mapping[tuple[str, str], Used], periods: tuple[str, ...], mark: int, /
    ) -> Read:
        """Add what was used, by period and key, and read what changed in these periods since `mark` (0: all).

        All of it is kept or none; a batch whose number is not above that of the last is not added again, so that one
        whose fate is not known can be sent once more. Raises `StoreError`.
        """
        ...

    def close(self) -> None:
        """Let go of it; using it again opens it again."""
        ...


def periods_at(now: float) -> Periods:
    """The day and the month of a time, in UTC."""
    at = datetime.fromtimestamp(now, UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    ends = (day + timedelta(days=1)).timestamp(), following.timestamp()
    return Periods(f"{day:%Y-%m-%d}", f"{day:%Y-%m}", *ends)


def nanos(usd: float) -> int:
    """Dollars in nano-dollars."""
    return round(usd * NANO)


def summed(parts: Iterable[Used]) -> Used:
    """The sum of several."""
    total = NOTHING
    for part in parts:
        total = total.plus(part)
    return total


def beside(keys: Path) -> str:
    """The account of a file of keys where no other is named: `keys.json` has `keys.usage.db`."""
    return f"sqlite:{keys.with_suffix('.usage.db')}"


def account_of(where: str, folder: Path = Path()) -> "SQLiteAccount":
    """That in a file, `sqlite:PATH`; nothing is opened."""
    from fastcascade.gateway.account_sqlite import SQLiteAccount  # noqa: PLC0415 - loads SQLite

    return SQLiteAccount(folder / where.removeprefix("sqlite:"))
