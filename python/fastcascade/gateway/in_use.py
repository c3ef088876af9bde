"""Keys in use: what is worked out once for all requests of a key, and what is known of each of its requests."""

from fnmatch import fnmatchcase
from typing import Any, Final

from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.meter import Held
from fastcascade.gateway.rates import Rate
from fastcascade.messages import Budget
from fastcascade.wire.endpoint import Caller

__all__ = ["Entered", "InUse", "Patterns", "bare"]

TIERS: Final = frozenset({"min_tier", "max_tier"})
LOCKED: Final = frozenset({"customer", "priority"})
"""What a client has no say in: whose it is, and before whom it is served. Who is given a tier has none in tiers."""

Told = tuple[tuple[str, str], ...]


class Patterns(frozenset[str]):
    """Names, some with `*`: what is in it is what one of them fits. A star stands for no slash."""

    def __contains__(self, name: object) -> bool:
        """Whether one of them fits."""
        return frozenset.__contains__(self, name) or any(_fits(str(name), each) for each in self if "*" in each)


class InUse:
    """A key in use.

    Attributes:
        ends: when it ends, in seconds since 1970; 0 is never.
        caller: of its requests of which nothing is held and nothing told. All share it: most keys have no other.
        barred: whether there are paths of models where it may not ask.
        metered: whether a budget of its own, hard or soft, goes before each request.
        limited: whether a rate does.
    """

    __slots__ = ("barred", "caller", "ends", "limited", "metered", "rate", "record", "routes")

    def __init__(self, record: KeyRecord, rate: Rate) -> None:
        """Read its patterns."""
        self.record, self.rate = record, rate
        self.ends = min((each for each in (record.expires, record.revoked) if each is not None), default=0.0)
        self.routes = None if record.routes is None else Patterns(bare(each) for each in record.routes)
        self.barred = record.admin or self.routes is not None
        budgets = (record.budget_day, record.budget_month, record.soft_day, record.soft_month)
        self.metered = any(each is not None for each in budgets)
        self.limited = bool(record.limit) or record.tokens_per_minute is not None
        self.caller = Entered(self, None)
        self.caller.models = None if record.models is None or "*" in record.models else Patterns(record.models)
        self.caller.locked = LOCKED if TIERS.isdisjoint(record.fields) else LOCKED | TIERS
        self.caller.fields = record.fields

    def entered(self, held: Held | None, tokens: float, told: Told) -> "Entered":
        """One more request of it."""
        caller = Entered(self, self.caller)
        caller.held, caller.tokens, caller.told = held, tokens, told
        if held is not None and held.nanos:
            caller.fields = {**self.record.fields, "budget": _budget(held.usd)}
        return caller


class Entered(Caller):
    """A caller with a request in work.

    Set as any object is, and not frozen: to fill a frozen one takes longer than all else that is done to let it in.

    Attributes:
        held: what it holds of a hard budget, or what a soft one has to say.
        tokens: how many it was taken to use.
        told: headers that its answer is to have.
    """

    __slots__ = ("held", "key", "tokens", "told")
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # with that of the frozen one, setting is slow too
    __hash__ = object.__hash__

    name: Any
    tenant: Any
    models: Any
    fields: Any
    locked: Any

    def __init__(self, key: InUse, like: Caller | None) -> None:
        """One of this key, and otherwise like that one."""
        self.key = key
        self.name, self.tenant = key.record.id, key.record.tenant
        if like is not None:
            self.models, self.fields, self.locked = like.models, like.fields, like.locked
        self.held: Held | None = None
        self.tokens = 0.0
        self.told: Told = ()

    def __eq__(self, other: object) -> bool:
        """Only a request itself is the same."""
        return self is other

    def __repr__(self) -> str:
        """Show which key."""
        return f"Entered({self.name!r})"


def _budget(usd: float) -> Budget:
    """One that holds money alone; not checked, since what is held is above zero, which takes half the time."""
    budget = Budget.__new__(Budget)
    fill = object.__setattr__
    fill(budget, "deadline", None)
    fill(budget, "usd", usd)
    fill(budget, "attempts", None)
    return budget


def bare(path: str) -> str:
    """A path as endpoints take it: with or without `/v1`, with or without a slash at the end."""
    found = path.partition("?")[0].rstrip("/")
    return found[3:] if found.startswith("/v1/") else found


def _fits(name: str, pattern: str) -> bool:
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
