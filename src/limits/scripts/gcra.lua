-- Takes `cost` tokens from one bucket, or none. Atomic, O(1). The arithmetic is gcra.ts', step for step.
-- An absent bucket is a full one. All times are whole µs since the epoch: doubles hold them exactly.
--
-- KEYS[1]  bucket       string: the TAT, the instant at which it will be full again
-- ARGV[1]  emissionUs   time in which one token comes back, >= 1
-- ARGV[2]  burst        tokens of a full bucket, >= 1
-- ARGV[3]  cost         tokens, 0 < cost <= burst
-- ARGV[4]  nowUs        the gateway's wall clock
-- RETURNS  {taken, remaining, retryAfterMs, resetMs}
--          taken 1|0; remaining rounded down; the waits rounded up, retryAfterMs 0 when taken
-- EXPIRES  bucket, 1 s after it is full again. A refusal writes nothing.
-- CALLER   limits/limiter.redis.ts   CONTRACT  limits/limiter.contract.ts
--
-- Why nowUs and not TIME: the contract suite must hold the clock. The TAT never moves back, so a clock that runs
-- backwards grants nothing extra. The price: a gateway whose clock is s seconds ahead starves the bucket for s seconds.

local emissionUs, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local cost, nowUs = tonumber(ARGV[3]), tonumber(ARGV[4])

local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), nowUs)
local nextTat = tat + math.ceil(cost * emissionUs)
local waitUs = nextTat - burst * emissionUs - nowUs

local taken, retryAfterMs = 1, 0
if waitUs > 0 then
  taken, retryAfterMs = 0, math.ceil(waitUs / 1000)
else
  tat = nextTat
  local fullInMs = math.ceil((tat - nowUs) / 1000)
  -- %.0f: Lua writes large numbers with 14 digits only
  redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', fullInMs + 1000)
end

local debtUs = tat - nowUs
return { taken, math.max(0, math.floor(burst - debtUs / emissionUs)), retryAfterMs, math.ceil(debtUs / 1000) }
