-- One process says that it lives, and learns how many do. Those not heard of for too long are removed.
-- Atomic, O(log n + removed).
--
-- KEYS[1]  census      zset: process id -> when it was last heard of, ms since the epoch
-- ARGV[1]  process     id
-- ARGV[2]  deadAfterMs
-- RETURNS  how many live, this one included
-- EXPIRES  census, deadAfterMs after the last beat
-- CALLER   kernel/redis/census.ts
--
-- Why TIME: the processes' clocks may disagree by more than deadAfterMs.

local time = redis.call('TIME')
local nowAt = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZADD', KEYS[1], nowAt, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', nowAt - ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
