"""The guard around each source: limits on its calls and on their queue, and a breaker. Each source
has its own, so a failing source does not affect others."""

import threading
import time

import pytest

from harness import fcgi
from harness.events import parse
from harness.fcgi import Connection
from harness.rude import BEHAVIOURS, Rude
from harness.servers import Workerless
from harness.wait import scaled, wait_until

BROKEN = "<p>not now</p>"

CONFIG = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{url}/{{name}}" timeout = "{timeout}" {options} }}
fragment "stale/*" {{ source = "api" ttl = "50ms" stale_error = "1h" }}
fragment "one/*"   {{ source = "api" }}
fragment "*"       {{ source = "api" stream = "yes" fallback = "{fallback}" }}
"""


@pytest.fixture
def guarded(tmp, api, daemon):
    """guarded(options of the source) starts a daemon whose fragments come from `api`."""
    (tmp / "broken.html").write_text(BROKEN, encoding="utf-8")

    def start(options: str, timeout: str = "60s", redis: str = ""):
        return daemon(CONFIG.format(url=api.url, timeout=timeout, options=options, redis=redis,
                                    fallback=tmp / "broken.html"))

    return start


def send(connection, *names: str, first: int = 1) -> None:
    """Requests all of them, as request `first` and so on."""
    connection.send_raw(b"".join(fcgi.request(f"/fragment/{name}", number)
                                 for number, name in enumerate(names, first)))
    connection.sync()


def assert_busy(response, retry_after: str = "1") -> None:
    assert (response.status, response.headers["retry-after"]) == (503, retry_after)
    assert response.headers["cache-control"] == "no-store"
    assert "cache-status" not in response.headers  # nothing was asked


# The queue.


def test_full_queue(guarded, api):
    """A request without a place is rejected at once, and nothing else changes."""
    server = guarded("connections = 1 queue = 2")
    api.hold("a", "b", "c", "d", "e")
    with Connection(server.address) as connection:
        send(connection, "a", "b", "c", "d", "e")
        for number in (4, 5):
            assert_busy(connection.response(number))
            assert connection.responses[number].text == BROKEN
        api.wait_calls("a", 1)
        assert api.calls() == 1
        api.release_all()
        for number, name in enumerate("abc", 1):
            assert f"result for {name}" in connection.response(number).text
        assert connection.request("/fragment/d").status == 200  # the refusal was not cached
    assert server.counter("calls_refused") == 2
    assert ('warning source: source "api": the queue is full, so requests get 503 (queue = 2)\n'
            in server.log())


def test_full_queue_has_room_for_other_routes(guarded, api):
    """If one route fills the queue, it gives way to other routes."""
    server = guarded("connections = 1 queue = 4")
    names = ["a", "b", "c", "d", "e", "one/a", "one/b", "one/c"]
    api.hold(*names)
    with Connection(server.address) as connection:
        send(connection, *names)
        assert [connection.response(number).status for number in (4, 5, 8)] == [503, 503, 503]
        api.release_all()
        assert [connection.response(number).status for number in (1, 2, 3, 6, 7)] == [200] * 5


def test_queue_timeout(guarded, api):
    server = guarded('connections = 1 queue_timeout = "100ms"')
    api.hold("a", "b")
    with Connection(server.address) as connection:
        send(connection, "a", "b")
        assert_busy(connection.response(2))
        api.release_all()
        assert connection.response(1).status == 200
    assert api.calls() == 1
    server.wait_log('source "api": no connection was free within queue_timeout = 0.1s '
                    "(connections = 1)")


def test_the_timeout_includes_the_queue(guarded, api):
    """A call that has queued for most of its time has only the rest of it."""
    server = guarded('connections = 1', timeout="2s")
    api.hold("a", "b")
    with Connection(server.address) as connection:
        begin = time.monotonic()
        send(connection, "a", "b")
        api.wait_calls("a", 1)
        time.sleep(1.2)  # more than half of it has passed, whatever happens
        api.release("a")
        assert connection.response(1).status == 200
        assert connection.response(2).status == 504
        took = time.monotonic() - begin
    assert 2 <= took < 3.2, took


def test_simulated_queues_too(daemon):
    server = daemon('source "s" { type = "simulated" delay = "300ms" connections = 1 queue = 1 }\n'
                    'fragment "*" { source = "s" }')
    with Connection(server.address) as connection:
        send(connection, "a", "b", "c")
        assert_busy(connection.response(3))
        for number, name in enumerate("ab", 1):
            assert f"result for {name}" in connection.response(number).text


# The breaker.


def break_it(connection, api, count: int) -> None:
    """So many failures."""
    names = [f"fails-{number}" for number in range(count)]
    for name in names:
        api.answer(name, status=500)
        assert connection.request(f"/fragment/{name}").status == 502


def test_breaker(guarded, api):
    """It opens, tries, stays open, tries again, and closes; the log has each of these once."""
    server = guarded('breaker = "3 in 10s" breaker_cooldown = "200ms"')
    with Connection(server.address) as connection:
        break_it(connection, api, 3)
        response = connection.request("/fragment/a")
        assert_busy(response)
        assert response.text == BROKEN
        assert api.calls() == 3
        calls = api.calls
        api.answer("a", status=500)
        wait_until(lambda: connection.request("/fragment/a").status == 502, "the trial")
        assert_busy(connection.request("/fragment/a"))
        assert calls() == 4
        api.answer("a", body="<b>well</b>", type="text/html")
        wait_until(lambda: connection.request("/fragment/a").status == 200, "the next trial")
        assert connection.request("/fragment/b").status == 200
    lines = [line.split("source: ")[1] for line in server.log().splitlines() if "source: source" in
             line]
    assert lines == [
        'source "api" is not called for 1s; the last failure: source "api": '
        f"{api.url}/fails-2 answered 500",
        'source "api": one call tries whether it works again',
        f'source "api" is not called for 1s; the last failure: source "api": {api.url}/a '
        "answered 500",
        'source "api": one call tries whether it works again',
        'source "api" is called again']


@pytest.mark.parametrize("status", [503, 429])
def test_retry_after(guarded, api, status):
    """RFC 9110 10.2.3, RFC 6585 4: a source that asks for a pause gets it, whatever is
    requested."""
    server = guarded("")
    api.answer("a", status=status, headers={"Retry-After": "100"})
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 502
        for name in ("a", "b"):
            response = connection.request(f"/fragment/{name}")
            assert response.status == 503
            assert 90 <= int(response.headers["retry-after"]) <= 100
    assert api.calls() == 1
    assert (f'warning source: source "api" is not called for 100s; the last failure: source "api": '
            f"{api.url}/a answered {status}\n") in server.log()


def test_retry_after_is_bounded(guarded, api):
    server = guarded('max_retry_after = "200ms"')
    api.answer("a", status=503, headers={"Retry-After": "1000000"})
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 502
        assert_busy(connection.request("/fragment/b"))
        wait_until(lambda: connection.request("/fragment/b").status == 200, "the end of the pause")
    server.wait_log('source "api" is called again')


def test_retry_after_is_ignored(guarded, api):
    server = guarded('max_retry_after = "0"')
    api.answer("a", status=503, headers={"Retry-After": "100"})
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 502
        assert connection.request("/fragment/b").status == 200
    assert "not called" not in server.log()


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_stale_while_open(request, guarded, api, where):
    """A fragment with an old result is served at once."""
    redis = request.getfixturevalue("redis").url if where == "redis" else ""
    server = guarded('breaker = "2 in 10s" breaker_cooldown = "1h"', redis=redis)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/stale/a").status == 200
        break_it(connection, api, 2)
        time.sleep(0.06)  # its ttl, so that it is not fresh
        for _ in range(3):
            response = connection.request("/fragment/stale/a")
            assert response.status == 200
            assert "fwd=stale" in response.headers["cache-status"]
        response = connection.request("/fragment/stale/b")
        assert response.status == 503
        assert 3600 <= int(response.headers["retry-after"]) <= 4500
    assert api.calls("stale/a") == 1


def test_stream_while_open(guarded, api):
    server = guarded('breaker = "1 in 10s" breaker_cooldown = "1h"')
    with Connection(server.address) as connection:
        break_it(connection, api, 1)
        connection.send_raw(fcgi.request("/fragments", query="name=a&name=b"))
        events = parse(connection.response().body)
    assert sorted(events[:2]) == [("a:error", BROKEN), ("b:error", BROKEN)]
    assert api.calls() == 1


def test_who_does_not_wait_while_open(guarded, api):
    """It is told so, and not to come again for a call that there is not."""
    server = guarded('breaker = "1 in 10s" breaker_cooldown = "1h"')
    with Connection(server.address) as connection:
        break_it(connection, api, 1)
        response = connection.request("/fragment/a", headers={"Prefer": "wait=0"})
        assert response.status == 503


# Everything at once.

LOAD = 60  # requests of one round at one bad source
HEALTHY = 120

FIVE = """
source "{name}" {{
    type = "http" url = "{url}/{{name}}" timeout = "500ms" max_body = "64KiB"
    connections = 10 queue = 20 breaker = "10 in 10s" breaker_cooldown = "2s"
}}
fragment "{name}/*" {{ source = "{name}" fallback = "{fallback}" ttl = "0" }}
"""


def p99_of_well(server, mark: str) -> float:
    """Of requests that are made one after the other, in milliseconds."""
    times = []
    with Connection(server.address) as connection:
        for number in range(scaled(HEALTHY, 40)):
            begin = time.monotonic()
            response = connection.request(f"/fragment/well/{mark}-{number}")
            times.append((time.monotonic() - begin) * 1000)
            assert response.text == "<p>well</p>"
    return sorted(times)[int(len(times) * 0.99) - 1]


class Load:
    """Rounds of requests at one bad source, until the end of the context."""

    def __init__(self, server, name: str) -> None:
        self.server, self.name = server, name
        self.answers: set = set()
        self.rounds = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with Connection(self.server.address) as connection:
            while not self._ends.is_set():
                send(connection, *(f"{self.name}/{self.rounds}-{number}"
                                   for number in range(LOAD)))
                for number in range(1, LOAD + 1):
                    response = connection.response(number)
                    self.answers.add((response.status, response.text))
                self.rounds += 1
                self._ends.wait(0.05)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._ends.set()
        self._thread.join()


@pytest.mark.seconds(120)
def test_five_sources(tmp, run, capsys):
    """Four of them hang, flood, send garbage and close early, under load: answers of the fifth one
    take as long as without them."""
    (tmp / "broken.html").write_text(BROKEN, encoding="utf-8")
    upstreams = {name: run(Rude(tmp, name)) for name in BEHAVIOURS}
    config = "".join(FIVE.format(name=name, url=upstream.url, fallback=tmp / "broken.html")
                     for name, upstream in upstreams.items())
    server = run(Workerless(tmp, config))
    bad = [name for name in BEHAVIOURS if name != "well"]

    alone = p99_of_well(server, "alone")
    loads = [Load(server, name) for name in bad]
    for load in loads:
        run(load)
    beside = p99_of_well(server, "beside")
    wait_until(lambda: all(load.rounds >= 2 for load in loads), "two rounds of each")
    for load in loads:
        load.__exit__()
    with capsys.disabled():
        print(f"\n  p99 of a healthy source: {alone:.1f} ms alone, {beside:.1f} ms beside four bad ones")

    for load in loads:
        expected = {504, 503} if load.name == "hang" else {502, 503}
        assert load.answers == {(status, BROKEN) for status in expected}, load.name
        server.wait_log(f'source "{load.name}" is not called for ')
    assert '"well" is not called' not in server.log()
    assert beside <= 3 * alone
