-- The tenant's next for an upstream, of the kinds that may be taken: its id and kind, and whether it is the last of its
-- class. Classes in the order of the tenant's turn, then by number.

local function head(key, class)
  local from, to = ('%d'):format(class * ROOM), ('(%d'):format((class + 1) * ROOM)
  local hit = call('ZRANGEBYSCORE', key, from, to, 'LIMIT', '0', '2')
  return hit[1], not hit[2]
end

-- The line is not what its digits say, or holds what has no record: a key was evicted, which must cost nobody his turns.
local function mend(t, u, id, kind)
  local lane = lane_of(t, u)
  for _, one in ipairs({ 'jobs', 'slots' }) do
    local key, digits = P .. 'line:' .. t.name .. ':' .. u .. ':' .. one, ''
    if id and one == kind then call('ZREM', key, id) end
    for class = 0, 2 do digits = digits .. (call('ZCOUNT', key, class * ROOM, (class + 1) * ROOM - 1) > 0 and '1' or '0') end
    lane['had_' .. one], lane[one] = lane[one] ~= '000', digits
  end
end

local function next_of(t, u, takesJobs)
  local lane, key = lane_of(t, u), P .. 'line:' .. t.name .. ':' .. u
  for turn = -1, 2 do
    local class = turn < 0 and (TURNS):byte(t.turn + 1) - 48 or turn -- 48: '0'
    local job, slot, isLastJob, isLastSlot = nil, nil, nil, nil
    if takesJobs and lane.jobs:byte(class + 1) ~= 48 then job, isLastJob = head(key .. ':jobs', class) end
    if lane.slots:byte(class + 1) ~= 48 then slot, isLastSlot = head(key .. ':slots', class) end
    if job and slot and tonumber(call('ZSCORE', key .. ':jobs', job)) < tonumber(call('ZSCORE', key .. ':slots', slot)) then
      slot = nil
    end
    if slot then return slot, 'slots', isLastSlot end
    if job then return job, 'jobs', isLastJob end
  end
end
