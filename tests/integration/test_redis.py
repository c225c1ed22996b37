"""Redis: what is stored and how, what others store, and what happens while it is away."""

import re
import tempfile
import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from harness import fcgi
from harness.fcgi import Connection, ask
from harness.peer import Peer
from harness.servers import Redis
from harness.wait import wait_until

USED = "redis: connected"
BACK = "back in use"
AWAY = "continuing without it"

SHARED = """
cache { redis = "@REDIS@" }
source "api" { type = "http" url = "@API@/{name}" timeout = "60s" }
fragment "brief/*" { source = "api" ttl = "100ms" }
fragment "never/*" { source = "api" ttl = "0" }
fragment "*"       { source = "api" ttl = "60s" }
"""


def start(name: str, request_id: int = 1) -> bytes:
    return fcgi.request(f"/fragment/{name}", request_id)


@pytest.fixture(scope="module")
def shared():
    """A Redis and a Peer that uses it, for the tests that leave both unchanged."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, Redis(tmp) as redis, \
            Peer(text=SHARED.replace("@REDIS@", redis.url)) as peer:
        yield redis, peer


@pytest.fixture
def peer(shared):
    """The daemon of `shared`, connected to its Redis."""
    peer = shared[1]
    peer.ensure()
    peer.server.wait_log(USED)
    yield peer
    peer.check()


@pytest.fixture
def store(peer, shared):  # pylint: disable=unused-argument
    """The Redis of `shared`."""
    return shared[0]


@pytest.fixture
def connection(peer):
    with peer.connect() as opened:
        yield opened


def first_line(store: Redis, name: str) -> str:
    """Of a fragment's value in Redis."""
    return (store.command("GET", f"worker:{name}") or b"").partition(b"\n")[0].decode()


def is_hit(response) -> bool:
    assert response.status == 200
    return "; hit" in response.headers["cache-status"]


def envelope(body: str, *, made: float = 0, fresh: float = 60, cost: int = 7, status: int = 200,
             kind: str = "text/html; charset=utf-8") -> bytes:
    """An entry as the daemon writes it; times are seconds from now."""
    now = time.time()
    return (f"workerless/1 made={int((now + made) * 1000)} fresh={(now + fresh) * 1000:.0f} "
            f"cost={cost} status={status} type={kind}\n{body}").encode()


# The value.


def test_what_is_stored(peer, store, connection, name):
    before = time.time() * 1000
    first = connection.request(f"/fragment/{name}")
    assert not is_hit(first) and "stored" in first.headers["cache-status"]
    wait_until(lambda: f"worker:{name}" in store.keys(), "the value to be stored")
    value = store.command("GET", f"worker:{name}")
    found = re.fullmatch(
        rb"workerless/1 made=(\d{13}) fresh=(\d{13}) cost=(\d+) status=200 type=([^\n]*)\n(.*)",
        value, re.DOTALL)
    assert found, value
    made, fresh = int(found.group(1)), int(found.group(2))
    assert before - 1 <= made <= time.time() * 1000 + 1
    assert fresh - made == 60_000
    assert found.group(4) == b"text/html; charset=utf-8"
    assert found.group(5) == f'<div id="{name}">result for {name}</div>'.encode() == first.body
    assert 0 < store.command("PTTL", f"worker:{name}") <= 60_000
    second = connection.request(f"/fragment/{name}")
    assert is_hit(second) and second.body == first.body
    assert second.headers["etag"] == first.headers["etag"]
    assert peer.api.calls(name) == 1


@pytest.mark.parametrize("name, key", [
    ("user/7", "user/7"), ("a b", "a%20b"), ("a{b}c", "a%7Bb%7Dc"), ("50%", "50%25"), ("é", "é")])
def test_keys(store, connection, name, key):
    assert connection.request(f"/fragment/{name}").status == 200
    wait_until(lambda: f"worker:{key}" in store.keys(), f"the key of {name}")
    assert is_hit(connection.request(f"/fragment/{name}"))


