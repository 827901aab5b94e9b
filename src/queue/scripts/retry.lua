-- WITH ground unit tenant load place position entry keep done move mark job ends record_of
-- A job that failed or expired, once more, by an operator's hand: where its payload was kept. Atomic, O(log of the line).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] tenant  [4] id  [5] queueMs  [6] width of its upstream
-- RETURNS  {retried 1|0, record or false}
-- EXPIRES  nothing of it any more, until it ends again
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e = load_job(ARGV[4])
if not e or e.tenant ~= ARGV[3] then return { 0, false } end
local hasEnded = (e.status == 'failed' or e.status == 'expired') and e.leased ~= '1'
if not hasEnded or call('EXISTS', P .. 'pay:' .. e.id) == 0 then return { 0, record(e) } end

local t = load(e.tenant)
call('ZREM', P .. 'dead', e.id)
call('DEL', P .. 'res:' .. e.id)
e.error, e.finishedAt, e.startedAt, e.queueMs, e.lost, e.attempt = '', -1, -1, tonumber(ARGV[5]), 0, 0
call('PERSIST', P .. 'pay:' .. e.id)
again(t, e, true)
place(t)
mark(e.upstream, tonumber(ARGV[6]))
done()
return { 1, record(e) }
