"""Flights and waiters: one slow call for any number of requests, waiters that leave, and every
limit at, below and above its value."""

from contextlib import ExitStack

import pytest

from harness import fcgi
from harness.fakeredis import SILENCE, FakeRedis
from harness.fcgi import Connection, ask
from harness.fleet import fleet_config
from harness.wait import scaled, stays, wait_until


def start(name: str, request_id: int = 1, **options) -> bytes:
    return fcgi.request(f"/fragment/{name}", request_id, **options)


def assert_refused(response) -> None:
    """Over a limit: 503, to be retried."""
    assert (response.status, response.protocol_status) == (503, fcgi.REQUEST_COMPLETE)
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["cache-control"] == "no-store"


# Coalescing.


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_one_call_for_many_connections(daemon, api, transport):
    server = daemon(listen=transport)
    count = scaled(1000, least=50)
    api.hold("a")
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(count)]
        for connection in connections:
            connection.send_raw(start("a"))
        for connection in connections:
            connection.sync()
            connection.expect_silence()
        assert api.calls() == 1
        api.release("a")
        responses = [connection.response() for connection in connections]
    assert {response.text for response in responses} == {'<div id="a">result for a</div>'}
    assert {response.status for response in responses} == {200}
    collapsed = [response for response in responses
                 if "collapsed" in response.headers["cache-status"]]
    assert len(collapsed) == count - 1
    assert all("fwd=miss" in response.headers["cache-status"] for response in responses)
    assert api.calls() == 1


def test_one_call_for_many_ids(daemon, api):
    """Several keys, each asked for by many ids of several connections."""
    server = daemon()
    names = ["a", "b", "c"]
    api.hold(*names)
    ids = range(1, 301)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(4)]
        for connection in connections:
            connection.send_raw(b"".join(start(names[number % 3], number) for number in ids))
            connection.sync()
        for index in (1, 2, 0):
            api.release(names[index])
            for connection in connections:
                for number in ids[(index - 1) % 3::3]:
                    name = names[number % 3]
                    assert f"result for {name}" in connection.response(number).text
    assert [api.calls(name) for name in names] == [1, 1, 1]


def test_the_same_failure_for_all(daemon, api):
    server = daemon()
    api.answer("a", status=500)
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(start("a", number) for number in range(1, 51)))
        connection.sync()
        api.release("a")
        assert {connection.response(number).status for number in range(1, 51)} == {502}
        assert api.calls("a") == 1
        api.answer("a", body="better")
        assert "better" in connection.request("/fragment/a").text


def test_a_fast_key_does_not_wait_for_a_slow_one(daemon, api):
    server = daemon()
    api.hold("slow")
    with Connection(server.address) as connection:
        connection.send_raw(start("slow", 1) + start("fast", 2))
        assert "result for fast" in connection.response(2).text
        connection.sync()
        assert not connection.responses[1].records
        api.release("slow")
        assert "result for slow" in connection.response(1).text


def test_more_calls_than_the_source_may_make_at_once(tmp, run, daemon, api):
    """They queue; none is lost."""
    server = daemon(f'source "one" {{ type = "http" url = "{api.url}/{{name}}" connections = 2 }}'
                    '\nfragment "*" { source = "one" }\n')
    names = [f"n{number}" for number in range(1, 21)]
    api.hold(*names)
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(
            start(name, number) for number, name in enumerate(names, start=1)))
        server.wait_counter("calls_started", 20)
        api.wait_calls(None, 2)
        stays(lambda: api.calls() == 2, "two calls are under way")
        api.release(*names)
        for number, name in enumerate(names, start=1):
            assert f'"{name}"' in connection.response(number).text
    assert api.calls() == 20


def test_simulated_source(daemon):
    server = daemon('source "slow" { type = "simulated" delay = "100ms-200ms" }\n'
                    'fragment "*" { source = "slow" ttl = "60s" }\n')
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(start("a", number) for number in range(1, 101)))
        responses = [connection.response(number) for number in range(1, 101)]
    assert {response.text for response in responses} == {'<div id="a">result for a</div>'}
    assert sum("collapsed" in response.headers["cache-status"] for response in responses) == 99


