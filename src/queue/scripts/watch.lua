-- WITH ground
-- From now on this process hears of the job's changes. Atomic, O(processes that watch it).
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3] tenant  [4] id  [5] process
-- RETURNS  1 | 0 when there is no such job
-- EXPIRES  with the job
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local key = P .. 'job:' .. ARGV[4]
local known = call('HMGET', key, 'tenant', 'watchers')
if known[1] ~= ARGV[3] then return 0 end
if not (' ' .. known[2] .. ' '):find(' ' .. ARGV[5] .. ' ', 1, true) then
  call('HSET', key, 'watchers', known[2] .. ' ' .. ARGV[5])
end
return 1
