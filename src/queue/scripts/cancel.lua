-- WITH ground unit tenant load place position entry keep done move run mark wish choose next job hand ends dispatch serve record_of
-- Ends a job that has not ended: a queued one never runs, a running one's process is told to stop, and what it brings
-- home is refused. Its slot is free when that process says so, or when its lease ends. Atomic, as release.lua.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] tenant  [4] id  [5..] wish
-- RETURNS  {cancelled 1|0, record or false}
-- EXPIRES  after keepMs
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e, cancelled = load_job(ARGV[4]), 0
if not e or e.tenant ~= ARGV[3] then return { 0, false } end
if e.finishedAt < 0 then
  local t = load(e.tenant)
  cancelled = 1
  if e.leased == '1' then push(e.process, 'stop ' .. e.id) else unline(t, e) end
  finish_job(e, 'cancelled', '')
  place(t)
end
serve(read_wish(5, false))
return { cancelled, record(e) }
