"""Sources of type queue: jobs in Redis, workers that write the results, and what happens when one
of them dies, is late, or is overwhelmed."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from typing import Callable, List

import pytest

from harness import jobs as queue
from harness import workers
from harness.cluster import Cluster, slot_of
from harness.fcgi import Connection, ask, request
from harness.fleet import cache_status, wait_armed
from harness.jobs import Jobs, Worker, backlog
from harness.process import Server
from harness.servers import TOP, Redis, Workerless
from harness.wait import SLOWNESS, scaled, wait_until

ROUTES = """
fragment "slow/*" { source = "jobs" ttl = "60s" hold = "10ms" }
fragment "stale/*" { source = "jobs" ttl = "1s" stale = "60s" }
fragment "wait/*" { source = "jobs" ttl = "1s" stale = "60s" stale_wait = "60s" }
fragment "negative/*" { source = "jobs" ttl = "60s" negative = "60s" fallback = "FALLBACK" }
fragment "inputs/*" { source = "jobs" ttl = "60s"
                      vary = {"query:city", "cookie:session", "header:x-currency",
                              "language:en,de", "host"} }
fragment "*" { source = "jobs" ttl = "60s" fallback = "FALLBACK" stream = "yes" }
"""
FALLBACK = "<p>Not now.</p>"


@pytest.fixture
def routes(tmp) -> str:
    (tmp / "fallback.html").write_text(FALLBACK, "utf-8")
    return ROUTES.replace("FALLBACK", str(tmp / "fallback.html"))


@pytest.fixture
def serve(tmp, run, redis, routes) -> Callable[..., Workerless]:
    """serve(options of the source, cache=..., top=...) starts a daemon."""
    def start(more: str = "", *, cache: str = "", top: str = "", url: str = "", **options
              ) -> Workerless:
        text = f'{top}\npurge = {{"127.0.0.1"}}\n' + queue.cache(url or redis, cache) + \
            queue.source(more) + routes
        return run(Workerless(tmp, text, **options))
    return start


@pytest.fixture
def jobs(redis) -> Jobs:
    return Jobs(redis)


@pytest.fixture
def browser(run) -> Callable[..., Connection]:
    """browser(server) is a connection."""
    return lambda server: run(Connection(server.address))


class Script(Server):
    """A program in Python that runs until it is stopped."""

    def __init__(self, tmp, path) -> None:
        super().__init__(tmp)
        self.path = path

    def command_line(self) -> List[str]:
        return [sys.executable, str(self.path)]

    def ready(self) -> bool:
        return self.running

    def check_end(self, status: int) -> None:
        assert status in (0, -signal.SIGTERM), self.log()


def send(connection: Connection, name: str, number: int = 1, **options) -> None:
    connection.send_raw(request(f"/fragment/{name}", number, **options))


def leases(redis: Redis) -> List[str]:
    return [key for key in redis.keys() if key.startswith("lease:")]


def check_nothing_left(redis: Redis, jobs: Jobs) -> None:
    jobs.wait_empty()
    wait_until(lambda: not leases(redis), "the leases to be released")
    assert jobs.pending() == 0


# A result.


@pytest.mark.parametrize("plain", [False, True])
def test_a_result(serve, browser, jobs, redis, name, plain):
    """The worker may use the script, or a plain SET."""
    server = serve()
    one = browser(server)
    send(one, name)
    job = jobs.take()
    assert jobs.begin(job) == 1
    if plain:
        redis.command("SET", job["key"], "<p>x</p>", "PX", job["fresh"])
    else:
        assert jobs.complete(job, "<p>x</p>") == 1
    response = one.response(1)
    assert (response.status, response.text) == (200, "<p>x</p>")
    assert {"fwd=miss", "stored"} <= set(cache_status(response))
    assert "hit" in cache_status(ask(server.address, f"/fragment/{name}"))
    check_nothing_left(redis, jobs)
    assert server.counter("calls_started") == 1


def test_the_worker_of_the_readme(serve, tmp, run, redis, name):
    """The shortest one is complete."""
    pytest.importorskip("redis")
    text = (TOP / "README.md").read_text("utf-8").partition("```python\nimport json, redis")[2]
    text = "import json, redis" + text.partition("\n```")[0]
    script = tmp / "worker.py"
    script.write_text(text.replace("Redis(", f"Redis(unix_socket_path='{redis.address}', "))
    run(Script(tmp, script))
    assert ask(serve().address, f"/fragment/{name}").text == f"<p>{name}</p>"


def test_what_a_job_says(serve, browser, jobs, name):
    """All of it; the schema that is published agrees."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((queue.SCRIPTS / "job.schema.json").read_text("utf-8"))
    server = serve("timeout = 30s visibility = 7s attempts = 4")
    one = browser(server)
    before = time.time()
    send(one, f"inputs/{name}", query="city=Z%C3%BCrich&other=x",
         headers={"COOKIE": "session=s1; other=x", "X_CURRENCY": "EUR", "ACCEPT_LANGUAGE": "de"},
         extra={"HTTP_TRACEPARENT": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})
    job = jobs.take()
    key = job["key"]
    assert key.startswith(f"worker:inputs/{name}?city=Z")
    assert "s1" not in key
    lease = jobs.redis.command("GET", f"lease:{{{key}}}").decode()
    assert abs(job["deadline"] / 1000 - 30 - before) < 5 * SLOWNESS
    assert job.fields == {
        "version": 1, "id": lease.split(" ")[0], "key": key, "lease": f"lease:{{{key}}}",
        "name": f"inputs/{name}", "rest": name,
        "inputs": {"query:city": "Zürich", "cookie:session": "s1", "header:x-currency": "EUR",
                   "language": "de", "host": "localhost"},
        "deadline": job["deadline"], "priority": "visitors",
        "fresh": 60000, "keep": 60000, "negative": 0, "visibility": 7000, "attempts": 4,
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    jsonschema.validate(job.fields, schema)
    jobs.complete(job, "x")
    assert one.response(1).text == "x"


def test_an_input_that_is_not_utf8(serve, name, jobs):
    server = serve()
    response = ask(server.address, f"/fragment/inputs/{name}", query="city=%FF")
    assert response.status == 502
    server.wait_log("an input is not valid UTF-8")
    assert jobs.lengths() == [0, 0] or not jobs.redis.keys()


def test_one_job_for_all(serve, browser, jobs, redis, name):
    """Requests of two processes for one key."""
    servers = [serve(), serve()]
    wait_armed(redis, 2)
    count = scaled(200)
    connections = [browser(server) for server in servers]
    for connection in connections:
        for number in range(1, count + 1):
            send(connection, name, number)
        connection.sync()
    jobs.do("<p>x</p>")
    for connection in connections:
        assert {connection.response(number).text for number in range(1, count + 1)} == {"<p>x</p>"}
    check_nothing_left(redis, jobs)
    assert sum(server.counter("calls_started") for server in servers) == 1


def test_a_request_leaves(serve, browser, jobs, redis, name):
    """Its job goes on, and the next request finds the result or the job."""
    server = serve()
    first = browser(server)
    send(first, name)
    job = jobs.take()
    first.close()
    second = browser(server)
    send(second, name)
    jobs.complete(job, "x")
    assert second.response(1).text == "x"
    check_nothing_left(redis, jobs)


def test_hold(serve, browser, jobs, redis, name):
    """A request whose hold is over asks again, and joins."""
    server = serve()
    assert ask(server.address, f"/fragment/slow/{name}").status == 202
    assert ask(server.address, f"/fragment/slow/{name}").status == 202
    jobs.do("x")
    wait_until(lambda: ask(server.address, f"/fragment/slow/{name}").status == 200, "the result")
    check_nothing_left(redis, jobs)


def test_a_refresh(serve, jobs, redis, name):
    """Nobody waits for it, so it goes into the other stream."""
    server = serve()
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    assert ask(server.address, f"/fragment/stale/{name}").text == "<p>old</p>"
    job = jobs.take(jobs.refreshes)
    assert (job["priority"], job["keep"] - job["fresh"]) == ("refreshes", 60000)
    assert jobs.length() == 0
    assert jobs.complete(job, "<p>new</p>") == 1
    wait_until(lambda: ask(server.address, f"/fragment/stale/{name}").text == "<p>new</p>",
               "the new result")
    check_nothing_left(redis, jobs)


@pytest.mark.parametrize("taken", [False, True])
def test_somebody_comes_to_wait_for_a_refresh(serve, browser, jobs, redis, name, taken):
    """The old result is gone while its refresh is queued: the job moves to those of visitors,
    unless a worker has it. However many requests come, there is one job."""
    server = serve()
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    ask(server.address, f"/fragment/stale/{name}")
    jobs.wait_length(1, jobs.refreshes)
    job = jobs.take(jobs.refreshes) if taken else None
    redis.command("DEL", f"worker:stale/{name}")
    one = browser(server)
    wait_until(lambda: ask(server.address, f"/fragment/stale/{name}",
                           headers={"PREFER": "wait=0"}).status == 202, "the old one to be gone")
    for number in (1, 2):
        send(one, f"stale/{name}", number)
    one.sync()
    if taken:
        assert jobs.complete(job, "<p>new</p>") == 1
        jobs.ack(job)
    else:
        job = jobs.do("<p>new</p>")
        assert job["priority"] == "visitors" and job["id"]
    assert {one.response(number).text for number in (1, 2)} == {"<p>new</p>"}
    check_nothing_left(redis, jobs)
    assert server.counter("calls_started") == 1


def test_a_job_that_can_not_be_moved(serve, browser, jobs, redis, name):
    """It stays where it is."""
    server = serve()
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    ask(server.address, f"/fragment/stale/{name}")
    jobs.wait_length(1, jobs.refreshes)
    redis.command("DEL", f"worker:stale/{name}", jobs.visitors)
    redis.command("SET", jobs.visitors, "no stream")
    wait_until(lambda: ask(server.address, f"/fragment/stale/{name}",
                           headers={"PREFER": "wait=0"}).status == 202, "the old one to be gone")
    one = browser(server)
    send(one, f"stale/{name}")
    wait_until(lambda: b"WRONGTYPE" in redis.command("INFO", "errorstats"), "the error")
    redis.command("DEL", jobs.visitors)
    assert jobs.length(jobs.refreshes) == 1
    jobs.complete(job := jobs.take(jobs.refreshes), "<p>new</p>")
    assert one.response(1).text == "<p>new</p>"
    jobs.ack(job)


def test_a_job_that_has_moved_is_removed(serve, browser, jobs, redis, name):
    server = serve("timeout = 500ms")
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    ask(server.address, f"/fragment/stale/{name}")
    jobs.wait_length(1, jobs.refreshes)
    redis.command("DEL", f"worker:stale/{name}")
    one = browser(server)
    send(one, f"stale/{name}")
    assert one.response(1).status == 504
    check_nothing_left(redis, jobs)


def test_somebody_waits_for_a_refresh(serve, browser, jobs, redis, name):
    server = serve()
    redis.command("SET", f"worker:wait/{name}", old_entry("<p>old</p>"), "PX", 60000)
    one = browser(server)
    send(one, f"wait/{name}")
    assert jobs.do("<p>new</p>")["priority"] == "visitors"
    assert one.response(1).text == "<p>new</p>"
    check_nothing_left(redis, jobs)


def old_entry(body: str) -> str:
    """One that was fresh until a second ago."""
    now = int(time.time() * 1000)
    return f"workerless/1 made={now - 2000} fresh={now - 1000} cost=0 status=200 " \
        f"type=text/html\n{body}"


def test_a_marker_of_another_source(serve, browser, jobs, redis, name):
    """Its source had results that may not be shared; those of jobs always are."""
    server = serve()
    now = int(time.time() * 1000)
    redis.command("SET", f"worker:{name}", f"workerless/1 made={now} fresh={now + 60000} cost=0 "
                  "status=uncacheable type=text/plain\nprivate", "PX", 60000)
    one = browser(server)
    send(one, name)
    jobs.do("<p>new</p>")
    assert one.response(1).text == "<p>new</p>"
    assert ask(server.address, f"/fragment/{name}").text == "<p>new</p>"
    check_nothing_left(redis, jobs)


def test_a_stream(serve, jobs, name):
    """Fragments of a stream wait for jobs like any others."""
    server = serve()
    with Connection(server.address) as connection:
        connection.send_raw(request("/fragments", query=f"name={name}a&name={name}b"))
        for _ in range(2):
            job = jobs.take()
            jobs.complete(job, f"<p>{job['name']}</p>")
        text = connection.response(1).text
    assert f"<p>{name}a</p>" in text and f"<p>{name}b</p>" in text


# Time.


def test_deadline(serve, jobs, redis, name):
    server = serve("timeout = 200ms")
    response = ask(server.address, f"/fragment/{name}")
    assert (response.status, response.text) == (504, FALLBACK)
    check_nothing_left(redis, jobs)
    server.wait_log(r'source "jobs": no worker has completed the job within timeout = 0.2s')
    assert server.counter("calls_timed_out") == 1


def test_a_worker_is_too_late(serve, browser, jobs, redis, name):
    server = serve("timeout = 200ms")
    one = browser(server)
    send(one, name)
    job = jobs.take()
    assert jobs.begin(job) == 1
    assert one.response(1).status == 504
    wait_until(lambda: not leases(redis), "the lease to be released")
    assert jobs.begin(job) == 0
    assert jobs.complete(job, "late") == 0 and jobs.fail(job) == 0
    assert redis.command("GET", job["key"]) is None
    check_nothing_left(redis, jobs)


# Bounds.


def test_too_many_jobs(serve, browser, jobs, redis, name):
    """One more gets 503; a refresh is not added either, and the stale result stays."""
    server = serve("queue = 3")
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    one = browser(server)
    for number in range(1, 4):
        send(one, f"{name}-{number}", number)
    jobs.wait_length(3)
    taken = jobs.take()  # it still counts
    response = ask(server.address, f"/fragment/{name}-4")
    assert response.status == 503 and int(response.headers["retry-after"]) >= 1
    assert ask(server.address, f"/fragment/stale/{name}").text == "<p>old</p>"
    server.wait_counter("calls_refused", 2)
    assert jobs.lengths() == [3, 0]
    server.wait_log("3 jobs are not finished")
    jobs.complete(taken, "x")
    jobs.ack(taken)
    assert one.response(1).text == "x"
    wait_until(lambda: jobs.length() == 2, "the job to be removed")
    send(one, f"{name}-4", 4)
    jobs.wait_length(3)
    for _ in range(3):
        jobs.do("x")
    assert {one.response(number).text for number in (2, 3, 4)} == {"x"}
    check_nothing_left(redis, jobs)


def test_what_is_acknowledged_makes_room(serve, browser, jobs, redis, name):
    """A worker may forget to delete what it has acknowledged. Nothing else is trimmed: neither what
    is pending, nor what another group has not read."""
    server = serve("queue = 4")
    one = browser(server)
    send(one, name)
    mine = jobs.do("x")
    assert one.response(1).text == "x"
    jobs.wait_empty()
    for number in range(4):
        redis.command("XADD", jobs.visitors, "*", "job", number)
    taken = [redis.command("XREADGROUP", "GROUP", queue.GROUP, "other", "COUNT", 1, "STREAMS",
                           jobs.visitors, ">")[0][1][0][0] for _ in range(3)]
    assert ask(server.address, f"/fragment/{name}-2").status == 503
    redis.command("XACK", jobs.visitors, queue.GROUP, taken[0], taken[1])
    send(one, f"{name}-3", 3)
    wait_until(lambda: jobs.length() == 3, "two to be removed and one to be added")
    kept = [entry for entry, _ in redis.command("XRANGE", jobs.visitors, "-", "+")]
    assert kept[0] == taken[2] and mine.entry.encode() not in kept
    redis.command("DEL", jobs.visitors)
    assert ask(server.address, f"/fragment/{name}-3", method="PURGE").status == 204
    jobs.do("y")  # it was added again
    assert one.response(3).text == "y"


# Failures.


@pytest.mark.parametrize("status", [502, 504, 404])
def test_a_job_fails(serve, browser, jobs, redis, name, status):
    """All get the fallback, in both processes. It is remembered for as long as the route says."""
    servers = [serve(), serve()]
    wait_armed(redis, 2)
    connections = [browser(server) for server in servers]
    for connection in connections:
        send(connection, f"negative/{name}")
        connection.sync()
    job = jobs.take()
    assert jobs.fail(job, status, reason="out of paper") == 1
    jobs.ack(job)
    for connection in connections:
        response = connection.response(1)
        assert response.status == status
        assert status == 404 or response.text == FALLBACK
    check_nothing_left(redis, jobs)
    for server in servers:
        assert ask(server.address, f"/fragment/negative/{name}").status == status
    assert jobs.look() is None
    assert sum(server.counter("calls_started") for server in servers) == 1
    if status != 404:
        assert "its job has failed: out of paper" in "".join(server.log() for server in servers)
    results = metric(servers, "source_calls_total")
    word = {502: "failed", 504: "timed_out", 404: "not_found"}[status]
    assert results[word] == 1 and sum(results.values()) == 1


def metric(servers: List[Workerless], name: str) -> dict:
    """Sums of the family by their last label."""
    sums: dict = {}
    for server in servers:
        text = ask(server.address, "/workerless/metrics").text
        for label, value in re.findall(rf'^workerless_{name}\{{.*="(\w+)"\}} (\S+)', text, re.M):
            sums[label] = sums.get(label, 0) + float(value)
    return sums


def test_a_failure_is_not_remembered(serve, browser, jobs, redis, name):
    """Without `negative`: for a second, so that all who wait see it."""
    server = serve()
    one = browser(server)
    send(one, name)
    job = jobs.take()
    jobs.fail(job)
    assert one.response(1).status == 502
    jobs.ack(job)
    assert redis.command("PTTL", f"worker:{name}") <= 1000
    check_nothing_left(redis, jobs)


def test_a_refresh_fails(serve, browser, jobs, redis, name):
    """The old result stays, for those who wait and for those who come."""
    server = serve()
    redis.command("SET", f"worker:wait/{name}", old_entry("<p>old</p>"), "PX", 60000)
    one = browser(server)
    send(one, f"wait/{name}")
    job = jobs.take()
    assert jobs.fail(job) == 2
    jobs.ack(job)
    response = one.response(1)
    assert (response.status, response.text) == (200, "<p>old</p>")
    assert "fwd=stale" in cache_status(response)
    check_nothing_left(redis, jobs)
    assert metric([server], "source_calls_total")["failed"] == 1


def test_a_dead_letter(serve, browser, jobs, redis, name):
    server = serve()
    one = browser(server)
    send(one, name)
    job = jobs.take()
    assert jobs.fail(job, 502, "boom") == 1
    assert one.response(1).status == 502
    one.sync()
    assert jobs.bury(job) == 1  # it is still there
    check_nothing_left(redis, jobs)
    assert redis.command("XLEN", jobs.dead) == 1


# Deaths and losses.


def test_a_worker_dies(serve, browser, tmp, run, jobs, redis, name):
    """Another one takes its job over, and the request does not notice."""
    server = serve("visibility = 300ms")
    one = browser(server)
    send(one, name)
    assert jobs.begin(jobs.take()) == 1  # that was all that this worker did
    run(Worker(tmp, redis))
    assert one.response(1).text == f"<p>{name}</p>"
    check_nothing_left(redis, jobs)
    assert server.counter("calls_started") == 1


def test_the_process_dies(serve, browser, jobs, redis, name):
    """The lease expires, another process takes over, and the old job is obsolete."""
    dead, alive = serve(cache="lease = 500ms"), serve(cache="lease = 500ms")
    wait_armed(redis, 2)
    first, second = browser(dead), browser(alive)
    send(first, name)
    old = jobs.take()
    send(second, name)
    second.sync()
    dead.kill()
    new = jobs.take()
    assert new["id"] != old["id"]
    assert jobs.begin(old) == 0 and jobs.complete(old, "old") == 0
    jobs.ack(old)
    assert jobs.complete(new, "new") == 1
    jobs.ack(new)
    assert second.response(1).text == "new"
    check_nothing_left(redis, jobs)


def test_flushall(serve, browser, jobs, redis, name):
    """The streams, the group and the lease are gone: the job is added again."""
    server = serve()
    one = browser(server)
    send(one, name)
    old = jobs.take()
    redis.command("FLUSHALL")
    new = jobs.take()
    assert jobs.complete(old, "old") == 0
    assert jobs.complete(new, "new") == 1
    assert one.response(1).text == "new"
    check_nothing_left(redis, jobs)
    assert server.running


def test_redis_restarts(serve, browser, jobs, redis, name):
    server = serve()
    one = browser(server)
    send(one, name)
    jobs.take()
    redis.restart()
    job = jobs.take()
    jobs.complete(job, "x")
    assert one.response(1).text == "x"
    check_nothing_left(redis, jobs)


def test_no_redis(serve, jobs, redis, name):
    """A request gets its answer at once, and the next one when Redis is back."""
    server = serve()
    server.wait_log("redis: connected")
    redis.stop()
    wait_until(lambda: ask(server.address, f"/fragment/{name}").status == 503, "503")
    assert ask(server.address, f"/fragment/{name}").headers["retry-after"] == "1"
    redis.start()
    wait_until(lambda: jobs.look() or ask(server.address, f"/fragment/slow/{name}").status == 200,
               "jobs to be added again")


def test_redis_hangs(serve, browser, jobs, redis, name):
    """The job may have been added or not. If it was, it is obsolete."""
    server = serve(cache="redis_timeout = 200ms")
    server.wait_log("redis: connected")
    redis.pause()
    assert ask(server.address, f"/fragment/{name}").status == 503
    redis.resume()
    def served() -> bool:
        job = jobs.look()
        if job and jobs.begin(job):
            jobs.complete(job, "x")
        if job:
            jobs.ack(job)
        return ask(server.address, f"/fragment/slow/{name}").status == 200
    wait_until(served, "the result")
    jobs.wait_empty()


def test_a_purge(serve, browser, jobs, redis, name):
    """Who waits gets a result that was begun after the purge."""
    server = serve()
    one = browser(server)
    send(one, name)
    old = jobs.take()
    assert ask(server.address, f"/fragment/{name}", method="PURGE").status == 204
    new = jobs.take()
    assert jobs.complete(old, "old") == 0
    assert jobs.complete(new, "new") == 1
    assert one.response(1).text == "new"
    check_nothing_left(redis, jobs)
    assert server.counter("parked") == 0


# Reload, drain, workers, Cluster.


def reload(server: Workerless, change: Callable[[str], str]) -> None:
    server.config_path.write_text(change(server.config_path.read_text("utf-8")), "utf-8")
    before = server.log().count("main: reloaded ")
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.log().count("main: reloaded ") > before, "the reload")