def test_namespace(daemon, api, redis):
    server = daemon(f'cache {{ redis = "{redis.url}" namespace = "other" }}\n'
                    f'source "api" {{ type = "http" url = "{api.url}/{{name}}" }}\n'
                    'fragment "*" { source = "api" }\n')
    server.wait_log(USED)
    with Connection(server.address) as connection:
        connection.request("/fragment/a")
    wait_until(lambda: redis.keys() == ["other:a"], "the value to be stored")


def test_it_is_shared(daemon, redis, api):
    """By processes, and by later ones."""
    one, two = daemon(redis=redis.url), daemon(redis=redis.url)
    for server in (one, two):
        server.wait_log(USED)
    with Connection(one.address) as connection:
        connection.request("/fragment/a")
    wait_until(redis.keys, "the value to be stored")
    with Connection(two.address) as connection:
        assert is_hit(connection.request("/fragment/a"))
    three = daemon(redis=redis.url)
    with Connection(three.address) as connection:
        assert is_hit(connection.request("/fragment/a"))
    assert api.calls("a") == 1


def test_it_expires(peer, connection, name):
    name = f"brief/{name}"
    assert connection.request(f"/fragment/{name}").status == 200
    wait_until(lambda: not is_hit(connection.request(f"/fragment/{name}")), "the value to expire")
    assert peer.api.calls(name) == 2


def test_a_route_without_ttl_is_not_stored(peer, store, connection, name):
    name = f"never/{name}"
    for _ in range(2):
        assert not is_hit(connection.request(f"/fragment/{name}"))
    connection.request("/fragment/other")
    wait_until(lambda: "worker:other" in store.keys(), "what came later to be stored")
    assert f"worker:{name}" not in store.keys() and peer.api.calls(name) == 2


def test_a_large_value(peer, store, connection, name):
    body = bytes(range(256)) * 4096
    peer.api.answer(name, type="text/html", body=body)
    assert connection.request(f"/fragment/{name}").body == body
    wait_until(lambda: f"worker:{name}" in store.keys(), "the value to be stored")
    response = connection.request(f"/fragment/{name}")
    assert is_hit(response) and response.body == body


@pytest.mark.parametrize("status, seen", [(500, 502), (404, 404)])
def test_failures_are_not_stored(peer, store, connection, name, status, seen):
    peer.api.answer(name, status=status)
    assert connection.request(f"/fragment/{name}").status == seen
    peer.api.answer(name, body="well")
    response = connection.request(f"/fragment/{name}")
    assert not is_hit(response) and "well" in response.text
    wait_until(lambda: b"well" in (store.command("GET", f"worker:{name}") or b""), "the success")


def test_coalescing_of_lookups(peer, store, connection, name):
    """A thousand requests for a key cause one lookup and one call."""
    store.command("CONFIG", "RESETSTAT")
    peer.api.hold(name)
    connection.send_raw(b"".join(start(name, number) for number in range(1, 1001)))
    connection.sync()
    peer.api.wait_calls(name, 1)
    peer.api.release(name)
    assert {connection.response(number).status for number in range(1, 1001)} == {200}
    assert peer.api.calls(name) == 1
    # The lookup, and those of the scripts: the store reads the lease, and each reported change of
    # the lease causes one.
    wait_until(lambda: store.calls_of("getrange") >= 2, "the reads of one flight")
    assert store.calls_of("getrange") <= 5


# What others write.


@pytest.mark.parametrize("body", ["<b>by hand</b>", "", "workerless", "x" * 100_000,
                                  "a\nb\r\n\r\nc", "made=1 fresh=2\n"],
                         ids=["html", "empty", "almost magic", "long", "lines", "no magic"])
