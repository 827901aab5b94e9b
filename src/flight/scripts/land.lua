-- Ends one flight: gives its lease back, leaves the failure's note, tells those who watch. Does nothing for a leader
-- whose lease is no longer its own, so that a late one never disturbs the flight that took over. Atomic, O(1).
--
-- KEYS[1]  lease     string: the leader's token (set by Redlock)
-- KEYS[2]  note      string: opaque bytes
-- ARGV[1]  token
-- ARGV[2]  noteMs    how long the note is left, ms; 0 leaves none
-- ARGV[3]  note      the bytes, '' when there are none
-- ARGV[4]  channel   of the fleet
-- ARGV[5]  message   kernel/news.ts: 'landed <key> <how>'
-- RETURNS  1 landed, 0 the lease was not its own
-- EXPIRES  note, after noteMs
-- CALLER   flight/lease.redis.ts

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end

redis.call('DEL', KEYS[1], KEYS[2]) -- an older flight's note is not this one's
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
