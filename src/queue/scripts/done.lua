-- The end of every script that changes something: writes what unit.lua has noted. A tenant without any work is remembered
-- for a while, and then no key of it is left.
-- NAME CLOCK_KEEP '86400000'

local function done()
  for name, t in pairs(tenants) do
    if t.changed then
      local isIdle = t.running == 0 and t.depth == 0
      if isIdle ~= (t.idleAt >= 0) then call(isIdle and 'SREM' or 'SADD', P .. 'tenants', name) end
      t.idleAt = isIdle and now or -1
      if isIdle then call('SET', P .. 't:' .. name, tenant_text(t), 'PX', FORGET)
      else put('t:' .. name, tenant_text(t)) end
    end
  end
  if clockUs ~= clockWas then call('SET', P .. 'v', ('%d'):format(clockUs), 'PX', CLOCK_KEEP) end
  if written > 1 then call(unpack(writes, 1, written)) end
  if dued > 2 then call(unpack(dues, 1, dued)) end
end
