-- A job's life: taken in, told, claimed. The twin is shard.ts.

-- ARGV[2]  channel   a process hears its own pushes on <channel>:<process>
local function push(process, message) call('PUBLISH', ARGV[2] .. ':' .. process, message) end

local function changed(e)
  e.revision = e.revision + 1
  if e.watchers ~= '-' then
    for process in e.watchers:gmatch('[^,]+') do push(process, 'changed ' .. e.id) end
  end
end
