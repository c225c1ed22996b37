"""Sources of type queue in a Redis with users: what workerless and its workers must be allowed to do."""

from __future__ import annotations

from harness import jobs as queue
from harness.fcgi import Connection, ask, request
from harness.jobs import Jobs
from harness.servers import Redis, Workerless
from harness.wait import wait_until

ROUTES = """
fragment "slow/*" { source = "jobs" ttl = "60s" hold = "10ms" }
fragment "*" { source = "jobs" ttl = "60s" }
"""


def test_an_acl_denies_the_streams(tmp, run, name):
    redis = run(Redis(tmp, tcp=True))
    redis.command("ACL", "SETUSER", "web", "on", ">x", "~*", "&*", "+@all", "-xadd")
    server = run(Workerless(tmp, queue.cache(f"redis://web:x@127.0.0.1:{redis.address[1]}") +
                            queue.source() + ROUTES))
    server.wait_log("redis: connected")
    assert ask(server.address, f"/fragment/{name}").status == 502
    server.wait_log('source "jobs": Redis refuses the job')
    redis.command("ACL", "SETUSER", "web", "+xadd")
    jobs = Jobs(redis)
    assert ask(server.address, f"/fragment/slow/{name}").status == 202
    jobs.do("x")


def test_the_permissions_are_enough(tmp, run, name):
    """Those that the page lists, for workerless and for a worker."""
    redis = run(Redis(tmp, tcp=True, user="worker", password="x"))
    redis.command("ACL", "SETUSER", "web", "on", ">x", "resetchannels",
                  *queue.permissions("A user of an ACL needs"),
                  *queue.permissions("With sources of type queue, it also needs"))
    redis.command("ACL", "SETUSER", "worker", "-@all", "resetkeys", "resetchannels",
                  *queue.permissions("A worker that uses the scripts needs"))
    server = run(Workerless(tmp, queue.cache(f"redis://web:x@127.0.0.1:{redis.address[1]}") +
                            queue.source("timeout = 1s") + ROUTES))
    server.wait_log("redis: connected")
    jobs = Jobs(redis)
    with Connection(server.address) as one:
        for number in range(1, 5):
            one.send_raw(request(f"/fragment/{name}-{number}", number))
        assert jobs.begin(jobs.do("x")) == 0
        for _ in range(2):
            job = jobs.take()
            assert jobs.fail(job) == 1 and jobs.bury(job) == 1
        assert {one.response(number).status for number in range(1, 5)} == {200, 502, 504}
    wait_until(lambda: queue.backlog(server).get("dead") == 2, "the figures", timeout=30)
    assert redis.command("EVAL", queue.script("take"), 2, jobs.visitors, jobs.refreshes, "me",
                         1) == []
    for words in (["MULTI"], ["XACK", jobs.visitors, queue.GROUP, job.entry],
                  ["XDEL", jobs.visitors, job.entry], ["EXEC"]):
        redis.command(*words)
    assert "denie" not in server.log() and "permission" not in server.log()
