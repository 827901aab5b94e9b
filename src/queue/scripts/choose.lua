-- Whose turn it is: least virtual time of those that may run now, and inside a tenant by class and number.

local function earlier(best, u, kind, tenant, vt)
  if not tenant then return best end
  if best and (best.vt < vt or (best.vt == vt and best.tenant <= tenant)) then return best end
  return { u = u, kind = kind, tenant = tenant, vt = vt }
end

local function best_of(wish, wantsJobs)
  for _, tier in ipairs({ 'ready', 'over' }) do
    local best
    for _, u in ipairs(wish.upstreams) do
      if not u.held and u.busy < u.width then
        best = earlier(best, u, 'slots', first(tier, u.name, 'slots'))
        if wantsJobs and u.left > 0 then best = earlier(best, u, 'jobs', first(tier, u.name, 'jobs', u.avoid, u.avoided)) end
      end
    end
    if best then return best end
  end
end

-- The tenant's next for an upstream: its id and kind. Classes in the order of its turn, then by number.
local function next_of(t, u, kinds)
  local preferred = TURNS[t.turn + 1]
  for _, class in ipairs({ preferred, 0, 1, 2 }) do
    local id, kind, number
    for _, one in ipairs(kinds) do
      local key = P .. 'line:' .. t.name .. ':' .. u .. ':' .. one
      local hit = call('ZRANGEBYSCORE', key, class * ROOM, (class + 1) * ROOM - 1, 'WITHSCORES', 'LIMIT', 0, 1)
      if hit[1] and (not number or tonumber(hit[2]) < number) then id, kind, number = hit[1], one, tonumber(hit[2]) end
    end
    if id then return id, kind end
  end
end
