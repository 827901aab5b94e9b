-- A query starts, and ends: what its tenant and its upstream run, and what the tenant's virtual time pays for it.

-- NAME TURNS '001001001002'
-- NAME MAX_DEBT 30000000

local function mean(old, seen) return old and floor((7 * old + seen) / 8) or seen end

-- The shard's clock is the largest start tag that was served, and never goes back.
local function start(t, e)
  clockUs = max(clock(), t.vt)
  e.charged = floor((t.means[e.route] or FIRST_ESTIMATE) * 1000 / t.weight)
  t.vt, t.turn, t.running = t.vt + e.charged, (t.turn + 1) % 12, t.running + 1
  if t.more == '1' then
    local seen = now - t.startedAt
    -- Several slots free at once start within no time: half of the first gap is what it will be on the whole.
    t.gap = t.gap >= 0 and mean(t.gap, seen) or floor((floor((t.means[e.route] or FIRST_ESTIMATE) / t.hard) + seen) / 2)
  end
  t.startedAt, t.more, e.runs = now, t.depth > 0 and '1' or '-', '1'
  call('SADD', P .. 'run:' .. t.name, e.id)
  counts[e.upstream] = busy(e.upstream) + call('SADD', P .. 'busy:' .. e.upstream, e.id)
  due(e.id, now + LEASE)
end

-- `served` in ms; nil: nothing was asked of the upstream.
local function stop(t, e, served)
  e.leased = '-'
  if e.runs ~= '1' then return end
  e.runs, t.running = '-', t.running - call('SREM', P .. 'run:' .. t.name, e.id)
  counts[e.upstream] = busy(e.upstream) - call('SREM', P .. 'busy:' .. e.upstream, e.id)
  local clockUs, actual = clock(), served and floor(served * 1000 / t.weight) or 0
  t.vt = min(max(t.vt + actual - e.charged, clockUs), clockUs + MAX_DEBT)
  if served then t.means[e.route] = mean(t.means[e.route], served) end
end
