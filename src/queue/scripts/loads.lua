-- WITH ground entry
-- How much each tenant has waiting and running. Atomic, O(tenants · log of their work), at most a hundred tenants.
--
-- KEYS[1] root
-- ARGV[1] as ground says  [2] unused  [3..] tenants
-- RETURNS  {{running, interactive, default, batch, oldestAt or -1, paused '1'|'0'} …}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local function since(id)
  local slot = load_slot(id)
  local at = slot and slot.askedAt or (load_job(id) or {}).submittedAt
  return at and tonumber(at)
end

local loads = {}
for i = 3, #ARGV do
  local key, counts, oldestAt = P .. 'wait:' .. ARGV[i], {}, -1
  for class = 0, 2 do
    local from, to = class * ROOM, (class + 1) * ROOM - 1
    counts[#counts + 1] = call('ZCOUNT', key, from, to)
    local id = call('ZRANGEBYSCORE', key, from, to, 'LIMIT', 0, 1)[1]
    local at = id and since(id)
    if at and (oldestAt < 0 or at < oldestAt) then oldestAt = at end
  end
  local core = call('GET', P .. 't:' .. ARGV[i])
  local paused = core and core:match('%S+ %S+ %S+ %S+ (%S+)') or '0'
  loads[#loads + 1] = { call('SCARD', P .. 'run:' .. ARGV[i]), counts[1], counts[2], counts[3], oldestAt, paused }
end
return loads
