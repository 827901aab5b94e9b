-- WITH ground unit tenant load position entry record_of
-- Tells of jobs, those of this tenant (any, where it is ''), with their place in the line. Atomic, O(ids), at most a hundred.
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3] tenant  [4..] ids
-- RETURNS  {record or false …}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local records = {}
for i = 4, #ARGV do
  local e = load_job(ARGV[i])
  records[#records + 1] = e and (ARGV[3] == '' or e.tenant == ARGV[3]) and record(e) or false
end
return records
