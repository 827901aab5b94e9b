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

-- The tenant's next for an upstream: its id and kind, and whether it is the last of its class. Classes in the order of its turn, then by number.
local function next_of(t, u, kinds)
  local lane, preferred = lane_of(t, u), TURNS[t.turn + 1]
  for _, class in ipairs({ preferred, 0, 1, 2 }) do
    local id, kind, number, isLast
    for _, one in ipairs(kinds) do
      if lane[one]:byte(class + 1) == 49 then -- '1'
        local key, from = P .. 'line:' .. t.name .. ':' .. u .. ':' .. one, class * ROOM
        local hit = call('ZRANGEBYSCORE', key, from, from + ROOM - 1, 'WITHSCORES', 'LIMIT', 0, 2)
        if not number or tonumber(hit[2]) < number then
          id, kind, number, isLast = hit[1], one, tonumber(hit[2]), not hit[3]
        end
      end
    end
    if id then return id, kind, isLast end
  end
end
