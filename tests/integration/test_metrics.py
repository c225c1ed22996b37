"""/workerless/metrics: the numbers are what has happened, and the format is one that others read."""

import re

import pytest

from harness import fcgi, fronts, metrics
from harness.fcgi import Connection, ask
from harness.httpc import get
from harness.servers import TOP
from harness.wait import wait_until

ROUTES = """
status = {{"127.0.0.1", "192.0.2.0/24"}} max_parked = 3
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "30s" }}
source "few" {{ type = "http" url = "{api}/{{name}}" connections = 1 queue = 1 timeout = "30s"
                breaker = "1 in 1m" }}
source "slow \\"one\\"" {{ type = "http" url = "{api}/{{name}}" timeout = "20ms" }}
fragment "brief/*" {{ source = "api" ttl = "60s" hold = "10ms" }}
fragment "few/*"   {{ source = "few" ttl = "60s" }}
fragment "late/*"  {{ source = "slow \\"one\\"" ttl = "60s" }}
fragment "old/*"   {{ source = "api" ttl = "1ms" stale = "60s" }}
fragment "*"       {{ source = "api" ttl = "60s" stream = "yes" }}
"""


@pytest.fixture
def server(daemon, api, tmp):
    socket = tmp / "socket"
    config = f'listen = {{"unix:{socket}"}}\n' + ROUTES.format(api=api.url)
    server = daemon(config, listen="none", address=str(socket))
    wait_until(socket.exists, "the daemon to listen")
    return server


def outcomes(server, route: str) -> dict:
    """Requests of the route by outcome, without those that have not happened."""
    values = metrics.nonzero(metrics.read(server.address), "workerless_requests_total")
    return {labels[1].split("=")[1]: value for labels, value in values.items()
            if labels[0] == f"route={route}"}


# The format.


def test_closed_by_default(tmp, run, api, daemon):
    socket = tmp / "socket"
    config = f'listen = {{"unix:{socket}"}}\nsource "s" {{ type = "simulated" }}\n' \
             'fragment "*" { source = "s" ttl = "1s" }\n'
    daemon(config, listen="none", address=str(socket))
    wait_until(socket.exists, "the daemon to listen")
    for path in ("/workerless/metrics", "/workerless/status", "/workerless/counters"):
        response = ask(str(socket), path)
        assert response.status == 403 and response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("address, status", [
    ("127.0.0.1", 200), ("192.0.2.7", 200), ("::ffff:192.0.2.7", 200), ("192.0.3.7", 403),
    ("::1", 403), ("", 403), (None, 403)])
def test_who_may(server, address, status):
    for path in ("/workerless/metrics", "/workerless/status"):
        assert ask(server.address, path, extra={"REMOTE_ADDR": address}).status == status


@pytest.mark.parametrize("accept, is_open", [
    (None, True), ("*/*", True), ("text/html", True), ("text/plain", False),
    ("application/openmetrics-text; version=1.0.0,text/plain;q=0.5", True),
    ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False)])
def test_formats(server, accept, is_open):
    """OpenMetrics, or what came before it, as the client likes; both say the same."""
    response = metrics.fetch(server.address, headers={"Accept": accept} if accept else {})
    assert response.status == 200
    assert response.headers["content-type"] == (
        metrics.TYPE if is_open else "text/plain; version=0.0.4; charset=utf-8")
    assert response.text.endswith("# EOF\n") == is_open
    assert response.headers["cache-control"] == "no-store"
    head = metrics.fetch(server.address, method="HEAD")
    assert head.status == 200 and head.body == b""


def test_both_formats_say_the_same(server, api):
    ask(server.address, "/fragment/a")
    newer = metrics.fetch(server.address).text
    older = metrics.fetch(server.address, headers={"Accept": "text/plain"}).text

    def names(text: str) -> list:
        return [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]

    assert metrics.parse(newer) and names(newer) == names(older)
    assert metrics.complaints(older) == ""


def test_every_counter(server):
    """Each row of the table of counters is there once, or is the sum of others."""
    text = metrics.fetch(server.address).text
    values = metrics.parse(text)
    table = re.sub(r"\\\n\s*", "", (TOP / "fcgi/base/counters.h").read_text("utf-8"))
    rows = re.findall(r'X\((\w+), "(\w+)", (\w+), ("(\w+)"|NULL), ("((?:[^"\\]|\\.)*)"|NULL)', table)
    assert len(rows) == table.count(" X(")
    for _, name, kind, family, plain, _, label in rows:
        if family == "NULL":
            assert name.startswith("calls_") and f"workerless_{name}_total" not in text
            continue
        suffix = "_total" if kind == "COUNTER" else ""
        labels = (label.replace('\\"', ""),) if label else ()
        assert (f"workerless_{plain}{suffix}", *labels) in values, name


