-- A tenant's account of stored results: strikes out up to 100 expired ones, takes one out, enters it anew as the newest,
-- and takes out up to 100 of the oldest until the rest fits. Atomic, O((struck + 1) log of the tenant's results).
--
-- KEYS[1]  order      zset: id -> number, the oldest's is the least
-- KEYS[2]  ends       zset: id -> expiresAt, ms since the epoch
-- KEYS[3]  sizes      hash: id -> bytes; '' -> their sum
-- ARGV     [1] id, '' to ask for the sum alone  [2] bytes, 0 to take it out only  [3] expiresAt, likewise  [4] maxBytes
--          [5] nowAt, the gateway's wall clock: the contract suite must hold it
-- RETURNS  {sum, id ...} the ids that must go; its own alone if it is larger than maxBytes
-- EXPIRES  all keys with the last result
-- CALLER   results/ledger.redis.ts   CONTRACT  results/ledger.contract.ts

local order, ends, sizes, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local bytes, expiresAt, maxBytes, nowAt = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local count = redis.call('ZCARD', order) -- an account of which a part was evicted is begun anew
if redis.call('ZCARD', ends) ~= count or redis.call('HLEN', sizes) ~= count + 1 then redis.call('DEL', unpack(KEYS)) end

local function size(of) return tonumber(redis.call('HGET', sizes, of)) or 0 end
local function strike(one)
  redis.call('HINCRBY', sizes, '', 0 - size(one))
  redis.call('HDEL', sizes, one)
  redis.call('ZREM', ends, one)
  redis.call('ZREM', order, one)
end

local expired = redis.call('ZRANGEBYSCORE', ends, '-inf', nowAt, 'LIMIT', 0, 100)
for _, one in ipairs(expired) do strike(one) end
if id ~= '' then strike(id) end
if bytes > 0 and bytes <= maxBytes and expiresAt > nowAt then
  redis.call('ZADD', order, (redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')[2] or 0) + 1, id)
  redis.call('ZADD', ends, expiresAt, id)
  redis.call('HSET', sizes, id, bytes)
  redis.call('HINCRBY', sizes, '', bytes)
end

local gone = bytes > maxBytes and { id } or {}
while bytes <= maxBytes and size('') > maxBytes and #gone < 100 and #expired < 100 do -- no living one for what expired
  gone[#gone + 1] = redis.call('ZRANGE', order, 0, 0)[1]
  strike(gone[#gone])
end

local sum, lastAt = size(''), redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, lastAt and lastAt - nowAt or 0) end
return { sum, unpack(gone) }
