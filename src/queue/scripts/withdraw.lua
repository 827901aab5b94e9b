-- WITH ground unit tenant load place entry keep done move gone
-- Takes a job out of the line that was not accepted after all, and its Idempotency-Key with it, unless it was begun:
-- then a repeat finds it, and is accepted. Atomic, O(log of the line).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] tenant  [4] id
-- RETURNS  {withdrawn 1|0}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   TEST  queue/replicas.redis.test.ts

local e = load_job(ARGV[4])
if not e or e.tenant ~= ARGV[3] or e.status ~= 'queued' or e.fence ~= 0 then return { 0 } end
local t = load(e.tenant)
unline(t, e)
forget(e)
place(t)
done()
return { 1 }
