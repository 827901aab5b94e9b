-- Strikes up to 100 expired entries from a tenant's books, then evicts up to 100 of its least recently used ones until
-- it is in its budget. Atomic, O(log of the tenant's entries).
--
-- KEYS[1]  recent        zset key->used, the gateways' ms
-- KEYS[2]  ledger        zset key->end in Redis' s * room + size in units
-- KEYS[3]  total         units
-- ARGV[1]  maxUnits      the tenant's budget
-- ARGV[2]  room          units a ledger's score has room for
-- ARGV[3]  entryPrefix   of the entries' keys, which lie in the slot of KEYS
-- RETURNS  {units still over the budget, evicted}; call again while both are above 0
-- EXPIRES  nothing: fill.lua has done it
-- CALLER   cache/far.redis.ts   CONTRACT  cache/far.contract.ts

local recent, ledger, total, room = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2])

local function drop(key)
  redis.call('UNLINK', ARGV[3] .. key)
  redis.call('DECRBY', total, (tonumber(redis.call('ZSCORE', ledger, key)) or 0) % room)
  redis.call('ZREM', recent, key)
  redis.call('ZREM', ledger, key)
end

local ended = string.format('(%.0f', (redis.call('TIME')[1] + 1) * room)
for _, key in ipairs(redis.call('ZRANGEBYSCORE', ledger, '-inf', ended, 'LIMIT', 0, 100)) do drop(key) end

local evicted = 0
local function over() return (tonumber(redis.call('GET', total)) or 0) - tonumber(ARGV[1]) end
while over() > 0 and evicted < 100 do
  local key = redis.call('ZRANGE', recent, 0, 0)[1]
  if not key then break end
  drop(key)
  evicted = evicted + 1
end
return { over(), evicted }
