"""How much money a key may spend, in a day and in a month.

It is counted in an account that all share. A request is let in by what is known in memory. Where its key has a hard
budget, the most that it may spend is held until it ends (see `money`), and the cascade is given no more. So at one
process a hard budget is passed by no more than this:

    a cascade        for each request in work, by what the call (or the calls at once) that was under way as its money
                     ran out cost more than was estimated: no call is made for which it does not suffice by estimate,
                     and none at all, but an error that names the tier, where the price of one is not known
    a pass-through   for each request in work, by what its answer costs beyond what was held: it is not passed on where
                     that does not suffice for its prompt, or where the price is not known

Several processes tell one another what was spent, not what is held: what a request under a hard budget has used is
written within `PAUSE` and the time of a write, by a thread of its own, and what others have used is read `EVERY` so
often. So to that come what the others let in within that time, and what they hold: of W workers each holds no more than
the W-th part of what it knows to be left, which is together less than the budget once more; or two shares, where that
is more. Machines do not know of one another: with an account that several share, each counts its own workers alone.

A crash loses what was in work and what was not yet written: `EVERY` at most, where no budget is hard.
"""

import time
from collections.abc import Callable, Iterator
from threading import Condition, Lock, Thread
from typing import Final, Literal, TypeAlias

from fastcascade.errors import StoreError
from fastcascade.gateway.account import NANO, Account, Periods, Used, nanos, periods_at
from fastcascade.gateway.book import Book
from fastcascade.gateway.keys import MONEY, KeyRecord
from fastcascade.gateway.money import SHARE, Held, Money, most_for
from fastcascade.gateway.rates import Denied
from fastcascade.notices import notify

__all__ = ["EVERY", "PAUSE", "STALE", "Held", "Meter", "Money", "budget_denied", "cost_unknown", "soft_warning"]

EVERY: Final = 0.25
"""Seconds between two looks at what others have used."""
PAUSE: Final = 0.05
"""Seconds from one write to the next, however much is used."""
STALE: Final = 5.0
"""Seconds without the account after which hard budgets are not known to be kept."""
SOON: Final = 1.0
"""Seconds after which to ask again, where others hold what is left."""

LEAP: Final = 2 * 86_400.0
"""Seconds: a clock that was so far ahead was wrong, and who kept to its day would not count anew for as long."""

WhenOff: TypeAlias = Literal["closed", "open"]


