-- WITH ground unit tenant load entry
-- How much each tenant has waiting and running. Atomic, O(tenants · log of their work), at most a hundred tenants.
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3..] tenants
-- RETURNS  {{running, interactive, default, batch, oldestAt or -1, paused '1'|'0'} …}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local counts, oldestAt

local function since(id)
  local slot = load_slot(id)
  return slot and slot.askedAt or (load_job(id) or {}).submittedAt
end

local function count(key)
  for class = 0, 2 do
    local from, to = class * ROOM, (class + 1) * ROOM - 1
    counts[class + 1] = counts[class + 1] + call('ZCOUNT', key, from, to)
    local id = call('ZRANGEBYSCORE', key, from, to, 'LIMIT', 0, 1)[1]
    local at = id and since(id)
    if at and (oldestAt < 0 or at < oldestAt) then oldestAt = at end
  end
end

local loads = {}
for i = 3, #ARGV do
  local t = load(ARGV[i])
  counts, oldestAt = { 0, 0, 0 }, -1
  for _, lane in ipairs(t.lanes) do
    for _, kind in ipairs({ 'jobs', 'slots' }) do count(P .. 'line:' .. t.name .. ':' .. lane.u .. ':' .. kind) end
  end
  count(P .. 'later:' .. t.name)
  loads[#loads + 1] = { t.running, counts[1], counts[2], counts[3], oldestAt, t.paused }
end
return loads
