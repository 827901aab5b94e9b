-- Ground of every scheduler script: where keys are, what time it is, the numbers of policy.ts and scheduler.ts.
--
-- KEYS[1]  root    all keys of a shard begin with it and lie in its slot:
--   <root>:t:<tenant>           string  what is known of a tenant (tenant.lua)
--   <root>:line:<t>:<u>:<kind>  zset    its jobs or slots for an upstream: id -> class * ROOM + number
--   <root>:later:<t>            zset    its jobs that wait for a retry; same scores
--   <root>:ready|over:<u>:<kind> zset   tenants that may run now: name -> virtual time, µs
--   <root>:run:<t>              set     its work that runs
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

-- NAME lines: script.ts writes the second word wherever the first stands. A local that functions share costs each of them.
-- NAME call redis.call
-- NAME floor math.floor
-- NAME max math.max
-- NAME min math.min
-- NAME packed struct.pack
-- NAME unpacked struct.unpack
-- NAME LEASE 14000
-- NAME FORGET 600000
-- NAME MAX_LOST 3
-- NAME DEAD_KEEP 604800000
-- NAME MAX_DEAD 1000
-- NAME STEPS 100
-- NAME SLACK 60000
-- NAME ROOM 35184372088832
-- NAME FIRST_ESTIMATE 1000
-- NAME POISONED '{"code":"JOB_POISONED"}'
-- NAME TIMED_OUT '{"code":"QUEUE_TIMEOUT"}'

local P, now = KEYS[1] .. ':', tonumber(ARGV[1])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end
