"""A page's fragments by the example workers of conf/workers: browser, daemon, Redis, worker."""

from __future__ import annotations

import time

import pytest

from harness import jobs as queue
from harness.exampleworkers import EXAMPLES, Example
from harness.fcgi import Connection, ask, request
from harness.jobs import Jobs
from harness.servers import Redis, Workerless
from harness.wait import wait_until

ROUTES = """
fragment "stale/*" { source = "jobs" ttl = "1s" stale_error = "60s" vary = {"query:error"} }
fragment "*" { source = "jobs" ttl = "60s" negative = "60s" fallback = "FALLBACK"
               vary = {"query:delay", "query:error"} }
"""
FALLBACK = "<p>Not now.</p>"
VISIBILITY_MS = 1000


@pytest.fixture
def serve(tmp, run, redis):
    """serve() starts a daemon; serve(another Redis) does so, too."""
    (tmp / "fallback.html").write_text(FALLBACK, "utf-8")
    text = queue.source(f'visibility = "{VISIBILITY_MS}ms" attempts = 2') + \
        ROUTES.replace("FALLBACK", str(tmp / "fallback.html"))
    return lambda where=redis: run(Workerless(tmp, queue.cache(where) + text))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_from_the_page_to_the_worker_and_back(serve, tmp, run, redis, name, kind):
    """One result answers all who wait, in two processes, also if they came before any worker."""
    servers = [serve(), serve()]
    connections = [run(Connection(server.address)) for server in servers]
    for connection in connections:
        for number in (1, 2):
            connection.send_raw(request(f"/fragment/{name}", number))
    jobs = Jobs(redis)
    jobs.wait_length(1)
    run(Example(tmp, redis, kind, VISIBILITY_MS))
    for connection in connections:
        for number in (1, 2):
            response = connection.response(number)
            assert response.status == 200 and f"result for {name}" in response.text
            assert response.headers["content-type"].startswith("text/html")
    jobs.wait_empty()
    assert jobs.pending() == 0 and redis.command("EXISTS", f"lease:{{worker:{name}?}}") == 0
    assert sum(server.counter("calls_started") for server in servers) == 1
    assert ask(servers[0].address, f"/fragment/{name}-2").status == 200


@pytest.mark.parametrize("kind", EXAMPLES)
def test_failures(serve, tmp, run, redis, name, kind):
    server = serve()
    run(Example(tmp, redis, kind, VISIBILITY_MS))
    for _ in range(2):
        response = ask(server.address, f"/fragment/{name}", query="error=sorry")
        assert response.status == 502 and response.text == FALLBACK
    wait_until(lambda: Jobs(redis).lengths() == [0, 0], "no jobs to be left")
    assert redis.command("GET", f"worker:{name}?error=sorry").endswith(b"sorry")


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_killed_worker(serve, tmp, run, redis, name, kind):
    server = serve()
    first = Example(tmp, redis, kind, VISIBILITY_MS)
    first.start()
    connection = run(Connection(server.address))
    connection.send_raw(request(f"/fragment/{name}", 1, query="delay=0.5"))
    jobs = Jobs(redis)
    wait_until(lambda: jobs.length() and jobs.pending(), "the worker to have the job")
    first.kill()
    run(Example(tmp, redis, kind, VISIBILITY_MS))
    response = connection.response(1)
    assert response.status == 200 and f"result for {name}" in response.text
    jobs.wait_empty()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_job_that_kills_workers(serve, tmp, redis, run, name, kind):
    """It ends among the dead letters, and who waits gets the fallback."""
    server = serve()
    connection = run(Connection(server.address))
    connection.send_raw(request(f"/fragment/{name}", 1, query="delay=60"))
    jobs = Jobs(redis)
    jobs.wait_length(1)
    for tries in (1, 2):
        worker = Example(tmp, redis, kind, VISIBILITY_MS)
        worker.start()
        wait_until(lambda: jobs.pending() and redis.command(
            "XPENDING", jobs.visitors, "workers", "-", "+", 1)[0][3] == tries, "it to be taken")
        worker.kill()
    run(Example(tmp, redis, kind, VISIBILITY_MS))
    response = connection.response(1)
    assert response.status == 502 and response.text == FALLBACK
    wait_until(lambda: jobs.length(jobs.dead) == 1, "a dead letter")
    jobs.wait_empty()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_permissions_are_enough(serve, tmp, run, name, kind):
    """Those that workerless-protocol(7) lists for workers."""
    redis = run(Redis(tmp, tcp=True))
    words = queue.permissions("A worker that uses the scripts needs")
    redis.command("ACL", "SETUSER", "worker", "on", ">secret", "-@all", "resetkeys",
                  "resetchannels", *words)
    redis.command("ACL", "LOG", "RESET")
    server = serve(redis)
    url = f"redis://worker:secret@127.0.0.1:{redis.address[1]}"
    run(Example(tmp, url, kind, VISIBILITY_MS))
    assert ask(server.address, f"/fragment/{name}", query="delay=1").status == 200
    assert ask(server.address, f"/fragment/{name}", query="error=sorry").status == 502
    jobs = Jobs(redis)
    redis.command("XADD", jobs.visitors, "*", "job", "{}")
    wait_until(lambda: jobs.length(jobs.dead) == 1, "a dead letter")
    jobs.wait_empty()
    denied = [entry[entry.index(b"object") + 1] for entry in redis.command("ACL", "LOG")]
    assert not set(denied) - {b"client|setinfo", b"hello", b"command", b"command|docs"}


def test_a_failed_refresh_keeps_the_result(serve, tmp, run, redis, name):
    """For the time that the failure is remembered; without an option, a second."""
    server = serve()
    key = f"worker:stale/{name}?error=sorry"
    now_ms = int(time.time() * 1000)
    redis.command("SET", key, f"workerless/1 made={now_ms - 9000} fresh={now_ms - 8000} cost=1 "
                              "status=200 type=text/html\nolder", "PX", 60000)
    run(Example(tmp, redis, "py", VISIBILITY_MS))
    response = ask(server.address, f"/fragment/stale/{name}", query="error=sorry")
    assert response.status == 200 and response.text == "older"
    assert redis.command("GET", key).endswith(b"older")
