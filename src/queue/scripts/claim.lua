-- WITH ground unit tenant load place entry keep done move run mark wish choose next job hand dispatch serve
-- A worker comes for jobs: its wish is served, waiting requests that stand before them are granted on the way.
-- Atomic, O(jobs claimed · log of the shard's work), at most a hundred steps.
--
-- KEYS[1] root
-- ARGV[1..2] as ground and job say  [3..] wish
-- RETURNS  {claimed jobs, held, dueInMs or ''}
-- EXPIRES  claimed jobs are back in the line a lease after the last extension (tick.lua)
-- CALLER   queue/scheduler.redis.ts   CONTRACT  queue/scheduler.contract.ts
--
-- The mark is set again for what is left, so that one worker wakes the next; but not for an upstream of which this one
-- could have had jobs and took none: it would wake itself for ever.

if is_empty(3) then return { {}, 0, next_due() } end
local wish = read_wish(3, true)
local claimed, held = dispatch(wish)
for _, u in ipairs(wish.upstreams) do
  local tookNone = u.allow > 0 and u.served == 0 and #claimed < wish.want
  if not tookNone then mark(u.name, u.width) end
end
done()
return { claimed, held, next_due() }