def test_labels_are_bounded(server, api):
    """Names of fragments never become labels: the samples are the same after any requests."""
    before = metrics.read(server.address)
    for number in range(20):
        ask(server.address, f"/fragment/name{number}?q={number}")
        ask(server.address, f"/nothing/name{number}")
        ask(server.address, f"/fragment/late/name{number}//")
    text = metrics.fetch(server.address).text
    assert set(metrics.parse(text)) == set(before) and "name1" not in text


@pytest.mark.parametrize("file", ["prometheus-alerts.yml", "grafana-workerless.json"])
def test_examples_use_what_there_is(daemon, redis, file):
    """Each metric, and each value of a label, that the alert rules and the dashboard ask for."""
    server = daemon(redis=redis.url, extra='source "jobs" { type = "queue" }\n'
                                           'fragment "job" { source = "jobs" }\n')
    wait_until(lambda: any(key[0] == "workerless_source_jobs" for key in
                           metrics.read(server.address)), "the jobs to be counted")
    values = metrics.read(server.address)
    text = (TOP / "conf" / file).read_text("utf-8").replace('\\"', '"')
    names = set(re.findall(r"workerless_\w+", text))
    assert len(names) > 5 and names <= {key[0] for key in values}
    labels = {label for key in values for label in key[1:]}
    for name, _, wanted in re.findall(r'(\w+)(=~?)"([\w|]+)"', text):
        if name in ("outcome", "result", "state", "segment"):
            assert {f"{name}={value}" for value in wanted.split("|")} <= labels, wanted


def test_alert_rules():
    assert metrics.complaints_about_rules(TOP / "conf/prometheus-alerts.yml") == ""


# The numbers.


def test_hits_and_misses(server, api):
    before = outcomes(server, "*")
    assert before == {}
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1) + fcgi.request("/fragment/a", 2))
        api.wait_calls("a", 1)
        wait_until(lambda: metrics.read(server.address)[("workerless_parked",)] == 2, "two to wait")
        values = metrics.read(server.address)
        assert metrics.nonzero(values, "workerless_flights") == {("state=generating",): 1}
        assert metrics.nonzero(values, "workerless_source_running") == {("source=api",): 1}
        connection.send_raw(fcgi.request("/fragment/b", 3))
        api.release("a")
        for number in (1, 2, 3):
            assert connection.response(number).status == 200
    for _ in range(3):
        ask(server.address, "/fragment/a")
    ask(server.address, "/fragment/a", headers={"If-None-Match": "*"})
    ask(server.address, "/fragment//")  # has no route
    values = metrics.read(server.address)
    assert outcomes(server, "*") == {"miss": 2, "collapsed": 1, "hit": 4}
    assert metrics.nonzero(values, "workerless_hits_total") == {("cache=memory",): 4}
    assert metrics.nonzero(values, "workerless_source_calls_total") == {
        ("source=api", "result=ok"): 2}
    assert metrics.nonzero(values, "workerless_source_calls_started_total") == {("source=api",): 2}
    assert values[("workerless_source_duration_seconds_count", "source=api")] == 2
    assert values[("workerless_source_duration_seconds_sum", "source=api")] > 0
    assert values[("workerless_memory_entries",)] == 2 and values[("workerless_memory_bytes",)] > 0
    assert values[("workerless_answers_total", "class=4xx")] == 1
    assert values[("workerless_parked",)] == 0


def test_failures(server, api):
    for name, status in (("bad", 500), ("gone", 404)):
        api.answer(name, status=status)
        ask(server.address, f"/fragment/{name}")
    api.hold("late/a", "brief/a")
    assert ask(server.address, "/fragment/late/a").status == 504
    assert ask(server.address, "/fragment/brief/a").status == 202
    assert outcomes(server, "*") == {"failed": 1, "not_found": 1}
    assert outcomes(server, "late/*") == {"timed_out": 1}
    assert outcomes(server, "brief/*") == {"not_ready": 1}
    calls = metrics.nonzero(metrics.read(server.address), "workerless_source_calls_total")
    assert calls == {("source=api", "result=failed"): 1, ("source=api", "result=not_found"): 1,
                     ('source=slow "one"', "result=timed_out"): 1}


