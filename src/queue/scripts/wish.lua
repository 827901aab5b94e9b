-- What a process asks for: the last of ARGV. It ends where ARGV ends.
-- ARGV[at..]  process, want (jobs), then per upstream: name, width, allow (jobs it may begin), avoid ("t t", tenants)

local function read_wish(at, comes)
  local wish = { process = ARGV[at], want = tonumber(ARGV[at + 1]), upstreams = {} }
  for i = at + 2, #ARGV, 4 do
    local u = { name = ARGV[i], width = tonumber(ARGV[i + 1]), left = tonumber(ARGV[i + 2]), avoid = {}, avoided = 0 }
    for tenant in ARGV[i + 3]:gmatch('%S+') do u.avoid[tenant], u.avoided = true, u.avoided + 1 end
    u.allow, u.served, u.busy = u.left, 0, call('SCARD', P .. 'busy:' .. u.name)
    u.comes = comes
    wish.upstreams[#wish.upstreams + 1] = u
  end
  return wish
end

-- Nobody waits for any of these upstreams: there is nothing to serve. What an idle fleet asks all the time, in one call.
local function is_empty(at)
  local keys = {}
  for i = at + 2, #ARGV, 4 do
    for _, tier in ipairs({ 'ready:', 'over:' }) do
      keys[#keys + 1], keys[#keys + 2] = P .. tier .. ARGV[i] .. ':jobs', P .. tier .. ARGV[i] .. ':slots'
    end
  end
  return #keys == 0 or call('EXISTS', unpack(keys)) == 0
end

local function first(tier, u, kind, avoid, avoided)
  local flat = call('ZRANGE', P .. tier .. ':' .. u .. ':' .. kind, 0, avoided or 0, 'WITHSCORES')
  for i = 1, #flat, 2 do
    if not (avoid and avoid[flat[i]]) then return flat[i], tonumber(flat[i + 1]) end
  end
end

-- Says that jobs of this upstream may be claimed, where that is so; wakes one worker.
local function mark(u, width, busy)
  if (busy or call('SCARD', P .. 'busy:' .. u)) >= width then return end
  if call('EXISTS', P .. 'ready:' .. u .. ':jobs', P .. 'over:' .. u .. ':jobs') > 0 then call('ZADD', P .. 'mark:' .. u, 0, '1') end
end
