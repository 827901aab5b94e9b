-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand dispatch serve
-- Grants waiting requests what room there is: the worker that room was held for has not come.
-- Atomic, at most a hundred steps of O(log of the shard's work).
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3..] wish
-- RETURNS  {claimed jobs, held, dueInMs or ''}
-- EXPIRES  nothing
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts

return { serve(read_wish(3, false)) }
