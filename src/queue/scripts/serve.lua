-- The end of every script that changes what may run: grants, claims, wakes, and says when to look again.
-- Answers {claimed jobs, held 1|0, ms until something is due, below 0 when it is overdue, '' when nothing is}.

local function next_due()
  local flat = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
  return flat[2] and tonumber(flat[2]) - now or ''
end

local function serve(wish)
  local claimed, held = dispatch(wish)
  for _, u in ipairs(wish.upstreams) do mark(u.name, u.width) end
  return claimed, held, next_due()
end

-- A job as it is told: its hash, then position and wait, -1 unless it is queued.
local function record(id)
  local flat = call('HGETALL', P .. 'job:' .. id)
  if #flat == 0 then return false end
  local e, position, wait = {}, -1, -1
  for i = 1, #flat, 2 do e[flat[i]] = flat[i + 1] end
  if e.status == 'queued' then
    position = call('ZRANK', P .. 'wait:' .. e.tenant, id) + 1
    wait = wait_ms(load(e.tenant), position, e.route)
  end
  return { id, position, wait, flat }
end
