"""What Redis does for the levels, each in one round trip.

A script that reads a key has it tracked for whoever ran it, so that the server tells when it is changed. All keys of a
script lie in one slot. Numbers of purges ("scores") are milliseconds of the server's clock times 2048, and a count.
"""

from typing import Final

from fastcascade.shared.script import Script

__all__ = ["DROP", "FREE", "LOAD", "LOOK", "MARK", "PUT", "RENEW"]

_CLOCK: Final = """
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = us / 1000000
local function known(v) return v and #v >= 47 and string.byte(v, 41) >= 16 and string.byte(v, 41) < 32 end
"""

LOOK: Final = Script(
    _CLOCK
    + """
-- KEYS: entry, lease.  ARGV: the serial it must have at least, what the asker has already, a token, milliseconds
local v, fresh = redis.call('GET', KEYS[1]), false
if known(v) then
  local born, life, stale, serial, nonce = struct.unpack('>ddddc8', v)
  if serial < tonumber(ARGV[1]) or now >= born + life + stale then
    redis.call('DEL', KEYS[1])
    v = false
  else
    fresh = now < born + life
    if nonce == ARGV[2] then v = '' end
  end
else
  v = false
end
if fresh then return {1, us, v} end
if redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4], 'NX') then return {2, us, v} end
return {3, us, v, redis.call('PTTL', KEYS[2])}
"""
)

PUT: Final = Script(
    _CLOCK
    + """
-- KEYS: entry, lease.  ARGV: the token of the lease (empty: without one), milliseconds, the entry
local holder = redis.call('GET', KEYS[2])
if ARGV[1] ~= '' and holder ~= ARGV[1] then
  -- The lease was lost on the way: what another has made meanwhile is newer.
  local v = redis.call('GET', KEYS[1])
  if known(v) then
    local born, life = struct.unpack('>dd', v)
    if now < born + life then return 0 end
  end
end
-- Read before and after, so that whoever writes is told of this change exactly once, and of the next one.
redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], struct.pack('>d', now) .. ARGV[3], 'PX', ARGV[2])
redis.call('EXISTS', KEYS[1])
if holder and holder == ARGV[1] then redis.call('DEL', KEYS[2]) end
return us
"""
)

FREE: Final = Script("""
-- KEYS: lease.  ARGV: its token
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")

RENEW: Final = Script("""
-- KEYS: lease.  ARGV: its token, milliseconds
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
""")

DROP: Final = Script(
    _CLOCK
    + """
-- KEYS: entry.  ARGV: the number of its purge
local v = redis.call('GET', KEYS[1])
if known(v) and struct.unpack('>d', v, 25) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""
)

MARK: Final = Script(
    _CLOCK
    + """
-- KEYS: marks.  ARGV: member, score (empty: it is about to be told), the score it was about to be told under, how many
local function text(score) return string.format('%.0f', score) end
if ARGV[2] == '' then
  -- Should the teller die before it says more, processes that begin take this for a purge some seconds from now.
  local score = text(us / 1000 * 2048 + 10000 * 2048)
  redis.call('ZADD', KEYS[1], 'GT', score, '?' .. ARGV[1])
  return score
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
local about = redis.call('ZSCORE', KEYS[1], '?' .. ARGV[1])
if about and tonumber(about) == tonumber(ARGV[3]) then redis.call('ZREM', KEYS[1], '?' .. ARGV[1]) end
while redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) do
  -- What is not known any more counts as purged: the oldest mark becomes one for everything.
  local oldest = redis.call('ZPOPMIN', KEYS[1])
  redis.call('ZADD', KEYS[1], 'GT', oldest[2], 'o')
end
return 1
"""
)

LOAD: Final = Script(
    _CLOCK
    + """
-- KEYS: marks.  ARGV: milliseconds that an entry lives at most
-- Marks that are not there were never made, or are lost: either way nothing from before this moment is known to hold.
-- It is below all that is told in this millisecond.
local origin = redis.call('ZSCORE', KEYS[1], 'o') or string.format('%.0f', math.floor(us / 1000) * 2048 - 1)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', (us / 1000 - ARGV[1]) * 2048))
redis.call('ZADD', KEYS[1], 'GT', origin, 'o')
return {us, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
"""
)
