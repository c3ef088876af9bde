"""The changes of the Redis store, each a Lua script: Redis runs one whole, and nothing between.

Every script is given the same keys, in the order of `KEYS`; no key is made up inside. Each reads and checks first and
writes after: a key of the wrong kind, a record that cannot be read and a server that is full end it with nothing done.
Times are texts as Python writes them, since Lua's JSON would round them.
"""

from dataclasses import dataclass, field
from hashlib import sha1
from typing import Final

__all__ = [
    "ADD",
    "ANSWER",
    "CALLED",
    "CALLS",
    "CLAIM",
    "COUNTS",
    "EXPIRE",
    "GET",
    "KEYS",
    "LISTED",
    "MEND",
    "MENDED",
    "ORDERS",
    "PURGE",
    "RELEASE",
    "RENEW",
    "Script",
]

KEYS: Final = {
    "reviews": "hash",  # id -> what was submitted; never changed
    "states": "hash",  # id -> where it stands
    "answers": "hash",  # id -> the answer; set once
    "turn": "string",  # how many came in: those of one time keep their order
    "open": "zset",  # may be claimed: waiting, or the lease was seen to have lapsed; the one due first in front
    "leased": "zset",  # by the end of the lease
    "calls": "zset",  # by when the callback is to be made
    "done": "zset",  # by when it ended, once no callback is wanted any more
    "all": "zset",  # the oldest in front
    "waiting": "zset",  # likewise, as are the next three
    "claimed": "zset",
    "answered": "zset",
    "expired": "zset",
    "mended": "string",  # the run of the server in which the orders were last gone over
    "news": "stream",  # what happened to which review, so that those who wait for it are woken
}

START: Final = (
    (
        "local kinds = {" + ", ".join(f"'{kind}'" for kind in KEYS.values()) + "}\n"
        "local key = {}\n"
        "for place, name in ipairs({" + ", ".join(f"'{name}'" for name in KEYS) + "}) do key[name] = KEYS[place] end\n"
    )
    + """
for place, name in ipairs(KEYS) do
  local kind = redis.call('TYPE', name).ok
  if kind ~= 'none' and kind ~= kinds[place] then error('WRONGTYPE ' .. name) end
end

-- A record; nothing where there is none, and false where it is none of ours.
local function peek(id)
  local raw = redis.call('HGET', key.states, id)
  if not raw then return nil end
  local read, at = pcall(cjson.decode, raw)
  if not read or type(at) ~= 'table' or type(at.claims) ~= 'number' or type(at.calls) ~= 'number'
    or type(at.due) ~= 'string' or type(at.created) ~= 'string' or type(at.turn) ~= 'string'
    or not (at.state == 'waiting' or at.state == 'claimed' or at.state == 'answered' or at.state == 'expired')
    or (at.state == 'claimed' and not tonumber(at.till))
    or ((at.state == 'answered' or at.state == 'expired') and not tonumber(at.ended)) then
    return false
  end
  return at
end

local function read(id)
  local at = peek(id)
  if at == false then error('DAMAGED record') end
  return at
end

local function by_due(id, at) return at.due .. at.created .. at.turn .. ':' .. id end
local function by_age(id, at) return at.created .. at.turn .. ':' .. id end
local function by_turn(id, at) return at.turn .. ':' .. id end

local function keep(id, at) redis.call('HSET', key.states, id, cjson.encode(at)) end

local function move(id, at, state)
  redis.call('ZADD', key[state], 0, by_age(id, at))
  if at.state ~= state then redis.call('ZREM', key[at.state], by_age(id, at)) end
  at.state = state
  keep(id, at)
end

-- Not being able to tell is no reason to undo what was done: the news are a convenience.
local function tell(what, id) redis.pcall('XADD', key.news, 'MAXLEN', '~', 1000, '*', what, id) end

local function shown(id)
  return {id, redis.call('HGET', key.reviews, id), redis.call('HGET', key.states, id),
    redis.call('HGET', key.answers, id)}
end

local function close(id, at, ended)
  redis.call('ZADD', at.callback and key.calls or key.done, ended, by_turn(id, at))
  redis.call('ZREM', key.open, by_due(id, at))
  redis.call('ZREM', key.leased, id)
end

-- Leases found to have lapsed make their reviews open again; the lease stands until somebody else claims.
local function sweep(now)
  local found = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key.leased, '-inf', now)) do
    local at = peek(id)
    if at then table.insert(found, {id, at}) end
  end
  for _, each in ipairs(found) do
    redis.call('ZADD', key.open, 0, by_due(each[1], each[2]))
    redis.call('ZREM', key.leased, each[1])
  end
end

-- Another caller's clock may be ahead, and have swept what is not lapsed by this one's.
local function free(at, now)
  return at.state == 'waiting' or (at.state == 'claimed' and tonumber(at.till) <= tonumber(now))
end

local function holds(at, lease)
  return at and at.state == 'claimed' and lease ~= '' and at.lease == lease
end
"""
)
DUE: Final = 50
"""Where the id begins, counted from 1, in a member by due time: after due, created, turn of 16 signs, and a colon."""
AGE: Final = 34
TURN: Final = 18


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the hash by which a server knows it."""

    body: str
    text: str = field(init=False, repr=False)
    sha: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put what all share before it."""
        text = START + self.body
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "sha", sha1(text.encode(), usedforsecurity=False).hexdigest())


