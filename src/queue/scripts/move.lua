-- Into the line, out of it, into the run, out of it. Callers place, keep and save.

local function key_of(e) return P .. 'line:' .. e.tenant .. ':' .. e.upstream .. ':' .. e.kind end

-- A tenant that had nothing in line starts at the shard's clock: nobody saves up credit.
local function line(t, e)
  if #t.lanes == 0 then t.vt = max(t.vt, clock()) end
  local known = false
  for _, u in ipairs(t.lanes) do known = known or u == e.upstream end
  if not known then t.lanes[#t.lanes + 1] = e.upstream end
  local score = e.class * ROOM + e.number
  call('ZADD', key_of(e), score, e.id)
  call('ZADD', P .. 'wait:' .. t.name, score, e.id)
  e.lined, e.linedAt = '1', now
end

local function unline(t, e)
  if e.lined == '1' then call('ZREM', key_of(e), e.id) end
  call('ZREM', P .. 'wait:' .. t.name, e.id)
  e.lined = '-'
end

local function start(t, e)
  e.charged = charge(estimate(t, e.route), t.weight)
  t.vt, t.turn, t.running = t.vt + e.charged, (t.turn + 1) % #TURNS, t.running + 1
  if t.more == '1' then t.gap = mean(t.gap, now - t.startedAt) end
  t.startedAt, t.more, e.runs = now, depth(t) > 0 and '1' or '', '1'
  call('SADD', P .. 'run:' .. t.name, e.id)
  call('SADD', P .. 'busy:' .. e.upstream, e.id)
  call('ZADD', P .. 'due', now + LEASE, e.id)
end

-- `served` in ms; nil: nothing was asked of the upstream.
local function stop(t, e, served)
  e.leased = '-'
  call('ZREM', P .. 'due', e.id)
  if e.runs ~= '1' then return end
  e.runs, t.running = '-', t.running - 1
  call('SREM', P .. 'run:' .. t.name, e.id)
  call('SREM', P .. 'busy:' .. e.upstream, e.id)
  local clockUs, actual = clock(), served and charge(served, t.weight) or 0
  t.vt = min(max(t.vt + actual - e.charged, clockUs), clockUs + MAX_DEBT)
  if served then
    local field = 'e:' .. e.route
    t[field] = mean(tonumber(t[field]), served)
    t.extra[field] = t[field]
  end
end
