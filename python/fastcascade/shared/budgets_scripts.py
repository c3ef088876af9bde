"""What is done with the limits and the money of one key, each in one script: one round trip, all of it or nothing.

A key has in Redis, all in one slot:

    requests, tokens   its buckets, as `limits` has them
    state              what was spent today and this month (UTC), and what all its requests in work hold
    used               a hash of what was used in each day and month, four numbers for each: see `Used`
    held               a hash of what each of its requests in work holds
    ends               when each of these lapses, unless it is renewed
    told:PROCESS       the number of the last piece that this process has told

Money is in whole nano-dollars. A script computes in doubles: sums are exact up to nine million dollars a period, and
are kept exactly above it, where what is compared is then off by a few nano-dollars.
"""

from typing import Final

from fastcascade.shared.limits import BUCKETS
from fastcascade.shared.script import Script

__all__ = ["ENTER", "LEAVE", "MONEY", "RENEW", "USED"]

MONEY: Final = (
    BUCKETS
    + """
-- The day and the month of a time, in UTC. The calendar is Howard Hinnant's `civil_from_days`: years begin in March.
local function periods(now)
  local since = math.floor(now / 86400000000) + 719468
  local era = math.floor(since / 146097)
  local day = since - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day), string.format('%04d-%02d', year, month)
end
-- What is known of a key: its day and month, what was spent in them, what its requests in work hold, how many these
-- are, and when the first of them may lapse. It is in one text, and what that was made of is read only where it is not
-- there or of another day: what is read by scripts is watched for changes, which nobody wants to hear of here.
local function state(keys, now)
  local day, month = periods(now)
  local was, spent, was_month, spent_month, sum, n, first =
    string.match(read(keys.state), '^(%S+) (%d+) (%S+) (%d+) (%d+) (%d+) (%d+)$')
  local known = {day = day, month = month}
  if was == day and was_month == month then
    known.spent, known.spent_month = tonumber(spent), tonumber(spent_month)
  else
    local found = redis.call('HMGET', keys.used, day .. ':0', month .. ':0')
    known.spent, known.spent_month = tonumber(found[1] or 0), tonumber(found[2] or 0)
  end
  known.sum, known.n, known.first = tonumber(sum), tonumber(n), tonumber(first)
  if not sum then
    known.sum, known.n, known.first = 0, 0, 0
    for _, amount in ipairs(redis.call('HVALS', keys.held)) do
      known.sum, known.n = known.sum + amount, known.n + 1
    end
  end
  if known.n > 0 and now >= known.first then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.ends, '-inf', string.format('%.0f', now))) do
      local amount = redis.call('HGET', keys.held, id)
      redis.call('ZREM', keys.ends, id)
      if redis.call('HDEL', keys.held, id) == 1 then
        known.sum, known.n = known.sum - amount, known.n - 1
      end
    end
    known.first = tonumber(redis.call('ZRANGE', keys.ends, 0, 0, 'WITHSCORES')[2] or 0)
  end
  return known
end
local function note(keys, known, kept)
  redis.call('SET', keys.state, string.format('%s %.0f %s %.0f %.0f %.0f %.0f', known.day, known.spent, known.month,
    known.spent_month, known.sum, known.n, known.first), 'EX', kept)
end
local function hold(keys, known, id, amount, now, ttl)
  if redis.call('HSETNX', keys.held, id, amount) == 1 then
    known.sum, known.n = known.sum + amount, known.n + 1
  end
  local ends = now + ttl * 1000
  if known.n == 1 or ends < known.first then known.first = ends end
  redis.call('ZADD', keys.ends, string.format('%.0f', ends), id)
  redis.call('PEXPIRE', keys.held, 2 * ttl)
  redis.call('PEXPIRE', keys.ends, 2 * ttl)
end
-- Whoever never heard how much it was (`?`) leaves it to be looked up.
local function let_go(keys, known, id, amount)
  if amount == '?' then amount = redis.call('HGET', keys.held, id) end
  redis.call('ZREM', keys.ends, id)
  if redis.call('HDEL', keys.held, id) == 1 then
    known.sum, known.n = math.max(0, known.sum - amount), math.max(0, known.n - 1)
  end
end
"""
)

