-- A job is handed to a worker, which answers for it until its lease ends.
local function claim_job(e, process)
  e.status, e.leased, e.process, e.startedAt, e.fence, e.attempt = 'running', '1', process, now, e.fence + 1, e.attempt + 1
  changed(e)
  keep(e)
  return { e.id, e.tenant, e.principal, e.upstream, e.route, e.class, call('GET', P .. 'pay:' .. e.id) or '', e.fence,
    e.attempt, e.submittedAt, now - e.linedAt }
end
