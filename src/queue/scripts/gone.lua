-- What leaves the scheduler's memory.

-- Answers a job's result, so that what it names elsewhere can be dropped; '' where there is none.
local function forget(e)
  local result = call('GET', P .. 'res:' .. e.id) or ''
  call('DEL', P .. 'job:' .. e.id, P .. 'pay:' .. e.id, P .. 'res:' .. e.id)
  call('ZREM', P .. 'list:' .. e.tenant .. ':' .. e.principal, e.id)
  call('ZREM', P .. 'due', e.id)
  call('ZREM', P .. 'dead', e.id)
  if e.idem ~= '-' then call('DEL', P .. 'idem:' .. e.tenant .. ':' .. e.idem) end
  return result
end
