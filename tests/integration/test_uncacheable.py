"""Results that their source forbids to share (RFC 9111 5.2.2.5, 5.2.2.7): each reaches only the
request that it was made for, and no request waits for another's call. The API says in each answer
which of its calls it is for, so no two requests may get the same."""

from __future__ import annotations

import itertools
import random
import re
import time
from typing import List

import pytest

from harness import fcgi, fronts
from harness.events import parse, query
from harness.fcgi import Connection
from harness.fleet import Fleet, cache_status, is_hit, own_fleet
from harness.httpc import get
from harness.trouble import Trouble
from harness.wait import SLOWNESS, scaled, stays, wait_until

PRIVATE = {"Cache-Control": "private"}
MARKER = re.compile(rb"workerless/1 made=\d+ fresh=\d+ cost=0 status=uncacheable type=text/plain\n"
                    rb"[^\n]*private[^\n]*$")
ROUTES = """
fragment "apart/*" { source = "api" ttl = "60s" share = "no" }
fragment "brief/*" { source = "api" ttl = "60s" hold = "200ms" }
fragment "early/*" { source = "api" ttl = "50ms" stale = "60s" }
fragment "none/*"  { source = "api" ttl = "60s" uncacheable = "0" }
fragment "short/*" { source = "api" ttl = "60s" uncacheable = "300ms" }
fragment "used/*"  { source = "api" ttl = "60s" uncacheable = "2s" }
fragment "zero/*"  { source = "api" ttl = "0" }
fragment "*"       { source = "api" ttl = "60s" stream = "yes" }
"""


def number_calls(api) -> None:
    """Each answer is another, and private."""
    numbers = itertools.count()
    api.text = lambda name: f"{name}: call {next(numbers)}"
    api.headers = PRIVATE


@pytest.fixture(scope="module")
def shared():
    with own_fleet(size=2, routes=ROUTES) as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Two daemons on one Redis, and an API whose answers are private."""
    with shared.lent():
        number_calls(shared.api)
        yield shared


def marker(fleet: Fleet, name: str) -> bytes:
    return fleet.redis.command("GET", f"worker:{name}") or b""


def wait_marker(fleet: Fleet, name: str) -> None:
    wait_until(lambda: MARKER.match(marker(fleet, name)), "the marker")


def make_marker(fleet: Fleet, name: str) -> None:
    """One request finds out, and all daemons know of it."""
    check_own(fleet.ask(0, name))
    wait_marker(fleet, name)
    fleet.hear()


def check_own(response) -> None:
    """It is for one request only, and tells every cache on its way so."""
    assert response.status == 200, response.stdout
    assert response.headers["cache-control"] == "private, no-store"
    assert not {"etag", "age"} & set(response.headers)
    assert cache_status(response) == ["workerless", "fwd=miss", "detail=uncacheable"]


def all_different(responses: List) -> bool:
    return len({response.text for response in responses}) == len(responses)


# Simultaneous requests.


@pytest.mark.seconds(120)
def test_many_at_once(tmp, run, redis, api):
    """4 processes, 400 requests of one fragment that takes a while. One call finds out, and all
    others are made side by side: that is twice the time of one. Then a marker is known, and
    everybody has to wait just once."""
    fleet = run(Fleet(tmp, redis, api, size=4))
    number_calls(api)
    delay = 1.0 * SLOWNESS
    api.delay = lambda: delay
    each = scaled(100, least=20)
    for most in (3, 2):
        before = api.calls("a")
        began = time.monotonic()
        for number in fleet.running():
            fleet.send(number, "a", range(1, each + 1))
        responses = [fleet.response(number, request_id)
                     for number in fleet.running() for request_id in range(1, each + 1)]
        taken = time.monotonic() - began
        assert taken < most * delay, f"{taken:.2f} s for a source that takes {delay} s"
        for response in responses:
            check_own(response)
        assert all_different(responses)
        assert api.calls("a") == before + 4 * each
        assert MARKER.match(marker(fleet, "a"))
        assert 0 < redis.command("PTTL", "worker:a") <= 120_000
        assert not fleet.leases()
        for connection in fleet.connections:
            connection.close()
        fleet.reconnect()
    assert sum(server.counter("calls_solo") for server in fleet.servers) == 8 * each - 1
    assert sum(server.counter("uncacheable") for server in fleet.servers) == 8 * each
    for server in fleet.servers:
        assert server.log().count("forbids caching and sharing") == 1


def number_of(response) -> int:
    """Which of the API's calls it is for."""
    return int(re.search(r": call (\d+)<", response.text).group(1))