def test_a_value_set_by_hand(peer, store, connection, name, body):
    store.command("SET", f"worker:{name}", body, "EX", 100)
    response = connection.request(f"/fragment/{name}")
    assert is_hit(response) and response.text == body
    assert response.headers["content-type"].startswith("text/html")
    left = int(re.search(r"ttl=(\d+)", response.headers["cache-status"]).group(1))
    assert 90 <= left <= 100
    fresh = int(response.headers["cache-control"].partition("max-age=")[2])
    assert 90 <= fresh - int(response.headers["age"]) <= 100
    assert connection.request(
        f"/fragment/{name}", headers={"If-None-Match": response.headers["etag"]}).status == 304
    assert peer.api.calls(name) == 0


def test_a_value_without_expiry(peer, store, connection, name):
    store.command("SET", f"worker:{name}", "by hand")
    response = connection.request(f"/fragment/{name}")
    assert is_hit(response) and response.text == "by hand"
    assert response.headers["cache-control"].startswith("max-age=")
    assert peer.api.calls(name) == 0


def test_a_value_replaced_by_hand(peer, store, connection, name):
    assert f"result for {name}" in connection.request(f"/fragment/{name}").text
    wait_until(lambda: f"worker:{name}" in store.keys(), "the value to be stored")
    store.command("SET", f"worker:{name}", "replaced", "EX", 60)
    wait_until(lambda: connection.request(f"/fragment/{name}").text == "replaced",
               "the change to be heard")
    store.command("DEL", f"worker:{name}")
    wait_until(lambda: f"result for {name}" in connection.request(f"/fragment/{name}").text,
               "the change to be heard")
    assert peer.api.calls(name) == 2


def test_an_envelope_from_elsewhere(peer, store, connection, name):
    """The client is told its times."""
    value = envelope("<i>x</i>", made=-30, fresh=40, kind="text/html")
    store.command("SET", f"worker:{name}", value)
    response = connection.request(f"/fragment/{name}")
    assert is_hit(response) and response.text == "<i>x</i>"
    assert response.headers["content-type"] == "text/html"
    assert 30 <= int(response.headers["age"]) <= 35
    assert response.headers["cache-control"] == "max-age=70"
    assert 35 <= int(re.search(r"ttl=(\d+)", response.headers["cache-status"]).group(1)) <= 40
    assert peer.api.calls(name) == 0


