"""How much money a key may spend, in a day and in a month.

It is counted in an account that all share. A request is let in by what is known in memory, with an estimate of its
cost (the mean of the key's last ones) held until the true one is known. What was used is written at once by a thread
of its own, and what others have used is read `EVERY` so often. So a hard budget can be passed: by the error of the
estimates of what is in work; by what other processes let in within `EVERY` and the time of a write; and by one
request, since whoever has anything left may ask. A crash loses what was in work and the last write.
"""

import time
from collections.abc import Callable
from threading import Condition, Lock, Thread
from typing import Final, Literal, TypeAlias, cast

from fastcascade.errors import StoreError
from fastcascade.gateway.account import NANO, NOTHING, Account, Used, nanos, periods_at
from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.rates import Denied
from fastcascade.notices import notify

__all__ = ["EVERY", "STALE", "Held", "Meter", "Money"]

EVERY: Final = 0.25
"""Seconds between two looks at what others have used."""
STALE: Final = 5.0
"""Seconds without the account after which hard budgets are not known to be kept."""
FIRST: Final = nanos(0.01)
"""What a key's first request is taken to cost."""
WEIGHT: Final = 8
"""Of so many of a key's last requests, about, the cost of the next is estimated."""

LEAP: Final = 2 * 86_400.0
"""Seconds: a clock that was so far ahead was wrong, and who kept to its day would not count anew for as long."""

WhenOff: TypeAlias = Literal["closed", "open"]


class Held:
    """What one request in work holds of a key's budgets."""

    __slots__ = ("gone", "nanos", "warning")

    def __init__(self, held: int, warning: str) -> None:
        """So many nano-dollars; and what the client is to be warned of, or nothing."""
        self.nanos, self.warning, self.gone = held, warning, False


class Money:
    """What one key has spent, as it is known here."""

    __slots__ = ("day", "held", "in_work", "mean", "month", "period")

    def __init__(self) -> None:
        """Nothing yet."""
        self.day = self.month = self.held = self.in_work = 0
        self.mean = FIRST
        self.period: tuple[str, str] = ("", "")


