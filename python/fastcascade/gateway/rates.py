"""How often a key may ask, and for how many tokens a minute.

Rates are counted by each worker for itself, and each has its share: a limit of 100 a minute is 25 in each of four. A
client whose connections all lie at one worker gets no more than that share, and nobody ever gets more than the whole,
but for a share's burst, which is 1 at least.
"""

from dataclasses import dataclass
from typing import Final, Literal

from fastcascade._core import Clock, Quota, RateLimiter
from fastcascade.gateway.keys import KeyRecord, quota_of
from fastcascade.guards.limits import RateFields

__all__ = ["BUCKET", "Denied", "Rate", "token_quota"]

BUCKET: Final = "key"
"""Each key has limiters of its own, with one bucket."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why not, when it may go again, and in words.

    "requests" and "tokens" are rates, "day" and "month" budgets that are spent, "held" what is left of these but held
    by other requests, "off" the account.
    """

    why: Literal["requests", "tokens", "day", "month", "held", "off"]
    wait: float
    message: str


class Rate:
    """The limits of requests and tokens of one key, at one worker."""

    __slots__ = ("_fields", "_requests", "_tokens")

    def __init__(self, record: KeyRecord, workers: int = 1, clock: Clock | None = None) -> None:
        """Full at the beginning."""
        self._requests = _limiter(quota_of(record.limit), workers, clock)
        self._tokens = _limiter(token_quota(record), workers, clock)
        told = ((self._requests, "requests"), (self._tokens, "tokens"))
        self._fields = [RateFields(limiter, name) for limiter, name in told if limiter is not None]

    def admit(self, tokens: float) -> tuple[float, Denied | None]:
        """Take a request and about so many tokens; the tokens held, or why nothing was taken."""
        if self._requests is not None and (wait := self._requests.admit(BUCKET)):
            return 0.0, Denied("requests", wait, "too many requests for this key")
        if self._tokens is None:
            return 0.0, None
        held = min(tokens, self._tokens.quota.burst)  # what is larger than all goes when nothing else has
        if wait := self._tokens.admit(BUCKET, held):
            if self._requests is not None:
                self._requests.settle(BUCKET, 1.0, 0.0)
            return 0.0, Denied("tokens", wait, "too many tokens per minute for this key")
        return held, None

    def settle(self, held: float, used: float) -> None:
        """Count the tokens that were used in the place of those held."""
        if self._tokens is not None:
            self._tokens.settle(BUCKET, held, used)

    def headers(self, denied: Denied | None = None) -> list[tuple[str, str]]:
        """The RateLimit fields."""
        wait = denied.wait if denied is not None and denied.why in ("requests", "tokens") else 0.0
        lines = [fields.left(BUCKET, wait) for fields in self._fields]
        if len(lines) < 2:
            return lines[0] if lines else []
        return [(name, f"{first}, {second}") for (name, first), (_, second) in zip(*lines, strict=True)]


def token_quota(record: KeyRecord) -> Quota | None:
    """Its limit of tokens."""
    return Quota(record.tokens_per_minute, "minute") if record.tokens_per_minute else None


def _limiter(quota: Quota | None, workers: int, clock: Clock | None) -> RateLimiter | None:
    if quota is None:
        return None
    share = Quota(quota.n / workers, quota.per, max(1.0, quota.burst / workers))
    return RateLimiter(share, max_clients=1, clock=clock)
