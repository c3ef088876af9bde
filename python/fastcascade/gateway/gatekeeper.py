"""Who may come into the gateway, and what it takes from what they may use.

    enter     the secret (taken off the headers), the key, the path, the budgets, the rates: in, or a refusal
    leave     what it did cost is counted, and what was held is let go

A client is told the same of a key that is unknown, revoked or expired; the log tells them apart, by the key's id, or by
the first letters of what nobody was given. A secret is in no log, error or repr.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastcascade.errors import ConfigError
from fastcascade.gateway.account import account_of, beside
from fastcascade.gateway.key_store import KeyFile, Keys
from fastcascade.gateway.keys import KeyRecord, well_formed
from fastcascade.gateway.limits import refused
from fastcascade.gateway.meter import Held, Meter
from fastcascade.gateway.rates import Denied, Rate
from fastcascade.notices import notify
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire.endpoint import Caller, Response

if TYPE_CHECKING:
    from fastcascade.gateway.settings import Settings
    from fastcascade.wire.endpoint import Done

__all__ = ["ADMIN", "Entered", "KeyGate", "Patterns", "gatekeeper", "secret_of"]

ADMIN: Final = ("/admin", "/console")
"""Where the console and admin calls lie: for keys that are `admin`, and for no others."""
CREDENTIALS: Final = ("authorization", "x-api-key", "api-key")
CHALLENGE: Final = 'Bearer realm="gateway"'
FREE: Final = ("/models", "/count_tokens")
"""Paths that end so, or go on so, ask no model: they cost nothing, and a spent budget does not close them."""
TIERS: Final = frozenset({"min_tier", "max_tier"})
LOCKED: Final = frozenset({"customer", "priority"})
"""What a client has no say in: whose it is, and before whom it is served. Who is given a tier has none in tiers."""
SHOWN: Final = 8

log: Final = logging.getLogger("fastcascade")


class Patterns(frozenset[str]):
    """Names, some with `*`: what is in it is what one of them fits. A star stands for no slash."""

    def __contains__(self, name: object) -> bool:
        """Whether one of them fits."""
        return frozenset.__contains__(self, name) or any(_fits(str(name), each) for each in self if "*" in each)


@dataclass(frozen=True, slots=True, eq=False)
class Entered(Caller):
    """A caller with one request in work; `told` are headers that its answer is to have."""

    key: "InUse | None" = None
    held: Held | None = None
    tokens: float = 0.0
    told: tuple[tuple[str, str], ...] = ()
    admin: bool = False


class InUse:
    """A key in use: what is worked out once for all its requests."""

    __slots__ = ("locked", "models", "rate", "record", "routes")

    def __init__(self, record: KeyRecord, rate: Rate) -> None:
        """Read its patterns."""
        self.record, self.rate = record, rate
        self.models = None if record.models is None or "*" in record.models else Patterns(record.models)
        self.routes = None if record.routes is None else Patterns(_bare(each) for each in record.routes)
        self.locked = LOCKED if TIERS.isdisjoint(record.fields) else LOCKED | TIERS


class KeyGate:
    """A `Gatekeeper` by keys.

    Args:
        keys: who has which.
        meter: what they have spent.
        workers: how many share the rates.
        now: the time in seconds since 1970.
    """

    def __init__(self, keys: Keys, meter: Meter, *, workers: int = 1, now: Callable[[], float] = time.time) -> None:
        """Let nobody in yet."""
        self.keys, self.meter = keys, meter
        self._workers, self._now = workers, now
        self._used: dict[str, InUse] = {}

    def start(self) -> None:
        """Look after the account and the file of keys, in a thread of its own."""
        self.meter.start(self.keys.look)

    def close(self) -> None:
        """Write down what was used."""
        self.meter.close()

    def enter(self, headers: Mapping[str, str], path: str, body_length: int, /) -> Caller | Response:
        """Let a caller in, or say what it is answered. Credentials are taken off the headers, where these can change.

        A request without a body asks no model, and takes nothing of a budget.
        """
        secret = secret_of(headers)
        if type(headers) is dict:
            for name in CREDENTIALS:
                headers.pop(name, None)
        record = self.keys.listed.find(secret) if secret else None
        if record is None or record.ended(self._now()):
            return self._unknown(headers, path, secret, record)
        used = self._used.get(record.id)
        if used is None or used.record is not record:
            used = self._use(record, used)
        admin = path.startswith(ADMIN)
        if (record.admin or admin or used.routes is not None) and (why := _barred(used, path, admin=admin)):
            return refused(path, headers, 403, why)
        held, tokens, denied = self._taken(used, body_length, free=admin or _bare(path).endswith(FREE))
        if denied is not None:
            return _denied(headers, path, denied, used)
        told = tuple(used.rate.headers())
        if held is not None and held.warning:
            told += (("x-cascade-budget-warning", held.warning),)
        return Entered(
            record.id, record.tenant, used.models, record.fields, used.locked, used, held, tokens, told, record.admin
        )

    def _taken(self, used: InUse, length: int, *, free: bool) -> tuple[Held | None, float, Denied | None]:
        """What a request takes of the budgets and the rates; where one of them denies it, nothing is taken."""
        held: Held | None = None
        if length and not free:
            got = self.meter.enter(used.record)
            if isinstance(got, Denied):
                return None, 0.0, got
            held = got
        record = used.record
        if not record.limit and record.tokens_per_minute is None:
            return held, 0.0, None
        tokens, denied = used.rate.admit(max(1.0, length / CHARACTERS_PER_TOKEN) if held is not None else 0.0)
        if denied is not None and held is not None:
            self.meter.leave(record, held, None, asked=False)
        return held, tokens, denied

    def leave(self, caller: Caller, done: "Done | None", /) -> None:
        """Count what was used; `done` is None where no cascade was reached."""
        if not isinstance(caller, Entered) or caller.key is None:
            return
        record, answer = caller.key.record, done.answer if done is not None else None
        total = 0
        if answer is not None:
            usage = answer.usage
            total = usage.input + usage.output
        if record.tokens_per_minute:
            unknown = answer is not None and not total and answer.cost_usd is None
            caller.key.rate.settle(caller.tokens, caller.tokens if unknown else float(total))
        if caller.held is None:
            return
        if answer is None:
            self.meter.leave(record, caller.held, 0.0, asked=done is not None)
        else:
            self.meter.leave(record, caller.held, answer.cost_usd, total, known=answer.known_cost_usd)

    def _use(self, record: KeyRecord, before: InUse | None) -> InUse:
        """Begin to use a key, or go on with one that was changed; limits that are as they were keep their count."""
        old = before.record if before is not None else None
        same = old is not None and (old.limit, old.tokens_per_minute) == (record.limit, record.tokens_per_minute)
        rate = before.rate if before is not None and same else Rate(record, self._workers)
        used = self._used[record.id] = InUse(record, rate)
        return used

    def _unknown(self, headers: Mapping[str, str], path: str, secret: str, record: KeyRecord | None) -> Response:
        challenge = CHALLENGE
        if not secret:
            message = "this needs a key: send it as `authorization: Bearer` or `x-api-key`"
        else:
            challenge += ', error="invalid_token"'
            message = "the key is not known here, or works no more"
            if record is not None:
                notify(
                    "keys",
                    f"key {record.id} ({record.name})",
                    f"refused: {record.ended(self._now())}",
                )
            elif not well_formed(secret):
                log.info("refused a key that is mistyped or none of ours: %s", _shown(secret))
                if secret.startswith("fck_"):
                    message = "the key is mistyped or cut off: its checksum is wrong"
            else:
                log.info("refused an unknown key: %s", _shown(secret))
        response = refused(path, headers, 401, message)
        response.headers.append(("www-authenticate", challenge))
        return response


def gatekeeper(settings: "Settings", folder: Path) -> KeyGate:
    """The gatekeeper of a gateway, looked after from now on; paths are seen from `folder`. Raises `ConfigError`."""
    if settings.keys is None:
        raise ConfigError("gateway.keys names the file of keys: keys = 'keys.json'")
    path = folder / settings.keys
    keys = Keys(KeyFile(path))
    gate = KeyGate(keys, Meter(account_of(settings.account or beside(path), folder)), workers=settings.workers)
    gate.meter.refresh()  # else the first requests come before anything is known, and are refused
    gate.start()
    return gate


def secret_of(headers: Mapping[str, str]) -> str:
    """The credential that came with a request; empty where there is none."""
    said = headers.get("authorization")
    if said is not None and said[:7].lower() == "bearer " and (secret := said[7:].strip()):
        return secret
    return (headers.get("x-api-key") or headers.get("api-key") or "").strip()


def _barred(used: InUse, path: str, *, admin: bool) -> str:
    """Why a key may not ask here; empty where it may."""
    record = used.record
    if admin:
        return "" if record.admin else "this needs a key for the console and admin calls"
    if record.admin and not record.models:
        return "this key is for the console and admin calls, not for models"
    if used.routes is not None and _bare(path) not in used.routes:
        return "this key may not ask here"
    return ""


def _denied(headers: Mapping[str, str], path: str, denied: Denied, used: InUse) -> Response:
    """A budget is 402, which SDKs do not repeat; a rate is 429, which they do once it is time."""
    status = {"day": 402, "month": 402, "off": 503}.get(denied.why, 429)
    response = refused(path, headers, status, denied.message, retry=denied.wait + 0.5)  # rounded, and not too early
    response.headers += used.rate.headers(denied)
    if status == 402:
        response.headers.append(("x-should-retry", "false"))
    return response


def _bare(path: str) -> str:
    """A path as endpoints take it: with or without `/v1`, with or without a slash at the end."""
    bare = path.partition("?")[0].rstrip("/")
    return bare[3:] if bare.startswith("/v1/") else bare


def _fits(name: str, pattern: str) -> bool:
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _shown(secret: str) -> str:
    """So much of it as tells it from others, and is of no use to anyone."""
    return repr(secret[:SHOWN]) if len(secret) > 3 * SHOWN else "(short)"
