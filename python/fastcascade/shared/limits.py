"""How often, counted for all processes together: a token bucket per client in Redis, on the server's clock.

    limiter = SharedLimiter(Quota(100, "minute"), Shared("redis://..."))
    if wait := await limiter.admit("client"): ...          # one round trip, and one script

It is the generic cell rate algorithm in integers: a bucket is the nanoseconds until it is full, and the microsecond at
which that was so. What is admitted in any window of time is at most `burst + rate * window`, as with a `RateLimiter` in
one process, whoever asks where. A full bucket is not kept.

While Redis is away each process goes by an N-th part of the limit (rate and burst, the latter one token at least), N
being the processes that were last known to be there. It begins with an N-th part of what it last knew to be missing
from a bucket. So all together go by the limit, but for what each did not know of the others at that moment: a burst at
most, or a token for each process where that is more. Once Redis is back, what is missing here is told to it, once and
no more, and it decides again. One that cannot reach it while others can goes by its part beside their whole: for the
second within which all are back, or for as long as it is cut off.
"""

import asyncio
import math
from itertools import islice
from typing import TYPE_CHECKING, Final

from fastcascade._core import Clock, Quota
from fastcascade.errors import StoreError
from fastcascade.shared.apart import Apart, Rule
from fastcascade.shared.members import Members
from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["BUCKETS", "SharedLimiter"]

NANO: Final = 1_000_000_000
MOST_CLIENTS: Final = 1_000_000
AT_ONCE: Final = 256
"""Buckets that are told of at once."""
TOLD_FOR: Final = 60
"""Seconds, at least, for which the server knows what it was told: what was told earlier is missing nowhere any more."""

BUCKETS: Final = """
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
-- GETEX without more reads as GET does, and is not taken for a read: nobody is told when what it found changes.
local function read(key) return redis.call('GETEX', key) or '' end
-- The nanoseconds until a bucket is full. A clock that was set back takes nothing away, and gives nothing.
local function missing(key, now)
  local at, owed = string.match(read(key), '^(%d+) (%d+)$')
  if not at then return 0 end
  return math.max(0, tonumber(owed) - math.max(0, now - tonumber(at)) * 1000)
end
local function keep(key, now, owed)
  if owed <= 0 then
    redis.call('DEL', key)
  else
    local milliseconds = string.format('%.0f', math.ceil(owed / 1000000) + 1)
    redis.call('SET', key, string.format('%.0f %.0f', now, owed), 'PX', milliseconds)
  end
end
"""
"""What scripts do with buckets."""

TAKE: Final = """
-- KEYS: a bucket.  ARGV: what is to be taken, and how much it holds, in nanoseconds
local now, cost, depth = clock(), tonumber(ARGV[1]), tonumber(ARGV[2])
local owed = missing(KEYS[1], now)
local wait = owed + cost - depth
if wait > 0 then return {wait, owed} end
if cost > 0 then keep(KEYS[1], now, owed + cost) end
return {0, owed + cost}
"""
TELL: Final = """
-- KEYS: a bucket, the last that this process told of it.  ARGV: its number, what to add, seconds it is known
local now = clock()
local owed = missing(KEYS[1], now)
if (tonumber(read(KEYS[2])) or -1) < tonumber(ARGV[1]) then
  owed = math.max(0, owed + tonumber(ARGV[2]))
  keep(KEYS[1], now, owed)
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
end
return owed
"""
TAKING: Final = Script(BUCKETS + TAKE)
TELLING: Final = Script(BUCKETS + TELL)


