-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand dispatch serve
-- A job rides on somebody else's query: it keeps its lease, and others may have its slot. Atomic, as finish.lua.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] id  [4] fence  [5..] wish
-- RETURNS  {kept 1|0, claimed jobs, held, dueInMs or ''}
-- EXPIRES  the lease as ever (tick.lua)
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e, kept = load_job(ARGV[3]), 0
if e and e.fence == tonumber(ARGV[4]) and e.leased == '1' and e.status == 'running' then
  local t = load(e.tenant)
  kept = 1
  stop(t, e, nil)
  e.leased = '1'
  keep(e)
  due(e.id, now + LEASE)
  place(t)
end
return { kept, serve(read_wish(5, false)) }
