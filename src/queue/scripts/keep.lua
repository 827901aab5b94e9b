-- How a piece of work is written: as it now is.

local function job_text(e)
  return packed(JOB, e.tenant, e.class, e.number, e.queueMs, e.keepMs, e.submittedAt, e.fence, e.attempt, e.lost, e.linedAt,
    e.deadlineAt, e.startedAt, e.finishedAt, e.revision, e.charged, e.upstream, e.route, e.principal, e.keeps, e.idem,
    e.status, e.watchers, e.process, e.leased, e.runs, e.lined, e.error)
end

-- A slot at once, a job with all else that is written (done.lua).
local function keep(e)
  if e.kind == 'jobs' then put('job:' .. e.id, job_text(e))
  else
    call('HSET', P .. 'slots', e.id, packed(SLOT, e.class, e.number, e.askedAt, e.charged, e.tenant, e.upstream, e.route,
      e.process, e.runs, e.lined))
  end
end
