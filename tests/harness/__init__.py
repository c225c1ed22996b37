"""What the tests and the demo share: real servers, clients that check strictly, waiting.

    wait       wait_until() and how much slower than usual this run is
    process    a child process with a directory, a log and an orderly end
    servers    Workerless, Redis, Nginx, Lighttpd, Haproxy, SpawnFcgi (and SlowApi)
    slowapi    an HTTP API that answers when the test says so
    fcgi       a FastCGI client that is independent of the daemon's code
    httpc      a small HTTP client, and many requests at once
    shim       runs a program with given descriptors, environment and limits
    supervise  stops programs that turn themselves into daemons

Only the standard library is used.
"""
