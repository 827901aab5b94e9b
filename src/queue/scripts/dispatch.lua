-- Grants waiting requests and claims jobs as long as there is room, at most a hundred. Answers claimed jobs and whether
-- room was held for a worker on its way.

-- The mark is gone, so that a worker took it and is on its way.
local function may_come(u) return not u.comes and call('EXISTS', P .. 'mark:' .. u.name) == 0 end

-- A job stands before this request, and its room is the last of the upstream or of the tenant.
local function stands_before(best, t)
  local u = best.u
  if t.hard - t.running <= 1 and select(2, next_of(t, u.name, { 'jobs', 'slots' })) == 'jobs' then return true end
  local tenant, vt = first('ready', u.name, 'jobs')
  if not tenant then tenant, vt = first('over', u.name, 'jobs') end
  if not tenant or u.width - u.busy > 1 or tenant == t.name then return false end
  return vt < best.vt or (vt == best.vt and tenant < t.name)
end

local function dispatch(wish)
  local claimed, held = {}, 0
  for _ = 1, STEPS do
    local wantsJobs = #claimed < wish.want
    local best = best_of(wish, wantsJobs)
    if not best then break end
    local t, u = load(best.tenant), best.u
    local takes = wantsJobs and u.left > 0 and not u.avoid[t.name]
    if not takes and may_come(u) and stands_before(best, t) then
      u.held, held = true, 1
    else
      local id, kind, isLast = next_of(t, u.name, takes and { 'jobs', 'slots' } or { 'slots' })
      local e = kind == 'jobs' and load_job(id) or load_slot(id)
      unline(t, e, isLast)
      advance(t.vt)
      start(t, e)
      place(t)
      save(t)
      u.busy = u.busy + 1
      if kind == 'jobs' then
        claimed[#claimed + 1], u.left, u.served = claim_job(e, wish.process), u.left - 1, u.served + 1
      else
        keep(e)
        push(e.process, 'granted ' .. e.id)
      end
    end
  end
  return claimed, held
end
