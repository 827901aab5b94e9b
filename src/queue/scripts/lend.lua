-- WITH ground tenant place wait entry move run wish choose job dispatch serve
-- A job rides on somebody else's query: it keeps its lease, and others may have its slot. Atomic, as finish.lua.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] id  [4] fence  [5..] wish
-- RETURNS  {kept 1|0, claimed jobs, held, dueInMs or ''}
-- EXPIRES  the lease as ever (tick.lua)
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e, kept = load_job(ARGV[3]), 0
if e and e.fence == ARGV[4] and e.leased == '1' and e.status == 'running' then
  local t = load(e.tenant)
  kept = 1
  stop(t, e, nil)
  e.leased = '1'
  keep(e)
  call('ZADD', P .. 'due', now + LEASE, e.id)
  place(t)
  save(t)
end
return { kept, serve(read_wish(5, false)) }