def test_reload(serve, browser, jobs, redis, name):
    """The same source goes on; of another one, the job is removed, and its requests ask again."""
    server = serve()
    one = browser(server)
    send(one, name, 1)
    job = jobs.take()
    reload(server, lambda text: text.replace('hold = "10ms"', 'hold = "20ms"'))
    jobs.complete(job, "x")
    assert one.response(1).text == "x"
    check_nothing_left(redis, jobs)
    send(one, f"{name}-2", 2)
    jobs.wait_length(1)
    reload(server, lambda text: text.replace('jobs = "jobs"', 'jobs = "others"'))
    response = one.response(2)
    assert response.status == 202 and response.headers["retry-after"] == "0"
    check_nothing_left(redis, jobs)
    send(one, f"{name}-2", 3)
    Jobs(redis, "others").do("y")
    assert one.response(3).text == "y"


def test_reload_adds_the_first_queue(tmp, run, redis, name):
    server = run(Workerless(tmp, queue.cache(redis) + 'source "jobs" { type = "simulated" }\n'
                            'fragment "*" { source = "jobs" }\n'))
    reload(server, lambda text: text.replace('type = "simulated"', 'type = "queue"'))
    with Connection(server.address) as one:
        send(one, name)
        Jobs(redis).do("x")
        assert one.response(1).text == "x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_drain(serve, browser, jobs, redis, name, number):
    """The job may be completed for a while; then it is removed, with its lease."""
    server = serve(top="shutdown_timeout = 300ms drain_timeout = 300ms")
    one = browser(server)
    send(one, name)
    job = jobs.take()
    server.signal(number)
    assert one.response(1).status == 202
    assert server.wait() == 0
    check_nothing_left(redis, jobs)
    assert jobs.begin(job) == 0


