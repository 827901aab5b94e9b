-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand ends gone leave dispatch serve
-- Looks at up to a hundred of what is due: leases that ran out, places in the line that did, retries whose time has
-- come, records past their keeping. Any process may; nobody leads. Atomic, O(due · log of the shard's work).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3..] wish
-- RETURNS  {{id, tenant, status, class} …ended, lost, {id, tenant, result} …forgotten, held, dueInMs or ''}
-- EXPIRES  poisoned jobs after seven days
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local ended, lost, forgotten = {}, 0, {}
local function tell(e) ended[#ended + 1] = { e.id, e.tenant, e.status, e.class } end

local function lose(t, e)
  stop(t, e, nil)
  if e.status ~= 'running' then return rest(e) end
  lost, e.lost = lost + 1, e.lost + 1
  if e.lost < MAX_LOST then return again(t, e, true) end
  finish_job(e, 'failed', POISONED)
  tell(e)
end

local dueInMs = next_due()
if (dueInMs == '' or dueInMs > 0) and is_empty(3) then return { ended, lost, forgotten, 0, dueInMs } end
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, STEPS)) do
  local slot = load_slot(id)
  local e = not slot and load_job(id)
  if slot then remove_slot(load(slot.tenant), slot, nil)
  elseif not e then call('ZREM', P .. 'due', id) -- somebody else removed it
  elseif e.finishedAt >= 0 and e.leased ~= '1' then forgotten[#forgotten + 1] = { id, e.tenant, forget(e) }
  else
    local t = load(e.tenant)
    if e.leased == '1' then lose(t, e)
    elseif e.lined ~= '1' and now < e.deadlineAt then
      line(t, e)
      keep(e)
      due(id, e.deadlineAt)
    else
      unline(t, e)
      finish_job(e, 'expired', TIMED_OUT)
      tell(e)
    end
    place(t)
  end
end
local _, held, nextInMs = serve(read_wish(3, false))
return { ended, lost, forgotten, held, nextInMs }