def test_it_is_the_first_requests(fleet, name):
    """The result is for the request that started the call, not for one that joined. One that has
    left by then has no call."""
    fleet.api.hold(name)
    fleet.send(0, name, (1,))
    fleet.api.wait_calls(name, 1)
    fleet.send(0, name, (2, 3, 4))
    fleet.connections[0].send_raw(fcgi.abort(3))
    fleet.connections[0].sync()
    fleet.api.release(name)
    responses = [fleet.response(0, number) for number in (1, 2, 4)]
    for response in responses:
        check_own(response)
    numbers = [number_of(response) for response in responses]
    assert sorted(numbers) == [0, 1, 2] and numbers[0] == 0
    assert fleet.api.calls(name) == 3


def test_the_first_request_has_left(fleet, name):
    """Then nobody gets the result."""
    fleet.api.hold(name)
    fleet.send(0, name, (1,))
    fleet.api.wait_calls(name, 1)
    fleet.send(0, name, (2, 3))
    fleet.connections[0].send_raw(fcgi.abort(1))
    fleet.connections[0].sync()
    fleet.api.release(name)
    responses = [fleet.response(0, request_id) for request_id in (2, 3)]
    for response in responses:
        check_own(response)
    assert sorted(number_of(response) for response in responses) == [1, 2]
    assert fleet.api.calls(name) == 3


def test_whose_request_it_is(fleet, name):
    """A call has the X-Request-Id of its own request, or a new one, but never another's."""
    def ask(number: int) -> bytes:
        return fcgi.request(f"/fragment/{name}", number, headers={"X-Request-Id": f"id-{number}"})

    connection = fleet.connections[0]
    fleet.api.hold(name)
    connection.send_raw(ask(1))
    fleet.api.wait_calls(name, 1)
    connection.send_raw(ask(2))
    connection.sync()
    fleet.api.release(name)
    for number in (1, 2):
        check_own(connection.response(number))
    connection.send_raw(ask(3))
    check_own(connection.response(3))
    ids = [call.headers["x-request-id"] for call in fleet.api.requests(name)]
    assert ids[0] == "id-1" and ids[2] == "id-3"
    assert re.fullmatch("[0-9a-f]{32}", ids[1])


# The marker.


def test_nobody_asks_for_a_lease(fleet, name):
    """Where the marker is in memory, not even Redis is asked; where it is not, once."""
    make_marker(fleet, name)
    for response in fleet.ask_all(name):
        check_own(response)
    before = [server.counters() for server in fleet.servers]
    for number in (0, 1):
        check_own(fleet.ask(number, name))
    for server, old in zip(fleet.servers, before):
        new = server.counters()
        assert {key: new[key] - old[key] for key in ("lookups", "claims", "stores")} == \
            {"lookups": 0, "claims": 0, "stores": 0}
        assert new["calls_solo"] == old["calls_solo"] + 1


def test_a_result_that_may_be_shared_ends_it(fleet, name):
    make_marker(fleet, name)
    fleet.api.headers = {}
    first = fleet.ask(1, name)
    assert "stored" in cache_status(first) and "max-age=60" in first.headers["cache-control"]
    fleet.wait_value(name, lambda value: b"call" in value)
    fleet.hear()
    assert [response.text for response in fleet.ask_all(name)] == [first.text] * 2
    assert all(is_hit(response) for response in fleet.ask_all(name))
    assert fleet.api.calls(name) == 2
    fleet.redis.command("DEL", f"worker:{name}")
    fleet.hear()
    fleet.api.hold(name)
    fleet.send(0, name, (1, 2, 3))  # they share calls again
    fleet.connections[0].sync()
    fleet.api.release(name)
    assert len({fleet.response(0, number).text for number in (1, 2, 3)}) == 1
    assert fleet.api.calls(name) == 3


def test_the_marker_ends(fleet, name):
    name = f"short/{name}"
    stores = fleet.servers[0].counter("stores")
    check_own(fleet.ask(0, name))
    fleet.servers[0].wait_counter("stores", stores + 1)
    wait_until(lambda: not marker(fleet, name), "the end of the marker")
    fleet.api.hold(name)
    before = fleet.api.calls(name)
    fleet.send(0, name, (1, 2))
    fleet.connections[0].sync()
    fleet.api.wait_calls(name, before + 1)
    stays(lambda: fleet.api.calls(name) == before + 1, "one call that finds out")
    fleet.api.release(name)
    assert all_different([fleet.response(0, number) for number in (1, 2)])


