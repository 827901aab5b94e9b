-- How long the line is before a place in it, and how long that is likely to take.

local function wait_ms(t, position, route)
  if position <= t.hard - t.running then return 0 end
  if t.gap >= 0 then return position * t.gap end
  return floor(position * (t.means[route] or FIRST_ESTIMATE) / t.hard)
end

-- 1 = the next of its tenant: what stands before it in all of the tenant's lines, whatever it is for.
local function position_of(t, e)
  local at, bound = 1, ('(%d'):format(e.class * ROOM + e.number)
  for _, lane in ipairs(t.lanes) do
    local key = P .. 'line:' .. t.name .. ':' .. lane.u
    if lane.jobs ~= '000' then at = at + call('ZCOUNT', key .. ':jobs', '-inf', bound) end
    if lane.slots ~= '000' then at = at + call('ZCOUNT', key .. ':slots', '-inf', bound) end
  end
  if t.later > 0 then at = at + call('ZCOUNT', P .. 'later:' .. t.name, '-inf', bound) end
  return at
end

-- 1 = the next of its tenant. What has just come in as its tenant's last is as far back as the line is long.
local function position_of_new(t, e)
  local isLast = t.later == 0
  for _, lane in ipairs(t.lanes) do
    isLast = isLast and not lane.jobs:find('1', e.class + 2, true) and not lane.slots:find('1', e.class + 2, true)
  end
  return isLast and t.depth or position_of(t, e)
end
