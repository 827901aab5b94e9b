-- Notes in a stored frame that its refresh failed, if the frame is still the one that was read. Atomic, O(1).
--
-- KEYS[1]  entry       frame (cache/frame.ts: magic at 0, rearmedAt at 8, storedAt at 16)
-- ARGV[1]  magic       4 bytes
-- ARGV[2]  storedAt    of the entry that was read; ms since the epoch, float64 big endian, 8 bytes
-- ARGV[3]  rearmedAt   likewise
-- RETURNS  1 | 0 when there is another frame, none, or something of another type
-- EXPIRES  nothing: SETRANGE keeps the entry's expiry
-- CALLER   cache/far.redis.ts   CONTRACT  cache/far.contract.ts

local head = redis.pcall('GETRANGE', KEYS[1], 0, 23)
if type(head) ~= 'string' then return 0 end
if head:sub(1, 4) ~= ARGV[1] or head:sub(17, 24) ~= ARGV[2] then return 0 end
redis.call('SETRANGE', KEYS[1], 8, ARGV[3])
return 1
