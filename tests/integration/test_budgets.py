"""What peers make the daemon hold has a limit for all of them together: requests that do not arrive
completely (max_unfinished), answers that nobody reads (max_unsent), and inputs (max_inputs)."""

import select

import pytest

from harness import fcgi
from harness.events import parse, query
from harness.fcgi import Connection
from harness.wait import deadline, wait_until

BODY = 600 * 1024  # of a large fragment: more than a socket holds


def unfinished(size: int, request_id: int = 1) -> bytes:
    """A request whose PARAMS have not ended."""
    values = fcgi.pairs({"REQUEST_METHOD": "GET", "DOCUMENT_URI": "/fragment/a"})
    values += fcgi.pair("FILL", "x" * (size - len(values) - 12))
    return fcgi.begin(request_id) + fcgi.stream(fcgi.PARAMS, request_id, values, end=False)


def finish(connection: Connection, request_id: int = 1):
    connection.send_raw(fcgi.record(fcgi.PARAMS, request_id) + fcgi.record(fcgi.STDIN, request_id))
    return connection.response(request_id)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_unfinished_requests(daemon, run, transport):
    """PARAMS of many connections: those over the limit get 503, and others are unaffected."""
    server = daemon(extra='max_unfinished = "256KiB"', listen=transport)
    held = [run(Connection(server.address)) for _ in range(12)]
    for connection in held:
        connection.send_raw(unfinished(60_000))
        connection.sync()
    with Connection(server.address) as other:  # it arrives in one piece, so nothing of it is kept
        assert other.request("/fragment/a").status == 200
    statuses = [finish(connection).status for connection in held]
    assert statuses == [200] * 4 + [503] * 8
    for connection in held:  # all of it is released
        connection.send_raw(unfinished(60_000, 2))
        connection.sync()
        assert finish(connection, 2).status == 200


@pytest.mark.parametrize("shared", [True, False])
def test_inputs(daemon, api, shared):
    """Each fragment that is being made holds the inputs of its request, here a cookie of 4,000
    bytes. Over the limit, a new one gets 503; one that is being made can be joined."""
    server = daemon(extra="""max_inputs = "64KiB"
        fragment "cart" { source = "api"  ttl = "60s"  vary = {"cookie:a"}  private = "yes" }""")
    api.answer("cart", body="a cart", type="text/html",
               headers={} if shared else {"Cache-Control": "no-store"})
    with Connection(server.address) as connection:
        for turn in (1, 2):  # all of it is released
            users = [f"{turn}{number:02}" + "x" * 3997 for number in range(20)]
            users += users[:1] if shared else []
            api.hold("cart")
            connection.send_raw(b"".join(
                fcgi.request("/fragment/cart", number, headers={"Cookie": f"a={user}"})
                for number, user in enumerate(users, 1)))
            connection.sync()
            assert server.counter("refused_max_inputs") == 4 * turn
            api.release("cart")
            statuses = [connection.response(number).status for number in range(1, len(users) + 1)]
            assert statuses == [200] * 16 + [503] * 4 + [200] * (len(users) - 20)
    server.wait_log("max_inputs is reached")


def test_requests_that_only_begin(daemon, run):
    """A BEGIN_REQUEST costs memory as well, and over the limit it is answered at once."""
    server = daemon(extra='max_unfinished = "64KiB"')
    count = 1000
    held = [run(Connection(server.address)) for _ in range(3)]
    for connection in held:
        connection.send_raw(b"".join(fcgi.begin(number) for number in range(1, count + 1)))
        connection.sync()
    refused = [response for connection in held for response in connection.responses.values()
               if response.ended]
    assert 0 < len(refused) < 3 * count - 64
    assert {response.status for response in refused} == {503}
    held[0].close()
    with Connection(server.address) as other:
        other.wait(lambda: begin_is_kept(other), "room for one more")


def begin_is_kept(connection: Connection) -> bool:
    number = len(connection.responses) + 1
    connection.send_raw(fcgi.begin(number))
    connection.sync()
    return not connection.responses[number].ended


