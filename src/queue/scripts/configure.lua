-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand dispatch serve
-- Changed limits hold for what is there already: running work finishes, waiting work starts at once where it now may.
-- Atomic, at most a hundred steps of O(log of the shard's work).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] tenant  [4] limits  [5..] wish
-- RETURNS  {claimed jobs, held, dueInMs or ''}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local isKnown = call('EXISTS', P .. 't:' .. ARGV[3]) == 1
if isKnown then
  place(load(ARGV[3], ARGV[4]))
end
return { serve(read_wish(5, false)) }
