"""Many processes as one: one generation of a key anywhere, and which process takes over when the
one that generates dies, hangs, fails or is overtaken."""

import os
import re
import signal
import time
from contextlib import ExitStack

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.fleet import Fleet, cache_status, detail, fleet_config, is_hit, own_fleet
from harness.servers import SpawnFcgi, Workerless
from harness.wait import SLOWNESS, scaled, stays, wait_until

NEGATIVE_S = 2
ROUTES = f"""
fragment "failing/*" {{ source = "api" ttl = "60s" negative = "{NEGATIVE_S}s" }}
fragment "covered/*" {{ source = "api" ttl = "150ms" stale_error = "60s"
                       negative = "{NEGATIVE_S}s" }}
fragment "*"         {{ source = "api" ttl = "60s" }}
"""


@pytest.fixture(scope="module")
def shared():
    with own_fleet(routes=ROUTES) as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Three daemons on one Redis, for the tests that leave all of them running."""
    with shared.lent():
        yield shared


def park(fleet, number: int, name: str, ids=(1,)) -> None:
    """Sends requests of a key that another daemon makes, and waits until they wait for that one:
    the daemon has tried to take the lease."""
    server = fleet.servers[number]
    claims = server.counter("claims")
    before = fleet.redis.calls_of("evalsha") + fleet.redis.calls_of("eval")
    fleet.send(number, name, ids)
    server.wait_counter("claims", claims + 1)
    fleet.connections[number].sync()
    wait_until(lambda: fleet.redis.calls_of("evalsha") + fleet.redis.calls_of("eval") > before,
               "the lease to be asked for")


# One call.


def test_one_call_for_the_fleet(fleet, name):
    """A cold key that is requested from all of them at once."""
    fleet.api.hold(name)
    count = scaled(300, least=30)
    for number in fleet.running():
        fleet.send(number, name, range(1, count + 1))
    for connection in fleet.connections:
        connection.sync()
    fleet.api.wait_calls(name, 1)
    fleet.api.release(name)
    for number in fleet.running():
        for request_id in range(1, count + 1):
            response = fleet.response(number, request_id)
            assert (response.status, response.text) == \
                (200, f'<div id="{name}">result for {name}</div>')
    assert fleet.api.calls(name) == 1


def test_cold_keys_of_spawned_processes(tmp, run, redis, api):
    """4 processes on one socket, 3,000 requests for each of them, 50 keys: 50 calls."""
    processes, connection_count, keys = 4, 60, 50
    each = scaled(3000, least=200) * processes // connection_count
    names = [f"k{number}" for number in range(keys)]
    api.hold(*names)
    group = run(SpawnFcgi(tmp, fleet_config(api, redis), processes=processes))
    wait_until(lambda: redis.command("INFO", "clients").count(b"tracking_clients:4") == 1,
               "all processes to be told of changes")
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(group.address))
                       for _ in range(connection_count)]
        for connection in connections:
            connection.sync()
        taken = [len(os.listdir(f"/proc/{pid}/fd")) for pid in group.pids]
        assert sum(taken) >= connection_count
        for first, connection in enumerate(connections):
            connection.send_raw(b"".join(
                fcgi.request(f"/fragment/{names[(first + number) % keys]}", number + 1)
                for number in range(each)))
        for connection in connections:
            connection.sync()
        api.wait_calls(None, keys)
        api.release(*names)
        for first, connection in enumerate(connections):
            for number in range(each):
                response = connection.response(number + 1)
                assert response.status == 200
                assert f"result for {names[(first + number) % keys]}<" in response.text
    assert sorted(call.path for call in api.requests()) == sorted(f"/{key}" for key in names)


def test_the_lease_is_renewed(tmp, run, redis, api):
    """A generation that is longer than the lease is still the only one."""
    fleet = run(Fleet(tmp, redis, api, size=2, lease="200ms"))
    api.hold("a")
    fleet.send(0, "a")
    api.wait_calls("a", 1)
    fleet.send(1, "a")
    wait_until(lambda: redis.calls_of("pexpire") >= 9, "three lives of a lease to pass")
    assert api.calls("a") == 1 and fleet.leases()
    api.release("a")
    assert [fleet.response(number).status for number in (0, 1)] == [200, 200]
    assert api.calls("a") == 1
    wait_until(lambda: not fleet.leases(), "the lease to be released")


# The process that generates is lost.


def test_a_killed_maker_is_replaced(tmp, run, redis, api):
    """By one of the waiting processes, as soon as the lease is over; every request is answered."""
    fleet = run(Fleet(tmp, redis, api, lease="400ms"))
    names = [f"k{number}" for number in range(20)]
    api.hold(*names)
    count = scaled(400, least=40)
    for request_id, name in enumerate(names[:10], 1):
        fleet.send(0, name, [request_id])
        api.wait_calls(name, 1)
    for number in (1, 2):
        fleet.connections[number].send_raw(b"".join(
            fcgi.request(f"/fragment/{names[request_id % 20]}", request_id)
            for request_id in range(1, count + 1)))
        fleet.connections[number].sync()
    api.wait_calls(None, 20)
    api.hold_no_more(*names[:10])
    fleet.servers[0].kill()
    api.release(*names[10:])
    for number in (1, 2):
        for request_id in range(1, count + 1):
            response = fleet.response(number, request_id)
            assert response.status == 200
            assert f"result for {names[request_id % 20]}<" in response.text
    assert {name: api.calls(name) for name in names} == \
        {name: 2 if name in names[:10] else 1 for name in names}
    wait_until(lambda: not fleet.leases(), "all leases to be over")


@pytest.mark.parametrize("answered", ["before it goes on", "after it goes on"])
def test_a_stopped_maker_does_not_overwrite(tmp, run, redis, api, answered):
    """It is stopped until its lease is over, another one generates a newer value, and then it
    continues."""
    fleet = run(Fleet(tmp, redis, api, size=2, lease=f"{200 * max(SLOWNESS, 1):.0f}ms"))
    api.answer("a", body="<p>older</p>", type="text/html")
    api.hold("a")
    fleet.send(0, "a")
    api.wait_calls("a", 1)
    fleet.servers[0].signal(signal.SIGSTOP)
    api.answer("a", body="<p>newer</p>", type="text/html")
    api.hold_no_more("a")
    assert fleet.ask(1, "a").text == "<p>newer</p>"
    fleet.wait_value("a")
    if answered == "before it goes on":
        api.release("a")
    fleet.servers[0].signal(signal.SIGCONT)
    if answered == "after it goes on":
        fleet.response(0)
        api.release("a")
    assert fleet.response(0).text in ("<p>older</p>", "<p>newer</p>")
    fleet.wait_armed()
    assert [response.text for response in fleet.ask_all("a")] == ["<p>newer</p>"] * 2
    assert fleet.value("a") == b"<p>newer</p>"
    assert api.calls("a") == 2


def test_a_maker_that_shuts_down(tmp, run, redis, api):
    """Requests that wait elsewhere do not wait until its lease ends."""
    fleet = run(Fleet(tmp, redis, api, size=2, lease="1h", extra='shutdown_timeout = "50ms"'))
    api.hold("a")
    fleet.send(0, "a")
    api.wait_calls("a", 1)
    park(fleet, 1, "a")
    api.hold_no_more("a")
    fleet.servers[0].stop()
    assert "result for a" in fleet.response(1).text
    assert fleet.response(0).status == 202


# The source fails.


def test_a_failure_gives_the_lease_up(fleet, name):
    """And one of the processes that wait tries again."""
    fleet.api.answer(name, status=500)
    fleet.api.hold(name)
    fleet.send(0, name)
    fleet.api.wait_calls(name, 1)
    for number in (1, 2):
        park(fleet, number, name)
    fleet.api.answer(name, body="<p>well</p>", type="text/html")
    fleet.api.hold_no_more(name)
    fleet.api.release(name)
    assert fleet.response(0).status == 502
    assert [fleet.response(number).text for number in (1, 2)] == ["<p>well</p>"] * 2
    assert fleet.api.calls(name) == 2


@pytest.mark.parametrize("status, seen", [(500, 502), (404, 404)])
def test_a_failure_is_remembered(fleet, name, status, seen):
    """A failing source is called once in a period by all processes together."""
    name = f"failing/{name}"
    fleet.api.answer(name, status=status)
    began = time.monotonic()
    rounds = 0
    while fleet.api.calls(name) < 2:
        assert {response.status for response in fleet.ask_all(name)} == {seen}
        rounds += 1
        assert fleet.api.calls(name) <= 1 + int((time.monotonic() - began) / NEGATIVE_S)
    assert rounds > 2
    fleet.api.answer(name, body="<p>well</p>", type="text/html")
    wait_until(lambda: fleet.ask(0, name).status == 200, "the failure to be forgotten")
    wait_until(lambda: {response.status for response in fleet.ask_all(name)} == {200}, "the result")
    assert fleet.api.calls(name) == 3


def test_waiters_get_the_failure(fleet, name):
    """No process that waits calls again: they find the remembered failure."""
    name = f"failing/{name}"
    fleet.api.answer(name, status=500)
    fleet.api.hold(name)
    for number in fleet.running():
        fleet.send(number, name, range(1, 20))
        fleet.connections[number].sync()
    fleet.api.wait_calls(name, 1)
    fleet.api.release(name)
    for number in fleet.running():
        assert {fleet.response(number, each).status for each in range(1, 20)} == {502}
    assert fleet.api.calls(name) == 1


def test_a_failure_is_remembered_behind_a_stale_entry(fleet, name):
    name = f"covered/{name}"
    fleet.api.answer(name, body="<p>old</p>", type="text/html")
    assert fleet.ask(0, name).text == "<p>old</p>"
    fleet.wait_value(name)
    fleet.api.answer(name, status=500)
    began = time.monotonic()
    while fleet.api.calls(name) < 3:
        assert {response.text for response in fleet.ask_all(name)} == {"<p>old</p>"}
        assert fleet.api.calls(name) <= 2 + int((time.monotonic() - began) / NEGATIVE_S)
    fleet.api.answer(name, body="<p>new</p>", type="text/html")
    wait_until(lambda: {response.text for response in fleet.ask_all(name)} == {"<p>new</p>"},
               "the source to be asked again")


# What others write wakes the waiting requests.


def test_set_wakes_everybody(fleet, name):
    """Those that wait on their own process's call, and those that wait on another's."""
    fleet.api.hold(name)
    fleet.send(0, name, range(1, 11))
    fleet.api.wait_calls(name, 1)
    for number in (1, 2):
        park(fleet, number, name, range(1, 11))
    fleet.redis.command("SET", f"worker:{name}", "<p>hi</p>", "EX", 60)
    for number in fleet.running():
        for request_id in range(1, 11):
            response = fleet.response(number, request_id)
            assert is_hit(response) and response.text == "<p>hi</p>"
    assert fleet.api.calls(name) == 1
    wait_until(lambda: not fleet.leases(), "the lease to be released")
    fleet.api.release(name)
    fleet.hear()
    assert {response.text for response in fleet.ask_all(name)} == {"<p>hi</p>"}
    assert fleet.value(name) == b"<p>hi</p>" and fleet.api.calls(name) == 1


def test_del_is_seen_by_everybody(fleet, name):
    fleet.api.answer(name, body="<p>old</p>", type="text/html")
    for number in fleet.running():
        wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")
    fleet.api.answer(name, body="<p>new</p>", type="text/html")
    fleet.redis.command("DEL", f"worker:{name}")
    fleet.hear()
    assert not is_hit(fleet.ask(0, name))
    assert [response.text for response in fleet.ask_all(name)] == ["<p>new</p>"] * 3
    assert fleet.api.calls(name) == 2


def test_set_is_seen_by_everybody(fleet, name):
    for number in fleet.running():
        wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    fleet.hear()
    assert [response.text for response in fleet.ask_all(name)] == ["by hand"] * 3
    assert fleet.api.calls(name) == 1


def test_purge_is_seen_by_everybody(fleet, name):
    for number in fleet.running():
        wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")
    assert fleet.purge(1, name).status == 204
    fleet.hear()
    assert not is_hit(fleet.ask(1, name))
    assert fleet.api.calls(name) == 2
    fleet.ask_all(name)
    assert fleet.api.calls(name) == 2


def test_a_lease_deleted_by_hand(fleet, name):
    """One of the waiting processes takes over; the waiters of both are answered."""
    fleet.api.hold(name)
    fleet.send(0, name)
    fleet.api.wait_calls(name, 1)
    for number in (1, 2):
        park(fleet, number, name)
    fleet.redis.command("DEL", f"lease:{{worker:{name}}}")
    fleet.api.wait_calls(name, 2)
    fleet.api.release(name)
    assert [fleet.response(number).status for number in fleet.running()] == [200] * 3
    assert fleet.api.calls(name) == 2


def test_script_flush(fleet, name):
    """Scripts are sent again when Redis has forgotten them, at every step."""
    fleet.api.hold(name)
    fleet.redis.command("SCRIPT", "FLUSH")
    fleet.send(0, name)
    fleet.api.wait_calls(name, 1)
    fleet.redis.command("SCRIPT", "FLUSH")
    fleet.send(1, name)
    fleet.connections[1].sync()
    fleet.api.release(name)
    assert [fleet.response(number).status for number in (0, 1)] == [200, 200]
    assert fleet.wait_value(name)
    fleet.redis.command("SCRIPT", "FLUSH")
    assert fleet.purge(0, name).status == 204
    assert fleet.purge(0, name, headers={"Workerless-Purge": "soft"}).status == 204
    assert fleet.api.calls(name) == 1


def test_other_namespaces(tmp, run, fleet, name):
    """Keys that are not ours are no answers and do no harm, even if they look similar."""
    other = run(Workerless(tmp, fleet_config(fleet.api, fleet.redis, cache='namespace = "work"')))
    with Connection(other.address) as connection:
        fleet.redis.command("SET", f"worke:{name}", "no", "EX", 60)
        fleet.redis.command("SET", f"worker2:{name}", "no", "EX", 60)
        assert connection.request(f"/fragment/{name}").status == 200
        wait_until(lambda: f"work:{name}" in fleet.redis.keys(), "the value to be stored")
        assert f"result for {name}" in fleet.ask(0, name).text
        assert fleet.api.calls(name) == 2
        wait_until(lambda: detail(fleet.ask(0, name)) == "memory", "it to be in memory")
        for key in (f"work:{name}", f"worker2:{name}", name):
            fleet.redis.command("SET", key, "no", "EX", 60)
        fleet.hear()
        response = fleet.ask(0, name)
        assert detail(response) == "memory" and f"result for {name}" in response.text


def test_a_waiter_that_leaves(fleet, name):
    """All clients leave; the result is stored for later requests."""
    fleet.api.hold(name)
    with Connection(fleet.servers[0].address) as connection:
        connection.send_raw(fcgi.request(f"/fragment/{name}"))
        fleet.api.wait_calls(name, 1)
    fleet.api.release(name)
    fleet.wait_value(name)
    assert is_hit(fleet.ask(1, name)) and fleet.api.calls(name) == 1


def test_collapsed_is_said(fleet, name):
    """A request that waited on a call in the same process has collapsed; one that got what another
    process generated has a hit."""
    fleet.api.hold(name)
    fleet.send(0, name, (1, 2))
    fleet.api.wait_calls(name, 1)
    park(fleet, 1, name)
    fleet.api.release(name)
    first, second = fleet.response(0, 1), fleet.response(0, 2)
    assert "fwd=miss" in cache_status(first) and "collapsed" not in cache_status(first)
    assert "fwd=miss" in cache_status(second) and "collapsed" in cache_status(second)
    assert re.search(r"; hit; ttl=\d+; detail=redis$",
                     fleet.response(1).headers["cache-status"])


def test_parked_requests_cost_no_polling(fleet, name):
    """Requests that wait for another process cause no commands, except for a slow safety lookup."""
    fleet.api.hold(name)
    fleet.send(0, name)
    fleet.api.wait_calls(name, 1)
    park(fleet, 1, name)
    fleet.hear()

    def looks() -> int:
        return fleet.redis.calls_of("getrange") + fleet.redis.calls_of("strlen")

    before = looks()
    stays(lambda: looks() - before < 3, "hardly any look")
    fleet.api.release(name)
    assert fleet.response(1).status == 200