FUTURE = b"fresh=9999999999999"
DAMAGED = {
    "only the magic": b"workerless/1",
    "magic and space": b"workerless/1 ",
    "cut": b"workerless/1 made=1",
    "another version": b"workerless/2 made=1 " + FUTURE + b" cost=3 status=200 type=text/html\nx",
    "no newline": b"workerless/1 made=1 " + FUTURE + b" cost=3 status=200 type=text/html",
    "no number": b"workerless/1 made=x " + FUTURE + b" cost=3 status=200 type=text/html\nx",
    "a huge number": b"workerless/1 made=1 fresh=99999999999999999999999 cost=3 status=200 "
                     b"type=text/html\nx",
    "another order": b"workerless/1 " + FUTURE + b" made=1 cost=3 status=200 type=text/html\nx",
    "a header in the type": b"workerless/1 made=1 " + FUTURE
                            + b" cost=3 status=200 type=a\r\nX: y\n",
    "a NUL in the type": b"workerless/1 made=1 " + FUTURE + b" cost=3 status=200 type=a\0b\nx",
    "no type": b"workerless/1 made=1 " + FUTURE + b" cost=3 status=200 type=\nx",
    "a long type": b"workerless/1 made=1 " + FUTURE + b" cost=3 status=200 type="
                   + b"t" * 5000 + b"\nx",
    "a huge status": b"workerless/1 made=1 " + FUTURE + b" cost=3 status=99999 type=text/html\nx",
    "a negative cost": b"workerless/1 made=1 " + FUTURE + b" cost=-3 status=200 type=text/html\nx",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_envelope_is_a_miss(peer, store, connection, name, case):
    store.command("SET", f"worker:{name}", DAMAGED[case], "EX", 60)
    response = connection.request(f"/fragment/{name}")
    assert not is_hit(response) and f"result for {name}" in response.text
    assert peer.api.calls(name) == 1
    wait_until(lambda: first_line(store, name).endswith("type=text/html; charset=utf-8")
               and " made=1 " not in first_line(store, name), "it to be replaced")


def test_a_stale_envelope_is_not_fresh(peer, store, connection, name):
    store.command("SET", f"worker:{name}", envelope("old", made=-60, fresh=-30))
    assert f"result for {name}" in connection.request(f"/fragment/{name}").text
    assert peer.api.calls(name) == 1


@pytest.mark.parametrize("command", [("LPUSH", "worker:a", "x"), ("HSET", "worker:a", "f", "v"),
                                     ("SADD", "worker:a", "x")])
def test_a_key_of_another_type(daemon, redis, api, command):
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    redis.command(*command)
    with Connection(server.address) as connection:
        for _ in range(3):
            assert "result for a" in connection.request("/fragment/a").text
    assert server.log().count("is refused") <= 1


def test_writes_are_refused(daemon, redis, api):
    """As by a Redis that is full, or a replica. Logged once, not for every request."""
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    with Connection(server.address) as connection:
        redis.command("CONFIG", "SET", "maxmemory", "1")
        for number in range(20):
            assert connection.request(f"/fragment/n{number}").status == 200
        server.wait_log("is refused")
        for what in ("taking a lease", "storing a result"):
            assert server.log().count(f"{what} is refused") == 1
        redis.command("CONFIG", "SET", "maxmemory", "0")
        connection.request("/fragment/again")
    wait_until(lambda: "worker:again" in redis.keys(), "values to be stored again")


# Down and back.


def assert_coalesced(server, api, name: str, count: int = 100) -> None:
    """Requests for a new key are answered by one call of the source."""
    api.hold(name)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(4)]
        for connection in connections:
            connection.send_raw(b"".join(start(name, number) for number in range(1, count + 1)))
        for connection in connections:
            connection.sync()
        api.wait_calls(name, 1)
        api.release(name)
        for connection in connections:
            for number in range(1, count + 1):
                assert f"result for {name}" in connection.response(number).text
        assert is_hit(connections[0].request(f"/fragment/{name}"))  # memory takes its place
    assert api.calls(name) == 1


def assert_used(server, redis, name: str) -> None:
    """What is new is stored in Redis (again)."""
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}").status == 200
    wait_until(lambda: f"worker:{name}" in redis.keys(), f"{name} to be stored")


def test_absent_at_the_start(tmp, run, daemon, api):
    redis = Redis(tmp)
    server = daemon(redis=redis.url)
    server.wait_log(AWAY)
    for name in ("a", "b", "c"):
        assert_coalesced(server, api, name, count=20)
    assert server.log().count(AWAY) == 1
    run(redis)
    wait_until(lambda: BACK in server.log() or USED in server.log(), "Redis to be found")
    assert_used(server, redis, "d")


def test_requests_before_it_is_connected(tmp, daemon, api):
    """Right after the start, while Redis is down: answered all the same."""
    redis = Redis(tmp)
    server = daemon(redis=redis.url)
    with Connection(server.address) as connection:
        assert "result for a" in connection.request("/fragment/a").text


@pytest.mark.parametrize("tcp", [False, True])
def test_killed_and_back(tmp, run, daemon, api, tcp):
    redis = run(Redis(tmp, tcp=tcp))
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    assert_used(server, redis, "before")
    api.hold("amid")
    with Connection(server.address) as connection:
        connection.send_raw(start("amid"))
        api.wait_calls("amid", 1)
        redis.kill()
        server.wait_log(AWAY)
        api.release("amid")
        assert "result for amid" in connection.response().text
    for number in range(3):
        assert_coalesced(server, api, f"n{number}")
    assert server.log().count(AWAY) == 1
    redis.start()
    server.wait_log(BACK)
    assert_used(server, redis, "after")
    with Connection(server.address) as connection:  # nothing of the outage is left
        redis.command("SET", "worker:n0", "newer", "EX", 60)
        assert connection.request("/fragment/n0").text == "newer"


