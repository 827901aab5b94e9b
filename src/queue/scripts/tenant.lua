-- One tenant's state: loaded once, changed as a table, saved once (place.lua). The twin is tenant.ts.
-- A text of words: weight hard soft maxQueue paused, vt, number, turn, gap, startedAt, more, idleAt, tier where it stands,
-- then a lane each: <upstream>/<jobs>/<slots>, per kind a digit per class that says whether there is work, then
-- <route>=<mean service ms> each. '-' stands for nothing.

local STATE = ('(%S+) '):rep(13) .. '?(.*)'

local function set_limits(t, weight, hard, soft, maxQueue, paused)
  t.weight, t.hard, t.soft, t.maxQueue, t.paused = tonumber(weight), tonumber(hard), tonumber(soft), tonumber(maxQueue), paused
end

local function fresh(t, limits)
  t.vt, t.number, t.turn, t.gap, t.startedAt, t.more, t.idleAt, t.tier, t.rest = 0, 0, 0, nil, 0, '-', now, '-', ''
  set_limits(t, limits:match('(%S+) (%S+) (%S+) (%S+) (%S+)'))
end

local function load(name, limits)
  local t, text = { name = name, lanes = {}, placedVt = 0 }, call('GET', P .. 't:' .. name)
  t.running = call('SCARD', P .. 'run:' .. name)
  if not text then
    fresh(t, limits or '1 1 1 1 0')
    return t
  end
  local w, h, s, q, p, vt, number, turn, gap, startedAt, more, idleAt, tier, rest = text:match(STATE)
  if idleAt ~= '-' and now - idleAt >= FORGET then
    fresh(t, limits or table.concat({ w, h, s, q, p }, ' '))
    return t
  end
  t.vt, t.number, t.turn, t.gap, t.startedAt = tonumber(vt), tonumber(number), tonumber(turn), tonumber(gap), tonumber(startedAt)
  t.more, t.idleAt, t.tier, t.rest, t.placedVt = more, idleAt, tier, rest, t.vt
  for u, jobs, slots in rest:gmatch('([^%s/]+)/(%d+)/(%d+)') do t.lanes[#t.lanes + 1] = { u = u, jobs = jobs, slots = slots } end
  if limits then set_limits(t, limits:match('(%S+) (%S+) (%S+) (%S+) (%S+)')) else set_limits(t, w, h, s, q, p) end
  return t
end

local function tier_of(t)
  if t.paused == '1' or t.running >= t.hard then return '-' end
  return t.running < t.soft and 'ready' or 'over'
end
