"""/workerless/status: what the daemon does at the moment, for people and for programs."""

import json
import re

from harness import fcgi
from harness.fcgi import Connection, ask
from harness.fleet import Fleet
from harness.wait import wait_until

PATH = "/workerless/status"
ENDLESS = """
shutdown_timeout = "0"
source "never" { type = "simulated" delay = "1h" }
fragment "*" { source = "never" ttl = "60s" }
"""


def text(server, query: str = "") -> str:
    response = ask(server.address, PATH, query=query)
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    return response.text


def read(server, query: str = "json") -> dict:
    response = ask(server.address, PATH, query=query)
    assert response.status == 200 and response.headers["content-type"] == "application/json"
    return json.loads(response.text)


def test_what_it_says(daemon, api):
    server = daemon(extra='max_parked = 5 max_unsent = "2MiB"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1) + fcgi.request("/fragment/a", 2)
                            + fcgi.request("/fragments", 3, query="name=a"))
        wait_until(lambda: read(server)["parked"]["now"] == 3, "three to wait")
        status = read(server)
        assert status["parked"] == {"now": 3, "limit": 5}
        assert status["streams"] == 1 and status["connections"] == 2
        assert status["flights"]["now"] == status["flights"]["states"]["generating"] == 1
        assert status["unsent"]["limit_bytes"] == 2 << 20
        assert status["inputs"]["bytes"] == 0 < status["inputs"]["limit_bytes"]
        assert status["redis"] is None and status["refused"] == {} and not status["draining"]
        assert "in_progress" not in status
        assert status["sources"][0]["running"] == status["sources"][0]["started"] == 1
        lines = text(server).splitlines()
        assert lines[0].startswith("workerless ") and ", up " in lines[0]
        assert "inputs      0B of 64MiB" in lines
        assert "parked      3 of 5" in lines and "no limit was reached" in lines
        api.release("a")
        for number in (1, 2, 3):
            assert connection.response(number).status == 200
    status = read(server)
    assert status["parked"]["now"] == 0 and status["memory"]["entries"] == 1
    assert status["uptime_seconds"] > 0 and status["version"]
    source = status["sources"][0]
    assert (source["name"], source["type"], source["breaker"]) == ("api", "http", "closed")
    assert source["ended"]["ok"] == 1 and source["p99_seconds"] > 0
    assert sum(source["counts"]) == 1 and source["p99_seconds"] in status["bounds_seconds"]
    assert len(source["counts"]) == len(status["bounds_seconds"]) + 1
    assert status["totals"]["answers_2xx"] >= 3 and "refused_max_parked" not in status["totals"]
    assert "parked" not in status["totals"]  # it also falls
    fragment, = status["fragments"]
    assert (fragment["pattern"], fragment["miss"], fragment["collapsed"]) == ("*", 1, 2)


def test_flights(daemon):
    """One row for each in progress, whatever its name is; no name can forge a row."""
    server = daemon(ENDLESS)
    names = ['x"y\\', "caf\u00e9", "a b", "\u202etxt", "x\n  1s"]
    assert read(server, "json&full")["in_progress"] == []
    with Connection(server.address) as connection:
        paths = [f"/fragment/{name}" for name in names]
        for number, path in enumerate(paths, 1):
            connection.send_raw(fcgi.request(path, number))
        assert connection.response(5).status == 400  # a control character
        wait_until(lambda: read(server)["parked"]["now"] == 4, "all to wait")
        connection.send_raw(fcgi.request(paths[0], 6))
        wait_until(lambda: read(server)["parked"]["now"] == 5, "one more to wait")
        status = read(server, "full&json")
        rows = {row["key"]: row for row in status["in_progress"]}
        assert set(rows) == {'x"y\\', "caf\u00e9", "a%20b", "\u202etxt"}
        assert status["in_progress_is_complete"] is True
        for key, row in rows.items():
            assert row["waiters"] == (2 if key == 'x"y\\' else 1) and row["waiters_known"]
            assert row["state"] == "generating" and row["source"] == "never"
            assert 0 <= row["age_seconds"] < 60
        plain = text(server, "full").splitlines()
        at = next(i for i, line in enumerate(plain) if line.split()[:2] == ["age", "waiting"])
        assert len(plain) == at + 1 + 4
        assert any("\\xe2\\x80\\xaetxt" in line for line in plain[at:])
        assert not any("caf" in line for line in text(server).splitlines())


