"""What headers say of a request: fields of `Request`, and its id."""

import math
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from fastcascade.errors import RequestError, WireError
from fastcascade.messages import Budget
from fastcascade.wire.endpoint_budget import lower

__all__ = ["MARK", "fields_of", "id_of"]

MARK: Final = "x-cascade-"
SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}")
"""An id that may stand in a header, in a log and in a file's name."""
LONGEST: Final = 1_000
"""Characters of a header that is a name: of a customer, a session, a route."""
YES: Final = frozenset({"1", "true", "yes", "on"})
NO: Final = frozenset({"", "0", "false", "no", "off"})


def id_of(headers: Mapping[str, str]) -> str:
    """The client's own `x-request-id`, if it is sane, else a new one."""
    given = headers.get("x-request-id", "")
    if given and SANE.fullmatch(given):
        return given
    return f"req_{random.getrandbits(96):024x}"  # it is no secret, and asking the system for one takes longer


def fields_of(headers: Mapping[str, str], budget: Budget) -> dict[str, Any]:
    """The fields of a `Request` that headers name (lower case); a bound in one can lower `budget` alone.

    Raises `WireError` with the header's name.
    """
    fields: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for header, given in headers.items():
        known = READ.get(header)
        if known is None:
            continue
        name, read = known
        try:
            value = read(given.strip())
        except ValueError:
            msg = f"{header} cannot be read: {EXPECTED.get(read, 'a name')} is expected"
            raise WireError(msg, header) from None
        if name in ("deadline", "usd"):
            bounds[name] = value
        elif value != "":
            fields[name] = value
    if bounds:
        try:
            fields["budget"] = lower(budget, Budget(bounds.get("deadline"), bounds.get("usd")))
        except RequestError as error:
            raise WireError(str(error), f"{MARK}{'deadline' if 'deadline' in bounds else 'budget-usd'}") from None
    return fields


def _name(given: str) -> str:
    if len(given) > LONGEST:
        raise ValueError
    return unquote(given)


def _number(given: str) -> float:
    value = float(given)
    if not math.isfinite(value) or value <= 0.0:
        raise ValueError
    return value


def _whole(given: str) -> int:
    value = int(given)
    if abs(value) > 1_000:
        raise ValueError
    return value


def _flag(given: str) -> bool:
    word = given.lower()
    if word not in YES and word not in NO:
        raise ValueError
    return word in YES


EXPECTED: Final[Mapping[Callable[[str], Any], str]] = {
    _name: f"a text of at most {LONGEST} characters",
    _number: "a number above zero",
    _whole: "a whole number from -1000 to 1000",
    _flag: "true or false",
}
READ: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    **{f"{MARK}{name}": (name, _name) for name in ("task", "route", "customer", "feature", "session", "user")},
    f"{MARK}min-tier": ("min_tier", _name),
    f"{MARK}max-tier": ("max_tier", _name),
    f"{MARK}budget-usd": ("usd", _number),
    f"{MARK}deadline": ("deadline", _number),
    f"{MARK}regenerate": ("regenerate", _flag),
    f"{MARK}priority": ("priority", _whole),
    "idempotency-key": ("idempotency", _name),
}
