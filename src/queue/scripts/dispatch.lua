-- Grants waiting requests and claims jobs as long as there is room, at most a hundred. Answers claimed jobs and whether
-- room was held for a worker on its way.

-- A job stands before this request, and its room is the last of the upstream or of the tenant.
local function stands_before(best, t)
  local u = best.u
  if t.hard - t.running <= 1 and select(2, next_of(t, u.name, true)) == 'jobs' then return true end
  local tenant, vt = first('ready', u.name, 'jobs')
  if not tenant then tenant, vt = first('over', u.name, 'jobs') end
  if not tenant or u.width - busy(u.name) > 1 or tenant == t.name then return false end
  return vt < best.vt or (vt == best.vt and tenant < t.name)
end

local function dispatch(wish)
  local claimed, held = {}, 0
  for _ = 1, STEPS do
    local wantsJobs = #claimed < wish.want
    local best = best_in('ready', wish, wantsJobs) or best_in('over', wish, wantsJobs)
    if not best then break end
    local t, u = load(best.tenant), best.u
    local takes = wantsJobs and u.left > 0 and not u.avoid[t.name]
    -- Where its mark is gone, a worker took it and is on its way.
    if not takes and not u.comes and call('EXISTS', P .. 'mark:' .. u.name) == 0 and stands_before(best, t) then
      u.held, held = true, 1
    else
      local id, kind, isLast = next_of(t, u.name, takes)
      local e = id and (kind == 'jobs' and load_job(id) or load_slot(id))
      if e then
        unline(t, e, isLast)
        start(t, e)
      else mend(t, u.name, id, kind) end
      place(t)
      if not e then -- the next step looks anew
      elseif kind == 'jobs' then
        claimed[#claimed + 1], u.left, u.served = claim_job(e, wish.process), u.left - 1, u.served + 1
      else
        keep(e)
        push(e.process, 'granted ' .. e.id)
      end
    end
  end
  return claimed, held
end