def test_loop(daemon):
    """Each request is read in a turn of the loop, which takes no time to speak of."""
    server = daemon(ENDLESS)
    before = sum(read(server)["loop"]["counts"])
    for _ in range(5):
        loop = read(server)["loop"]
    assert sum(loop["counts"]) >= before + 5
    assert 0 < loop["lag_max_seconds"] < 10 and loop["p50_seconds"] < 1
    assert " turns, the longest of the last minute took " in text(server)


def test_many_flights(daemon):
    """Rows are bounded, and it is said that there are more."""
    server = daemon(ENDLESS)
    count = 1200
    with Connection(server.address) as first, Connection(server.address) as second:
        for half, connection in enumerate((first, second)):
            for number in range(1, count // 2 + 1):
                connection.send_raw(fcgi.request(f"/fragment/n{half}-{number}", number))
        wait_until(lambda: read(server)["flights"]["now"] == count, "all to be in progress")
        status = read(server, "json&full")
        assert len(status["in_progress"]) == 1000 and not status["in_progress_is_complete"]
        assert text(server, "full").endswith("and more\n")
        for query, rows in (("full=3", 3), ("full=5000", 1000), ("full=none", 1000),
                            ("full=0007", 7), ("full=99999999999999999999", 1000)):
            assert len(read(server, f"json&{query}")["in_progress"]) == rows, query
        assert "in_progress" not in read(server, "json&full=0")
        oldest = {row["key"] for row in read(server, "json&full=2")["in_progress"]}
        assert oldest == {"n0-1", "n0-2"}


def test_who_holds_the_lease(tmp, run, api, redis):
    """Whom requests wait for, be it another process of ours, one that does not sign its leases, or
    somebody who writes what is none."""
    fleet = run(Fleet(tmp, redis, api, size=2))
    maker, other = fleet.servers
    api.hold("a")
    fleet.send(0, "a")
    api.wait_calls("a", 1)
    fleet.send(1, "a", ids=(1, 2))

    def row(server, key: str = "a") -> dict:
        return {row["key"]: row for row in read(server, "json&full")["in_progress"]}.get(key, {})

    wait_until(lambda: row(other).get("state") == "waiting", "the other process to wait")
    holder = row(other)["lease"]
    assert holder == row(maker)["lease"] and holder["pid"] == maker.pid
    assert re.fullmatch(r"[\w.-]+", holder["host"])
    lease = redis.command("GET", "lease:{worker:a}").decode()
    assert re.fullmatch(rf"[0-9a-f]{{32}} {re.escape(holder['host'])} {maker.pid}", lease)
    assert f"{holder['host']}, process {maker.pid}" in text(other, "full")
    api.release("a")
    assert [fleet.response(number).status for number in (0, 1)] == [200, 200]

    for content, known in ((lease.split()[0], None), ("x" * 32 + " web9 4711", ("web9", 4711)),
                           ("x <b> 1", None), ("x " * 10_000, None)):
        redis.command("SET", "lease:{worker:b}", content, "PX", 60_000)
        fleet.send(1, "b", ids=(7,))
        wait_until(lambda: row(other, "b").get("state") == "waiting", "it to wait")
        assert row(other, "b")["lease"] == (known and {"host": known[0], "pid": known[1]})
        redis.command("DEL", "lease:{worker:b}")
        assert fleet.response(1, 7).status == 200
        assert fleet.purge(1, "b").status == 204


def test_trouble(daemon, redis, api):
    server = daemon(redis=redis.url, extra="max_flights = 1")
    server.wait_log("redis: connected")
    assert read(server)["redis"]["up"] is True
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1) + fcgi.request("/fragment/b", 2))
        assert connection.response(2).status == 503
        assert read(server)["refused"] == {"max_flights": 1}
        assert "         1  max_flights" in text(server).splitlines()
        api.release("a")
        assert connection.response(1).status == 200
    redis.stop()
    wait_until(lambda: read(server)["redis"]["up"] is False, "Redis to be down")
    status = read(server)["redis"]
    assert (status["connected"], status["lost"]) == (1, 1)
    assert f"redis       {status['trouble']}, connected 1 times, lost 1 times" in text(server)
