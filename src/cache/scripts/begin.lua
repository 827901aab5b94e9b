-- A leader begins: its token becomes the fence of the key, and generations that are missing are made. Atomic, O(tags).
--
-- KEYS[1]  fence         the newest leader's token
-- KEYS[2..] generations  global, tenant, tags; at most 66
-- ARGV[1]  token         of this leader
-- ARGV[2]  fenceMs       how long it may take to fill
-- ARGV[3]  generation    a value never used before, for those that are missing
-- RETURNS  {generation, ...} in the order of KEYS
-- EXPIRES  fence after fenceMs; generations not before it
-- CALLER   cache/far.redis.ts   CONTRACT  cache/far.contract.ts

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])

local generations = redis.call('MGET', unpack(KEYS, 2)) -- a key of another type reads as missing, and is replaced
for i, generation in ipairs(generations) do
  local key = KEYS[i + 1]
  if not generation then
    generations[i] = ARGV[3]
    redis.call('SET', key, ARGV[3], 'PX', ARGV[2])
  elseif redis.call('PTTL', key) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', key, ARGV[2])
  end
end

return generations
