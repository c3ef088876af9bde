"""What one key may use, at one process: what it last knew of it, and what the server is still to hear of it."""

import asyncio
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from fastcascade._core import Quota
from fastcascade.errors import StoreError
from fastcascade.gateway.account import Used, periods_at
from fastcascade.shared.apart import Apart, Rule
from fastcascade.shared.budgets_apart import PARTS, MoneyApart
from fastcascade.shared.budgets_scripts import ENTER, LEAVE
from fastcascade.shared.budgets_untold import KEPT, Untold

if TYPE_CHECKING:
    from fastcascade.shared.budgets import SharedBudgets

__all__ = ["Purse", "Refusal", "Stay", "Why"]

Why: TypeAlias = Literal["requests", "tokens", "day", "month", "held", "off"]

NANO: Final = 1_000_000_000
BUCKET: Final = "key"
OFF: Final = 5.0
SOON: Final = 1.0
"""Seconds after which to ask again: while the server is away, and where others hold what is left."""
MEAN: Final = NANO // 100


class Stay:
    """A request that was let in.

    Attributes:
        nanos: the most that it may spend; 0 where no budget bounds it.
        tokens: how many it was taken to use.
        day: nano-dollars spent today, as it was let in.
        month: and this month.
        apart: whether it was let in by this process alone.
    """

    __slots__ = ("apart", "day", "gone", "month", "name", "nanos", "tokens")

    def __init__(self, name: str, nanos: int, tokens: float, day: int, month: int, *, apart: bool = False) -> None:
        """In work."""
        self.name, self.nanos, self.tokens, self.day, self.month = name, nanos, tokens, day, month
        self.apart, self.gone = apart, False


class Refusal:
    """Why a request may not be made now, and in how many seconds it may."""

    __slots__ = ("wait", "why")

    def __init__(self, why: Why, wait: float) -> None:
        """Nothing was taken."""
        self.why: Why = why
        self.wait = wait


