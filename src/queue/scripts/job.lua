-- A job's life: taken in, told, claimed, ended. The twin is shard.ts.

-- ARGV[2]  channel   a process hears its own pushes on <channel>:<process>
local function push(process, message) call('PUBLISH', ARGV[2] .. ':' .. process, message) end

-- As submit.lua and record.lua take it in; the numbers are those of their ARGV. Callers keep it.
local function new_job(id, number)
  local idem = ARGV[18] ~= '' and ARGV[18] or '-'
  local e = { kind = 'jobs', id = id, tenant = ARGV[9], upstream = ARGV[10], route = ARGV[11], class = ARGV[12],
    number = number, principal = ARGV[14], keeps = ARGV[15], queueMs = ARGV[16], keepMs = ARGV[17], idem = idem,
    submittedAt = now, status = 'queued', fence = 0, attempt = 0, lost = 0, linedAt = now, deadlineAt = now + ARGV[16],
    startedAt = '-', finishedAt = '-', revision = 1, watchers = '-', process = '-', leased = '-', runs = '-', lined = '-',
    charged = 0, error = '' }
  if ARGV[20] ~= '' then call('SET', P .. 'pay:' .. id, ARGV[20]) end
  call('ZADD', P .. 'list:' .. e.tenant .. ':' .. e.principal, 0, id)
  if idem ~= '-' then call('SET', P .. 'idem:' .. e.tenant .. ':' .. idem, id .. ' ' .. ARGV[19]) end
  return e
end

local function changed(e)
  e.revision = e.revision + 1
  if e.watchers ~= '-' then
    for process in e.watchers:gmatch('[^,]+') do push(process, 'changed ' .. e.id) end
  end
end

local function claim_job(e, process)
  e.status, e.leased, e.process, e.startedAt, e.fence, e.attempt = 'running', '1', process, now, e.fence + 1, e.attempt + 1
  changed(e)
  keep(e)
  return { e.id, e.tenant, e.principal, e.upstream, e.route, e.class, call('GET', P .. 'pay:' .. e.id) or '', e.fence,
    e.attempt, e.submittedAt, now - e.linedAt }
end