def test_drain_with_a_result(serve, browser, jobs, redis, name):
    server = serve(top="shutdown_timeout = 60s")
    one = browser(server)
    send(one, name)
    job = jobs.take()
    server.signal(signal.SIGTERM)
    assert one.response(1).status == 202
    one.close()
    jobs.complete(job, "x")
    assert server.wait() == 0
    check_nothing_left(redis, jobs)
    assert redis.command("GET", job["key"]).endswith(b"\nx")


def test_two_workers(serve, jobs, redis, name):
    server = serve(top="workers = 2")
    workers.wait_serving(server, 2)
    count = 40
    connections = [Connection(server.address) for _ in range(count)]
    for number, connection in enumerate(connections):
        send(connection, f"{name}-{number % 4}")
        connection.sync()
    seen = set()
    for _ in range(4):
        job = jobs.take()
        seen.add(job["name"])
        jobs.complete(job, f"<p>{job['name']}</p>")
        jobs.ack(job)
    for number, connection in enumerate(connections):
        assert connection.response(1).text == f"<p>{name}-{number % 4}</p>"
        connection.close()
    assert len(seen) == 4 and jobs.look() is None
    check_nothing_left(redis, jobs)


@pytest.mark.seconds(120)
def test_cluster(tmp, run, routes, name):
    """The streams are in one slot, and the job's keys in another; the streams' slot moves."""
    cluster = run(Cluster(tmp))
    server = run(Workerless(tmp, queue.cache(cluster.url) + queue.source() + routes))
    server.wait_log("redis: connected")
    jobs = Jobs(cluster)
    with Connection(server.address) as one:
        send(one, f"{name}-1", 1)
        send(one, f"{name}-2", 2)
        first, second = jobs.do("x"), jobs.take()
        assert one.response(1 if first["name"].endswith("1") else 2).text == "x"
        slot = slot_of(jobs.visitors)
        here = cluster.primary_of(jobs.visitors)
        there = next(node for node in cluster.primaries() if node is not here)
        cluster.migrate_slot(slot, there)
        jobs.complete(second, "y")
        assert one.response(2 if first["name"].endswith("1") else 1).text == "y"
        jobs.wait_empty()
        send(one, f"{name}-3", 3)
        jobs.do("z")
        assert one.response(3).text == "z"
        jobs.wait_empty()


