"""/workerless/counters: who may read them, and what increments each of them."""

import pytest

from harness import fcgi
from harness.config import api_config
from harness.fcgi import Connection, ask
from harness.fleet import own_fleet
from harness.servers import TOP, Workerless
from harness.wait import wait_until

PATH = "/workerless/counters"
ROUTES = """
fragment "brief/*" { source = "api" ttl = "60s" hold = "10ms" }
fragment "*"       { source = "api" ttl = "60s" stream = "yes" }
"""


@pytest.fixture(scope="module")
def shared():
    with own_fleet(size=2, routes=ROUTES) as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Two daemons on one Redis."""
    with shared.lent():
        yield shared


def growth(server: Workerless, before: dict, *, but: str = "") -> dict:
    """The counters that have changed since then, and by how much, without those in `but`, what
    reading them adds, and what depends on how soon Redis reports changes, or connections begin or
    end."""
    after = server.counters()
    changes = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    changes["answers_2xx"] -= 1  # the reading before
    unsure = ["accepted", "connections", "invalidations"]
    return {name: count for name, count in changes.items()
            if count and name not in but.split() + unsure}


# Who may read them.


def test_nobody_may_by_default(tmp, run, api):
    socket = tmp / "socket"
    run(Workerless(tmp, f'listen = {{"unix:{socket}"}}\n' + api_config(api), listen="none",
                   address=str(socket)))
    wait_until(socket.exists, "the daemon to listen")
    response = ask(str(socket), PATH)
    assert response.status == 403 and response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("address, status", [
    ("127.0.0.1", 200), ("::1", 403), ("127.0.0.10", 403), ("", 403), (None, 403)])
def test_who_may(fleet, address, status):
    assert ask(fleet.servers[0].address, PATH, extra={"REMOTE_ADDR": address}).status == status


def test_text(fleet):
    response = ask(fleet.servers[0].address, PATH)
    head = ask(fleet.servers[0].address, PATH, method="HEAD")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["cache-control"] == "no-store" and "etag" not in response.headers
    assert head.status == 200 and head.body == b""
    assert head.headers["content-length"] == str(len(response.body))
    table = (TOP / "fcgi/base/counters.h").read_text("utf-8")
    names = [line.split()[0] for line in response.text.splitlines()]
    assert names and names == [line.split('"')[1] for line in table.splitlines() if "X(" in line
                               and '"' in line]


# What they count.


def test_a_fragment(fleet, name):
    """Generated, then in memory; by the other daemon found first in Redis, then in memory."""
    first, second = fleet.servers
    before = first.counters()
    assert fleet.ask(0, name).status == 200
    first.wait_counter("stores", before["stores"] + 1)
    changes = growth(first, before, but="answers_2xx")
    looks = changes.pop("wakeups", 0)  # Redis reports our own lease too
    # The claim right after the lookup needs no script; storing the result does.
    assert changes == {"lookups": 1, "claims": 1, "scripts": 1 + looks, "calls_started": 1,
                       "stores": 1}
    fleet.hear()
    fleet.ask(0, name)  # Redis may have reported the new value after it was stored in memory
    before = first.counters()
    fleet.ask(0, name)
    fleet.ask(0, name, headers={"If-None-Match": "*"})
    assert growth(first, before) == {"answers_2xx": 1, "answers_3xx": 1, "hits_memory": 2}

    before = second.counters()
    fleet.ask(1, name)
    fleet.ask(1, name)
    assert growth(second, before) == {
        "answers_2xx": 2, "lookups": 1, "hits_redis": 1, "hits_memory": 1}


def test_connections(fleet):
    server = fleet.servers[0]
    before = server.counters()
    for _ in range(3):
        with Connection(server.address) as connection:
            connection.sync()
    after = server.counters()
    assert after["accepted"] == before["accepted"] + 3 + 1  # and that of the reading
    assert after["accepted_none"] == before["accepted_none"]


def test_parked(fleet, name):
    """The gauge goes up and down again; all get the one result."""
    server = fleet.servers[0]
    before = server.counters()
    assert before["parked"] == 0
    fleet.api.hold(name, f"{name}x")
    fleet.send(0, name, (1, 2))
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragments", query=f"name={name}&name={name}x"))
        server.wait_counter("parked", 4)
        fleet.connections[0].send_raw(fcgi.abort(2))
        wait_until(lambda: server.counter("parked") == 3, "one to leave")
        fleet.api.release(name, f"{name}x")
        assert fleet.response(0, 1).status == 200
        assert connection.response(1).status == 200
    assert server.counter("parked") == 0
    assert server.counter("calls_started") == before["calls_started"] + 2
    server.wait_counter("stores", before["stores"] + 2)  # the next test counts as well


def test_failures(fleet, name):
    before = fleet.servers[0].counters()
    for each, status in (("a", 500), ("b", 404)):
        fleet.api.answer(f"{name}{each}", status=status)
        assert fleet.ask(0, f"{name}{each}").status == (502 if status == 500 else status)
    assert fleet.ask(0, "a//b").status == 400
    assert growth(fleet.servers[0], before, but="wakeups scripts") == {
        "answers_4xx": 2, "answers_5xx": 1, "lookups": 2, "claims": 2, "calls_started": 2,
        "calls_failed": 1}


def test_a_timeout(daemon, api):
    server = daemon(timeout="20ms")
    api.hold("a")
    assert ask(server.address).status == 504
    counters = server.counters()
    assert (counters["calls_started"], counters["calls_timed_out"]) == (1, 1)
    assert counters["calls_failed"] == counters["lookups"] == counters["scripts"] == 0


def test_a_purge(fleet, name):
    server = fleet.servers[0]
    before = server.counters()
    assert fleet.purge(0, name).status == 204
    assert fleet.purge(0, f"{name}/*").status == 204
    assert fleet.purge(0, name, extra={"REMOTE_ADDR": "10.0.0.1"}).status == 403
    assert growth(server, before) == {"answers_2xx": 2, "answers_4xx": 1, "purges": 2,
                                      "scripts": 1}


def test_a_wakeup(fleet, name):
    """A fragment that waits for another process is looked up again when the result is there."""
    fleet.api.hold(name)
    fleet.send(0, name, (1,))
    fleet.api.wait_calls(name, 1)
    other = fleet.servers[1]
    claims = other.counter("claims")
    fleet.send(1, name, (1,))
    other.wait_counter("claims", claims + 1)
    fleet.hear()
    before = other.counters()
    fleet.api.release(name)
    assert fleet.response(1, 1).status == 200
    changes = growth(other, before)
    assert changes["wakeups"] >= 1 and changes["hits_redis"] == 1


def test_gauges(daemon, api):
    """Connections and streams go up and down again."""
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragments", 1, query="name=a")
                            + fcgi.request("/fragments", 2, query="name=a"))
        server.wait_counter("streams", 2)
        assert server.counter("connections") == 2  # with the one that asks
        connection.send_raw(fcgi.abort(2))
        wait_until(lambda: server.counter("streams") == 1, "one stream to end")
        api.release("a")
        assert connection.response(1).status == 200
        wait_until(lambda: server.counter("streams") == 0, "the other to end")
    wait_until(lambda: server.counter("connections") == 1, "the connection to end")


def test_evictions(daemon):
    """An entry for which there is no room is evicted."""
    server = daemon("""
        cache { memory = "8KiB" }
        source "s" { type = "simulated" delay = "0" }
        fragment "*" { source = "s" ttl = "60s" }
        """)
    for number in range(40):
        ask(server.address, f"/fragment/a{number}")
    counters = server.counters()
    assert counters["evicted_probation"] > 0 and counters["evicted_protected"] == 0


def test_redis(daemon, redis, name):
    """A change by somebody else is reported, and so is the end of a connection."""
    server = daemon(redis=redis.url)
    server.wait_log("redis: connected")
    before = server.counters()
    assert before["redis_connected"] == 1 and before["redis_lost"] == 0
    redis.command("SET", f"worker:{name}", "x", "EX", "60")
    server.wait_counter("invalidations", before["invalidations"] + 1)
    redis.stop()
    server.wait_counter("redis_lost", 1)


# What a limit rejects.


@pytest.mark.parametrize("limit", ["max_parked", "max_flights", "max_connection_requests"])
def test_refusals(daemon, api, limit):
    """With a limit of one, of two requests; the second is counted under the limit's name."""
    server = daemon(extra=f"{limit} = 1")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1) + fcgi.request("/fragment/b", 2))
        assert connection.response(2).status == 503
        counters = server.counters()
        assert {key: count for key, count in counters.items()
                if key.startswith("refused") and count} == {f"refused_{limit}": 1}
        assert counters["answers_5xx"] == 1
        api.release("a")
        assert connection.response(1).status == 200


def test_unfinished(daemon):
    server = daemon(extra='max_unfinished = "64KiB"')
    with Connection(server.address) as connection:
        for number in (1, 2):
            connection.send_raw(fcgi.request("/fragment/a", number, stdin=False,
                                             headers={"X": "x" * 60_000}))
        server.wait_counter("refused_max_unfinished", 1)
        connection.send_raw(fcgi.record(fcgi.STDIN, 2))
        assert connection.response(2).status == 503
        assert server.counter("refused_max_unfinished") == 1


def test_pending(daemon, redis, api):
    """A result that is larger than max_pending is not stored."""
    api.answer("a", body=b"x" * (2 << 20), type="text/html")
    server = daemon(f"""
        cache {{ redis = "{redis.url}" max_pending = "1MiB" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" max_body = "4MiB" }}
        fragment "*" {{ source = "api" }}
        """)
    server.wait_log("redis: connected")
    assert ask(server.address).status == 200
    counters = server.counters()
    assert (counters["refused_max_pending"], counters["claims"], counters["stores"]) == (1, 1, 0)
