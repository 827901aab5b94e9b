-- Where a tenant stands in the order of its upstreams, and how its state is written back.

-- In `ready` or `over` of an upstream if and only if it has work there and may run it.
local function place(t)
  local tier, lanes = tier_of(t), {}
  for _, u in ipairs(t.lanes) do
    local any = false
    for _, kind in ipairs(KINDS) do
      local field = kind .. '@' .. u
      local has = call('EXISTS', P .. 'line:' .. t.name .. ':' .. u .. ':' .. kind) == 1
      local before, after = t[field] or '', has and tier or ''
      if before ~= '' and before ~= after then call('ZREM', P .. before .. ':' .. u .. ':' .. kind, t.name) end
      if after ~= '' then call('ZADD', P .. after .. ':' .. u .. ':' .. kind, t.vt, t.name) end
      if before ~= after then t[field], t.extra[field] = after, after end
      any = any or has
    end
    if any then lanes[#lanes + 1] = u end
  end
  t.lanes = lanes
end

-- A tenant without any work is remembered for a while, and then no key of it is left.
local function save(t)
  local isIdle, key = t.running == 0 and depth(t) == 0, P .. 't:' .. t.name
  if isIdle and t.idleAt == '' then call('SREM', P .. 'tenants', t.name) end
  if not isIdle and t.idleAt ~= '' then call('SADD', P .. 'tenants', t.name) end
  local flat = { 'limits', t.limits, 'vt', t.vt, 'number', t.number, 'turn', t.turn, 'lanes', table.concat(t.lanes, ' ') }
  for field, value in pairs(t.extra) do flat[#flat + 1], flat[#flat + 2] = field, value end
  for _, field in ipairs({ 'gap', 'startedAt', 'more' }) do flat[#flat + 1], flat[#flat + 2] = field, t[field] or '' end
  call('HSET', key, 'idleAt', isIdle and now or '', unpack(flat))
  if isIdle then call('PEXPIRE', key, FORGET)
  elseif t.idleAt ~= '' then call('PERSIST', key) end
  t.idleAt, t.extra = isIdle and now or '', {}
end
