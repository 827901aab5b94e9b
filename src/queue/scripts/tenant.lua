-- One tenant's state: loaded once, changed as a table, written once (done.lua). The twin is tenant.ts.
-- Binary, as struct.pack writes it: a number is eight bytes, so that none is written out or read as text; a text ends in a
-- zero byte. First TENANT, then a LANE per upstream that it has work for, and a MEAN per route. `limits` is their text as
-- the config said it, to see whether it changed; a lane has per kind a digit per class that says whether there is any
-- work; a mean is a service time, ms. gap and idleAt: -1 for nothing. How much runs and waits is never kept as a number:
-- load.lua asks the sets that hold it.
-- NAME TENANT '<ddddddddddddssss'
-- NAME LANE '<sss'
-- NAME MEAN '<sd'

local function tenant_text(t)
  local tail, means = '', 0
  for _, lane in ipairs(t.lanes) do tail = tail .. packed(LANE, lane.u, lane.jobs, lane.slots) end
  for route, ms in pairs(t.means) do tail, means = tail .. packed(MEAN, route, ms), means + 1 end
  return packed(TENANT, t.weight, t.hard, t.soft, t.maxQueue, t.vt, t.number, t.turn, t.gap, t.startedAt, t.idleAt, #t.lanes,
    means, t.limits, t.paused, t.more, t.tier) .. tail
end

local function tenant_of(name, text)
  local weight, hard, soft, maxQueue, vt, number, turn, gap, startedAt, idleAt, laneCount, meanCount, limits,
    paused, more, tier, at = unpacked(TENANT, text)
  local lanes, means = {}, {}
  for i = 1, laneCount do
    local u, jobs, slots, next = unpacked(LANE, text, at)
    lanes[i], at = { u = u, jobs = jobs, slots = slots }, next
  end
  for _ = 1, meanCount do
    local route, ms, next = unpacked(MEAN, text, at)
    means[route], at = ms, next
  end
  return { name = name, limits = limits, weight = weight, hard = hard, soft = soft, maxQueue = maxQueue, paused = paused,
    vt = vt, placedVt = vt, number = number, turn = turn, gap = gap, startedAt = startedAt, more = more, idleAt = idleAt,
    tier = tier, lanes = lanes, means = means, changed = false }
end
