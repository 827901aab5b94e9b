-- What is known of how long things take.

-- The tenant's mean service times by route, ms.
local function means(t)
  if t.means then return t.means end
  t.means = {}
  for route, ms in t.rest:gmatch('(%S+)=(%d+)') do t.means[route] = tonumber(ms) end
  return t.means
end

local function estimate(t, route) return means(t)[route] or FIRST_ESTIMATE end

local function wait_ms(t, position, route)
  if position <= t.hard - t.running then return 0 end
  if t.gap then return position * t.gap end
  return floor(position * estimate(t, route) / t.hard)
end
