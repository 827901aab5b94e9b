-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand leave dispatch serve
-- A request gives back its slot, or its place in the line; what comes next is granted and claimed.
-- Atomic, O(log of the shard's work) and at most a hundred steps.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3] id  [4] servedMs, -1: nothing was asked of the upstream  [5..] wish
-- RETURNS  {claimed jobs, held, dueInMs or ''}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

local e, served = load_slot(ARGV[3]), tonumber(ARGV[4])
if e then remove_slot(load(e.tenant), e, served >= 0 and served or nil) end
return { serve(read_wish(5, false)) }
