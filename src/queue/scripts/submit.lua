-- WITH ground unit tenant load place position entry keep done move mark take door
-- Takes a job in: idempotency, depth and rate at the door, then its record, its place in the line, its mark.
-- Atomic, O(log of the tenant's and the shard's work). A refusal changes nothing.
--
-- KEYS[1] root  KEYS[2] the rate's bucket (any key of the slot where there is no rate)
-- ARGV[1..6] as ground, job and door say  [7] limits  [8] id  [9] tenant  [10] upstream  [11] route  [12] class 0-2
--          [13] width  [14] principal's digest  [15] keeps payload '1'|'-'  [16] queueMs  [17] keepMs
--          [18] idempotency key's digest or ''  [19] fingerprint  [20] payload
-- RETURNS  {'queued', rate or {}, over 0|1, position, waitMs, nowAt} | {'repeat'|'mismatch', id} | {'full', depth, waitMs} | {'limited', rate}
-- EXPIRES  nothing while the job lives; tick.lua forgets it after its end
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local id, name, u, route = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local before = known(name, ARGV[18])
if before then return before end

local t = load(name, ARGV[7])
local isFull = t.depth >= t.maxQueue
local rate, refused = refusal(t, route, isFull)
if refused then return refused end

t.number = t.number + 1
local e = new_job(id, t.number)
line(t, e)
keep(e)
if ARGV[20] ~= '' then put('pay:' .. id, ARGV[20]) end
due(id, e.deadlineAt)
place(t)
mark(u, tonumber(ARGV[13]))
done()
local position = position_of_new(t, e)
return { 'queued', rate, isFull and 1 or 0, position, wait_ms(t, position, route), now }
