-- Takes the next job: that of a worker that has been silent for too long, or a new one; jobs that
-- requests wait for come first. Creates the streams and their group if they are missing.
--
-- KEYS: visitors, refreshes   the streams {...}:visitors and {...}:refreshes
-- ARGV: worker                a name that no other worker has
--       visibility            milliseconds without a heartbeat after which a worker is given up
-- Returns {stream, entry, tries, job}: the stream, the entry's id, how many workers have taken it,
-- this one included, and its field "job". Or nothing, if there is no job.
--
-- If there is none, wait for one: XREADGROUP GROUP workers WORKER COUNT 1 BLOCK 1000
-- STREAMS VISITORS REFRESHES > >. That finds new jobs only, so come back here every now and then.
--
--     redis-cli --eval take.lua VISITORS REFRESHES , WORKER VISIBILITY

local worker, visibility = ARGV[1], ARGV[2]

local function job_of(fields)
    for i = 1, #fields, 2 do
        if fields[i] == 'job' then return fields[i + 1] end
    end
    return ''
end

local function first_late(stream)
    local late = redis.pcall('XPENDING', stream, 'workers', 'IDLE', visibility, '-', '+', 1)
    if late.err and string.find(late.err, 'NOGROUP', 1, true) then
        redis.call('XGROUP', 'CREATE', stream, 'workers', 0, 'MKSTREAM')
        return nil
    end
    if late.err then error(late.err) end
    return late[1]
end

-- An entry may be gone although it is pending: nobody wants its result any more.
local function take_late(stream)
    while true do
        local late = first_late(stream)
        if not late then return nil end
        local entry = redis.call('XCLAIM', stream, 'workers', worker, 0, late[1])[1]
        if entry then return {stream, entry[1], late[4] + 1, job_of(entry[2])} end
        redis.call('XACK', stream, 'workers', late[1])
    end
end

local function take_new(stream)
    local streams = redis.call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', 1, 'STREAMS',
        stream, '>')
    if not streams then return nil end
    local entry = streams[1][2][1]
    return {stream, entry[1], 1, job_of(entry[2])}
end

for _, stream in ipairs(KEYS) do
    local job = take_late(stream) or take_new(stream)
    if job then return job end
end
return {}
