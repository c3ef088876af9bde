"""The account in Redis or Valkey, for gateways on several machines: `pip install 'fastcascade[redis]'`."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from fastcascade.errors import ConfigError, StoreError
from fastcascade.gateway.account import Read, Used

__all__ = ["RedisAccount"]

TIMEOUT: Final = 2.0
SENDER_KEPT: Final = 86_400
KEPT: Final = 400 * 86_400
EXCHANGE: Final = """
-- KEYS: the clock of changes, the sender's last batch, then for each period its totals and its changes
-- ARGV: batch, mark, seconds a sender is kept, seconds a period is,
-- then for each addition the place of its period, the key, and 4 numbers
local turn = tonumber(redis.call('GET', KEYS[1]) or '0')
if #ARGV > 4 and tonumber(redis.call('GET', KEYS[2]) or '-1') < tonumber(ARGV[1]) then
  turn = redis.call('INCR', KEYS[1])
  for place = 5, #ARGV, 6 do
    local spot = tonumber(ARGV[place])
    local totals, changes, key = KEYS[spot], KEYS[spot + 1], ARGV[place + 1]
    for number = 0, 3 do redis.call('HINCRBY', totals, key .. ':' .. number, ARGV[place + 2 + number]) end
    redis.call('ZADD', changes, turn, key)
    redis.call('EXPIRE', totals, ARGV[4])
    redis.call('EXPIRE', changes, ARGV[4])
  end
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
end
local since = tonumber(ARGV[2])
if since > turn then since = 0 end  -- it was emptied, and counts anew
local found = {}
for spot = 3, #KEYS, 2 do
  local changed = {}
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[spot + 1], '(' .. since, '+inf')) do
    table.insert(changed, {key, redis.call('HMGET', KEYS[spot], key .. ':0', key .. ':1', key .. ':2', key .. ':3')})
  end
  table.insert(found, changed)
end
return {turn, found}
"""


class RedisAccount:
    """An `Account` in one Redis, from version 6.2 on. How safe it is there is the server's to say (`appendfsync`).

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://...`, or `unix://...`.
        prefix: what the names of the keys begin with.
        timeout: seconds for one operation.
    """

    def __init__(self, url: str, *, prefix: str = "fastcascade-keys", timeout: float = TIMEOUT) -> None:
        """Check the URL; no connection is made."""
        try:
            from redis import Redis  # noqa: PLC0415 - an extra

            from fastcascade.stores.redis_link import where_of  # noqa: PLC0415 - loads redis-py
        except ModuleNotFoundError:
            raise ConfigError("an account in Redis needs redis-py: pip install 'fastcascade[redis]'") from None
        self._where = where_of(url)
        self._prefix = f"{{{prefix}}}"
        self._sender = secrets.token_hex(8)
        self._client = Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2, decode_responses=True
        )
        self._script: Any = self._client.register_script(EXCHANGE)

    def __repr__(self) -> str:
        """Show where it is, and no password."""
        return f"RedisAccount({self._where!r})"

    def exchange(
        self, batch: int, used: Mapping[tuple[str, str], Used], periods: tuple[str, ...], mark: int, /
    ) -> Read:
        """See `Account`."""
        named = list(dict.fromkeys([*periods, *(period for period, _ in used)]))
        keys = [f"{self._prefix}:turn", f"{self._prefix}:batch:{self._sender}"]
        for period in named:
            keys += (f"{self._prefix}:used:{period}", f"{self._prefix}:changed:{period}")
        given: list[Any] = [batch, mark, SENDER_KEPT, KEPT]
        for (period, key), what in used.items():
            given += (3 + 2 * named.index(period), key, *what)
        from redis.exceptions import RedisError  # noqa: PLC0415 - loaded by now

        try:
            turn, found = self._script(keys=keys, args=given)
            totals = {
                (period, key): Used(*(int(number or 0) for number in numbers))
                for period, changed in zip(named, found, strict=True)
                for key, numbers in changed
            }
        except (RedisError, OSError) as error:
            # What a server says word for word is not repeated: it may hold what was sent to it.
            raise StoreError(f"redis at {self._where}: {_told(error)} ({type(error).__name__})") from None
        return Read(totals, int(turn))

    def close(self) -> None:
        """See `Account`."""
        self._client.close()


def _told(error: Exception) -> str:
    from fastcascade.stores.redis_link import _told as told  # noqa: PLC0415 # its words for what can go wrong

    return told(error)
