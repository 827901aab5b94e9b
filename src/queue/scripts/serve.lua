-- The end of every script that changes what may run: grants, claims, wakes, and says when to look again.
-- Answers {claimed jobs, held 1|0, ms until something is due, below 0 when it is overdue, '' when nothing is}.

local function next_due()
  local flat = call('ZRANGE', P .. 'due', '0', '0', 'WITHSCORES')
  return flat[2] and tonumber(flat[2]) - now or ''
end

local function serve(wish)
  local claimed, held = dispatch(wish)
  for _, u in ipairs(wish.upstreams) do mark(u.name, u.width) end
  done()
  return claimed, held, next_due()
end
