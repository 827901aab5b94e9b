-- WITH ground unit entry gone
-- Forgets a job that has ended. Atomic, O(log n).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] tenant  [4] id
-- RETURNS  {dropped 1|0, result or ''}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e = load_job(ARGV[4])
if not e or e.tenant ~= ARGV[3] or e.finishedAt < 0 or e.leased == '1' then return { 0, '' } end
return { 1, forget(e) }
