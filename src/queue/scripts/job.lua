-- A job's life: told, claimed, ended, forgotten. The twin is shard.ts.

-- ARGV[2]  channel   a process hears its own pushes on <channel>:<process>
local function push(process, message) call('PUBLISH', ARGV[2] .. ':' .. process, message) end

-- A job as submit.lua and record.lua take it in, written; the numbers are those of their ARGV.
local function new_job(id, number)
  local e, idem = { kind = 'jobs', id = id, watchers = '' }, ARGV[18]
  write(e, 'tenant', ARGV[9], 'upstream', ARGV[10], 'route', ARGV[11], 'class', ARGV[12], 'number', number,
    'status', 'queued', 'submittedAt', now, 'linedAt', now, 'deadlineAt', now + ARGV[16], 'principal', ARGV[14],
    'keeps', ARGV[15], 'queueMs', ARGV[16], 'keepMs', ARGV[17], 'idem', idem, 'fence', 0, 'attempt', 0, 'lost', 0,
    'startedAt', '', 'finishedAt', '', 'error', '', 'revision', 0, 'watchers', '', 'process', '', 'leased', '-',
    'runs', '-', 'lined', '-', 'charged', 0)
  if ARGV[20] ~= '' then call('SET', P .. 'pay:' .. id, ARGV[20]) end
  call('ZADD', P .. 'list:' .. e.tenant .. ':' .. e.principal, 0, id)
  if idem ~= '' then call('SET', P .. 'idem:' .. e.tenant .. ':' .. idem, id .. ' ' .. ARGV[19]) end
  return e
end

local function changed(e)
  call('HINCRBY', P .. 'job:' .. e.id, 'revision', 1)
  for process in e.watchers:gmatch('%S+') do push(process, 'changed ' .. e.id) end
end

local function claim_job(e, process)
  write(e, 'status', 'running', 'leased', '1', 'process', process, 'fence', e.fence + 1, 'attempt', e.attempt + 1,
    'startedAt', now, 'runs', '1', 'lined', '-', 'charged', e.charged)
  changed(e)
  return { e.id, e.tenant, e.principal, e.upstream, e.route, e.class, call('GET', P .. 'pay:' .. e.id) or '', e.fence,
    e.attempt, e.submittedAt, now - e.linedAt }
end

-- Nothing holds it any more: what it needed to run goes, and its record stays for a while.
local function rest(e)
  local isTried = e.status == 'failed' or e.status == 'expired'
  local keepMs, keys = tonumber(e.keepMs), { P .. 'job:' .. e.id, P .. 'res:' .. e.id, P .. 'pay:' .. e.id }
  if e.error == POISONED then keepMs = DEAD_KEEP end
  if not (isTried and e.keeps == '1') then call('DEL', keys[3]) end
  call('ZADD', P .. 'due', e.finishedAt + keepMs, e.id)
  for _, key in ipairs(keys) do call('PEXPIRE', key, keepMs + SLACK) end
end

local function finish_job(e, status, err)
  write(e, 'status', status, 'error', err, 'finishedAt', now, 'leased', e.leased, 'runs', e.runs, 'lined', '-')
  if err == POISONED then
    call('ZADD', P .. 'dead', now, e.id)
    if call('ZCARD', P .. 'dead') > MAX_DEAD then call('ZREMRANGEBYRANK', P .. 'dead', 0, 0) end
  end
  changed(e)
  if e.leased ~= '1' then rest(e) end
end
