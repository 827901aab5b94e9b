-- How a job's attempt ends, and what is kept of it.

-- Nothing holds it any more: what it needed to run goes, and its record stays for a while. The record itself never goes
-- but by tick.lua, for it alone says what else is kept of it: its Idempotency-Key, its place among its caller's jobs.
local function rest(e)
  local isTried = e.status == 'failed' or e.status == 'expired'
  local keepMs = e.error == POISONED and DEAD_KEEP or e.keepMs
  if not (isTried and e.keeps == '1') then call('DEL', P .. 'pay:' .. e.id)
  else call('PEXPIRE', P .. 'pay:' .. e.id, keepMs + SLACK) end
  due(e.id, e.finishedAt + keepMs)
  keep(e)
end

local function finish_job(e, status, err, result)
  e.status, e.error, e.finishedAt, e.lined = status, err, now, '-'
  if result and result ~= '' then call('SET', P .. 'res:' .. e.id, result, 'PX', ('%d'):format(e.keepMs + SLACK)) end
  if err == POISONED then
    call('ZADD', P .. 'dead', now, e.id)
    if call('ZCARD', P .. 'dead') > MAX_DEAD then call('ZREMRANGEBYRANK', P .. 'dead', 0, 0) end
  end
  changed(e)
  if e.leased == '1' then keep(e) else rest(e) end
end

-- Back to its place in the line, or there in a while (`delayMs`; nil: at once). `renew`: its time there begins anew.
local function again(t, e, renew, delayMs)
  e.status, e.leased, e.runs = 'queued', '-', '-'
  if renew then e.deadlineAt = now + (delayMs or 0) + e.queueMs end
  if delayMs then
    call('ZADD', P .. 'later:' .. t.name, e.class * ROOM + e.number, e.id)
    e.lined, t.depth, t.later = 'later', t.depth + 1, t.later + 1
  else line(t, e) end
  due(e.id, delayMs and now + delayMs or e.deadlineAt)
  changed(e)
  keep(e)
end