class Purse:
    """The limits and the money of one key. Made by `SharedBudgets.purse`."""

    __slots__ = (
        *("_day", "_month", "_names", "_spent_day", "_spent_month", "_held", "_money"),
        *("_hub", "_rules", "_task", "_told_key", "_untold", "key", "keys", "requests", "tokens"),
    )

    def __init__(self, hub: "SharedBudgets", key: str) -> None:
        """Nothing is known of it."""
        self._hub, self.key = hub, key
        named = hub.shared.key
        names = ("requests", "tokens", "state", "used", "held", "ends")
        self.keys = [named("key", each, slot=key) for each in names]
        self._told_key = named("key", "told", hub.members.id, slot=key)
        self._rules: list[Rule | None] = [None, None]
        self.requests: Apart | None = None
        self.tokens: Apart | None = None
        self._day: int | None = None
        self._month: int | None = None
        self._names = ("", "")  # the day and the month of what is known
        self._spent_day = self._spent_month = self._held = 0
        self._money: MoneyApart | None = None
        self._untold = Untold()
        self._task: asyncio.Task[None] | None = None

    def bind(self, requests: Quota | None, tokens: Quota | None, day: int | None, month: int | None) -> None:
        """Go by these from now on. What is known of a limit that is as it was stays."""
        if self._rules[0] is None or self._rules[0].quota != requests:
            self._rules[0] = Rule(requests) if requests else None
            self.requests = Apart(requests, most=1) if requests else None
        if self._rules[1] is None or self._rules[1].quota != tokens:
            self._rules[1] = Rule(tokens) if tokens else None
            self.tokens = Apart(tokens, most=1) if tokens else None
        if (self._day, self._month) != (day, month):
            self._day, self._month, self._money = day, month, None

    @property
    def hard(self) -> bool:
        """Whether it has a budget."""
        return self._day is not None or self._month is not None

    def kept_for(self) -> tuple[int, int]:
        """Milliseconds for which something is held, and seconds for which all is kept."""
        return round(self._hub.held_for * 1000), KEPT

    async def enter(
        self,
        *,
        requests: float = 1.0,
        tokens: float = 0.0,
        spends: bool = True,
        mean: int = MEAN,
        least: int = 0,
        asked: int | None = None,
    ) -> Stay | Refusal:
        """Take so many of each, and where there is a budget hold what the request may spend; all of it or nothing.

        Args:
            requests: how many.
            tokens: how many; more than the whole limit goes when nothing else has.
            spends: whether it may spend anything.
            mean: what one costs on average, in nano-dollars.
            least: the least that one among others is given, while so much is free.
            asked: the most that it asks for.
        """
        hub = self._hub
        if not hub.began:
            await hub.start()
        if self.tokens is not None:
            tokens = min(tokens, self.tokens.quota.burst)
        holds, least = spends and self.hard, max(least, hub.least)
        name, up = hub.name() if holds else "", hub.shared.up
        given = self._given(name, requests, tokens, least, mean, asked)
        try:
            reply = await hub.shared.run(ENTER, self.keys, given)
        except StoreError:
            if up:  # else it was not even sent
                self.let_go(name)
        except BaseException:
            self.let_go(name)
            raise
        else:
            return self._answered(reply, name, tokens)
        if holds and hub.off == "closed":
            return Refusal("off", OFF)
        return self._enter_apart(requests, tokens, least, mean, asked, holds=holds)

    def leave(self, stay: Stay, used: Used | None, tokens: float | None = None) -> None:
        """It is over: let go of what it held, and count what it used; None, where it asked for nothing.

        `tokens` is how many it did use, where that is known. Waits for nothing.
        """
        if stay.gone:
            return
        stay.gone = True
        hub, spent = self._hub, used.nanos if used is not None else 0
        if self._money is not None:
            if stay.apart and stay.nanos:
                self._money.leave(stay.nanos, spent)
            elif not stay.apart:
                self._money.spend(max(0, spent - stay.nanos))
        if tokens is not None and self.tokens is not None and (rule := self._rules[1]) is not None:
            if self.tokens.is_apart:
                self.tokens.settle(BUCKET, stay.tokens, tokens, hub.members.count)
            else:
                self._untold.owe(1, rule.price(tokens) - rule.price(stay.tokens))
        if used is not None:
            self._count(used)
        if stay.nanos:
            hub.holds.pop(stay.name, None)
            self._untold.let_go(stay.name, stay.nanos)
            hub.untold.add(self)
            self.tell()
        elif self._untold:
            hub.untold.add(self)
            hub.soon()

    def let_go(self, name: str) -> None:
        """Have it let go of what may be held under this name."""
        if name:
            self._untold.let_go(name, None)
            self._hub.untold.add(self)
            self._hub.soon()

    def count(self, used: Used) -> None:
        """Count what was used by a request that nothing bounds. Waits for nothing."""
        self._count(used)
        self._hub.untold.add(self)
        self._hub.soon()

    def _count(self, used: Used) -> None:
        for period in periods_at(self._hub.now())[:2]:
            self._untold.count(period, used)

    # By the server.

    def _given(
        self, name: str, requests: float, tokens: float, least: int, mean: int, asked: int | None
    ) -> list[str | int]:
        first, second = self._rules
        return [
            *((first.price(requests), first.depth) if first is not None else (0, -1)),
            *((second.price(tokens), second.depth) if second is not None else (0, -1)),
            name,
            -1 if self._day is None else self._day,
            -1 if self._month is None else self._month,
            *(least, mean, -1 if asked is None else asked),
            *(self.kept_for()[0], PARTS, KEPT),
        ]

    def _answered(self, reply: list[int], name: str, tokens: float) -> Stay | Refusal:
        self._learn(reply)
        if self in self._hub.apart:
            self.rejoin()
            self.tell()
        why, number = reply[0], reply[1]
        if not why:
            if number:
                self._hub.holds[name] = (self, number, self._hub.clock())
            return Stay(name, number, tokens, self._spent_day, self._spent_month)
        text: Why = why.decode()  # type: ignore[attr-defined]  # the one word among numbers
        return self._refused(text, number / NANO)

    def _learn(self, reply: list[int]) -> None:
        hub = self._hub
        hub.ahead = reply[8] / 1e6 - hub.clock()
        self._spent_day, self._spent_month, self._held = reply[4:7]
        self._names = periods_at(hub.now())[:2]
        for apart, rule, owed in zip((self.requests, self.tokens), self._rules, reply[2:4], strict=True):
            if apart is not None and rule is not None:
                apart.learn(BUCKET, rule.left(owed))

    def _refused(self, why: Why, wait: float = 0.0) -> Refusal:
        if why == "held":
            return Refusal(why, SOON)
        if why in ("day", "month"):
            now = self._hub.now()
            periods = periods_at(now)
            return Refusal(why, (periods.month_ends if why == "month" else periods.day_ends) - now)
        return Refusal(why, wait)

    # By this process alone.

    def _enter_apart(
        self, requests: float, tokens: float, least: int, mean: int, asked: int | None, *, holds: bool
    ) -> Stay | Refusal:
        hub, most, members = self._hub, 0, self._hub.members.count
        hub.apart.add(self)
        first, second = self.requests, self.tokens
        money = self._part(members) if holds else None
        if money is not None:
            got = money.enter(least, mean, asked)
            if isinstance(got, str):
                return self._refused(got)
            most = got
        if first is not None and (wait := first.admit(BUCKET, requests, members)):
            if money is not None:
                money.leave(most, 0)
            return Refusal("requests", wait)
        if second is not None and (wait := second.admit(BUCKET, tokens, members)):
            if first is not None:
                first.settle(BUCKET, requests, 0.0, members)
            if money is not None:
                money.leave(most, 0)
            return Refusal("tokens", wait)
        name = hub.name() if most else ""
        if most:
            hub.holds[name] = (self, most, -1e9)  # the server is to hear of it as soon as it is back
        day, month = self._known(periods_at(hub.now())[:2])
        return Stay(name, most, tokens, day, month, apart=True)

    def _part(self, members: int) -> MoneyApart:
        """This process's part of the money, of today and this month."""
        names = periods_at(self._hub.now())[:2]
        if self._money is None:
            self._money = MoneyApart(self._day, self._month, members)
            self._money.begin(names, *self._known(names), max(0, self._held - self._untold.released))
        self._money.turn(names)
        return self._money

    def _known(self, names: tuple[str, str]) -> tuple[int, int]:
        """What was spent in this day and month: as was last read, and what the server has not heard of yet."""
        day = self._spent_day if names[0] == self._names[0] else 0
        month = self._spent_month if names[1] == self._names[1] else 0
        return day + self._untold.spent(names[0]), month + self._untold.spent(names[1])

    def rejoin(self) -> None:
        """Go by the server again, and have it told what was used meanwhile."""
        self._hub.apart.discard(self)
        self._money = None
        for place, (apart, rule) in enumerate(zip((self.requests, self.tokens), self._rules, strict=True)):
            if apart is not None and rule is not None and (tokens := apart.rejoin(BUCKET)):
                self._untold.owe(place, round(tokens * rule.per_token))
                self._hub.untold.add(self)

    # What the server is told.

    def tell(self) -> None:
        """Tell it what it has not heard, one piece after the other."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell_all())

    async def told(self) -> None:
        """Tell it, and wait until it has heard all or is away."""
        self.tell()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _tell_all(self) -> None:
        try:
            while self._untold or self in self._hub.apart:
                try:
                    reply = await self._hub.shared.run(LEAVE, [*self.keys, self._told_key], self._untold.piece())
                except StoreError:
                    self._hub.untold.add(self)
                    return  # at the next sign of life, as it was: it may have been heard
                self._untold.heard()
                self._learn(reply)
                self.rejoin()  # it is there, and what was used apart goes with the next piece
            self._hub.untold.discard(self)
        finally:
            self._task = None
