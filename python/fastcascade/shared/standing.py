"""What stands now, for those who have not heard the news: names, each until a time of the server's clock."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["MOST", "Standing", "milliseconds"]

MOST: Final = 10_000
"""Names at once; those that end first make room."""
FAR: Final = 2 * 86_400_000
"""Milliseconds beyond which no time of ours lies: one that does is thrown away."""
NOTE: Final = Script("""
-- KEYS: the names. ARGV: milliseconds that what is over is kept, how many names at most, the farthest time,
-- then for each name: it, and the milliseconds it stands, or '' where it stands no more
local told = redis.call('TIME')
local now = told[1] * 1000 + math.floor(told[2] / 1000)
for place = 4, #ARGV, 2 do
  if ARGV[place + 1] == '' then
    redis.call('ZREM', KEYS[1], ARGV[place])
  else
    redis.call('ZADD', KEYS[1], 'GT', now + ARGV[place + 1], ARGV[place])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (now + ARGV[3]), '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], math.ceil(last[2] + ARGV[1] + 1000)) end
return 1
""")
READ: Final = Script("""
-- KEYS: the names. ARGV: as above, without names
local told = redis.call('TIME')
local now = told[1] * 1000 + math.floor(told[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], now + ARGV[3], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for place = 2, #found, 2 do found[place] = string.format('%.0f', found[place] - now) end
return found
""")


class Standing:
    """One set of names.

    Args:
        shared: where it is.
        what: what it is called.
        kept: seconds that a name whose time is over is kept for.
    """

    def __init__(self, shared: "Shared", what: str, *, kept: float = 0.0) -> None:
        """Keep where."""
        self._shared = shared
        self._keys = [shared.key(what)]
        self._bounds = (int(kept * 1000), MOST, FAR)

    async def note(self, names: Mapping[bytes, float | None]) -> None:
        """Each stands for so many seconds from now, unless it stands for longer; None: no more. `StoreError`."""
        args: list[bytes | int | str] = list(self._bounds)
        for name, seconds in names.items():
            args += (name, "" if seconds is None else milliseconds(seconds))
        await self._shared.run(NOTE, self._keys, args)

    async def read(self) -> dict[bytes, float]:
        """All there are, with the seconds that each still stands; below 0 where its time is over. `StoreError`."""
        return _pairs(await self._shared.run(READ, self._keys, self._bounds))


def milliseconds(seconds: float) -> int:
    """Whole ones, none of them farther than what is believed."""
    return int(min(seconds * 1000, FAR))


def _pairs(said: object) -> dict[bytes, float]:
    found: dict[bytes, float] = {}
    if isinstance(said, Sequence):
        for name, left in zip(said[::2], said[1::2], strict=False):
            found[name] = int(left) / 1000
    return found
