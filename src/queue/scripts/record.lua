-- WITH ground unit tenant load position entry keep done job ends take record_of
-- A job that is over as it is submitted: a cached answer is its result. Atomic, O(log of the caller's jobs).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3..7] unused  [8..20] as submit.lua  [21] result
-- RETURNS  {'recorded', record} | {'repeat'|'mismatch', id}
-- EXPIRES  after keepMs (tick.lua), the result at the latest a minute later by itself
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local before = known(ARGV[9], ARGV[18])
if before then return before end

local e = new_job(ARGV[8], 0)
e.startedAt, e.revision = now, 0
finish_job(e, 'succeeded', '', ARGV[21])
done()
return { 'recorded', record(e) }
