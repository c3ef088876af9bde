"""The gatekeeper of a gateway whose keys are counted together with others': what they may use is decided in Redis.

    enter   by the key's record, in memory; then its rates and its budgets at once, in one round trip
    leave   what was used is told in the background, each piece once

A key without a rate and without a budget waits for nothing: what it used is counted, a little later.
"""

import asyncio
from collections.abc import Mapping
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway.account import NANO, Used, nanos, periods_at
from fastcascade.gateway.by_keys import ByKeys, bound_of, denied_as, used_of, warned
from fastcascade.gateway.in_use import Entered, InUse
from fastcascade.gateway.key_store import Keys, Listed
from fastcascade.gateway.keys import KeyRecord, quota_of
from fastcascade.gateway.meter import EVERY, budget_denied, cost_unknown, soft_warning
from fastcascade.gateway.money import MEANS, Held, Money
from fastcascade.gateway.rates import Denied, Rate, token_quota
from fastcascade.guards.limits import RateFields
from fastcascade.notices import notify
from fastcascade.shared.budgets import Purse, Refusal, SharedBudgets, Stay, WhenOff
from fastcascade.shared.members import Members
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire.endpoint import Caller, Response

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared
    from fastcascade.wire.endpoint import Done

__all__ = ["SharedKeyGate"]

SAID: Final = {
    "requests": "too many requests for this key",
    "tokens": "too many tokens per minute for this key",
    "off": "it cannot be told what this key has spent; try again soon",
}


class _Stays(Held):
    """What one request in work holds, and how the purse of its key knows it."""

    __slots__ = ("stay",)

    def __init__(self, stay: Stay, estimate: int, warning: str) -> None:
        super().__init__(stay.nanos, estimate, warning)
        self.stay = stay


class _PurseRate(Rate):
    """The limits of a key that has a purse; the money beside them is what is known of it here, for estimates."""

    __slots__ = ("money", "purse")

    def __init__(self, record: KeyRecord, hub: SharedBudgets, before: "InUse | None") -> None:
        old = before.rate if before is not None else None
        self.money: Money = old.money if isinstance(old, _PurseRate) else Money(record)
        self.money.bind(record)
        self.purse: Purse = hub.purse(
            record.id,
            requests=quota_of(record.limit),
            tokens=token_quota(record),
            day=None if record.budget_day is None else self.money.most_day,
            month=None if record.budget_month is None else self.money.most_month,
        )
        told = ((self.purse.requests, "requests"), (self.purse.tokens, "tokens"))
        self._fields = [RateFields(limit, name) for limit, name in told if limit is not None]


class SharedKeyGate(ByKeys):
    """A `Gatekeeper` by keys, whose `enter` may come to something to be awaited.

    Args:
        keys: who has which.
        shared: where it is counted.
        off: what is done about keys with a hard budget while that is away.
        workers: how many share it at least.
        owned: whether `shared` is closed with this.
    """

    def __init__(
        self, keys: Keys, shared: "Shared", *, off: WhenOff = "closed", workers: int = 1, owned: bool = False
    ) -> None:
        """Let nobody in yet."""
        members = Members.of(shared, "keys", workers)
        self.shared, self.budgets = shared, SharedBudgets(shared, members=members, off=off)
        super().__init__(keys, self.budgets.now)
        self._owned = owned
        self._ended = Event()
        self._looking: Thread | None = None
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at the file of keys from now on, in a thread of its own."""
        if self._looking is None:
            self._looking = Thread(target=self._look, name="fastcascade-keys", daemon=True)
            self._looking.start()

    def begin(self) -> None:
        """Connect, in this loop."""
        self._starting = asyncio.get_running_loop().create_task(self.budgets.start())

    def close(self) -> None:
        """Look no more. What was used is told by `aclose`."""
        self._ended.set()
        if self._looking is not None:
            self._looking.join()

    async def aclose(self) -> None:
        """Tell what was used, and end."""
        self.close()
        if self._starting is not None:
            self._starting.cancel()
        await self.budgets.aclose()
        if self._owned:
            await self.budgets.members.aclose()
            await self.shared.aclose()

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                self.keys.look()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                notify("store off", "keys", f"looking at them failed: {type(error).__name__}")

    def _forget(self, listed: Listed) -> None:
        super()._forget(listed)
        self.budgets.keep(listed.by_id)

    def _rate(self, record: KeyRecord, before: InUse | None) -> Rate:
        return _PurseRate(record, self.budgets, before)

    def _taken(self, used: InUse, headers: Mapping[str, str], path: str, length: int) -> Any:
        """What is to be awaited."""
        return self._asked(used, headers, path, length)

    async def _asked(self, used: InUse, headers: Mapping[str, str], path: str, length: int) -> Caller | Response:
        record, rate = used.record, used.rate
        assert isinstance(rate, _PurseRate)  # noqa: S101 - for the checker: `_rate` makes no other
        money, bound = rate.money, bound_of(headers)
        got = await rate.purse.enter(
            tokens=max(1.0, length / CHARACTERS_PER_TOKEN) if length else 0.0,
            spends=length != 0,
            mean=money.mean,
            least=MEANS * money.mean,
            asked=None if bound is None else nanos(bound),
        )
        if isinstance(got, Refusal):
            return denied_as(headers, path, self._denied(record, got), used)
        money.day, money.month = got.day, got.month
        soft = length and (record.soft_day or record.soft_month)
        held = _Stays(got, money.mean, soft_warning(record, money) if soft else "")
        return used.entered(held, got.tokens, (*rate.headers(), *warned(held)))

    def _denied(self, record: KeyRecord, refusal: Refusal) -> Denied:
        why, now = refusal.why, self.budgets.now()
        if why == "day" or why == "month" or why == "held":  # noqa: PLR1714 - the checker reads it so
            return budget_denied(record, why, periods_at(now), now)
        return Denied(why, refusal.wait, SAID[why])

    def leave(self, caller: Caller, done: "Done | None", /) -> None:
        """Count what was used; `done` is None where no cascade was reached."""
        if type(caller) is not Entered:
            return
        record, rate, held = caller.key.record, caller.key.rate, caller.held
        answer = done.answer if done is not None else None
        cost, known, tokens = (0.0, 0.0, 0) if answer is None else used_of(answer)
        assert isinstance(rate, _PurseRate)  # noqa: S101 - for the checker: `_rate` makes no other
        used: Used | None = None
        if done is not None:
            estimate = held.estimate if held is not None else rate.money.mean
            spent = round(max(cost, 0.0) * NANO) if cost is not None else max(estimate, nanos(known))
            used = Used(spent, 1, tokens, int(cost is None))
            if cost is None:
                cost_unknown(record)
            elif spent:
                rate.money.learn(spent)
        if isinstance(held, _Stays):
            unknown = answer is not None and not tokens and cost is None
            rate.purse.leave(held.stay, used, None if unknown else float(tokens))
        elif used is not None:
            rate.purse.count(used)