def test_it_is_renewed_while_it_is_used(fleet, name):
    """So that no request has to find out again."""
    name = f"used/{name}"
    make_marker(fleet, name)
    first = marker(fleet, name)
    claims = fleet.servers[0].counter("claims")

    def renewed() -> bool:
        check_own(fleet.ask(0, name))
        return marker(fleet, name) not in (first, b"")

    wait_until(renewed, "another marker")
    if SLOWNESS <= 1:
        assert fleet.servers[0].counter("claims") == claims


def test_not_remembered(fleet, name):
    name = f"none/{name}"
    fleet.api.hold(name)
    fleet.send(0, name, (1, 2))
    fleet.api.wait_calls(name, 1)
    fleet.send(1, name, (1, 2))
    fleet.connections[1].sync()
    fleet.api.release(name)
    responses = [fleet.response(number, each) for number in (0, 1) for each in (1, 2)]
    for response in responses:
        check_own(response)
    assert all_different(responses)
    wait_until(lambda: not fleet.leases(), "the lease to be released")
    assert not marker(fleet, name)


def test_an_old_entry_is_replaced(fleet, name):
    """A refresh, which no request waits for, gives a private result: the old entry is removed, and
    nobody gets the new one."""
    name = f"early/{name}"
    fleet.api.headers = {}
    old = fleet.ask(0, name)
    fleet.wait_value(name)
    fleet.api.headers = PRIVATE

    def served() -> str:
        response = fleet.ask(0, name)
        assert response.text == old.text or "uncacheable" in response.headers["cache-status"]
        return response.text

    wait_until(lambda: served() != old.text, "the old entry to go")
    wait_marker(fleet, name)
    fleet.hear()
    responses = fleet.ask_all(name)
    for response in responses:
        check_own(response)
    assert all_different(responses)


def test_a_value_set_by_hand_ends_it(fleet, name):
    """Whatever is written in place of the marker is served; a call that began before does not
    replace it."""
    make_marker(fleet, name)
    fleet.api.hold(name)
    fleet.send(0, name, (9,))
    fleet.api.wait_calls(name, 2)
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    fleet.hear()
    fleet.api.headers = {}
    assert [response.text for response in fleet.ask_all(name)] == ["by hand"] * 2
    fleet.api.release(name)
    assert "call" in fleet.response(0, 9).text
    fleet.hear()
    assert fleet.value(name) == b"by hand"


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("by", [0, 1])
def test_purge(fleet, name, by, soft):
    """Removes the marker. The result of a call that began before, and may be shared, is not
    stored, whichever process has purged."""
    make_marker(fleet, name)
    fleet.api.answer(name, body="<p>older</p>", type="text/html")
    fleet.api.hold(name)
    fleet.send(0, name, (9,))
    fleet.api.wait_calls(name, 2)
    headers = {"Workerless-Purge": "soft"} if soft else {}
    assert fleet.purge(by, name, headers=headers).status == 204
    fleet.hear()
    fleet.api.release(name)
    assert fleet.response(0, 9).text == "<p>older</p>"
    fleet.hear()
    assert b"older" not in marker(fleet, name)
    fleet.api.answer(name, body="<p>newer</p>", type="text/html")
    assert [response.text for response in fleet.ask_all(name)] == ["<p>newer</p>"] * 2
    assert fleet.api.calls(name) == 3


# Requests that do not wait long.


def test_who_does_not_wait(fleet, name):
    """No call is made if nobody would get its result."""
    make_marker(fleet, name)
    for number in (0, 1):
        response = fleet.ask(number, name, headers={"Prefer": "wait=0"})
        assert (response.status, response.headers["retry-after"]) == (202, "1")
        assert fleet.ask(number, name,
                         headers={"Prefer": "wait=0, handling=strict"}).status == 503
    assert fleet.api.calls(name) == 1


