"""Who may come into the gateway, by a secret: what does not depend on where it is counted what keys use.

A client is told the same of a key that is unknown, revoked or expired; the log tells them apart, by the key's id, or by
the first letters of what nobody was given. A secret is in no log, error or repr.
"""

import hashlib
import logging
import math
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from fastcascade.gateway.in_use import InUse, bare
from fastcascade.gateway.key_store import Keys, Listed
from fastcascade.gateway.keys import KeyRecord, well_formed
from fastcascade.gateway.limits import refused
from fastcascade.gateway.meter import Held
from fastcascade.gateway.rates import Denied, Rate
from fastcascade.notices import notify
from fastcascade.wire.endpoint import Caller, Response
from fastcascade.wire.endpoint_fields import MARK

if TYPE_CHECKING:
    from fastcascade.answers import Answer

__all__ = ["ADMIN", "ByKeys", "bound_of", "denied_as", "secret_of", "used_of", "warned"]

ADMIN: Final = ("/admin", "/console")
"""Where the console and admin calls lie: for keys that are `admin`, and for no others."""
CHALLENGE: Final = 'Bearer realm="gateway"'
FREE: Final = ("/models", "/count_tokens", "/input_tokens")
"""Paths that end so, or go on so, ask no model: they cost nothing, and a spent budget does not close them."""
ASKING: Final = frozenset({"/v1/messages", "/v1/chat/completions", "/v1/responses"})
"""Paths that do, known without a closer look."""
BOUND: Final = f"{MARK}budget-usd"
PATIENT: Final = 60.0
"""Seconds that a client may be let wait: SDKs sleep for as long as they are told, and be it hours."""
SHOWN: Final = 8

log: Final = logging.getLogger("fastcascade")


class ByKeys:
    """Finds the key of a secret. What it takes to let one in is for others to say.

    Args:
        keys: who has which.
        now: the time in seconds since 1970.
    """

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        """Let nobody in yet."""
        self.keys, self._now = keys, now
        self._listed: Listed | None = None
        self._used: dict[str, InUse] = {}
        # Which key a secret has, as long as the list is the same: by a digest with a key of this process.
        self._digest = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)
        self._known: dict[bytes, InUse] = {}

    def enter(self, headers: Mapping[str, str], path: str, body_length: int, /) -> Caller | Response:
        """Let a caller in, or say what it is answered. Credentials are taken off the headers, where these can change.

        A request without a body asks no model, and takes nothing of a budget.
        """
        secret = secret_of(headers)
        if type(headers) is dict:
            headers.pop("authorization", None)
            headers.pop("x-api-key", None)
            headers.pop("api-key", None)
        if self.keys.listed is not self._listed:
            self._forget(self.keys.listed)
        digest = self._digest.copy()
        digest.update(secret.encode("utf-8", "surrogatepass"))
        used = self._known.get(digest.digest())
        if used is None or (used.ends and used.ends <= self._now()):
            found = self._found(headers, path, secret)
            if isinstance(found, Response):
                return found
            used = self._known[digest.digest()] = found
        admin = path.startswith(ADMIN)
        if (admin or used.barred) and (why := _barred(used, path, admin=admin)):
            return refused(path, headers, 403, why)
        if not used.metered and not used.limited:
            return used.caller
        asks = body_length != 0 and (path in ASKING or not (admin or bare(path).endswith(FREE)))
        return self._taken(used, headers, path, body_length if asks else 0)

    def _taken(self, used: InUse, headers: Mapping[str, str], path: str, length: int) -> Caller | Response:
        """Take of the budgets and the rates what a request needs; where one of them denies it, nothing is taken."""
        raise NotImplementedError

    def _rate(self, record: KeyRecord, before: InUse | None) -> Rate:
        """The limits of a key; `before` is how it was in use until it was changed."""
        raise NotImplementedError

    def is_admin(self, headers: Mapping[str, str]) -> bool:
        """Whether this comes with a key for the console and admin calls."""
        secret = secret_of(headers)
        record = self.keys.listed.find(secret) if secret else None
        return record is not None and record.admin and not record.ended(self._now())

    def _found(self, headers: Mapping[str, str], path: str, secret: str) -> InUse | Response:
        """The key of a secret that was not seen before, or has come to its end."""
        listed = self._listed
        record = listed.find(secret) if secret and listed is not None else None
        if record is None or record.ended(self._now()):
            return self._unknown(headers, path, secret, record)
        used = self._used.get(record.id)
        return used if used is not None and used.record is record else self._use(record, used)

    def _forget(self, listed: Listed) -> None:
        """Go by this list from now on. Of keys that are no more on it nothing is kept."""
        self._known.clear()
        self._used = {name: used for name, used in self._used.items() if name in listed.by_id}
        self._listed = listed

    def _use(self, record: KeyRecord, before: InUse | None) -> InUse:
        """Begin to use a key, or go on with one that was changed."""
        used = self._used[record.id] = InUse(record, self._rate(record, before))
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
    if used.routes is not None and bare(path) not in used.routes:
        return "this key may not ask here"
    return ""


def denied_as(headers: Mapping[str, str], path: str, denied: Denied, used: InUse) -> Response:
    """A budget is 402, which SDKs do not repeat; a rate is 429, which they do once it is time."""
    status = {"day": 402, "month": 402, "off": 503}.get(denied.why, 429)
    response = refused(path, headers, status, denied.message, retry=denied.wait + 0.5)  # rounded, and not too early
    response.headers += used.rate.headers(denied)
    if status == 402 or denied.wait > PATIENT:
        response.headers.append(("x-should-retry", "false"))
    return response


def bound_of(headers: Mapping[str, str]) -> float | None:
    """What a client has bound its request to, in dollars; None where that is nothing, or for the endpoint to refuse."""
    said = headers.get(BOUND)
    if said is None:
        return None
    try:
        value = float(said)
    except ValueError:
        return None
    return value if 0.0 < value < math.inf else None


def warned(held: Held | None) -> tuple[tuple[str, str], ...]:
    """What a client is warned of, as headers."""
    return (("x-cascade-budget-warning", held.warning),) if held is not None and held.warning else ()


def used_of(answer: "Answer") -> tuple[float | None, float, int]:
    """Its cost, what of it is known, and its tokens: what its properties say, in one walk."""
    known, tokens, whole = 0.0, 0, True
    for attempt in answer.attempts:
        for call in attempt.calls:
            if call.cost_usd is None:
                whole = False
            else:
                known += call.cost_usd
            if call.usage is not None:
                tokens += call.usage.input + call.usage.output
    return known if whole else None, known, tokens


def _shown(secret: str) -> str:
    """So much of it as tells it from others, and is of no use to anyone."""
    return repr(secret[:SHOWN]) if len(secret) > 3 * SHOWN else "(short)"
