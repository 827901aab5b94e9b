-- Where a tenant stands in the order of its upstreams, and how its state is written back.

local function lane_of(t, u)
  for _, lane in ipairs(t.lanes) do if lane.u == u then return lane end end
end

-- In `ready` or `over` of an upstream if and only if it has work there and may run it.
local function place(t)
  local tier, left = tier_of(t), {}
  local moved, paid = tier ~= t.tier, t.vt ~= t.placedVt
  for _, lane in ipairs(t.lanes) do
    for _, kind in ipairs({ 'jobs', 'slots' }) do
      local has, was = lane[kind] ~= '000', lane['was_' .. kind] or lane[kind] ~= '000' and '1' or '0'
      if was == '1' and t.tier ~= '-' and (moved or not has) then call('ZREM', P .. t.tier .. ':' .. lane.u .. ':' .. kind, t.name) end
      if has and tier ~= '-' and (moved or paid or was == '0') then call('ZADD', P .. tier .. ':' .. lane.u .. ':' .. kind, t.vt, t.name) end
      lane['was_' .. kind] = nil
    end
    if lane.jobs ~= '000' or lane.slots ~= '000' then left[#left + 1] = lane end
  end
  t.lanes, t.tier, t.placedVt = left, tier, t.vt
end

local function depth(t)
  t.depth = t.depth or call('ZCARD', P .. 'wait:' .. t.name)
  return t.depth
end

-- A tenant without any work is remembered for a while, and then no key of it is left.
local function save(t)
  local isIdle, key = t.running == 0 and depth(t) == 0, P .. 't:' .. t.name
  if isIdle ~= (t.idleAt ~= '-') then call(isIdle and 'SREM' or 'SADD', P .. 'tenants', t.name) end
  t.idleAt = isIdle and now or '-'
  local words = { t.weight, t.hard, t.soft, t.maxQueue, t.paused, string.format('%.0f', t.vt), t.number, t.turn, t.gap or '-',
    t.startedAt, t.more, t.idleAt, t.tier }
  for _, lane in ipairs(t.lanes) do words[#words + 1] = lane.u .. '/' .. lane.jobs .. '/' .. lane.slots end
  if t.means then
    for route, ms in pairs(t.means) do words[#words + 1] = route .. '=' .. ms end
  else
    for mean in t.rest:gmatch('%S+=%d+') do words[#words + 1] = mean end
  end
  if isIdle then call('SET', key, table.concat(words, ' '), 'PX', FORGET) else call('SET', key, table.concat(words, ' ')) end
end
