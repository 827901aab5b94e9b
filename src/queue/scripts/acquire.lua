-- WITH ground unit tenant load place position entry keep done move run mark wish choose next job hand dispatch serve door
-- A waiting request asks for a slot: at once where there is room and nobody stands before it, else a place in the line.
-- Atomic, O(log of the shard's work). A refusal changes nothing.
--
-- KEYS[1] root  KEYS[2] the rate's bucket
-- ARGV[1..6] as ground, job and door say  [7] limits  [8] id  [9] tenant  [10] upstream  [11] route  [12] class 0-2
--          [13] width  [14..] wish of its process: no jobs, this upstream alone
-- RETURNS  {'granted', rate or {}} | {'waiting', rate or {}, over 0|1, position, waitMs, held} | {'full', …} | {'limited', …}
-- EXPIRES  the place and the slot end by tick.lua a lease after the last sign of life
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local id, u, route, width = ARGV[8], ARGV[10], ARGV[11], tonumber(ARGV[13])
local t, runs = load(ARGV[9], ARGV[7]), busy(u)
local tier = tier_of(t)
local function some(...) return call('EXISTS', ...) > 0 end

local goes = tier ~= '-' and runs < width and not lane_of(t, u)
if goes then
  local jobs = some(P .. 'ready:' .. u .. ':jobs')
  goes = not some(P .. 'ready:' .. u .. ':slots') and not (jobs and runs + 1 >= width)
    and (tier == 'ready' or not (jobs or some(P .. 'over:' .. u .. ':slots')))
end
local isFull = not goes and t.depth >= t.maxQueue
local rate, refused = refusal(t, route, isFull)
if refused then return refused end

t.number = t.number + 1
local e = { kind = 'slots', id = id, tenant = ARGV[9], upstream = u, route = route, class = tonumber(ARGV[12]),
  number = t.number, askedAt = now, process = ARGV[14], charged = 0, runs = '-', lined = '-' }
slots[id] = e
if goes then
  if #t.lanes == 0 then t.vt = max(t.vt, clock()) end
  start(t, e)
else
  line(t, e)
  due(id, now + LEASE)
end
keep(e)
place(t)
if goes then
  done()
  return { 'granted', rate }
end

local _, held = serve(read_wish(14, false))
if e.runs == '1' then return { 'granted', rate } end
local position = position_of_new(t, e)
return { 'waiting', rate, isFull and 1 or 0, position, wait_ms(t, position, route), held }
