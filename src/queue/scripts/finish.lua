-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand ends dispatch serve
-- Ends a job's attempt, if its lease is still this one's, and claims what comes next: one call per job.
-- Atomic, O(log of the shard's work) and at most a hundred steps.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] id  [4] fence  [5] how: succeeded, failed, retry, back  [6] servedMs or -1
--          [7] retry: delayMs; back: 1 when its time in the line begins anew  [8] error  [9] result or ''  [10..] wish
-- RETURNS  {kept 1|0, status or '', claimed jobs, held, dueInMs or ''}; kept 0: lost, or cancelled meanwhile
-- EXPIRES  an ended job after keepMs (tick.lua), its payload and result at the latest a minute later by themselves
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e, how, served = load_job(ARGV[3]), ARGV[5], tonumber(ARGV[6])
local kept = 0
if e and e.fence == tonumber(ARGV[4]) and e.leased == '1' then
  local t = load(e.tenant)
  stop(t, e, served >= 0 and served or nil)
  kept = e.status == 'running' and 1 or 0
  if kept == 0 then rest(e)
  elseif how == 'retry' then again(t, e, true, tonumber(ARGV[7]))
  elseif how == 'back' then
    e.attempt = e.attempt - 1
    again(t, e, ARGV[7] == '1')
  else
    finish_job(e, how, ARGV[8], ARGV[9])
  end
  place(t)
else
  -- The same ending once more, because its answer was lost on the way, is kept as it was.
  local became = (how == 'retry' or how == 'back') and 'queued' or how
  if e and e.fence == tonumber(ARGV[4]) and e.leased ~= '1' and e.status == became then kept = 1 else e = { status = '' } end
end
return { kept, e.status, serve(read_wish(10, false)) }
