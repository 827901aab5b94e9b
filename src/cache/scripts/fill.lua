-- Stores a frame if its leader still holds the fence and no generation moved since it began, enters it in its tenant's
-- books, and wakes who waits. Atomic, O(tags + log of the tenant's entries).
-- KEYS     [1] entry  [2] recent: zset key->used  [3] ledger: zset key->end and size (far.keys.ts)  [4] total, units
--          [5] fence  [6..] generations, at most 66
-- ARGV     [1] token  [2] generations joined by blanks  [3] frame  [4] lifeMs  [5] nowAt, gateway's, ms since the epoch
--          [6] key  [7] size in units  [8] units a ledger's score has room for  [9] channel
-- RETURNS  'stored' | 'lost' | 'purged'
-- EXPIRES  entry after lifeMs; books and generations not before it
-- CALLER   cache/far.redis.ts   CONTRACT  cache/far.contract.ts
-- `recent` is in the gateways' time, as touches are; `ledger` in Redis' own, as expiry is.

local values = redis.call('MGET', unpack(KEYS, 5))
if values[1] ~= ARGV[1] then return 'lost' end
redis.call('DEL', KEYS[5])
for i = 2, #values do values[i] = values[i] or '' end
if table.concat(values, ' ', 2) ~= ARGV[2] then return 'purged' end

local recent, ledger, total, key, lifeMs, room = KEYS[2], KEYS[3], KEYS[4], ARGV[6], tonumber(ARGV[4]), tonumber(ARGV[8])
-- Books of which a part was evicted, or is of another type, are begun anew; what they forget ends by its own expiry.
local count = redis.pcall('ZCARD', recent)
local isWhole = type(count) == 'number' and count > 0 and redis.pcall('ZCARD', ledger) == count
if not (isWhole and type(redis.pcall('GET', total)) == 'string') then redis.call('DEL', recent, ledger, total) end

local old = (tonumber(redis.call('ZSCORE', ledger, key)) or 0) % room
local time = redis.call('TIME')
local endsAt = math.ceil(time[1] + time[2] / 1e6 + lifeMs / 1000) -- whole seconds, never before the entry's own end
redis.call('SET', KEYS[1], ARGV[3], 'PX', lifeMs)
redis.call('ZADD', recent, ARGV[5], key)
redis.call('ZADD', ledger, string.format('%.0f', endsAt * room + ARGV[7]), key)
redis.call('INCRBY', total, ARGV[7] - old)
for i = 2, #KEYS do
  if redis.call('PTTL', KEYS[i]) < lifeMs then redis.call('PEXPIRE', KEYS[i], lifeMs) end
end
redis.call('PUBLISH', ARGV[9], 'filled ' .. key .. ' ' .. ARGV[1])
return 'stored'