ADD: Final = Script("""
local id, whole, state, answer = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if read(id) then return shown(id) end
local at = cjson.decode(state)
if not tonumber(redis.call('GET', key.turn) or 0) then error('DAMAGED turn') end
at.turn = string.format('%016.0f', redis.call('INCR', key.turn))
redis.call('HSET', key.reviews, id, whole)
keep(id, at)
redis.call('ZADD', key.all, 0, by_age(id, at))
redis.call('ZADD', key[at.state], 0, by_age(id, at))
if at.state == 'waiting' then
  redis.call('ZADD', key.open, 0, by_due(id, at))
elseif at.state == 'claimed' then
  redis.call('ZADD', key.leased, at.till, id)
elseif at.callback and not at.called then
  redis.call('ZADD', key.calls, at.ended, by_turn(id, at))
else
  redis.call('ZADD', key.done, at.ended, by_turn(id, at))
end
if answer ~= '' then redis.call('HSET', key.answers, id, answer) end
tell(at.state, id)
return shown(id)
""")

GET: Final = Script("return shown(ARGV[1])")

ORDERS: Final = ("states", "all", "waiting", "claimed", "answered", "expired", "open", "leased", "calls", "done")
"""What `MEND` goes through, in this order."""

MENDED: Final = Script("""
if ARGV[1] == '' then return redis.call('GET', key.mended) end
redis.call('SET', key.mended, ARGV[1])
""")

MEND: Final = Script(f"""
local name, cursor = ARGV[1], ARGV[2]
local mended = 0
local function put(list, score, member)
  if redis.call('ZSCORE', key[list], member) then return end
  mended = mended + redis.call('ZADD', key[list], score, member)
end
local function drop(list, member) mended = mended + redis.call('ZREM', key[list], member) end

-- What is written last is what stands, so the state decides, and a record is in every order that goes with it.
local function place(id, at)
  local turn = by_turn(id, at)
  put('all', 0, by_age(id, at))
  put(at.state, 0, by_age(id, at))
  if at.state == 'waiting' then
    put('open', 0, by_due(id, at))
  elseif at.state == 'claimed' then
    if not redis.call('ZSCORE', key.open, by_due(id, at)) then put('leased', at.till, id) end
  elseif not redis.call('ZSCORE', key.done, turn) then
    put((at.callback and not at.called) and 'calls' or 'done', at.ended, turn)
  end
end

local function belongs(list, member, id, at)
  local ended = at.state == 'answered' or at.state == 'expired'
  if list == 'open' then return not ended and by_due(id, at) == member end
  if list == 'leased' then return at.state == 'claimed' end
  if list == 'done' then return ended and by_turn(id, at) == member end
  if list == 'calls' then return ended and by_turn(id, at) == member and not redis.call('ZSCORE', key.done, member) end
  return by_age(id, at) == member and (list == 'all' or list == at.state)
end

local from = {{open = {DUE}, leased = 1, done = {TURN}, calls = {TURN}}}
local page = redis.call(name == 'states' and 'HSCAN' or 'ZSCAN', key[name], cursor, 'COUNT', 200)
for spot = 1, #page[2], 2 do
  local member = page[2][spot]
  local id = name == 'states' and member or member:sub(from[name] or {AGE})
  local at = peek(id)
  if name == 'states' then
    if at then place(id, at) end
  elseif at == nil or (at and not belongs(name, member, id, at)) then
    drop(name, member)
  end
end
return {{page[1], mended}}
""")

CLAIM: Final = Script(f"""
local now, till, reviewer, lease, wanted = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local passed, place = {{}}, 0
for number = 6, #ARGV do passed[ARGV[number]] = true end
sweep(now)
local function hand_out(id, at)
  at.reviewer, at.lease, at.till, at.claims = reviewer, lease, till, at.claims + 1
  redis.call('ZADD', key.leased, till, id)
  redis.call('ZREM', key.open, by_due(id, at))
  move(id, at, 'claimed')
  return shown(id)
end
if wanted ~= '' then
  local at = not passed[wanted] and peek(wanted)
  local mine = at and at.state == 'claimed' and at.reviewer == reviewer
  return at and (mine or free(at, now)) and hand_out(wanted, at) or false
end
while true do
  local member = redis.call('ZRANGE', key.open, place, place)[1]
  if not member then return false end
  local id = member:sub({DUE})
  local at = peek(id)
  if at == nil then  -- somebody removed it by hand
    redis.call('ZREM', key.open, member)
  elseif not at or passed[id] or not free(at, now) then
    place = place + 1
  else
    return hand_out(id, at)
  end
end
""")

