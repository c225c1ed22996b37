-- Asks whether a job is still wanted. Call it before you run the job.
--
-- KEYS: lease, value   of the job
-- ARGV: id, deadline   of the job
-- Returns 1: run it. 0: nobody waits for its result any more; acknowledge the job, do not run it.
--
-- The lease begins with the id for as long as this is the newest job for its key.
--
--     redis-cli --eval begin.lua LEASE VALUE , ID DEADLINE

local id, deadline = ARGV[1], tonumber(ARGV[2])

-- The key may hold anything, so only as much of it is read as is needed.
local lease = redis.pcall('GETRANGE', KEYS[1], 0, #id)
if type(lease) == 'table' then
    if not string.find(lease.err, 'WRONGTYPE', 1, true) then return lease end
    lease = ''
end
if id == '' or (lease ~= id and lease ~= id .. ' ') then return 0 end

local time = redis.call('TIME')
if not deadline or time[1] * 1000 + time[2] / 1000 > deadline then return 0 end
return 1
