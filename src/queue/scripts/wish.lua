-- What a process asks for: the last of ARGV. It ends where ARGV ends.
-- ARGV[at..]  process, want (jobs), then per upstream: name, width, allow (jobs it may begin), avoid ("t t", tenants)

local NOBODY = {}

local function read_wish(at, comes)
  local wish = { process = ARGV[at], want = tonumber(ARGV[at + 1]), upstreams = {} }
  for i = at + 2, #ARGV, 4 do
    local allow, avoid, avoided = tonumber(ARGV[i + 2]), NOBODY, 0
    if ARGV[i + 3] ~= '' then
      avoid = {}
      for tenant in ARGV[i + 3]:gmatch('%S+') do avoid[tenant], avoided = true, avoided + 1 end
    end
    wish.upstreams[#wish.upstreams + 1] = { name = ARGV[i], width = tonumber(ARGV[i + 1]), left = allow, allow = allow,
      served = 0, avoid = avoid, avoided = avoided, comes = comes, held = false, hasSlots = nil }
  end
  return wish
end