def test_figures(serve, browser, jobs, redis, name):
    """Of the fleet, so all processes show the same; also in the status."""
    servers = [serve(top="workers = 2"), serve()]
    wait_armed(redis, 3)
    one = browser(servers[1])
    for number in range(1, 4):
        send(one, f"{name}-{number}", number)
    redis.command("SET", f"worker:stale/{name}", old_entry("<p>old</p>"), "PX", 60000)
    ask(servers[1].address, f"/fragment/stale/{name}")
    redis.command("XADD", jobs.dead, "*", "job", "{}")
    jobs.wait_length(1, jobs.refreshes)
    jobs.take()
    expected = {"visitors": 3, "refreshes": 1, "dead": 1, "workers": 1}
    for server in servers:
        wait_until(lambda: expected.items() <= backlog(server).items(), "the figures")
        assert 0 <= backlog(server)["oldest_seconds"] < 20 * SLOWNESS
        said = json.loads(ask(server.address, "/workerless/status", query="json").text)
        found = next(source for source in said["sources"] if source["name"] == "jobs")["jobs"]
        assert expected.items() <= found.items()
        text = ask(server.address, "/workerless/status").text
        assert re.search(r"^ +3 +1 +1 +1 +\S+  jobs$", text, re.M), text
    redis.stop()
    wait_until(lambda: not backlog(servers[1]), "nothing to be known")


