-- Moves a job to the dead letters, because nobody could finish it or nobody can read it. Call
-- fail.lua first, so that the requests that wait for it are answered.
--
-- KEYS: stream, dead   where the job is, and where the dead letters are: {...}:dead
-- ARGV: entry          id of the job's entry in the stream
--       job            its field "job", as it is
--       reason         why nobody could finish it
--       attempts       how many workers have tried before
--       worker         who gives up
-- Returns 1: moved. 0: the entry is not pending any more; somebody else was faster.
--
-- The oldest dead letters are removed once there are more than about 1000.
--
--     redis-cli --eval bury.lua STREAM DEAD , ENTRY JOB REASON ATTEMPTS WORKER

local stream, dead, entry = KEYS[1], KEYS[2], ARGV[1]

-- Find out before anything is changed whether the letter can be written.
local kind = redis.call('TYPE', dead).ok
if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. dead .. ' is not a stream')
end
if redis.call('XACK', stream, 'workers', entry) == 0 then return 0 end
redis.call('XDEL', stream, entry)
redis.call('XADD', dead, 'MAXLEN', '~', 1000, '*',
    'job', ARGV[2], 'reason', ARGV[3], 'attempts', ARGV[4], 'worker', ARGV[5])
return 1
