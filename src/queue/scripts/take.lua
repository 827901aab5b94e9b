-- A job as submit.lua and record.lua take it in; the numbers are those of their ARGV. Callers keep it, and its payload.
local function new_job(id, number)
  local idem, queueMs = ARGV[18] ~= '' and ARGV[18] or '-', tonumber(ARGV[16])
  local e = { kind = 'jobs', id = id, tenant = ARGV[9], upstream = ARGV[10], route = ARGV[11], class = tonumber(ARGV[12]),
    number = number, principal = ARGV[14], keeps = ARGV[15], queueMs = queueMs, keepMs = tonumber(ARGV[17]), idem = idem,
    submittedAt = now, status = 'queued', fence = 0, attempt = 0, lost = 0, linedAt = now, deadlineAt = now + queueMs,
    startedAt = -1, finishedAt = -1, revision = 1, watchers = '-', process = '-', leased = '-', runs = '-', lined = '-',
    charged = 0, error = '' }
  call('ZADD', P .. 'list:' .. e.tenant .. ':' .. e.principal, '0', id)
  if idem ~= '-' then put('idem:' .. e.tenant .. ':' .. idem, id .. ' ' .. ARGV[19]) end
  return e
end

-- Nil, or the answer for a job that was submitted before under the same idempotency key.
local function known(name, idem)
  local text = idem ~= '' and call('GET', P .. 'idem:' .. name .. ':' .. idem)
  if not text then return nil end
  local first_id, fingerprint = text:match('(%S+) (%S+)')
  return { fingerprint == ARGV[19] and 'repeat' or 'mismatch', first_id }
end
