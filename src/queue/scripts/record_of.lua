-- A job as it is told: `recordOfReply` of reply.ts reads these fields in this order. Position and wait: -1 unless it is queued.

local function record(e)
  local position, wait = -1, -1
  if e.status == 'queued' then
    local t = load(e.tenant)
    position = position_of(t, e)
    wait = wait_ms(t, position, e.route)
  end
  return { e.id, position, wait, e.tenant, e.upstream, e.route, e.class, e.principal, e.status, e.submittedAt, e.startedAt,
    e.finishedAt, e.deadlineAt, e.attempt, e.lost, e.revision, e.error }
end
