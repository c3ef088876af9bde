"""A limit while its processes cannot hear of one another: each goes by an N-th part, begun with what it last knew.

part    a burst of an N-th (one token at least) and an N-th of the rate, less an N-th of what was missing at first
ghost   the same bucket, of which nobody takes: by as much as the part has less than it, it is to be told
"""

from typing import Final

from fastcascade._core import Clock, Quota, RateLimiter

__all__ = ["Apart", "Rule"]

NANO: Final = 1_000_000_000
MOST: Final = 1_000_000


class Rule:
    """A quota in nanoseconds: what one token is worth, and how long an empty bucket takes to fill."""

    __slots__ = ("depth", "per_token", "quota")

    def __init__(self, quota: Quota) -> None:
        """Worked out once."""
        self.quota = quota
        self.per_token = quota.per * NANO / quota.n
        self.depth = int(self.per_token * quota.burst)

    def price(self, tokens: float) -> int:
        """What so many are worth. Rounded down, so that a burst taken one by one never costs more than the burst."""
        return int(tokens * self.per_token) if tokens > 0.0 else 0

    def left(self, owed: int) -> float:
        """The tokens of a bucket from which so much is missing."""
        return self.quota.burst - owed / self.per_token


class Apart:
    """What one process knows of the buckets of a limit, and its part of them while it knows no more.

    Args:
        quota: the whole limit.
        most: clients that are remembered.
        clock: for tests.
    """

    def __init__(self, quota: Quota, *, most: int = MOST, clock: Clock | None = None) -> None:
        """All together, and every bucket full."""
        self._quota, self._most, self._clock = quota, most, clock
        self._known = self._limiter(quota)
        self._part: tuple[int, RateLimiter, RateLimiter] | None = None
        self._begun: set[str] = set()

    def _limiter(self, quota: Quota) -> RateLimiter:
        return RateLimiter(quota, max_clients=self._most, clock=self._clock)

    @property
    def quota(self) -> Quota:
        """The whole limit."""
        return self._quota

    @property
    def is_apart(self) -> bool:
        """Whether this process goes by its own part, in some bucket."""
        return self._part is not None

    @property
    def begun(self) -> frozenset[str]:
        """The buckets in which it does."""
        return frozenset(self._begun)

    def has(self, bucket: str) -> bool:
        """Whether it does in this one."""
        return bucket in self._begun

    def available(self, bucket: str) -> float:
        """Tokens left: as the last reply had it and refilling since, or of this process's part."""
        if self._part is None:
            return self._known.available(bucket)
        if bucket in self._begun:
            return self._part[1].available(bucket)
        return self._known.available(bucket)

    def learn(self, bucket: str, left: float) -> None:
        """Note what a reply says to be left in a bucket."""
        before = self._known.available(bucket)
        if before != left:
            self._known.settle(bucket, max(0.0, left - before), max(0.0, before - left))

    def admit(self, bucket: str, cost: float, members: int) -> float:
        """Take it of this process's part; see `RateLimiter.admit`. What is larger than all goes when nothing has."""
        part = self._parted(bucket, members)
        first = min(cost, part.quota.burst)
        wait = part.admit(bucket, first)
        if not wait and cost > first:
            part.settle(bucket, 0.0, cost - first)
        return wait

    def settle(self, bucket: str, reserved: float, used: float, members: int) -> None:
        """Count what was used in the place of what was reserved, in this process's part."""
        self._parted(bucket, members).settle(bucket, reserved, used)

    def lost(self, bucket: str) -> float:
        """How many tokens a bucket has less than without this process. They are taken as told from now on."""
        if self._part is None or bucket not in self._begun:
            return 0.0
        _, part, ghost = self._part
        tokens = ghost.available(bucket) - part.available(bucket)
        ghost.settle(bucket, max(0.0, -tokens), max(0.0, tokens))
        return tokens

    def rejoin(self, bucket: str) -> float:
        """Go by the whole again in this bucket; see `lost`. In a cluster others may still have to go without."""
        if self._part is None or bucket not in self._begun:
            return 0.0
        tokens = self.lost(bucket)
        self._begun.discard(bucket)
        if not self._begun:
            self._part = None
        else:  # full, as if it had never been asked
            for each in self._part[1:]:
                each.settle(bucket, max(0.0, each.quota.burst - each.available(bucket)), 0.0)
        return tokens

    def _parted(self, bucket: str, members: int) -> RateLimiter:
        """This process's part, and in it what was last known of the bucket."""
        if self._part is None:
            whole, one = self._quota, min(1.0, self._quota.burst)
            share = Quota(whole.n / members, whole.per, max(one, whole.burst / members))
            self._part = members, self._limiter(share), self._limiter(share)
        members, part, ghost = self._part
        if bucket not in self._begun:
            if len(self._begun) < self._most:
                self._begun.add(bucket)
            missing = (self._quota.burst - self._known.available(bucket)) / members
            if missing > 0.0:
                part.settle(bucket, 0.0, missing)
                ghost.settle(bucket, 0.0, missing)
        return part
