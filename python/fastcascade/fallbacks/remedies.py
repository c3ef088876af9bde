"""What is done about each way in which a call can fail: one table, for every provider and every link of the chain.

Which exception of an SDK and which HTTP status comes to which kind of failure is said in `backends/failures.py` and
beside it; from the kind on, this is all there is.

    retry        the same place may be asked again, after a pause
    next key     ask at once under another key; a wait helps only where the provider has said how long
    next region  ask at once elsewhere: in another region, or at another instance where no regions are named
    next tier    no place has an answer to this; another model may
    give up      nobody is waiting any more, or nothing may be spent any more

Where there is nobody else to ask, what is `PASSING` is retried after a pause, and the rest goes to the next tier.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from fastcascade.errors import Failure, FailureKind

__all__ = ["PASSING", "REMEDIES", "UNDONE", "Remedy", "undone"]

Remedy: TypeAlias = Literal["retry", "next key", "next region", "next tier", "give up"]
"""What to do after a failure."""

_TABLE: dict[FailureKind, Remedy] = {
    # The place may be at fault, and a pause costs more than to ask elsewhere.
    "timeout": "next region",  # slow, or dead and not saying so
    "connection": "next region",  # refused, reset, no name, no TLS: perhaps the whole region is gone
    "cut": "next region",  # it went while it was answering
    "malformed": "next region",  # what answers is not what was asked: a proxy's error page, half a body
    "server": "next region",  # 500 and its like
    "overloaded": "next region",  # 503, 529: no room there, or none for now
    "unavailable": "next region",  # not called: a breaker is open there, or the provider has said to wait
    "full": "next region",  # not called: our own limit for it is reached, and its queue has been waited in
    "not_found": "next region",  # no such model there: it is rolled out, and retired, place by place
    # The place is well, and it is the time that is wrong.
    "conflict": "retry",  # 409, 425: what is in the way goes away
    # The key is at fault.
    "rate_limited": "next key",  # 429: limits are kept by key
    "auth": "next key",  # 401, 403: wrong, revoked, or not for this
    "billing": "next key",  # 402, no money, a spending limit: another account may have some
    # The request is, for this model, wherever it runs.
    "bad_request": "next tier",  # too long for it, or refused as it stands
    "unsupported": "next tier",  # it holds what this backend cannot carry
    "quota": "next tier",  # not called: the tier has had its share
    "missing": "next tier",  # a replay that comes to a call nobody recorded
    "bug": "next tier",  # the code would do the same again
    # The caller is.
    "cancelled": "give up",  # nobody waits for it
    "budget": "give up",  # no time, money or calls left
}
REMEDIES: Final[Mapping[FailureKind, Remedy]] = MappingProxyType(_TABLE)
"""What is done about each kind of failure, unless a `Retry` was told otherwise."""

PASSING: Final[frozenset[FailureKind]] = frozenset(
    {
        "timeout",
        "connection",
        "cut",
        "malformed",
        "server",
        "overloaded",
        "unavailable",
        "conflict",
        "rate_limited",
    }
)
"""What may be over after a pause, so that the same place may be asked again where there is no other."""

UNDONE: Final[frozenset[FailureKind]] = frozenset(
    {
        "rate_limited",
        "auth",
        "billing",
        "not_found",
        "bad_request",
        "unsupported",
        "unavailable",
        "full",
        "quota",
        "budget",
    }
)
"""After these the request was not carried out: it was turned away, or never sent.

Only after these may a request be made again that has side effects and no key to be known by. A 503 is not among
them, nor is a connection that failed: either may come when the work is done and only its answer is lost.
"""


def undone(failure: Failure) -> bool:
    """Whether the request was certainly not carried out. An error inside a 200 may have come after it was."""
    return failure.kind in UNDONE and failure.status != 200
