-- What a script has read and changed, so that each thing is read once and all of it is written once, at its end: scripts
-- that change anything call `done` (done.lua) before they answer. One MSET and one ZADD cost half of what they replace.

local tenants, jobs, slots, counts = {}, {}, {}, {}
local clockUs, clockWas

-- Made long enough for the common case, for growing is dear; the numbers say how long they are.
local writes, written = { 'MSET', nil, nil, nil, nil, nil, nil, nil, nil }, 1
local dues, dued = { 'ZADD', P .. 'due', nil, nil, nil, nil }, 2

-- This text is to stand there, for ever.
local function put(key, value)
  writes[written + 1], writes[written + 2] = P .. key, value
  written = written + 2
end

-- At this instant tick.lua has to look at it. `%d`: Redis writes a number out as a fraction, three times as slowly.
local function due(id, at)
  dues[dued + 1], dues[dued + 2] = ('%d'):format(at), id
  dued = dued + 2
end

-- How much of an upstream runs.
local function busy(u)
  counts[u] = counts[u] or call('SCARD', P .. 'busy:' .. u)
  return counts[u]
end

-- The shard's virtual time, µs.
local function clock()
  if clockUs then return clockUs end
  clockUs = tonumber(call('GET', P .. 'v') or 0)
  clockWas = clockUs
  return clockUs
end