class SharedLimiter:
    """A token bucket per client, which all processes that name it alike have together.

    Args:
        quota: what each client is allowed, by all processes together.
        shared: the server, or its URL.
        name: tells this limit from others in the same Redis.
        members: who else is there; by default whoever uses the same limit.
        most_clients: clients that this process remembers for when Redis is away.
        clock: the time of these, for tests. All else goes by the server's.
    """

    def __init__(
        self,
        quota: Quota,
        shared: "Shared | str",
        name: str = "default",
        *,
        members: Members | None = None,
        most_clients: int = MOST_CLIENTS,
        clock: Clock | None = None,
    ) -> None:
        """Connect to nothing yet: the first request does, in its loop."""
        if isinstance(shared, str):
            from fastcascade.shared.shared import Shared  # noqa: PLC0415 - an extra

            shared = Shared(shared)
        self.shared, self.name = shared, name
        self.members = members or Members.of(shared, f"limit {name}")
        self._rule = rule = Rule(quota)
        self._kept_told = max(TOLD_FOR, math.ceil(2 * rule.depth / NANO))
        self._apart = Apart(quota, most=most_clients, clock=clock)
        self._began = False
        self._beginning: asyncio.Task[None] | None = None
        # What the server is to be told, by bucket, in nanoseconds; and what it was told but has not said it has heard.
        self._waiting: dict[str, int] = {}
        self._sending: dict[str, tuple[int, int]] = {}
        self._number = 0
        self._telling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Show the limit, and where it is kept."""
        return f"SharedLimiter({self.quota!r}, {self.shared.where!r}, {self.name!r})"

    @property
    def quota(self) -> Quota:
        """What each client is allowed."""
        return self._rule.quota

    @property
    def is_apart(self) -> bool:
        """Whether this process goes by its own part of the limit, for some client, since the server is away."""
        return self._apart.is_apart

    @property
    def untold(self) -> int:
        """Buckets of which the server is still to hear."""
        return len(self._waiting.keys() | self._sending.keys() | self._apart.begun)

    async def admit(self, client: str, cost: float = 1.0) -> float:
        """0.0 when admitted; else the seconds to wait, and nothing was taken.

        A cost above the burst can never be admitted: `math.inf`. Never raises for a server that is away.
        """
        rule = self._rule
        if cost > rule.quota.burst:
            return math.inf
        if not self._began:
            await self._begin()
        try:  # at once, where it is known to be away; of a cluster some may be there
            wait, owed = await self.shared.run(TAKING, [self._key(client)], [rule.price(cost), rule.depth])
        except StoreError:
            return self._apart.admit(client, cost, self.members.count)
        self._apart.learn(client, rule.left(owed))
        if self._apart.has(client):
            self._rejoin(client)
            self._tell()
        seconds: float = wait / NANO
        return seconds

    def settle(self, client: str, reserved: float, used: float) -> None:
        """Correct an admission once the true cost is known: give back, or take more (into debt). Waits for nothing."""
        if self._apart.has(client):
            self._apart.settle(client, reserved, used, self.members.count)
        else:
            self._owe(client, self._rule.price(used) - self._rule.price(reserved))
            self._tell()

    def available(self, client: str) -> float:
        """Tokens left, as the last reply had it and refilling since; while the server is away, of this process's part.

        Asked right after `admit` it is what the server said.
        """
        return self._apart.available(client)

    async def told(self) -> None:
        """Wait until the server has heard all that it was to be told, or is away."""
        if self._telling is not None:
            await asyncio.shield(self._telling)

    async def aclose(self) -> None:
        """Tell what is left. The server's connection and the members are for whoever made them to close."""
        self._heard()
        await self.told()

    async def _begin(self) -> None:
        """Connect. All who come before that is tried wait for it: else they would go by a part from the beginning."""
        if self._beginning is None:
            self.members.on_beat(self._heard)
            self.shared.listen(self)
            self._beginning = asyncio.get_running_loop().create_task(self._connect())
        await asyncio.shield(self._beginning)

    async def _connect(self) -> None:
        await self.shared.start()
        self.members.start()
        self._began = True

    def came_up(self) -> None:
        """See `Listener`: the server is there again."""
        self._heard()

    def _key(self, client: str) -> bytes:
        return self.shared.key("limit", self.name, slot=client)

    def _heard(self) -> None:
        """The server is there: tell it what was used meanwhile, and go by it in each bucket of which it has heard."""
        apart = self._apart.begun - self._sending.keys()
        # Where a part of a cluster is still away, a few are tried, which tell whether the rest need be.
        for client in apart if self.shared.up else islice(apart, max(0, AT_ONCE - len(self._sending))):
            self._number += 1
            self._sending[client] = self._number, self._nanos(self._apart.lost(client)) + self._waiting.pop(client, 0)
        self._tell()

    def _rejoin(self, client: str) -> None:
        self._owe(client, self._nanos(self._apart.rejoin(client)))

    def _nanos(self, tokens: float) -> int:
        return round(tokens * self._rule.per_token)

    def _owe(self, client: str, nanos: int) -> None:
        if nanos:
            self._waiting[client] = self._waiting.get(client, 0) + nanos

    def _tell(self) -> None:
        if (self._waiting or self._sending) and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())

    async def _tell_all(self) -> None:
        """Tell it all; what fails is told again under its own number, for it may have been heard."""
        try:
            while self._waiting or self._sending:
                for client in [each for each in self._waiting if each not in self._sending][:AT_ONCE]:
                    self._number += 1
                    self._sending[client] = self._number, self._waiting.pop(client)
                clients = [*self._sending]
                for first in range(0, len(clients), AT_ONCE):
                    await asyncio.gather(*(self._tell_one(each) for each in clients[first : first + AT_ONCE]))
                if not self._sending.keys().isdisjoint(clients):
                    return  # again at the next sign of life
        finally:
            self._telling = None

    async def _tell_one(self, client: str) -> None:
        number, nanos = self._sending[client]
        keys = [self._key(client), self.shared.key("told", self.name, self.members.id, slot=client)]
        try:
            owed = await self.shared.run(TELLING, keys, [number, nanos, self._kept_told])
        except StoreError:
            return  # of a cluster others may be there
        del self._sending[client]
        self._apart.learn(client, self._rule.left(owed))
        self._rejoin(client)