# Leaving.


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("way", ["close", "abort", "both"])
def test_the_flight_goes_on_without_waiters(daemon, api, transport, way):
    server = daemon(listen=transport)
    api.hold("a")
    with Connection(server.address) as other:
        with Connection(server.address) as connection:
            other.sync()
            before = server.descriptors()
            connection.send_raw(start("a", 1) + start("a", 2))
            api.wait_calls("a", 1)
            if way != "close":
                connection.send_raw(fcgi.abort(1))
                assert connection.response(1).protocol_status == fcgi.REQUEST_COMPLETE
            if way == "abort":
                connection.send_raw(fcgi.abort(2))
                connection.response(2)
        if way != "abort":
            wait_until(lambda: server.descriptors() < before + 1, "the connection to be released")
        api.release("a")
        wait_until(lambda: "hit" in other.request("/fragment/a").headers["cache-status"],
                   "the result to be cached")
        assert api.calls("a") == 1


def test_others_stay(daemon, api):
    """One of many leaves; the others get their answers."""
    server = daemon()
    api.hold("a")
    with ExitStack() as stack:
        stay = [stack.enter_context(Connection(server.address)) for _ in range(10)]
        leave = [Connection(server.address) for _ in range(10)]
        for pair in zip(leave, stay):
            for connection in pair:
                connection.send_raw(start("a", 1) + start("a", 2))
        for connection in leave:
            connection.sync()
            connection.close()
        for connection in stay:
            connection.send_raw(fcgi.abort(2))
            connection.response(2)
        api.release("a")
        for connection in stay:
            assert "result for a" in connection.response(1).text
    assert api.calls("a") == 1


def test_leaving_and_coming_back(daemon, api):
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        for _ in range(20):
            connection.send_raw(start("a", 1) + fcgi.abort(1))
            connection.response(1)
        connection.send_raw(start("a", 1))
        connection.sync()
        api.release("a")
        response = connection.response(1)
        assert "result for a" in response.text
        assert "collapsed" in response.headers["cache-status"]
    assert api.calls("a") == 1


# Limits.


def test_max_parked(daemon, api):
    server = daemon(extra="max_parked = 4")
    api.hold("a", "b")
    with Connection(server.address) as one, Connection(server.address) as two:
        one.send_raw(start("a", 1) + start("b", 2) + start("a", 3))  # below it
        two.send_raw(start("a", 1))  # at it
        one.sync()
        two.sync()
        one.expect_silence()
        two.expect_silence()
        assert_refused(two.request("/fragment/a", 2))  # above it: of a flight under way
        assert_refused(one.request("/fragment/c", 4))  # and of a new one
        assert api.calls("c") == 0
        one.send_raw(fcgi.abort(3))  # one leaves: there is room for one
        one.response(3)
        two.send_raw(start("b", 3))
        two.sync()
        assert_refused(two.request("/fragment/b", 4))
        api.release("a", "b")
        for connection, number, name in ((one, 1, "a"), (one, 2, "b"), (two, 1, "a"),
                                         (two, 3, "b")):
            assert f"result for {name}" in connection.response(number).text
        assert one.request("/fragment/c").status == 200


def test_max_parked_purges(tmp, run, daemon, api):
    """A purge is parked too. If its sender leaves while it goes on, it still counts as a purge."""
    redis = run(FakeRedis(tmp))
    redis.say("SCRIPT", b"-ERR no\r\n")  # so scripts come as EVAL
    redis.say("EVAL", SILENCE)
    redis.say("GETRANGE", SILENCE)
    server = daemon(fleet_config(api, redis.url, cache='redis_timeout = "60s"',
                                 extra='max_parked = 2\npurge = {"127.0.0.1"}'))
    wait_until(lambda: "CLIENT TRACKING" in redis.commands, "the last reply that is not of a test")
    with Connection(server.address) as connection:
        connection.send_raw(start("a", 1) + start("b", 2, method="PURGE"))
        connection.sync()
        connection.expect_silence()
        assert_refused(connection.request("/fragment/c", 3, method="PURGE"))
        assert_refused(connection.request("/fragment/c*", 3, method="PURGE"))
        assert_refused(connection.request("/fragment/c", 3))
        connection.send_raw(fcgi.abort(2))
        connection.response(2)
        connection.send_raw(start("d", 4, method="PURGE"))  # the second that is under way
        connection.send_raw(fcgi.abort(4))
        connection.response(4)
        assert_refused(connection.request("/fragment/e", 5, method="PURGE"))
        connection.send_raw(start("a", 6))  # there is room to wait, though
        connection.sync()
        assert not connection.responses[6].records
        redis.say("EVAL", b":1\r\n")
        redis.normal("GETRANGE")
        redis.drop_all()  # which ends everything in progress
        for number in (1, 6):
            assert connection.response(number).status == 200
        wait_until(lambda: connection.request("/fragment/e", 5, method="PURGE").status == 204,
                   "Redis to be back")