def test_workers_that_are_gone(serve, browser, jobs, redis, name):
    """Their names do not pile up, but one that has a job is kept."""
    server = serve("visibility = 100ms")
    one = browser(server)
    send(one, name)
    job = jobs.take()
    for number in range(50):
        redis.command("XGROUP", "CREATECONSUMER", jobs.visitors, queue.GROUP, number)

    def names() -> List[bytes]:
        return [row[1] for row in redis.command("XINFO", "CONSUMERS", jobs.visitors, queue.GROUP)]

    assert len(names()) == 51
    wait_until(lambda: names() == [jobs.name.encode()], "their names to be removed", timeout=40)
    assert jobs.complete(job, "x") == 1
    assert one.response(1).text == "x"


def test_somebody_who_does_not_wait(serve, jobs, name):
    """`Prefer: wait=0` adds jobs, but fills only half of the queue."""
    server = serve("queue = 8")
    for number in range(4):
        ask(server.address, f"/fragment/{name}-{number}", headers={"PREFER": "wait=0"})
    jobs.wait_length(4)
    wait_until(lambda: sum(backlog(server).get(priority, 0) for priority in
                           ("visitors", "refreshes")) == 4, "the jobs to be known")
    assert ask(server.address, f"/fragment/{name}-x", headers={"PREFER": "wait=0"}).status == 202
    ask(server.address, f"/fragment/slow/{name}")
    jobs.wait_length(5)
    assert jobs.length() == 5


def test_somebody_who_does_not_wait_for_the_only_job(serve, jobs, name):
    """A queue with room for one job is not busy while it is empty."""
    server = serve("queue = 1")
    wait_until(lambda: backlog(server), "the jobs to be known")
    ask(server.address, f"/fragment/{name}", headers={"PREFER": "wait=0"})
    jobs.wait_length(1)
