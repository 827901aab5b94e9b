-- One piece of work, a job or a slot, on its way between line and run. The twin is entry.ts and shard.ts.
-- A slot is a text: tenant upstream route class number askedAt process charged runs lined ('1' or '-').

local SLOT = '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)'

local function load_slot(id)
  local text = call('HGET', P .. 'slots', id)
  if not text then return nil end
  local e = { kind = 'slots', id = id }
  e.tenant, e.upstream, e.route, e.class, e.number, e.askedAt, e.process, e.charged, e.runs, e.lined = text:match(SLOT)
  return e
end

-- As acquire.lua takes it in.
local function new_slot(id, number)
  return { kind = 'slots', id = id, tenant = ARGV[9], upstream = ARGV[10], route = ARGV[11], class = ARGV[12],
    number = number, askedAt = string.format('%.0f', now), process = ARGV[14], charged = 0, runs = '-', lined = '-' }
end

local function load_job(id)
  local flat = call('HGETALL', P .. 'job:' .. id)
  if #flat == 0 then return nil end
  local e = { kind = 'jobs', id = id }
  for i = 1, #flat, 2 do e[flat[i]] = flat[i + 1] end
  return e
end

-- Changes fields of a job, here and in its hash.
local function write(e, ...)
  local flat = { ... }
  for i = 1, #flat, 2 do e[flat[i]] = flat[i + 1] end
  call('HSET', P .. 'job:' .. e.id, unpack(flat))
end

-- What changes as work moves, written where its kind is kept.
local function keep(e)
  if e.kind == 'jobs' then return write(e, 'charged', e.charged, 'runs', e.runs, 'lined', e.lined, 'linedAt', e.linedAt) end
  local fields = { e.tenant, e.upstream, e.route, e.class, string.format('%.0f', e.number), e.askedAt, e.process }
  call('HSET', P .. 'slots', e.id, table.concat(fields, ' ') .. string.format(' %.0f %s %s', e.charged, e.runs, e.lined))
end
