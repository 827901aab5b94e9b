-- What is checked before anything is taken in: a refusal changes nothing.
-- ARGV[3]  shadow   'r' in it: the rate only tells; 'q': the depth only tells
-- ARGV[4]  emissionUs, 0: no rate   ARGV[5] burst   ARGV[6] nowUs, the gateway's clock   KEYS[2] the bucket's TAT
-- The arithmetic is kernel/gcra.ts', step for step, over the same key as limits/scripts/gcra.lua.

local function take_rate()
  local emissionUs, burst, nowUs = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  if emissionUs == 0 then return nil end
  local tat = max(tonumber(call('GET', KEYS[2]) or 0), nowUs)
  local nextTat = tat + emissionUs
  local waitUs = nextTat - burst * emissionUs - nowUs
  local taken, retryAfterMs = 1, 0
  if waitUs > 0 then taken, retryAfterMs = 0, math.ceil(waitUs / 1000)
  else
    tat = nextTat
    call('SET', KEYS[2], string.format('%.0f', tat), 'PX', math.ceil((tat - nowUs) / 1000) + 1000)
  end
  local debtUs = tat - nowUs
  return { taken, max(0, floor(burst - debtUs / emissionUs)), retryAfterMs, math.ceil(debtUs / 1000) }
end

-- Nil: it may come in. Otherwise the answer that says why not.
local function refusal(t, route, isFull)
  if isFull and not ARGV[3]:find('q') then
    return nil, { 'full', t.depth, wait_ms(t, t.depth + 1, route) }
  end
  local rate = take_rate()
  if rate and rate[1] == 0 and not ARGV[3]:find('r') then return nil, { 'limited', rate } end
  return rate or {}, nil
end