def test_what_is_cached_needs_no_parking(daemon, api):
    server = daemon(extra="max_parked = 1")
    api.hold("slow")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        connection.send_raw(start("slow", 9))
        connection.sync()
        assert connection.request("/fragment/a").status == 200
        assert connection.request("/workerless/health").status == 200
        assert_refused(connection.request("/fragment/b"))


def test_max_flights(daemon, api):
    server = daemon(extra="max_flights = 3")
    names = ["a", "b", "c", "d"]
    api.hold(*names)
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(
            start(name, number) for number, name in enumerate(names[:3], start=1)))
        connection.sync()
        connection.expect_silence()
        assert_refused(connection.request("/fragment/d", 4))
        connection.send_raw(start("a", 5))  # joining one is no flight
        connection.sync()
        assert not connection.responses[5].records
        connection.send_raw(fcgi.abort(2))  # its waiter leaves, the flight does not
        connection.response(2)
        assert_refused(connection.request("/fragment/d", 4))
        assert api.calls("d") == 0
        api.release("a", "b", "c", "d")
        for number in (1, 3, 5):
            assert connection.response(number).status == 200
        wait_until(lambda: connection.request("/fragment/d", 4).status == 200, "room for a flight")
    assert [api.calls(name) for name in names] == [1, 1, 1, 1]


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_max_connections(daemon, transport):
    """The connection over the limit waits in the backlog."""
    server = daemon(extra="max_connections = 3", listen=transport)
    with ExitStack() as stack:
        opened = []
        for _ in range(3):
            opened.append(stack.enter_context(Connection(server.address)))
            assert opened[-1].request("/fragment/a").status == 200
        waiting = [stack.enter_context(Connection(server.address)) for _ in range(2)]
        for connection in waiting:
            connection.send_raw(start("a"))
        for connection in opened:  # the others are not disturbed
            assert connection.request("/fragment/a").status == 200
        stays(lambda: not any(connection.pump(0) for connection in waiting), "nobody is served")
        opened[0].close()
        assert waiting[0].response().status == 200
        stays(lambda: not waiting[1].pump(0), "the last one is not served")
        waiting[0].close()
        assert waiting[1].response().status == 200
        assert opened[1].request("/fragment/a").status == 200


def test_max_connections_is_told(daemon):
    server = daemon(extra="max_connections = 7\nmax_connection_requests = 5")
    with Connection(server.address) as connection:
        values = connection.get_values("FCGI_MAX_CONNS", "FCGI_MAX_REQS")
    assert values["FCGI_MAX_CONNS"] == "7"
    assert int(values["FCGI_MAX_REQS"]) >= 5


def test_max_connection_requests(daemon, api):
    server = daemon(extra="max_connection_requests = 3")
    api.hold("a")
    with Connection(server.address) as one, Connection(server.address) as two:
        one.send_raw(start("a", 10) + start("a", 20) + start("a", 30))
        one.sync()
        one.expect_silence()
        for number in (1, 40):
            assert_refused(one.request("/fragment/a", number))
        two.send_raw(start("a", 10) + start("a", 20) + start("a", 30))  # another's bound
        two.sync()
        two.expect_silence()
        one.send_raw(fcgi.abort(20))
        one.response(20)
        one.send_raw(start("a", 40))
        one.sync()
        assert not one.responses[40].records
        assert_refused(one.request("/fragment/a", 20))
        api.release("a")
        for connection, number in ((one, 10), (one, 30), (one, 40),
                                   (two, 10), (two, 20), (two, 30)):
            assert "result for a" in connection.response(number).text
    assert api.calls("a") == 1


def params_of(length: int) -> bytes:
    """A PARAMS stream of that many bytes."""
    values = fcgi.pairs({"REQUEST_METHOD": "GET", "DOCUMENT_URI": "/fragment/a"})
    fill = length - len(values) - len(fcgi.pair("FILL", "x" * 200)) + 200
    values += fcgi.pair("FILL", "x" * fill)
    assert len(values) == length
    return values


