-- A job as it is told: its words (entry.lua), then position and wait, -1 unless it is queued.

local function record(e, t)
  local position, wait = -1, -1
  if e.status == 'queued' then
    position = call('ZRANK', P .. 'wait:' .. e.tenant, e.id) + 1
    wait = wait_ms(t or load(e.tenant), position, e.route)
  end
  return { e.id, position, wait, words(e) }
end