def test_unfinished_get_values(daemon, run):
    """The content of a GET_VALUES is kept until it is complete."""
    server = daemon(extra='max_unfinished = "64KiB"')
    held = [run(Connection(server.address)) for _ in range(3)]
    for connection in held:
        connection.send_raw(fcgi.record(fcgi.GET_VALUES, 0, fcgi.pair("X", "y" * 40_000))[:30_000],
                            check=False)

    def one_is_closed() -> bool:
        for connection in held:
            connection.pump(0)
        return any(connection.closed for connection in held)

    wait_until(one_is_closed, "one of them to be closed")
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200


class Idle:
    """A client that asks for a fragment and does not read the answer."""

    def __init__(self, server, run, name: str, path: str = "/fragment/", **options) -> None:
        self.connection = run(Connection(server.address))
        self.connection.send_only(fcgi.request(path + name, **options))
        poll = select.poll()
        poll.register(self.connection.socket, select.POLLIN)
        assert poll.poll(1000 * (deadline() - deadline(0))), "no answer"

    def read(self):
        return self.connection.response()


@pytest.fixture
def large(daemon, api):
    """large(settings) starts a daemon whose fragments are large. Those with a name below small/ are
    not, and the memory cache does not keep theirs either."""
    def start(settings: str, **options):
        for name in "abcdefgh":
            api.answer(name, body=name.encode() * BODY, type="text/html")
        return daemon(f"""
            max_unsent = "1MiB"
            cache {{ redis = "" {settings} }}
            source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
            fragment "*" {{ source = "api" ttl = "60s" stream = "yes" }}
            """, **options)
    return start


def test_unread_answers(large, run):
    """They are held up to max_unsent. Then others get 503, until a client reads."""
    server = large('memory = "0"')
    first = Idle(server, run, "a")
    with Connection(server.address) as other:
        response = other.request("/fragment/b")
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert server.counter("refused_max_unsent") == 1
        assert other.request("/fragment/small").status == 200
        assert first.read().body == b"a" * BODY
        assert other.request("/fragment/b").body == b"b" * BODY


def test_what_memory_keeps_is_free(large, run):
    """Unread answers are no reason to reject hits in the memory cache."""
    server = large('memory = "16MiB"')
    idle = [Idle(server, run, name) for name in "abcdefgh"]
    for name, client in zip("abcdefgh", idle):
        assert client.read().body == name.encode() * BODY


def test_the_longest_stuck_is_closed(large, run):
    """An entry that memory drops while it is being sent counts from then on."""
    server = large('memory = "1MiB"')  # for one of them
    idle = {name: Idle(server, run, name) for name in "abc"}
    idle["a"].connection.expect_close()
    for name in "bc":
        assert idle[name].read().body == name.encode() * BODY
    assert 'max_unsent' in server.log()


def test_the_one_that_holds_most_is_closed(daemon, run, api):
    """Not one that was stuck before it, but holds almost nothing beyond the memory cache. Otherwise
    a client that reads a byte now and then would cause the others to be closed, one after the
    other."""
    for name in ("kept", "held"):
        api.answer(name, body=b"x" * (900 << 10), type="text/html")
    server = daemon(f"""
        max_unsent = "1MiB"
        cache {{ redis = "" memory = "1MiB" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
        fragment "kept" {{ source = "api" ttl = "60s" }}
        fragment "held" {{ source = "api" ttl = "0" }}
        """)
    with Connection(server.address) as other:
        assert other.request("/fragment/kept").status == 200
    first, most = (Idle(server, run, name) for name in ("kept", "held"))
    last = run(Connection(server.address))
    last.send_only(b"".join(fcgi.request("/fragment/kept", number) for number in range(1, 1001)))
    server.wait_log("max_unsent")
    most.connection.expect_close()
    assert first.read().body == b"x" * (900 << 10)
    last.sync()