class Meter:
    """The budgets of all keys, at one process.

    Args:
        account: what all processes share.
        off: what is done about keys with a hard budget while the account cannot be reached: "closed" refuses them,
            "open" lets them in by what this process knows. Keys without one are let in either way.
        share: dollars, the least that a request among others is given of a hard budget, while so much is free.
        workers: how many processes count for the same keys.
        now: the time in seconds since 1970: days and months go by it.
        clock: seconds, as of `time.monotonic`: how old is what is known goes by it.
    """

    def __init__(
        self,
        account: Account,
        *,
        off: WhenOff = "closed",
        share: float = SHARE,
        workers: int = 1,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet: `exchange` does."""
        self._account, self._off, self._now, self._clock = account, off, now, clock
        self._share, self._workers = nanos(share), workers
        self._keys: dict[str, Money] = {}
        self._unsent: list[Money] = []  # whose counts have not gone into what is pending
        self._turn_at(now())
        self._book = Book()
        self._fresh: float | None = None
        self._lock = Lock()  # guards what is known; held for an instant
        self._turn = Lock()  # one exchange at a time
        self._wake = Condition(Lock())
        self._stirred = self._ended = False
        self._thread: Thread | None = None

    # A request.

    def enter(self, record: KeyRecord, asked: float | None = None) -> Held | Denied:
        """Hold what a request may spend, or say why it may not be made. `asked` is what its client has bound it to."""
        now = self._now()
        with self._lock:
            money = self._money(record, now)
            most = 0
            if money.hard:
                if self._off == "closed" and (self._fresh is None or self._clock() - self._fresh > STALE):
                    return Denied("off", STALE, "it cannot be told what this key has spent; try again soon")
                got = most_for(money, self._share, self._workers, None if asked is None else nanos(asked))
                if isinstance(got, str):
                    return budget_denied(record, got, self._periods, now)
                most = got
            money.held += most
            money.in_work += 1
            return Held(most, money.mean, soft_warning(record, money) if record.soft_day or record.soft_month else "")

    def leave(
        self,
        record: KeyRecord,
        held: Held | None,
        cost: float | None,
        tokens: int = 0,
        *,
        known: float = 0.0,
        asked: bool = True,
    ) -> None:
        """Let go of what was held, if anything was, and count what it did cost.

        A cost of None is not known, and counts as was estimated, or as the part of it that is `known` if that is more.
        Without `asked` no model was: nothing is counted.
        """
        now = self._now()
        with self._lock:
            money = self._keys.get(record.id)
            if money is None or money.period is not self._today or not self._leapt <= now < self._ends:
                money = self._money(record, now)
            estimate = money.mean
            if held is not None:
                if held.gone:
                    return
                held.gone, estimate = True, held.estimate
                money.held -= held.nanos
                money.in_work -= 1
            if not asked:
                return
            if cost is None:
                spent = max(estimate, nanos(known))
                money.unknown += 1
            else:
                spent = round(cost * NANO) if cost > 0.0 else 0
                if spent:
                    money.learn(spent)
            if not money.requests:
                self._unsent.append(money)
            money.day += spent
            money.month += spent
            money.nanos += spent
            money.requests += 1
            money.tokens += tokens
        if cost is None:
            cost_unknown(record)
        if held is not None and held.nanos and not self._stirred and self._thread is not None:
            with self._wake:
                self._stirred = True
                self._wake.notify()

    def _money(self, record: KeyRecord, now: float) -> Money:
        """What is known of a key, in the day and month of now."""
        if now >= self._ends or now < self._leapt:
            self._turn_at(now)
        money = self._keys.get(record.id)
        if money is None:
            money = self._keys[record.id] = Money(record)
        elif money.record is not record:
            money.bind(record)
        if money.period is not self._today:
            self._take(money)
            money.period = self._today
            money.day, money.month = (self._book.known(period, record.id) for period in self._today)
        return money

    def _take(self, money: Money) -> None:
        """Put what a key's requests have used among what is to be written."""
        if not money.requests:
            return
        used = Used(money.nanos, money.requests, money.tokens, money.unknown)
        money.nanos = money.requests = money.tokens = money.unknown = 0
        for period in money.period:
            self._book.add(period, money.record.id, used)

    def _turn_at(self, now: float) -> None:
        """Go on to the day of now. A clock that is set back keeps to the later day, unless that was a leap."""
        self._periods = periods_at(now)
        self._today = (self._periods.day, self._periods.month)
        self._ends, self._leapt = self._periods.day_ends, self._periods.day_ends - LEAP

    # The account.

    def exchange(self) -> None:
        """Write what was used here, and read what others have used. Raises `StoreError`; then nothing is lost."""
        with self._turn:
            again = self._book.sending
            self._once()
            if again:  # that was what had not gone out before; now what came since
                self._once()

    def _once(self) -> None:
        with self._lock:
            now = self._now()
            if now >= self._ends or now < self._leapt:
                self._turn_at(now)
            periods = self._today
            for money in self._unsent:
                self._take(money)
            self._unsent.clear()
            asked = self._book.send(periods)
        began = self._clock()
        read = self._account.exchange(*asked)
        with self._lock:
            self._book.sent(periods, read)
            self._fresh = began
            for _, key in read.totals:
                here = self._keys.get(key)
                if here is not None and here.period == periods:
                    here.day, here.month = (self._book.known(period, key) + here.nanos for period in periods)

    def spent(self, key: str) -> tuple[Used, Used]:
        """What a key has used today and this month, as was last read."""
        with self._lock:
            return self._book.read(self._today[0], key), self._book.read(self._today[1], key)

    def spending(self) -> Iterator[tuple[str, str, str, float, float]]:
        """Of keys in use that have a budget: whose, the period, hard or soft, dollars spent, dollars allowed."""
        with self._lock:
            found = [(each.record, each.day, each.month) for each in self._keys.values() if each.period is self._today]
        for record, *spent in found:
            whose = f"{record.name} ({record.id})"
            for period, used in zip(("day", "month"), spent, strict=True):
                for kind, name in (("hard", f"budget_{period}"), ("soft", f"soft_{period}")):
                    most = getattr(record, name)
                    if most is not None:
                        yield whose, period, kind, used / NANO, most

    def holding(self, key: str) -> int:
        """How many nano-dollars its requests in work hold, at this process."""
        with self._lock:
            money = self._keys.get(key)
            return money.held if money is not None else 0

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
                self._wake.wait_for(lambda: self._ended, PAUSE)
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


def budget_denied(record: KeyRecord, why: Literal["day", "month", "held"], periods: Periods, now: float) -> Denied:
    """What is said where a budget is spent, or what is left of it is held."""
    if why == "held":
        message = "what is left of this key's budget is held by its requests in work; try again when one has ended"
        return Denied(why, SOON, message)
    month = why == "month"
    budget = record.budget_month if month else record.budget_day
    ends = periods.month_ends if month else periods.day_ends
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    message = f"this key's budget of {budget:g} USD per {why} is spent; it begins anew at {when}"
    return Denied(why, ends - now, message)


def cost_unknown(record: KeyRecord) -> None:
    """Tell the operator, where there is a budget."""
    if any(getattr(record, name) is not None for name in MONEY):
        _news(record, "the cost of some requests is not known: they count as was estimated; see to the prices")


def soft_warning(record: KeyRecord, money: Money) -> str:
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
