-- Stores the result of a job. All who wait for it, on every host, get it at once.
--
-- KEYS: lease, value   of the job
-- ARGV: id             of the job
--       fresh, keep    of the job: for how many milliseconds the result is fresh, and is kept
--       type           media type of the result; if it is empty or invalid: text/html
--       body           the result
-- Returns 1: stored. 0: this is not the newest job for its key any more, and nothing was written.
--
--     redis-cli -x EVAL "$(cat complete.lua)" 2 LEASE VALUE ID FRESH KEEP TYPE <BODY

local id, fresh, keep, media_type = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if not fresh or not keep then
    return redis.error_reply('ERR fresh and keep must be numbers')
end

-- The key may hold anything, so only as much of it is read as is needed.
local lease = redis.pcall('GETRANGE', KEYS[1], 0, #id)
if type(lease) == 'table' then
    if not string.find(lease.err, 'WRONGTYPE', 1, true) then return lease end
    lease = ''
end
if id == '' or (lease ~= id and lease ~= id .. ' ') then return 0 end

if media_type == '' or #media_type > 127 or string.find(media_type, '%c') then
    media_type = 'text/html; charset=utf-8'
end
local century = 100 * 365 * 86400 * 1000
-- Those who wait must have time to see it.
fresh = math.min(math.max(fresh, 1000), century)
keep = math.min(math.max(keep, fresh), 2 * century)

local time = redis.call('TIME')
local made = time[1] * 1000 + math.floor(time[2] / 1000)
local line = string.format('workerless/1 made=%.0f fresh=%.0f cost=0 status=200 type=%s\n',
    made, made + fresh, media_type)
redis.call('SET', KEYS[2], line .. ARGV[5], 'PX', string.format('%.0f', keep))
redis.call('DEL', KEYS[1])
return 1