def test_stale(server, api):
    assert ask(server.address, "/fragment/old/a").status == 200
    wait_until(lambda: "ttl=-" in ask(server.address, "/fragment/old/a").headers["cache-status"],
               "it to be stale")
    assert outcomes(server, "old/*")["stale"] >= 1
    assert outcomes(server, "old/*")["miss"] == 1


def test_streams(server, api):
    """Each fragment of a stream counts, one that has left included."""
    ask(server.address, "/fragment/a")
    api.hold("b", "c")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragments", 1, query="name=a&name=b&name=brief/x"))
        api.wait_calls("b", 1)
        assert metrics.read(server.address)[("workerless_streams",)] == 1
        api.release("b")
        assert connection.response(1).status == 200
        connection.send_raw(fcgi.request("/fragments", 2, query="name=c")
                            + fcgi.request("/fragment/c", 3))
        wait_until(lambda: metrics.read(server.address)[("workerless_parked",)] == 2,
                   "both to wait")
        connection.send_raw(fcgi.abort(2) + fcgi.abort(3))
        wait_until(lambda: outcomes(server, "*").get("left") == 2, "both to leave")
    api.release("c")
    assert outcomes(server, "*") == {"miss": 2, "hit": 1, "left": 2}
    assert outcomes(server, "brief/*") == {}  # its section does not allow streams


def test_limits(server, api):
    """The queue, the breaker and max_parked, each where it belongs."""
    api.answer("few/b", status=500)
    api.hold("few/a", "few/b")
    with Connection(server.address) as connection:
        for number, name in enumerate(("a", "b", "c"), 1):
            connection.send_raw(fcgi.request(f"/fragment/few/{name}", number))
        assert connection.response(3).status == 503
        values = metrics.read(server.address)
        assert values[("workerless_source_queued", "source=few")] == 1
        assert values[("workerless_source_running", "source=few")] == 1
        connection.send_raw(fcgi.request("/fragment/few/a", 4) + fcgi.request("/fragment/few/a", 5))
        assert connection.response(5).status == 503
        assert outcomes(server, "few/*") == {"busy": 1, "refused": 1}
        api.release("few/a")
        for number in (1, 4):
            assert connection.response(number).status == 200
        api.wait_calls("few/b", 1)
        values = metrics.read(server.address)
        assert values[("workerless_source_queue_duration_seconds_count", "source=few")] == 1
        api.release("few/b")
        assert connection.response(2).status == 502
    values = metrics.read(server.address)
    assert metrics.nonzero(values, "workerless_source_breaker")[("source=few", "state=open")] == 1
    assert metrics.nonzero(values, "workerless_refused_total") == {("limit=max_parked",): 1}
    assert outcomes(server, "few/*") == {
        "busy": 1, "refused": 1, "miss": 1, "collapsed": 1, "failed": 1}


def test_redis(daemon, redis, api, name):
    server = daemon(redis=redis.url)
    server.wait_log("redis: connected")
    assert ask(server.address, f"/fragment/{name}").status == 200
    server.wait_counter("stores", 1)
    values = metrics.read(server.address)
    assert values[("workerless_redis_up",)] == 1
    assert values[("workerless_redis_connected_total",)] == 1
    assert values[("workerless_redis_command_duration_seconds_count",)] >= 3
    redis.stop()
    wait_until(lambda: metrics.read(server.address)[("workerless_redis_up",)] == 0,
               "Redis to be down")
    assert metrics.read(server.address)[("workerless_redis_lost_total",)] == 1


def test_loop(server):
    first = metrics.read(server.address)
    second = metrics.read(server.address)
    for suffix in ("count", "sum"):
        name = (f"workerless_loop_lag_seconds_{suffix}",)
        assert second[name] > first[name] > 0
    assert second[("workerless_loop_lag_max_seconds",)] > 0


def test_through_nginx(tmp, run, server):
    front = run(fronts.nginx(tmp, server.address))
    for _ in range(3):
        assert get(front.address, "/fragment/a").status == 200
    reply = get(front.address, "/workerless/metrics")
    assert reply.status == 200 and reply.headers["content-type"] == metrics.TYPE
    values = metrics.parse(reply.text)
    assert metrics.nonzero(values, "workerless_requests_total") == {
        ("route=*", "outcome=miss"): 1, ("route=*", "outcome=hit"): 2}
    assert get(front.address, "/workerless/status?json").headers["content-type"] \
        == "application/json"
