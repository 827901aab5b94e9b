-- Where a tenant stands in the order of its upstreams, and in which order its own work stands.

local function tier_of(t)
  if t.paused == '1' or t.running >= t.hard then return '-' end
  return t.running < t.soft and 'ready' or 'over'
end

local function lane_of(t, u)
  for _, lane in ipairs(t.lanes) do if lane.u == u then return lane end end
end

local function place_kind(t, tier, lane, kind, was, isMoved)
  local has = lane[kind] ~= '000'
  if was == nil then was = has end
  if was and t.tier ~= '-' and (isMoved or not has) then call('ZREM', P .. t.tier .. ':' .. lane.u .. ':' .. kind, t.name) end
  if has and tier ~= '-' and (isMoved or t.vt ~= t.placedVt or not was) then
    call('ZADD', P .. tier .. ':' .. lane.u .. ':' .. kind, ('%d'):format(t.vt), t.name)
  end
end

-- In `ready` or `over` of an upstream if and only if it has work there and may run it.
local function place(t)
  local tier, lanes = tier_of(t), t.lanes
  local isMoved = tier ~= t.tier
  for i = #lanes, 1, -1 do
    local lane = lanes[i]
    place_kind(t, tier, lane, 'jobs', lane.had_jobs, isMoved)
    place_kind(t, tier, lane, 'slots', lane.had_slots, isMoved)
    lane.had_jobs, lane.had_slots = nil, nil
    if lane.jobs == '000' and lane.slots == '000' then table.remove(lanes, i) end
  end
  t.tier, t.placedVt, t.changed = tier, t.vt, true
end
