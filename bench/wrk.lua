-- Sends prepared requests in turn, and prints one line of JSON at the end.
-- ARGS  a file of requests: for each, its length in bytes, a newline, and its bytes
-- CALLER bench/wrk.ts

local requests, next_one = {}, 0

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  for line in file:lines() do
    requests[#requests + 1] = file:read(tonumber(line))
  end
  file:close()
end

function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"durationUs":%d,"bytes":%d,"failed":%d,"p50Us":%d,"p99Us":%d}',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
