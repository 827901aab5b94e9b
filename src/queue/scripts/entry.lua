-- One piece of work, a job or a slot, as a text of words in a fixed order; '-' stands for nothing. The twin is entry.ts.
-- Slot: tenant upstream route class number askedAt process charged runs lined.
-- Job: see `words`; runs, leased and lined are '1' or '-', and the error, its last, is the rest of the text.

local SLOT, JOB = ('(%S+) '):rep(9) .. '(%S+)', ('(%S+) '):rep(26) .. '(.*)'

local function load_slot(id)
  local text, e = call('HGET', P .. 'slots', id), { kind = 'slots', id = id }
  if not text then return nil end
  e.tenant, e.upstream, e.route, e.class, e.number, e.askedAt, e.process, e.charged, e.runs, e.lined = text:match(SLOT)
  return e
end

-- As acquire.lua takes it in.
local function new_slot(id, number)
  return { kind = 'slots', id = id, tenant = ARGV[9], upstream = ARGV[10], route = ARGV[11], class = ARGV[12],
    number = number, askedAt = now, process = ARGV[14], charged = 0, runs = '-', lined = '-' }
end

local function load_job(id)
  local text, e = call('GET', P .. 'job:' .. id), { kind = 'jobs', id = id }
  if not text then return nil end
  e.tenant, e.upstream, e.route, e.class, e.number, e.principal, e.keeps, e.queueMs, e.keepMs, e.idem, e.submittedAt, e.status,
    e.fence, e.attempt, e.lost, e.linedAt, e.deadlineAt, e.startedAt, e.finishedAt, e.revision, e.watchers, e.process, e.leased,
    e.runs, e.lined, e.charged, e.error = text:match(JOB)
  return e
end

-- Numbers are whole and below 10^14, which is as far as Lua writes them out.
local function words(e)
  return table.concat({ e.tenant, e.upstream, e.route, e.class, e.number, e.principal, e.keeps, e.queueMs, e.keepMs, e.idem,
    e.submittedAt, e.status, e.fence, e.attempt, e.lost, e.linedAt, e.deadlineAt, e.startedAt, e.finishedAt, e.revision,
    e.watchers, e.process, e.leased, e.runs, e.lined, e.charged, e.error }, ' ')
end

-- Written as it now is. @param keepMs how long Redis keeps a job at the most, nil: for ever
local function keep(e, keepMs)
  if e.kind == 'slots' then
    call('HSET', P .. 'slots', e.id, table.concat({ e.tenant, e.upstream, e.route, e.class, e.number, e.askedAt, e.process,
      e.charged, e.runs, e.lined }, ' '))
  elseif keepMs then call('SET', P .. 'job:' .. e.id, words(e), 'PX', keepMs)
  else call('SET', P .. 'job:' .. e.id, words(e)) end
end
