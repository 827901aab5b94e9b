-- One piece of work, a job or a slot, as struct.pack writes it (tenant.lua says how). The twin is entry.ts.
-- '-' and -1 stand for nothing; runs and leased are '1' or '-', lined '1', 'later' (it waits for a retry) or '-'.
-- A job begins with its tenant: `ownerOf` of reply.ts reads it there.
-- NAME SLOT '<ddddssssss'
-- NAME JOB '<sddddddddddddddssssssssssss'

local function load_slot(id)
  if slots[id] then return slots[id] end
  local text = call('HGET', P .. 'slots', id)
  if not text then return nil end
  local class, number, askedAt, charged, tenant, upstream, route, process, runs, lined = unpacked(SLOT, text)
  slots[id] = { kind = 'slots', id = id, tenant = tenant, upstream = upstream, route = route, class = class, number = number,
    askedAt = askedAt, process = process, charged = charged, runs = runs, lined = lined }
  return slots[id]
end

local function load_job(id)
  if jobs[id] then return jobs[id] end
  local text = call('GET', P .. 'job:' .. id)
  if not text then return nil end
  local tenant, class, number, queueMs, keepMs, submittedAt, fence, attempt, lost, linedAt, deadlineAt, startedAt, finishedAt,
    revision, charged, upstream, route, principal, keeps, idem, status, watchers, process, leased, runs, lined,
    err = unpacked(JOB, text)
  local e = { kind = 'jobs', id = id, tenant = tenant, upstream = upstream, route = route, class = class, number = number,
    principal = principal, keeps = keeps, queueMs = queueMs, keepMs = keepMs, idem = idem, submittedAt = submittedAt,
    status = status, fence = fence, attempt = attempt, lost = lost, linedAt = linedAt, deadlineAt = deadlineAt,
    startedAt = startedAt, finishedAt = finishedAt, revision = revision, watchers = watchers, process = process,
    leased = leased, runs = runs, lined = lined, charged = charged, error = err }
  jobs[id] = e
  return e
end