RENEW: Final = Script("""
local id, lease, till = ARGV[1], ARGV[2], ARGV[3]
local at = read(id)
if not holds(at, lease) then return 0 end
redis.call('ZADD', key.leased, till, id)
redis.call('ZREM', key.open, by_due(id, at))
at.till = till
keep(id, at)
return 1
""")

RELEASE: Final = Script("""
local id, lease, quietly = ARGV[1], ARGV[2], ARGV[3]
local at = read(id)
if not holds(at, lease) then return 0 end
redis.call('ZADD', key.open, 0, by_due(id, at))
redis.call('ZREM', key.leased, id)
at.reviewer, at.lease, at.till = nil, nil, nil
move(id, at, 'waiting')
if quietly == '' then tell('waiting', id) end
return 1
""")

ANSWER: Final = Script("""
local id, lease, answer, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at = read(id)
if not at then return {'unknown', false} end
if at.state == 'answered' then
  if lease ~= '' and at.lease == lease then return {'again', redis.call('HGET', key.answers, id)} end
  return {'taken', false}
end
if not holds(at, lease) then return {'lapsed', false} end
redis.call('HSET', key.answers, id, answer)
close(id, at, now)
at.ended, at.till = now, nil
move(id, at, 'answered')
tell('answered', id)
return {'done', false}
""")

EXPIRE: Final = Script(f"""
local now, bound, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
sweep(now)
local found, place, page = {{}}, 0, nil
repeat
  page = redis.call('ZRANGEBYLEX', key.open, '-', bound, 'LIMIT', place, limit)
  for _, member in ipairs(page) do
    local id = member:sub({DUE})
    local at = peek(id)
    if at and free(at, now) and #found < limit then table.insert(found, {{id, at}}) end
  end
  place = place + #page
until #page == 0 or #found == limit
local ended = {{}}
for _, each in ipairs(found) do
  local id, at = each[1], each[2]
  close(id, at, now)
  at.ended = now
  at.lease, at.till = nil, nil
  move(id, at, 'expired')
  tell('expired', id)
  table.insert(ended, shown(id))
end
return ended
""")

LISTED: Final = Script(f"""
local list, after, limit = key[ARGV[1]], ARGV[2], ARGV[3]
local from = '-'
if after ~= '' then
  local at = read(after)
  if not at then return {{}} end
  from = '(' .. by_age(after, at)
end
local page = {{}}
for _, member in ipairs(redis.call('ZRANGEBYLEX', list, from, '+', 'LIMIT', 0, limit)) do
  table.insert(page, shown(member:sub({AGE})))
end
return page
""")

COUNTS: Final = Script("""
local sizes = {}
for _, name in ipairs({'waiting', 'claimed', 'answered', 'expired', 'calls'}) do
  table.insert(sizes, redis.call('ZCARD', key[name]))
end
table.insert(sizes, redis.call('ZRANGE', key.waiting, 0, 0)[1] or false)
return sizes
""")

CALLS: Final = Script(f"""
local now, again, limit = ARGV[1], ARGV[2], ARGV[3]
local due = {{}}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key.calls, '-inf', now, 'LIMIT', 0, limit)) do
  redis.call('ZADD', key.calls, again, member)
  local id = member:sub({TURN})
  if peek(id) then table.insert(due, shown(id)) end
end
return due
""")

CALLED: Final = Script("""
local id, taken, again = ARGV[1], ARGV[2], ARGV[3]
local at = read(id)
if not at or not redis.call('ZSCORE', key.calls, by_turn(id, at)) then return 0 end
at.calls, at.called = at.calls + 1, taken == '1'
keep(id, at)
if again ~= '' then
  redis.call('ZADD', key.calls, again, by_turn(id, at))
else
  redis.call('ZADD', key.done, at.ended, by_turn(id, at))
  redis.call('ZREM', key.calls, by_turn(id, at))
end
return 1
""")

PURGE: Final = Script(f"""
local before, limit = ARGV[1], ARGV[2]
local over = redis.call('ZRANGEBYSCORE', key.done, '-inf', '(' .. before, 'LIMIT', 0, limit)
for _, member in ipairs(over) do
  local id = member:sub({TURN})
  local at = peek(id)
  if at then
    redis.call('ZREM', key[at.state], by_age(id, at))
    redis.call('ZREM', key.all, by_age(id, at))
  end
  redis.call('ZREM', key.done, member)
  redis.call('HDEL', key.reviews, id)
  redis.call('HDEL', key.answers, id)
  redis.call('HDEL', key.states, id)
end
return #over
""")