def test_a_call_ends_with_its_request(daemon, api, redis):
    """With its hold, or when the client leaves: then there is room for another flight."""
    number_calls(api)
    server = daemon(f"""
        max_flights = 1
        cache {{ redis = "{redis.url}" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" timeout = "60s" }}
        fragment "*" {{ source = "api" hold = "200ms" }}
        """)
    with Connection(server.address) as connection:
        check_own(connection.request())
        wait_until(lambda: redis.command("GET", "worker:a"), "the marker")
        api.hold("a")
        assert connection.request(request_id=1).status == 202
        connection.send_raw(fcgi.request("/fragment/a", 2))
        api.wait_calls("a", 3)
        connection.send_raw(fcgi.abort(2))
        api.hold_no_more("a")
        wait_until(lambda: connection.request(request_id=3).status == 200, "room for a flight")


def test_refused_calls(daemon, api, redis):
    """At max_flights, requests that can't have a call of their own are rejected."""
    number_calls(api)
    server = daemon(redis=redis.url, extra="max_flights = 2")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(fcgi.request("/fragment/a", number + 1)
                                     for number in range(5)))
        connection.sync()
        api.wait_calls("a", 1)
        api.release("a")
        statuses = sorted(connection.response(number + 1).status for number in range(5))
        assert statuses == [200, 200, 200, 503, 503]
        assert server.counter("refused_max_flights") == 2


# Streams.


def test_streams(fleet, name):
    """A part is as private as a response; each stream has its own."""
    names = [name, f"{name}x"]
    bodies = []
    with Connection(fleet.servers[0].address) as connection:
        for _ in range(2):  # first they find out, then they know
            fleet.api.hold(*names)
            for request_id in (1, 2, 3):
                connection.send_raw(fcgi.request("/fragments", request_id, query=query(names)))
            connection.sync()
            fleet.api.release(*names)
            for request_id in (1, 2, 3):
                response = connection.response(request_id)
                assert response.headers["cache-control"] == "no-store"
                events = dict(parse(response.body))
                assert set(events) == {*names, "end"}
                bodies += [events[each] for each in names]
    assert len(set(bodies)) == len(bodies) == 12


def test_a_stream_that_is_left(fleet, name):
    make_marker(fleet, name)
    fleet.api.hold(name)
    with Connection(fleet.servers[0].address) as connection:
        connection.send_raw(fcgi.request("/fragments", query=query([name])))
        fleet.api.wait_calls(name, 2)
    wait_until(lambda: fleet.servers[0].counter("parked") == 0, "the part to leave")
    fleet.api.release(name)
    check_own(fleet.ask(0, name))


# A front server.


def test_a_cache_in_front(tmp, run, redis, api, daemon):
    """nginx's own cache keeps what may be shared, and nothing else."""
    number_calls(api)
    api.answer("shared", body="<p>shared</p>", type="text/html")
    front = run(fronts.nginx(tmp, daemon(redis=redis.url).socket_path, changes={
        "server_tokens off;": "server_tokens off; fastcgi_cache_path @DIR@/cache keys_zone=c:1m;",
        "fastcgi_keep_conn on;":
            "fastcgi_keep_conn on; fastcgi_cache c; fastcgi_cache_key $request_uri;"}))
    for name, kept in (("shared", True), ("own", False)):
        replies = [get(front.address, f"/fragment/{name}") for _ in range(3)]
        assert all(reply.status == 200 for reply in replies)
        assert all("hit" not in reply.headers["cache-status"] for reply in replies)  # nginx has it
        assert len({reply.text for reply in replies}) == (1 if kept else 3)
        assert api.calls(name) == (1 if kept else 3)


# Routes that do not share calls, and those that do not cache.


def test_calls_apart(fleet, name):
    name = f"apart/{name}"
    fleet.api.headers = {}
    fleet.api.hold(name)
    for number in (0, 1):
        fleet.send(number, name, (1, 2, 3))
    fleet.api.wait_calls(name, 6)
    assert not fleet.leases()
    fleet.api.release(name)
    responses = [fleet.response(number, each) for number in (0, 1) for each in (1, 2, 3)]
    assert all_different(responses)
    assert all("collapsed" not in cache_status(response) for response in responses)
    value = fleet.wait_value(name)
    fleet.hear()
    again = fleet.ask_all(name)
    assert [is_hit(response) for response in again] == [True, True]
    assert {response.body for response in again} == {value}
    assert fleet.api.calls(name) == 6


def test_without_ttl(fleet, name):
    """ttl = 0: shared while it is in progress, and not kept."""
    name = f"zero/{name}"
    fleet.api.headers = {}
    for calls in (1, 2):
        fleet.api.hold(name)
        fleet.send(0, name, (1, 2, 3))
        fleet.connections[0].sync()
        fleet.api.wait_calls(name, calls)
        fleet.api.release(name)
        assert len({fleet.response(0, each).text for each in (1, 2, 3)}) == 1
        assert fleet.api.calls(name) == calls
        assert not marker(fleet, name)


