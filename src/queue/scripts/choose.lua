-- Whose turn it is: least virtual time of those that may run now, and inside a tenant by class and number.

local function first(tier, u, kind, avoid, avoided)
  local flat = call('ZRANGE', P .. tier .. ':' .. u .. ':' .. kind, '0', avoided or '0', 'WITHSCORES')
  for i = 1, #flat, 2 do
    if not (avoid and avoid[flat[i]]) then return flat[i], tonumber(flat[i + 1]) end
  end
end

-- Nobody waits for any of these upstreams: there is nothing to serve. What an idle fleet asks all the time, in one call.
local function is_empty(at)
  local keys = {}
  for i = at + 2, #ARGV, 4 do
    for _, tier in ipairs({ 'ready:', 'over:' }) do
      keys[#keys + 1], keys[#keys + 2] = P .. tier .. ARGV[i] .. ':jobs', P .. tier .. ARGV[i] .. ':slots'
    end
  end
  return #keys == 0 or call('EXISTS', unpack(keys)) == 0
end

local function earlier(best, u, tenant, vt)
  if not tenant then return best end
  if best and (best.vt < vt or (best.vt == vt and best.tenant <= tenant)) then return best end
  return { u = u, tenant = tenant, vt = vt }
end

-- That an upstream has no waiting requests in either tier is asked once: a script that starts work brings none there.
local function has_slots(u)
  if u.hasSlots == nil then
    u.hasSlots = call('EXISTS', P .. 'ready:' .. u.name .. ':slots', P .. 'over:' .. u.name .. ':slots') > 0
  end
  return u.hasSlots
end

local function best_in(tier, wish, wantsJobs)
  local best
  for _, u in ipairs(wish.upstreams) do
    if not u.held and busy(u.name) < u.width then
      if has_slots(u) then best = earlier(best, u, first(tier, u.name, 'slots')) end
      if wantsJobs and u.left > 0 then best = earlier(best, u, first(tier, u.name, 'jobs', u.avoid, u.avoided)) end
    end
  end
  return best
end
