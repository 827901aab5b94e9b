-- WITH ground unit entry keep
-- From now on this process hears of the job's changes. Atomic, O(processes that watch it).
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3] tenant  [4] id  [5] process
-- RETURNS  1 | 0 when there is no such job
-- EXPIRES  with the job
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e = load_job(ARGV[4])
if not e or e.tenant ~= ARGV[3] then return 0 end
if (',' .. e.watchers .. ','):find(',' .. ARGV[5] .. ',', 1, true) or e.finishedAt >= 0 then return 1 end
e.watchers = e.watchers == '-' and ARGV[5] or e.watchers .. ',' .. ARGV[5]
call('SET', P .. 'job:' .. e.id, job_text(e))
return 1