ENTER: Final = Script(
    MONEY
    + """
-- KEYS: requests, tokens, state, used, held, ends
-- ARGV: for each of the two buckets what is taken and how much it holds (-1: there is none),
-- the name of what is to be held ('': nothing), the budgets of a day and a month (-1: none), the least of a share,
-- what a request costs on average, the most that was asked for (-1: nothing was said), milliseconds it is held,
-- how many parts one share is of, seconds that all this is kept
local keys = {state = KEYS[3], used = KEYS[4], held = KEYS[5], ends = KEYS[6]}
local now = clock()
local known = state(keys, now)
local owed = {missing(KEYS[1], now), missing(KEYS[2], now)}
local function reply(why, number)
  return {why, number, owed[1], owed[2], known.spent, known.spent_month, known.sum, known.n, now}
end
local most = 0
if ARGV[5] ~= '' then
  local day_left = ARGV[6] == '-1' and math.huge or ARGV[6] - known.spent
  local month_left = ARGV[7] == '-1' and math.huge or ARGV[7] - known.spent_month
  local left = math.min(day_left, month_left)
  if left <= 0 then return reply(month_left <= 0 and 'month' or 'day', 0) end
  local share, mean, asked = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
  if known.n == 0 then
    most = math.max(math.min(left, 2 * share), math.floor(left / 2))
  else
    local free = left - known.sum
    if free < mean or free < 1 then return reply('held', 0) end
    most = math.min(free, math.max(share, math.floor(free / ARGV[12])))
  end
  if asked >= 0 then most = math.max(1, math.min(most, asked)) end
end
for place, name in ipairs({'requests', 'tokens'}) do
  local cost, depth = tonumber(ARGV[2 * place - 1]), tonumber(ARGV[2 * place])
  local wait = owed[place] + cost - depth
  if depth >= 0 and wait > 0 then return reply(name, wait) end
end
for place = 1, 2 do
  local cost = tonumber(ARGV[2 * place - 1])
  if tonumber(ARGV[2 * place]) >= 0 and cost > 0 then
    owed[place] = owed[place] + cost
    keep(KEYS[place], now, owed[place])
  end
end
if most > 0 then
  hold(keys, known, ARGV[5], string.format('%.0f', most), now, tonumber(ARGV[11]))
  note(keys, known, ARGV[13])
end
return reply('', most)
"""
)
"""Let a request in: take of its limits, and hold what it may spend; or say what is in the way, and take nothing."""

LEAVE: Final = Script(
    MONEY
    + """
-- KEYS: requests, tokens, state, used, held, ends, told
-- ARGV: the number of this piece, nanoseconds to add to each bucket, seconds this process is known, seconds that all
-- this is kept, how many periods, for each its name and 4 numbers, then what is held no more: names, and how much
local keys = {state = KEYS[3], used = KEYS[4], held = KEYS[5], ends = KEYS[6]}
local now = clock()
local known = state(keys, now)
local last = 6 + 5 * ARGV[6]
if (tonumber(read(KEYS[7])) or -1) < tonumber(ARGV[1]) then
  for place = 1, 2 do
    local more = tonumber(ARGV[1 + place])
    if more ~= 0 then keep(KEYS[place], now, missing(KEYS[place], now) + more) end
  end
  for place = 7, last, 5 do
    local period = ARGV[place]
    for number = 0, 3 do
      if ARGV[place + 1 + number] ~= '0' then
        redis.call('HINCRBY', keys.used, period .. ':' .. number, ARGV[place + 1 + number])
      end
    end
    if period == known.day then known.spent = known.spent + ARGV[place + 1] end
    if period == known.month then known.spent_month = known.spent_month + ARGV[place + 1] end
  end
  if last > 6 then redis.call('EXPIRE', keys.used, ARGV[5]) end
  redis.call('SET', KEYS[7], ARGV[1], 'EX', ARGV[4])
end
for place = last + 1, #ARGV, 2 do let_go(keys, known, ARGV[place], ARGV[place + 1]) end
note(keys, known, ARGV[5])
return {'', 0, missing(KEYS[1], now), missing(KEYS[2], now), known.spent, known.spent_month, known.sum, known.n, now}
"""
)
"""Count what was used, once though it be told twice, and let go of what was held."""

RENEW: Final = Script(
    MONEY
    + """
-- KEYS: state, used, held, ends
-- ARGV: milliseconds it is held, seconds that all this is kept, then for each request its name and what it holds
local keys = {state = KEYS[1], used = KEYS[2], held = KEYS[3], ends = KEYS[4]}
local now = clock()
local known = state(keys, now)
for place = 3, #ARGV, 2 do hold(keys, known, ARGV[place], ARGV[place + 1], now, tonumber(ARGV[1])) end
note(keys, known, ARGV[2])
return now
"""
)
"""Go on holding what requests in work hold, or hold it again where it has lapsed."""

USED: Final = Script(
    MONEY
    + """
-- KEYS: used.  What was used today and this month, by the server's clock: eight numbers
local day, month = periods(clock())
local fields = {}
for _, period in ipairs({day, month}) do
  for number = 0, 3 do table.insert(fields, period .. ':' .. number) end
end
return redis.call('HMGET', KEYS[1], unpack(fields))
"""
)
