"""Who may come into the gateway, and what it takes from what they may use.

    enter     the secret (taken off the headers), the key, the path, the budgets, the rates: in, or a refusal
    leave     what it did cost is counted, and what was held is let go

Here it is counted in this process, and told to an account. `gatekeeper_shared` has it counted in Redis, for all alike.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import ConfigError
from fastcascade.gateway.account import account_of, beside
from fastcascade.gateway.by_keys import ADMIN, ByKeys, bound_of, denied_as, secret_of, used_of, warned
from fastcascade.gateway.in_use import Entered, InUse, Patterns
from fastcascade.gateway.key_store import KeyFile, Keys
from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.meter import Held, Meter
from fastcascade.gateway.rates import Denied, Rate
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire.endpoint import Caller, Response

if TYPE_CHECKING:
    from fastcascade.gateway.gatekeeper_shared import SharedKeyGate
    from fastcascade.gateway.settings import Settings
    from fastcascade.shared.shared import Shared
    from fastcascade.wire.endpoint import Done

__all__ = ["ADMIN", "Entered", "KeyGate", "Patterns", "gatekeeper", "secret_of"]


TIMEOUT: Final = 0.25
"""Seconds for one command, where nothing else is said."""


class KeyGate(ByKeys):
    """A `Gatekeeper` by keys.

    Args:
        keys: who has which.
        meter: what they have spent.
        workers: how many share the rates.
        now: the time in seconds since 1970.
    """

    def __init__(self, keys: Keys, meter: Meter, *, workers: int = 1, now: Callable[[], float] = time.time) -> None:
        """Let nobody in yet."""
        super().__init__(keys, now)
        self.meter, self._workers = meter, workers

    def start(self) -> None:
        """Look after the account and the file of keys, in a thread of its own."""
        self.meter.start(self.keys.look)

    def close(self) -> None:
        """Write down what was used."""
        self.meter.close()

    def _taken(self, used: InUse, headers: Mapping[str, str], path: str, length: int) -> Caller | Response:
        """Take of the budgets and the rates what a request needs; where one of them denies it, nothing is taken."""
        record, rate = used.record, used.rate
        held: Held | None = None
        if used.metered and length:
            got = self.meter.enter(record, bound_of(headers))
            if isinstance(got, Denied):
                return denied_as(headers, path, got, used)
            held = got
        if not used.limited:
            return used.entered(held, 0.0, warned(held))
        tokens, denied = rate.admit(max(1.0, length / CHARACTERS_PER_TOKEN) if length else 0.0)
        if denied is not None:
            if held is not None:
                self.meter.leave(record, held, None, asked=False)
            return denied_as(headers, path, denied, used)
        return used.entered(held, tokens, (*rate.headers(), *warned(held)))

    def leave(self, caller: Caller, done: "Done | None", /) -> None:
        """Count what was used; `done` is None where no cascade was reached."""
        if type(caller) is not Entered:
            return
        key, held = caller.key, caller.held
        answer = done.answer if done is not None else None
        cost, known, tokens = (0.0, 0.0, 0) if answer is None else used_of(answer)
        if caller.tokens:
            unknown = answer is not None and not tokens and cost is None
            key.rate.settle(caller.tokens, caller.tokens if unknown else float(tokens))
        if done is not None or held is not None:
            self.meter.leave(key.record, held, cost, tokens, known=known, asked=done is not None)

    def _rate(self, record: KeyRecord, before: InUse | None) -> Rate:
        """Limits that are as they were keep their count."""
        old = before.record if before is not None else None
        same = old is not None and (old.limit, old.tokens_per_minute) == (record.limit, record.tokens_per_minute)
        return before.rate if before is not None and same else Rate(record, self._workers)


def gatekeeper(settings: "Settings", folder: Path, shared: "Shared | None" = None) -> "KeyGate | SharedKeyGate":
    """The gatekeeper of a gateway, looked after from now on; paths are seen from `folder`. Raises `ConfigError`.

    Where the account is in Redis, or none is named and something is `shared`, all who share it count as one.
    """
    if settings.keys is None:
        raise ConfigError("gateway.keys names the file of keys: keys = 'keys.json'")
    path = folder / settings.keys
    keys = Keys(KeyFile(path))
    at_redis = settings.account and not settings.account.startswith("sqlite:")
    if at_redis or (not settings.account and (shared is not None or settings.shared is not None)):
        return _together(settings, keys, shared)
    account = account_of(settings.account or beside(path), folder)
    meter = Meter(account, off=settings.account_off, workers=settings.workers)
    gate = KeyGate(keys, meter, workers=settings.workers)
    gate.meter.refresh()  # else the first requests come before anything is known, and are refused
    gate.start()
    return gate


def _together(settings: "Settings", keys: Keys, shared: "Shared | None") -> "SharedKeyGate":
    """A gatekeeper that counts in Redis: in the one that is shared anyway, or in one of its own."""
    from fastcascade.gateway.gatekeeper_shared import SharedKeyGate  # noqa: PLC0415 - an extra
    from fastcascade.shared.shared import Shared  # noqa: PLC0415 - as above

    told = settings.shared
    owned = shared is None or bool(settings.account and (told is None or told.url != settings.account))
    if shared is None or owned:
        url = settings.account or (told.url if told is not None else "")
        prefix, timeout = (told.prefix, told.timeout) if told is not None else ("fastcascade", TIMEOUT)
        shared = Shared(url, prefix=prefix, timeout=timeout)
    gate = SharedKeyGate(keys, shared, off=settings.account_off, workers=settings.workers, owned=owned)
    gate.start()
    return gate
