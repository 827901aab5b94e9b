-- Into the line and out of it. Callers place and keep.

-- Whether there is work of this class: a digit of the lane's kind. What was there before is noted for place.lua.
local function note(lane, kind, class, digit)
  local digits, had = lane[kind], 'had_' .. kind
  if lane[had] == nil then lane[had] = digits ~= '000' end
  lane[kind] = digits:sub(1, class) .. digit .. digits:sub(class + 2)
end

-- A tenant that had nothing in line starts at the shard's clock: nobody saves up credit.
local function line(t, e)
  if #t.lanes == 0 then t.vt = max(t.vt, clock()) end
  local lane = lane_of(t, e.upstream)
  if not lane then
    lane = { u = e.upstream, jobs = '000', slots = '000' }
    t.lanes[#t.lanes + 1] = lane
  end
  if lane[e.kind]:byte(e.class + 1) == 48 then note(lane, e.kind, e.class, '1') end -- 48: '0'
  call('ZADD', P .. 'line:' .. e.tenant .. ':' .. e.upstream .. ':' .. e.kind, ('%d'):format(e.class * ROOM + e.number), e.id)
  if e.lined == 'later' then t.later = t.later - call('ZREM', P .. 'later:' .. t.name, e.id) else t.depth = t.depth + 1 end
  e.lined, e.linedAt = '1', now
end

-- `isLast`: whether it is the last of its class there; nil where that is not known.
local function unline(t, e, isLast)
  if e.lined == '1' then
    local key, from = P .. 'line:' .. e.tenant .. ':' .. e.upstream .. ':' .. e.kind, e.class * ROOM
    call('ZREM', key, e.id)
    if isLast == nil then isLast = call('ZCOUNT', key, from, from + ROOM - 1) == 0 end
    if isLast then note(lane_of(t, e.upstream), e.kind, e.class, '0') end
  elseif e.lined == 'later' then t.later = t.later - call('ZREM', P .. 'later:' .. t.name, e.id)
  else return end
  t.depth, e.lined = t.depth - 1, '-'
end