@pytest.mark.parametrize("size", [50, fcgi.MAX_CONTENT])
def test_max_params(daemon, size):
    """Whether it comes in one record or in many."""
    server = daemon(extra='max_params = "2KiB"')
    with Connection(server.address) as connection:
        for over in (-1, 0, 1, 1000, 0, 1):
            connection.send_raw(
                fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, params_of(2048 + over), size=size)
                + fcgi.stream(fcgi.STDIN, 1, b""))
            assert connection.response().status == (431 if over > 0 else 200), over


@pytest.mark.parametrize("told", [True, False])
def test_max_request_body(daemon, told):
    """Too long by its CONTENT_LENGTH, or only by what arrives."""
    server = daemon(extra='max_request_body = "2KiB"')
    extra = {} if told else {"CONTENT_LENGTH": "0"}
    with Connection(server.address) as connection:
        for size in (100, fcgi.MAX_CONTENT):
            for over in (-1, 0, 1, 1000, 0, 1):
                response = connection.request("/fragment/a", body=bytes(2048 + over), extra=extra,
                                              size=size)
                assert response.status == (413 if over > 0 else 200), over


def test_no_body_allowed(daemon):
    server = daemon(extra='max_request_body = "0"')
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        assert connection.request("/fragment/a", body=b"x").status == 413


# Time-outs of connections.


def test_receive_timeout(daemon, api):
    """A request that does not arrive completely ends with 408; others on the connection
    continue."""
    server = daemon(extra='receive_timeout = "150ms"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start("a", 1) + start("b", 2, stdin=False) + fcgi.begin(3))
        for number in (2, 3):
            response = connection.response(number)
            assert (response.status, response.protocol_status) == (408, fcgi.REQUEST_COMPLETE)
        connection.sync()
        assert not connection.responses[1].records
        api.release("a")
        assert "result for a" in connection.response(1).text


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_who_goes_on_sending_is_given_up(daemon, transport):
    """After an early reply the rest of the upload is read, but only for a while."""
    server = daemon(extra='max_request_body = "1KiB"', listen=transport)
    with Connection(server.address) as connection:
        values = fcgi.environment("/fragment/a", method="POST", body=bytes(1 << 20))
        connection.send_raw(fcgi.begin(1, keep=False)
                            + fcgi.stream(fcgi.PARAMS, 1, fcgi.pairs(values)))
        assert connection.response().status == 413
        connection.expect_close()  # of its side: it reads on
        connection.socket.send(fcgi.record(fcgi.STDIN, 1, bytes(100)))
        lingering = server.descriptors()
        wait_until(lambda: server.descriptors() < lingering, "the connection to be closed")


def test_idle_timeout(daemon, api):
    """A connection is idle if it has no requests, not if one is parked."""
    server = daemon(extra='idle_timeout = "150ms"')
    api.hold("a")
    with Connection(server.address) as idle, Connection(server.address) as used, \
            Connection(server.address) as parked:
        parked.send_raw(start("a"))
        assert used.request("/fragment/b").status == 200
        idle.expect_close()
        used.expect_close()
        parked.sync()
        parked.expect_silence()
        api.release("a")
        assert "result for a" in parked.response().text
        parked.expect_close()


def test_send_timeout(daemon, api):
    """A peer that reads nothing loses its connection, and the daemon loses no memory."""
    server = daemon(extra='send_timeout = "200ms"')
    api.answer("a", type="text/html", body="x" * (1 << 20))
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200
        before = server.descriptors()
        with Connection(server.address) as connection:
            connection.send_only(b"".join(start("a", number) for number in range(1, 33)))
            wait_until(lambda: server.descriptors() == before, "the connection to be closed")
        assert other.request("/fragment/a").status == 200


# Idle costs nothing.


def test_parked_requests_need_little_memory(daemon, api):
    server = daemon()
    count = 2000
    api.hold("a")
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(2)]
        for connection in connections:
            connection.send_raw(start("a", 1))
            connection.sync()
        before = server.resident_bytes()
        more = [stack.enter_context(Connection(server.address)) for _ in range(count)]
        for connection in more:
            connection.send_raw(start("a", 1))
        for connection in more:
            connection.sync()
        if server.memory_is_telling:
            assert (server.resident_bytes() - before) / count < 1500
        used = server.cpu_seconds()
        stays(lambda: True, "time passes", 0.3)
        assert server.cpu_seconds() - used < 0.2, "parked requests cost processor time"
        api.release("a")
        for connection in more:
            assert connection.response().status == 200


def test_ask(daemon):
    """A connection without KEEP_CONN is closed by the daemon (which ask() checks)."""
    server = daemon()
    assert ask(server.address, "/fragment/a").status == 200
