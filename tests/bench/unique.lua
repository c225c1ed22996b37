-- For wrk: each request has a number of its own behind the url. The argument keeps runs apart.

local before, after, number

function init(arguments)
    before = "GET " .. wrk.path .. (arguments[1] or "")
    after = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
    number = 0
end

function request()
    number = number + 1
    return before .. number .. after
end
