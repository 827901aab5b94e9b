-- Says that jobs of this upstream may be claimed, where that is so; wakes one worker. Asks first what is mostly so.
local function mark(u, width)
  local key = P .. 'mark:' .. u
  if call('EXISTS', key) == 1 or busy(u) >= width then return end
  if call('EXISTS', P .. 'ready:' .. u .. ':jobs', P .. 'over:' .. u .. ':jobs') > 0 then call('ZADD', key, '0', '1') end
end
