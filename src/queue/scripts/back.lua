-- What becomes of a job that does not end: back into the line, or out of memory.

local function back(t, e, renew)
  local deadlineAt = renew and now + e.queueMs or tonumber(e.deadlineAt)
  line(t, e)
  write(e, 'status', 'queued', 'deadlineAt', deadlineAt, 'leased', '-', 'runs', '-', 'lined', '1', 'linedAt', now,
    'attempt', e.attempt, 'lost', e.lost)
  call('ZADD', P .. 'due', deadlineAt, e.id)
  changed(e)
end

local function delay(t, e, delayMs)
  write(e, 'status', 'queued', 'deadlineAt', now + delayMs + e.queueMs, 'leased', '-', 'runs', '-', 'lined', '-')
  call('ZADD', P .. 'wait:' .. t.name, e.class * ROOM + e.number, e.id)
  call('ZADD', P .. 'due', now + delayMs, e.id)
  changed(e)
end

-- Answers its result, so that what it names elsewhere can be dropped; '' where there is none.
local function forget(e)
  local result = call('GET', P .. 'res:' .. e.id) or ''
  call('DEL', P .. 'job:' .. e.id, P .. 'pay:' .. e.id, P .. 'res:' .. e.id)
  call('ZREM', P .. 'list:' .. e.tenant .. ':' .. e.principal, e.id)
  call('ZREM', P .. 'due', e.id)
  call('ZREM', P .. 'dead', e.id)
  if e.idem ~= '' then call('DEL', P .. 'idem:' .. e.tenant .. ':' .. e.idem) end
  return result
end

local function remove_slot(t, e, served)
  if e.runs == '1' then stop(t, e, served) else unline(t, e) end
  call('ZREM', P .. 'due', e.id)
  call('HDEL', P .. 'slots', e.id)
  place(t)
  save(t)
end