def test_parts_of_a_stream(large, api):
    """A part that can't be held is an error there; the others arrive."""
    server = large('memory = "0"')
    api.hold("a", "b", "c")
    with Connection(server.address) as connection:
        connection.send_only(fcgi.request("/fragments", query=query(["a", "b", "c", "small"])))
        api.wait_calls("a", 1)
        api.wait_calls("c", 1)
        api.release_all()
        events = dict(parse(connection.response().body))
        whole = [name for name in "abc" if events.get(name) == name * BODY]
        assert 1 <= len(whole) <= 3
        assert {f"{name}:error" for name in "abc" if name not in whole} <= set(events)
        assert "small" in events and "end" in events


def test_answers_that_wait_for_their_turn(daemon, run):
    """Any number of requests on a connection that nobody reads: each of them counts."""
    server = daemon(extra='max_unsent = "1MiB"')
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200
        idle = [run(Connection(server.address)) for _ in range(12)]
        for connection in idle:
            requests = b"".join(fcgi.request("/fragment/a", number) for number in range(1, 1025))
            connection.send_only(requests)
        wait_until(lambda: "max_unsent" in server.log(), "a connection to be closed")
        assert other.request("/fragment/a").status == 200


def test_a_stream_without_room(daemon, run, api):
    """The log says which limit it is."""
    api.answer("huge", body=b"x" * (960 << 10), type="text/html")
    server = daemon(f"""
        max_unsent = "1MiB" max_stream = 1000
        cache {{ redis = "" memory = "0" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
        fragment "*" {{ source = "api" stream = "yes" }}
        """)
    Idle(server, run, "huge")
    with Connection(server.address) as other:
        names = [f"small{number}" for number in range(1000)]
        assert other.request("/fragments", query=query(names)).status == 503
    assert "max_unsent" in server.log() and "out of memory" not in server.log()


def test_an_old_result_without_room(daemon, run, api, redis):
    """The old value is held until there is a new one. If it can't be, the log says why."""
    for name in "ab":
        api.answer(name, body=name.encode() * BODY, type="text/html")
    server = daemon(f"""
        max_unsent = "1MiB"
        cache {{ redis = "{redis.url}" memory = "0" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
        fragment "a" {{ source = "api" ttl = "1ms" stale_error = "60s" }}
        fragment "b" {{ source = "api" ttl = "0" }}
        """)
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200
        wait_until(lambda: "worker:a" in redis.keys(), "it to be stored")
        idle = Idle(server, run, "b")
        assert other.request("/fragment/a").status == 503
        assert "max_unsent" in server.log()
        assert idle.read().body == b"b" * BODY


def test_a_stored_result_without_room(daemon, run, api, redis):
    """The answer is a 503, which no cache has given: Cache-Status must not call it a hit."""
    for name in "ab":
        api.answer(name, body=name.encode() * BODY, type="text/html")
    server = daemon(f"""
        max_unsent = "1MiB"
        cache {{ redis = "{redis.url}" memory = "0" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
        fragment "a" {{ source = "api" }}
        fragment "b" {{ source = "api" ttl = "0" }}
        """)
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200
        wait_until(lambda: "worker:a" in redis.keys(), "it to be stored")
        assert "hit" in other.request("/fragment/a").headers["cache-status"]
        Idle(server, run, "b")
        response = other.request("/fragment/a")
        assert response.status == 503 and "cache-status" not in response.headers


def test_a_new_result_replaces_the_old(daemon, api, redis):
    """There need not be room for both."""
    api.answer("a", body=b"a" * BODY, type="text/html")
    server = daemon(f"""
        max_unsent = "1MiB"
        cache {{ redis = "{redis.url}" memory = "0" }}
        source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
        fragment "a" {{ source = "api" ttl = "1ms" stale_error = "60s" }}
        """)
    with Connection(server.address) as other:
        assert other.request("/fragment/a").status == 200
        wait_until(lambda: "worker:a" in redis.keys(), "it to be stored")
        assert other.request("/fragment/a").body == b"a" * BODY
    assert api.calls("a") == 2