# When something fails.


def test_a_failure_is_nobody_elses(fleet, name):
    """It does not replace the marker."""
    make_marker(fleet, name)
    fleet.api.answer(name, status=500)
    assert fleet.ask(0, name).status == 502
    assert fleet.ask(1, name).status == 502
    assert fleet.api.calls(name) == 3
    assert MARKER.match(marker(fleet, name))


@pytest.mark.parametrize("when", ["never there", "lost meanwhile"])
def test_without_redis(tmp, run, redis, api, when):
    """A process knows its own marker."""
    number_calls(api)
    fleet = run(Fleet(tmp, redis, api, size=1))
    if when == "never there":
        redis.kill()
        fleet.servers[0].wait_log("continuing without it")
    for expected in (1, 20):
        before = api.calls("a")
        api.hold("a")
        fleet.send(0, "a", range(1, 21))
        fleet.connections[0].sync()
        api.wait_calls("a", before + expected)
        if when == "lost meanwhile" and redis.running:
            redis.kill()
            fleet.servers[0].wait_log("continuing without it")
        api.release("a")
        responses = [fleet.response(0, number) for number in range(1, 21)]
        for response in responses:
            check_own(response)
        assert all_different(responses)
        assert api.calls("a") == before + 20


@pytest.mark.parametrize("command", ["FLUSHALL", "DEL"])
def test_flushed_meanwhile(fleet, name, command):
    """While one call finds out, and while everybody has a call."""
    for calls in (1, 10):
        before = fleet.api.calls(name)
        fleet.api.hold(name)
        for number in (0, 1):
            fleet.send(number, name, range(1, 6))
            fleet.connections[number].sync()
        fleet.api.wait_calls(name, before + calls)
        keys = [f"worker:{name}", f"lease:{{worker:{name}}}"] if command == "DEL" else []
        fleet.redis.command(command, *keys)
        fleet.hear()
        fleet.api.release(name)
        responses = [fleet.response(number, each) for number in (0, 1) for each in range(1, 6)]
        for response in responses:
            check_own(response)
        assert all_different(responses)
        check_own(fleet.ask(0, name))
        wait_marker(fleet, name)
        fleet.hear()


def test_killed_meanwhile(tmp, run, redis, api):
    """The process that finds out dies: another one finds out, and every request is answered."""
    number_calls(api)
    fleet = run(Fleet(tmp, redis, api, size=3, lease="400ms"))
    api.hold("a")
    for number in fleet.running():
        fleet.send(number, "a", range(1, 21))
        fleet.connections[number].sync()
        api.wait_calls("a", 1)
    fleet.servers[0].kill()
    api.wait_calls("a", 2)
    api.release("a")
    responses = [fleet.response(number, each) for number in (1, 2) for each in range(1, 21)]
    for response in responses:
        check_own(response)
    assert all_different(responses)
    api.hold("a")
    before = api.calls("a")
    for number in (1, 2):
        fleet.send(number, "a", range(1, 21))
    api.wait_calls("a", before + 40)
    fleet.servers[1].kill()
    api.release("a")
    last = [fleet.response(2, each) for each in range(1, 21)]
    assert all_different(responses + last)
    wait_until(lambda: not fleet.leases(), "all leases to be over")


def test_through_troubles(tmp, run, redis, api):
    """Whatever becomes of Redis, everybody is answered, and nobody gets another's answer."""
    chance = random.Random()
    number_calls(api)
    api.delay = lambda: chance.uniform(0, 0.03)
    fleet = run(Fleet(tmp, redis, api, lease="400ms", cache='redis_timeout = "100ms"'))
    trouble = Trouble(redis, chance, lambda _redis: None)
    names = [f"k{number}" for number in range(4)]
    seen = set()
    began = time.monotonic()
    while time.monotonic() < began + 4 or len(seen) < 500:
        trouble.step()
        for number in fleet.running():
            fleet.connections[number].send_raw(b"".join(
                fcgi.request(f"/fragment/{chance.choice(names)}", request_id)
                for request_id in range(1, 17)))
        for number in fleet.running():
            for request_id in range(1, 17):
                response = fleet.response(number, request_id)
                check_own(response)
                assert response.text not in seen, trouble.count
                seen.add(response.text)
    trouble.mend()
