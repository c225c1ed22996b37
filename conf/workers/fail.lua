-- Reports that a job has failed. All who wait get the older result if there is one; if not, the
-- fallback.
--
-- KEYS: lease, value   of the job
-- ARGV: id             of the job
--       negative       of the job: for how many milliseconds the failure is remembered
--       status         502: it failed, 504: it took too long, 404: there is no such fragment
--       reason         for people who look at the value; 200 bytes of it are kept
-- Returns 1: the failure was stored. 2: there is an older result, which is used for that time.
-- 0: this is not the newest job for its key any more, and nothing was written.
--
--     redis-cli --eval fail.lua LEASE VALUE , ID NEGATIVE STATUS REASON

local id, negative, status, reason = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] or ''
if not negative then return redis.error_reply('ERR negative must be a number') end

-- A key may hold anything, so only as much of it is read as is needed.
local function beginning(key, last)
    local text = redis.pcall('GETRANGE', key, 0, last)
    if type(text) ~= 'table' then return text end
    return '', not string.find(text.err, 'WRONGTYPE', 1, true) and text
end

local lease, problem = beginning(KEYS[1], #id)
if problem then return problem end
if id == '' or (lease ~= id and lease ~= id .. ' ') then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local life = math.min(math.max(negative, 1000), 86400000) -- until all who wait have seen it
if status ~= '404' and status ~= '504' then status = '502' end

-- What is written must not be longer than what it replaces, so that a large value stays in place.
local function shorter(number, by)
    return string.format('%0' .. #number .. '.0f', math.max(number - by, 0))
end

local header = beginning(KEYS[2], 399)
local start, fresh, terms = string.match(header,
    '^(workerless/1 made=%d+ fresh=)(%d+)( cost=%d+ status=200 [^\n]*\n)')
local plain = header ~= '' and string.sub(header, 1, 11) ~= 'workerless/'
if status ~= '404' and (start or plain) then
    local later = start and now + life - fresh or 0
    if later > 0 then
        -- Its own stale times end when they would have ended.
        terms = string.gsub(terms, '^( cost=%d+ status=200 stale=)(%d+)( error=)(%d+)',
            function(a, stale, b, error)
                return a .. shorter(stale, later) .. b .. shorter(error, later)
            end)
        local until_then = string.format('%0' .. #fresh .. '.0f', now + life)
        if #until_then == #fresh then
            redis.call('SETRANGE', KEYS[2], #start, until_then .. terms)
        else
            local rest = redis.call('GETRANGE', KEYS[2], #start + #fresh + #terms, -1)
            redis.call('SET', KEYS[2], start .. until_then .. terms .. rest, 'KEEPTTL')
        end
    end
    redis.call('DEL', KEYS[1])
    return 2
end

local line = string.format('workerless/1 made=%.0f fresh=%.0f cost=0 status=%s type=text/plain\n',
    now, now + life, status)
redis.call('SET', KEYS[2], line .. string.sub(reason, 1, 200), 'PX', string.format('%.0f', life))
redis.call('DEL', KEYS[1])
return 1
