-- A query starts, and ends: what its tenant and its upstream run, and what the tenant's virtual time pays for it.

local function start(t, e)
  e.charged = charge(estimate(t, e.route), t.weight)
  t.vt, t.turn, t.running = t.vt + e.charged, (t.turn + 1) % #TURNS, t.running + 1
  if t.more == '1' then t.gap = mean(t.gap, now - t.startedAt) end
  t.startedAt, t.more, e.runs = now, depth(t) > 0 and '1' or '-', '1'
  call('SADD', P .. 'run:' .. t.name, e.id)
  call('SADD', P .. 'busy:' .. e.upstream, e.id)
  call('ZADD', P .. 'due', now + LEASE, e.id)
end

-- `served` in ms; nil: nothing was asked of the upstream.
local function stop(t, e, served)
  e.leased = '-'
  if e.runs ~= '1' then return end
  e.runs, t.running = '-', t.running - 1
  call('SREM', P .. 'run:' .. t.name, e.id)
  call('SREM', P .. 'busy:' .. e.upstream, e.id)
  local clockUs, actual = clock(), served and charge(served, t.weight) or 0
  t.vt = min(max(t.vt + actual - e.charged, clockUs), clockUs + MAX_DEBT)
  if served then means(t)[e.route] = mean(t.means[e.route], served) end
end
