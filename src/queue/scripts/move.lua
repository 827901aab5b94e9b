-- Into the line, out of it, into the run, out of it. Callers place, keep and save.

local function key_of(e) return P .. 'line:' .. e.tenant .. ':' .. e.upstream .. ':' .. e.kind end

-- Whether there is work of this class: a digit of the lane's kind.
local function note(lane, kind, class, digit)
  lane['was_' .. kind] = lane['was_' .. kind] or (lane[kind] ~= '000' and '1' or '0')
  lane[kind] = lane[kind]:sub(1, class) .. digit .. lane[kind]:sub(class + 2)
end

-- A tenant that had nothing in line starts at the shard's clock: nobody saves up credit.
local function line(t, e)
  if #t.lanes == 0 then t.vt = max(t.vt, clock()) end
  local lane = lane_of(t, e.upstream)
  if not lane then
    lane = { u = e.upstream, jobs = '000', slots = '000' }
    t.lanes[#t.lanes + 1] = lane
  end
  note(lane, e.kind, e.class, '1')
  local score = e.class * ROOM + e.number
  call('ZADD', key_of(e), score, e.id)
  call('ZADD', P .. 'wait:' .. t.name, score, e.id)
  t.depth = t.depth and t.depth + 1
  e.lined, e.linedAt = '1', now
end

-- `isLast`: whether it is the last of its class there; nil where that is not known.
local function unline(t, e, isLast)
  if e.lined == '1' then
    call('ZREM', key_of(e), e.id)
    local from = e.class * ROOM
    if isLast == nil then isLast = call('ZCOUNT', key_of(e), from, from + ROOM - 1) == 0 end
    if isLast then note(lane_of(t, e.upstream), e.kind, e.class, '0') end
  end
  t.depth = depth(t) - call('ZREM', P .. 'wait:' .. t.name, e.id)
  e.lined = '-'
end