class Meter:
    """The budgets of all keys, at one process.

    Args:
        account: what all processes share.
        off: what is done about keys with a hard budget while the account cannot be reached: "closed" refuses them,
            "open" lets them in by what this process knows. Keys without one are let in either way.
        now: the time in seconds since 1970: days and months go by it.
        clock: seconds, as of `time.monotonic`: how old is what is known goes by it.
    """

    def __init__(
        self,
        account: Account,
        *,
        off: WhenOff = "closed",
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet: `exchange` does."""
        self._account, self._off, self._now, self._clock = account, off, now, clock
        self._keys: dict[str, Money] = {}
        self._periods = periods_at(now())
        self._read: tuple[str, ...] = ()
        self._mark, self._batch = 0, 1
        self._pending: dict[tuple[str, str], Used] = {}
        self._sending: dict[tuple[str, str], Used] = {}
        self._totals: dict[tuple[str, str], Used] = {}
        self._fresh: float | None = None
        self._lock = Lock()  # guards what is known; held for an instant
        self._turn = Lock()  # one exchange at a time
        self._wake = Condition(Lock())
        self._stirred = self._ended = False
        self._thread: Thread | None = None

    # A request.

    def enter(self, record: KeyRecord) -> Held | Denied:
        """Hold what a request may cost, or say why it may not be made."""
        now = self._now()
        with self._lock:
            money = self._money(record.id, now)
            estimate = money.mean
            denied = self._denied(record, money, estimate, now)
            if denied is not None:
                return denied
            money.held += estimate
            money.in_work += 1
            return Held(estimate, _warning(record, money) if record.soft_day or record.soft_month else "")

    def leave(
        self,
        record: KeyRecord,
        held: Held,
        cost: float | None,
        tokens: int = 0,
        *,
        known: float = 0.0,
        asked: bool = True,
    ) -> None:
        """Let go of what was held, and count what it did cost. Without `asked` no model was: nothing is counted.

        A cost of None is not known, and counts as was estimated, or as the part of it that is `known` if that is more.
        """
        now = self._now()
        with self._lock:
            if held.gone:
                return
            held.gone = True
            money = self._money(record.id, now)
            money.held -= held.nanos
            money.in_work -= 1
            if not asked:
                return
            spent = max(held.nanos, nanos(known)) if cost is None else max(0, nanos(cost))
            if cost is not None and spent:
                money.mean += (spent - money.mean) // WEIGHT if money.mean != FIRST else spent - money.mean
            money.day += spent
            money.month += spent
            used = Used(spent, 1, tokens, int(cost is None))
            for period in money.period:
                where = (period, record.id)
                self._pending[where] = self._pending.get(where, NOTHING).plus(used)
        if cost is None:
            _news(record, "the cost of some requests is not known: they count as was estimated; see to the prices")
        if self._thread is not None:
            with self._wake:
                self._stirred = True
                self._wake.notify()

    def _denied(self, record: KeyRecord, money: Money, estimate: int, now: float) -> Denied | None:
        if record.budget_day is None and record.budget_month is None:
            return None
        if self._off == "closed" and (self._fresh is None or self._clock() - self._fresh > STALE):
            return Denied("off", STALE, "it cannot be told what this key has spent; try again soon")
        more = estimate if money.in_work else 1  # alone, whoever has anything left may ask
        periods = self._periods
        for why, budget, spent, ends in (
            ("month", record.budget_month, money.month, periods.month_ends),
            ("day", record.budget_day, money.day, periods.day_ends),
        ):
            if budget is not None and spent + money.held + more > nanos(budget):
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
                message = f"this key's budget of {budget:g} USD per {why} is spent; it begins anew at {when}"
                return Denied(cast("Literal['day', 'month']", why), ends - now, message)
        return None

    def _money(self, key: str, now: float) -> Money:
        """What is known of a key, in the day and month of now."""
        self._turn_to(now)
        money = self._keys.get(key)
        if money is None:
            money = self._keys[key] = Money()
        today = self._periods
        if money.period != (today.day, today.month):
            money.period = (today.day, today.month)
            money.day, money.month = self._known(today.day, key), self._known(today.month, key)
        return money

    def _turn_to(self, now: float) -> None:
        """Go on to the day of now. A clock that is set back keeps to the later day, unless that was a leap."""
        ends = self._periods.day_ends
        if now >= ends or now < ends - LEAP:
            self._periods = periods_at(now)

    def _known(self, period: str, key: str) -> int:
        """What everybody has spent, as far as it is known: what was read, and what is still to be written."""
        where = (period, key)
        parts = (self._totals.get(where), self._sending.get(where), self._pending.get(where))
        return sum(part.nanos for part in parts if part is not None)

    # The account.

    def exchange(self) -> None:
        """Write what was used here, and read what others have used. Raises `StoreError`; then nothing is lost."""
        with self._turn:
            again = bool(self._sending)
            self._once()
            if again:  # that was what had not gone out before; now what came since
                self._once()

    def _once(self) -> None:
        with self._lock:
            self._turn_to(self._now())
            periods = (self._periods.day, self._periods.month)
            if not self._sending:  # else it goes out once more as it was, under its own number
                self._sending, self._pending = self._pending, {}
            mark = self._mark if self._read == periods else 0
        began = self._clock()
        read = self._account.exchange(self._batch, self._sending, periods, mark)
        with self._lock:
            self._batch += bool(self._sending)
            self._sending = {}
            if self._read != periods:
                self._totals = {where: used for where, used in self._totals.items() if where[0] in periods}
            self._totals.update(read.totals)
            self._read, self._mark, self._fresh = periods, read.mark, began
            for _, key in read.totals:
                money = self._keys.get(key)
                if money is not None and money.period == periods:
                    money.day, money.month = self._known(periods[0], key), self._known(periods[1], key)

    def spent(self, key: str) -> tuple[Used, Used]:
        """What a key has used today and this month, as was last read."""
        with self._lock:
            periods = self._periods
            return self._totals.get((periods.day, key), NOTHING), self._totals.get((periods.month, key), NOTHING)

    def start(self, beat: Callable[[], object] | None = None) -> None:
        """Exchange from now on, in a thread of its own; `beat` is called `EVERY` so often too."""
        with self._wake:
            if self._thread is None:
                self._thread = Thread(target=self._run, args=(beat,), name="fastcascade-meter", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is left, and end. What cannot be written is told of."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.refresh()
        self._account.close()

    def _run(self, beat: Callable[[], object] | None) -> None:
        looked = -EVERY
        while not self._ended:
            good = self.refresh()
            if beat is not None and self._clock() - looked >= EVERY:
                looked = self._clock()
                try:
                    beat()
                except Exception as error:  # noqa: BLE001 - the thread goes on
                    notify("store off", "keys", f"looking at them failed: {type(error).__name__}")
            with self._wake:
                if good:
                    self._wake.wait_for(lambda: self._stirred or self._ended, EVERY)
                else:
                    self._wake.wait_for(lambda: self._ended, EVERY)
                self._stirred = False

    def refresh(self) -> bool:
        """Exchange, and tell of what goes wrong with that; whether it went well."""
        try:
            self.exchange()
        except StoreError as error:
            held = "keys with a hard budget are refused" if self._off == "closed" else "budgets are not shared"
            notify("store off", "the account of keys", f"{error}; {held} until it is back")
            return False
        except Exception as error:  # noqa: BLE001 - the thread goes on, and nothing is lost
            notify("store off", "the account of keys", f"failed: {type(error).__name__}")
            return False
        return True


def _warning(record: KeyRecord, money: Money) -> str:
    """What is said once a soft budget is passed: to the client in a header, and to the operator."""
    said = [
        f"{spent / NANO:.2f} of {budget:g} USD spent this {period}"
        for period, budget, spent in (("day", record.soft_day, money.day), ("month", record.soft_month, money.month))
        if budget is not None and spent >= nanos(budget)
    ]
    for each in said:
        _news(record, f"the soft budget per {each.rpartition(' ')[2]} is passed")
    return "; ".join(said)


def _news(record: KeyRecord, text: str) -> None:
    notify("budget", f"key {record.id} ({record.name})", text)
