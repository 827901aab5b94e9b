-- Ground of every scheduler script: where keys are, what time it is, the numbers of policy.ts and scheduler.ts.
--
-- KEYS[1]  root    all keys of a shard begin with it and lie in its slot:
--   <root>:t:<tenant>           string  what is known of a tenant (tenant.lua)
--   <root>:line:<t>:<u>:<kind>  zset    its jobs or slots for an upstream: id -> class * ROOM + number
--   <root>:wait:<t>             zset    all of its work that waits, jobs that wait for a retry included; same scores
--   <root>:run:<t>              set     its work that runs
--   <root>:ready|over:<u>:<kind> zset   tenants that may run now: name -> virtual time, µs
--   <root>:busy:<u>             set     what runs of an upstream
--   <root>:due                  zset    id -> instant at which tick.lua has to look at it, ms
--   <root>:mark:<u>             zset    one member while jobs may be claimed and no worker has come for them
--   <root>:job:<id>             string  a job (entry.lua); <root>:pay:<id> what runs it, <root>:res:<id> its result
--   <root>:slots                hash    id -> a waiting or running request (entry.lua)
--   <root>:list:<t>:<principal> zset    a caller's jobs; their ids sort by time
--   <root>:idem:<t>:<key>       string  job and fingerprint behind an Idempotency-Key
--   <root>:dead                 zset    poisoned jobs -> when
--   <root>:tenants              set     tenants with work;  <root>:v  the clock: largest start tag served, µs
-- ARGV[1]  nowAt   ms since the epoch; 0: Redis' own clock, which leases need. Only tests give another.

local call, floor, max, min = redis.call, math.floor, math.max, math.min
local P, now = KEYS[1] .. ':', tonumber(ARGV[1])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local LEASE, FORGET, MAX_LOST, DEAD_KEEP, MAX_DEAD, STEPS = 14000, 600000, 3, 604800000, 1000, 100
local ROOM, FIRST_ESTIMATE, MAX_DEBT, TURNS = 2 ^ 45, 1000, 30000000, { 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 2 }
local POISONED, TIMED_OUT = '{"code":"JOB_POISONED"}', '{"code":"QUEUE_TIMEOUT"}'
local SLACK, CLOCK_KEEP, clockUs = 60000, 86400000, nil

local function charge(ms, weight) return floor(ms * 1000 / weight) end
local function mean(old, seen) return old and floor((7 * old + seen) / 8) or seen end
local function clock()
  clockUs = clockUs or tonumber(call('GET', P .. 'v') or 0)
  return clockUs
end
local function advance(vt)
  if vt <= clock() then return end
  clockUs = vt
  call('SET', P .. 'v', vt, 'PX', CLOCK_KEEP)
end
