-- One tenant's state: loaded once, changed as a table, saved once. The twin is tenant.ts.
-- Hash fields: limits "weight hard soft maxQueue paused", vt, number, turn, lanes "u u", gap, startedAt, more, idleAt,
-- e:<route> the mean service ms, <kind>@<upstream> where it stands ('ready', 'over', '').

local function tier_of(t)
  if t.paused == '1' or t.running >= t.hard then return '' end
  return t.running < t.soft and 'ready' or 'over'
end

local function set_limits(t, limits)
  t.limits = limits
  local weight, hard, soft, depth, paused = limits:match('(%S+) (%S+) (%S+) (%S+) (%S+)')
  t.weight, t.hard, t.soft, t.maxQueue, t.paused = tonumber(weight), tonumber(hard), tonumber(soft), tonumber(depth), paused
end

local function load(name, limits)
  local t, flat = { name = name, extra = {} }, call('HGETALL', P .. 't:' .. name)
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  if #flat == 0 or (t.idleAt ~= '' and now - t.idleAt >= FORGET) then
    if #flat > 0 then call('DEL', P .. 't:' .. name) end
    t = { name = name, extra = {}, limits = t.limits, lanes = '', gap = '', more = '', idleAt = now }
  end
  for _, field in ipairs({ 'vt', 'number', 'turn', 'startedAt' }) do t[field] = tonumber(t[field] or 0) end
  t.gap, t.running = tonumber(t.gap), call('SCARD', P .. 'run:' .. name)
  local lanes = {}
  for upstream in t.lanes:gmatch('%S+') do lanes[#lanes + 1] = upstream end
  t.lanes = lanes
  set_limits(t, limits or t.limits or '1 1 1 1 0')
  return t
end

local function depth(t) return call('ZCARD', P .. 'wait:' .. t.name) end
local function estimate(t, route) return tonumber(t['e:' .. route]) or FIRST_ESTIMATE end

local function wait_ms(t, position, route)
  if position <= t.hard - t.running then return 0 end
  if t.gap then return position * t.gap end
  return floor(position * estimate(t, route) / t.hard)
end
