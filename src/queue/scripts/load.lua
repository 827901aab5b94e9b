-- A tenant's state as it stands, or a fresh one where there is none or it has been forgotten.
-- @param limits what the config says now, nil: as they were
local function load(name, limits)
  if tenants[name] then return tenants[name] end
  local text = call('GET', P .. 't:' .. name)
  local t = text and tenant_of(name, text)
  if not t or (t.idleAt >= 0 and now - t.idleAt >= FORGET) then
    limits = limits or '1 1 1 1 0'
    t = { name = name, vt = 0, placedVt = 0, number = 0, turn = 0, gap = -1, startedAt = 0, more = '-', idleAt = now,
      tier = '-', lanes = {}, means = {} }
  end
  if limits and limits ~= t.limits then
    local weight, hard, soft, maxQueue, paused = limits:match('(%S+) (%S+) (%S+) (%S+) (%S+)')
    t.limits, t.weight, t.hard, t.soft, t.maxQueue, t.paused = limits, weight + 0, hard + 0, soft + 0, maxQueue + 0, paused
  end
  t.running, t.later = call('SCARD', P .. 'run:' .. name), call('ZCARD', P .. 'later:' .. name)
  t.depth = t.later
  for _, lane in ipairs(t.lanes) do
    local key = P .. 'line:' .. name .. ':' .. lane.u
    if lane.jobs ~= '000' then t.depth = t.depth + call('ZCARD', key .. ':jobs') end
    if lane.slots ~= '000' then t.depth = t.depth + call('ZCARD', key .. ':slots') end
  end
  tenants[name] = t
  return t
end
