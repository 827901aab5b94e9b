-- How a job ends, and what is kept of it.

-- Nothing holds it any more: what it needed to run goes, and its record stays for a while.
local function rest(e)
  local isTried = e.status == 'failed' or e.status == 'expired'
  local keepMs = e.error == POISONED and DEAD_KEEP or tonumber(e.keepMs)
  if not (isTried and e.keeps == '1') then call('DEL', P .. 'pay:' .. e.id)
  else call('PEXPIRE', P .. 'pay:' .. e.id, keepMs + SLACK) end
  call('ZADD', P .. 'due', e.finishedAt + keepMs, e.id)
  keep(e, max(0, e.finishedAt - now + keepMs) + SLACK)
end

local function finish_job(e, status, err, result)
  e.status, e.error, e.finishedAt, e.lined = status, err, now, '-'
  if result and result ~= '' then call('SET', P .. 'res:' .. e.id, result, 'PX', e.keepMs + SLACK) end
  if err == POISONED then
    call('ZADD', P .. 'dead', now, e.id)
    if call('ZCARD', P .. 'dead') > MAX_DEAD then call('ZREMRANGEBYRANK', P .. 'dead', 0, 0) end
  end
  changed(e)
  if e.leased == '1' then keep(e) else rest(e) end
end

local function back(t, e, renew)
  e.status, e.leased, e.runs = 'queued', '-', '-'
  if renew then e.deadlineAt = now + e.queueMs end
  line(t, e)
  call('ZADD', P .. 'due', e.deadlineAt, e.id)
  changed(e)
  keep(e)
end

local function delay(t, e, delayMs)
  e.status, e.leased, e.runs, e.lined, e.deadlineAt = 'queued', '-', '-', '-', now + delayMs + e.queueMs
  call('ZADD', P .. 'wait:' .. t.name, e.class * ROOM + e.number, e.id)
  t.depth = nil
  call('ZADD', P .. 'due', now + delayMs, e.id)
  changed(e)
  keep(e)
end
