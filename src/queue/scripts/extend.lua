-- WITH ground unit entry
-- A process says that it lives: all its leases hold for another while. One call per process and third of a lease.
-- Atomic, O(ids), at most a hundred of them.
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3..] id, fence (0: a slot) by turns
-- RETURNS  one per id: 'held', 'waiting' and 'granted' for slots, 'lost' for what is no longer this process's
-- EXPIRES  a lease after this
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local states = {}
for i = 3, #ARGV, 2 do
  local id, fence, state = ARGV[i], ARGV[i + 1], 'lost'
  if fence == '0' then
    local slot = load_slot(id)
    if slot then state = slot.runs == '1' and 'granted' or 'waiting' end
  else
    local job = load_job(id)
    if job and job.fence == tonumber(fence) and job.leased == '1' and job.status == 'running' then state = 'held' end
  end
  if state ~= 'lost' then due(id, now + LEASE) end
  states[#states + 1] = state
end
if dued > 2 then call(unpack(dues, 1, dued)) end
return states
