"""Keys of the gateway: what each may do, how a secret is made, and what is kept of it.

A secret is `fck_`, 43 characters that are 256 random bits, and 6 that are a checksum of these: what was mistyped or cut
off is told apart from what nobody was ever given, without a look at any list.

Of a secret its SHA-256 is kept and nothing else. Slow hashes (Argon2, scrypt, bcrypt) make the guessing of what people
choose expensive; 256 random bits cannot be guessed at any speed, and a slow hash would take each request, or an
attacker's flood of wrong keys, some 50 ms of a processor.
"""

import hashlib
import re
import secrets
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, Literal, cast

from fastcascade._core import Quota
from fastcascade.errors import ConfigError

__all__ = ["MONEY", "PREFIX", "KeyRecord", "digest_of", "expiry_of", "new_key", "new_secret", "quota_of", "well_formed"]

PREFIX: Final = "fck_"
CHECK: Final = 6
SHAPE: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{{43 + CHECK}}}")
NAMED: Final = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?")
SHA: Final = re.compile("[0-9a-f]{64}")
IDS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|\s+per\s+)\s*([a-z]+)(?:\s*,?\s*burst\s+(\d+(?:\.\d+)?))?")
PERIODS: Final[dict[str, Literal["second", "minute", "hour", "day"]]] = {
    **dict.fromkeys(("s", "sec", "second"), "second"),
    **dict.fromkeys(("m", "min", "minute"), "minute"),
    **dict.fromkeys(("h", "hour"), "hour"),
    **dict.fromkeys(("d", "day"), "day"),
}
AGES: Final = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
SET: Final[dict[str, type]] = {
    **dict.fromkeys(("customer", "feature", "max_tier", "min_tier", "route", "session", "task", "user"), str),
    "priority": int,
}
"""Fields of a request that a key may set."""
TIMES: Final = ("created", "expires", "revoked")
NONE_AT_ALL: Final = ("models", "routes")
MOST: Final = 1e12
MONEY: Final = ("budget_day", "budget_month", "soft_day", "soft_month")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key, without its secret.

    Args:
        id: how logs and accounts call it; never used again.
        name: how people call it; no two keys that work have the same.
        digest: of the secret.
        tenant: whose it is.
        scopes: words of the operator's own, which only tell what it is for.
        models: names that it may ask for, of cascades or `cascade/tier`; `*` stands for any letters. None is all.
        routes: paths that it may ask, such as "/v1/messages"; `*` as above. None is all.
        limit: requests, such as "100/min burst 20"; empty is no limit.
        tokens_per_minute: tokens, both those sent and those answered.
        budget_day: USD per day (UTC), after which it is refused until the next one.
        budget_month: USD per month, likewise.
        soft_day: USD per day, after which the operator and the client are warned.
        soft_month: USD per month, likewise.
        fields: what it sets in each request, whatever the client says: customer, min_tier, max_tier, priority ...
        created: when, in seconds since 1970; as are the next two.
        expires: when it ends by itself.
        revoked: when somebody ended it.
        admin: whether it opens the console and admin calls. Such a key asks models only if it has `models`.
    """

    id: str
    name: str
    digest: str = field(repr=False)
    tenant: str = ""
    scopes: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    routes: tuple[str, ...] | None = None
    limit: str = ""
    tokens_per_minute: int | None = None
    budget_day: float | None = None
    budget_month: float | None = None
    soft_day: float | None = None
    soft_month: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    admin: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work; the secret is nowhere in the words."""
        self._text("id", IDS, "1 to 64 letters and digits")
        self._text("name", NAMED, "1 to 100 letters on one line, with no space at either end")
        self._text("digest", SHA, "a SHA-256 in hex", shown=False)
        self._text("tenant", None, "a text")
        self._text("limit", None, "a text")
        for name in ("scopes", "models", "routes"):
            self._texts(name)
        for name in (*MONEY, *TIMES):
            self._number(name)
        per_minute = self.tokens_per_minute
        _check(
            per_minute is None or (type(per_minute) is int and 0 < per_minute < MOST),
            f"tokens_per_minute must be a whole number above 0, not {per_minute!r:.60}",
        )
        _check(type(self.admin) is bool, f"admin must be true or false, not {self.admin!r}")
        quota_of(self.limit)
        given: Any = self.fields
        _check(isinstance(given, Mapping), "fields must be a table")
        for name, value in self.fields.items():
            kind = SET.get(name)
            _check(kind is not None, f"fields cannot set {name!r}{_near(name, SET)}; there are: {', '.join(SET)}")
            _check(type(value) is kind, f"fields: {name} must be a {'number' if kind is int else 'text'}")

    def _text(self, name: str, shape: "re.Pattern[str] | None", what: str, *, shown: bool = True) -> None:
        value = getattr(self, name)
        good = isinstance(value, str) and (shape is None or shape.fullmatch(value))
        _check(good, f"{name} must be {what}" + (f", not {value!r:.110}" if shown else ""))

    def _texts(self, name: str) -> None:
        value = getattr(self, name)
        if isinstance(value, list | tuple) and all(isinstance(each, str) and each for each in value):
            object.__setattr__(self, name, tuple(value))
        else:
            _check(value is None and name != "scopes", f"{name} must be a list of texts, not {value!r:.60}")

    def _number(self, name: str) -> None:
        value = getattr(self, name)
        least = -MOST if name in TIMES else 0.0
        good = type(value) in (int, float) and least < value < MOST
        _check(good or (value is None and name != "created"), f"{name} must be a number above 0, not {value!r:.60}")

    def ended(self, now: float) -> str:
        """Why it does not work: "revoked", "expired", or empty where it does."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else ""

    @classmethod
    def read(cls, said: Any) -> "KeyRecord":
        """From JSON. Raises `ConfigError`, which names the key and the field."""
        _check(isinstance(said, dict), f"a key must be a table, not {said!r:.40}")
        about = str(said.get("name") or said.get("id") or "a key without a name")[:100]
        try:
            known = {each.name for each in fields(cls)}
            for name in said:
                _check(name in known, f"there is no {name!r}{_near(name, known)}")
            for name in ("id", "name", "digest"):
                _check(name in said, f"{name} is missing")
            values: dict[str, Any] = {name: _time(value) if name in TIMES else value for name, value in said.items()}
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"key {about!r}: {error}") from None

    def written(self) -> dict[str, Any]:
        """As JSON holds it: what is as it always is left out."""
        said: dict[str, Any] = {}
        for each in fields(self):
            value: Any = getattr(self, each.name)
            none = each.name in NONE_AT_ALL and value is not None  # no model at all is not the same as all of them
            if value is False or (value in (None, "", (), {}) and not none):
                continue
            said[each.name] = value
        said |= {name: _told(said[name]) for name in TIMES if name in said}
        if "fields" in said:
            said["fields"] = dict(said["fields"])
        return said


def new_secret() -> str:
    """A secret that nobody has."""
    body = secrets.token_urlsafe(32)
    return PREFIX + body + _sum(body)


def well_formed(secret: str) -> bool:
    """Whether it can be one of ours: what is cut off or mistyped cannot, but for one in a billion."""
    return SHAPE.fullmatch(secret) is not None and _sum(secret[len(PREFIX) : -CHECK]) == secret[-CHECK:]


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(name: str, now: float, **more: Any) -> tuple[KeyRecord, str]:
    """A key, and its secret, which is to be found nowhere else."""
    secret = new_secret()
    if more.get("admin"):
        more["models"] = more.get("models") or ()
    return KeyRecord(f"key_{secrets.token_hex(6)}", name, digest_of(secret), created=float(int(now)), **more), secret


def quota_of(text: str) -> Quota | None:
    """A limit such as "100/min burst 20", read; None where it is empty."""
    if not text.strip():
        return None
    found = LIMIT.fullmatch(text.strip().lower())
    period = PERIODS.get(found[2]) if found else None
    if found is None or period is None:
        raise ConfigError(f"limit {text!r} cannot be read: write it as 100/min, 5/s or 1000/day burst 50")
    try:
        return Quota(float(found[1]), period, float(found[3]) if found[3] else None)
    except ValueError as error:
        raise ConfigError(f"limit {text!r}: {error}") from None


def expiry_of(text: str, now: float) -> float:
    """A time to come, such as "90d", "12h", "2027-01-31" or "2027-01-31T12:00:00Z", in seconds since 1970."""
    text = text.strip()
    if text[:-1].isdecimal() and text.isascii() and text[-1:] in AGES:
        when = now + int(text[:-1][:9]) * AGES[text[-1]]
    else:
        when = cast("float", _time(text))
    if when <= now:
        raise ConfigError(f"expires {text!r} is over already: name a time to come, such as 90d")
    return float(int(when))


def _time(value: Any) -> float | None:
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{value!r:.60} is no time: write it as 90d, 2027-01-31 or 2027-01-31T12:00:00Z") from None


def _told(when: float) -> str:
    try:
        return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"{when!r} is too far away to be a date: name a time before the year 10000") from None


def _sum(body: str) -> str:
    """30 bits of a CRC-32."""
    return urlsafe_b64encode(zlib.crc32(body.encode()).to_bytes(4, "big"))[:CHECK].decode()


def _near(name: str, names: Any) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check(good: object, message: str) -> None:
    if not good:
        raise ConfigError(message)