def test_stopped_and_back(daemon, redis, api):
    """It hangs with its connections open: a lookup under way, one to come, a store under way."""
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    api.hold("amid")
    with Connection(server.address) as connection:
        connection.send_raw(start("amid", 1))
        api.wait_calls("amid", 1)
        redis.pause()
        connection.send_raw(start("lookup", 2))
        api.release("amid")
        assert "result for amid" in connection.response(1).text
        assert "result for lookup" in connection.response(2).text
    server.wait_log(AWAY)
    for number in range(3):
        assert_coalesced(server, api, f"n{number}")
    assert server.log().count(AWAY) == 1
    assert api.calls("lookup") == 1
    redis.resume()
    server.wait_log(BACK)
    assert_used(server, redis, "after")


def test_stopped_at_the_start(daemon, redis, api):
    redis.pause()
    server = daemon(redis=redis.url)
    assert_coalesced(server, api, "a")
    server.wait_log(AWAY)
    redis.resume()
    wait_until(lambda: BACK in server.log() or USED in server.log(), "Redis to be found")
    assert_used(server, redis, "b")


def test_many_outages(daemon, redis, api):
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    for number in range(1, 4):
        redis.kill()
        wait_until(lambda: server.log().count(AWAY) == number, "the loss to be noticed")
        redis.start()
        wait_until(lambda: server.log().count(BACK) == number, "Redis to be back")
        assert_used(server, redis, f"n{number}")
    wait_until(lambda: redis.clients() == 2, "one connection for commands, one for changes")


def test_a_connection_that_redis_closes(daemon, redis):
    server = daemon(redis=redis.url)
    server.wait_log(USED)
    for number in range(3):
        redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert ask(server.address, f"/fragment/n{number}").status == 200
        wait_until(lambda: server.log().count(BACK) == number + 1, "Redis to be back")
        assert_used(server, redis, f"m{number}")


# Login.


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "unix"])
@pytest.mark.parametrize("login", [{"password": "p@ss:w/rd %"}, {"user": "me", "password": "pw"}],
                         ids=["password", "user"])
def test_password_and_database(tmp, run, daemon, login, tcp):
    redis = run(Redis(tmp, tcp=tcp, **login))
    who = f"{login.get('user', '')}:{quote(login['password'], safe='')}"
    server = daemon(redis=f"redis://{who}@127.0.0.1:{redis.address[1]}/3" if tcp else
                    f"unix://{who}@{redis.address}?db=3")
    wait_until(lambda: BACK in server.log() or USED in server.log(), "Redis to be found")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        wait_until(lambda: redis.keys(db=3) == ["worker:a"], "the value in its database")
        assert is_hit(connection.request("/fragment/a"))
    assert redis.keys(db=0) == []


def test_a_wrong_password(tmp, run, daemon, api):
    """The same as without Redis; logged once, without the password."""
    redis = run(Redis(tmp, tcp=True, password="right"))
    server = daemon(redis=redis.url.replace("right", "wr0ng"))
    server.wait_log(AWAY)
    for name in ("a", "b"):
        assert_coalesced(server, api, name, count=10)
    assert redis.keys() == []
    assert server.log().count(AWAY) == 1
    assert "wr0ng" not in server.log()


def test_a_database_that_is_not_there(tmp, run, daemon, api):
    redis = run(Redis(tmp, tcp=True))
    server = daemon(redis=redis.url + "/9999")
    server.wait_log(AWAY)
    assert_coalesced(server, api, "a", count=10)
    assert redis.keys() == []


def test_it_is_no_redis(daemon, api):
    """Something else answers at that port."""
    server = daemon(redis=f"redis://127.0.0.1:{api.port}")
    server.wait_log(AWAY)
    with Connection(server.address) as connection:
        assert "result for a" in connection.request("/fragment/a").text
