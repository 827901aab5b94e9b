-- A waiting or running request leaves.
local function remove_slot(t, e, served)
  if e.runs == '1' then stop(t, e, served) else unline(t, e) end
  call('ZREM', P .. 'due', e.id)
  call('HDEL', P .. 'slots', e.id)
  slots[e.id] = nil
  place(t)
end
