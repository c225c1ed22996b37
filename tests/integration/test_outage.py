"""A Redis that is down, hangs, is full, refuses, or sends nonsense: every request is answered,
nothing is lost or leaks, and everything works as before once Redis is back."""

import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from harness import fcgi
from harness.fakeredis import CLOSE, SILENCE, FakeRedis
from harness.fcgi import Connection
from harness.fleet import detail, fleet_config, is_hit, wait_armed
from harness.servers import Redis, Workerless, wrapper_command
from harness.wait import SLOWNESS, scaled, stays, wait_until

TIMEOUT_S = 0.25
AWAY = "continuing without it"
BACK = "back in use"
CONNECTED = "redis: connected"
ROUTES = """
fragment "sie/*" { source = "api" ttl = "1s" stale_error = "60s" stale = "60s" }
fragment "*"     { source = "api" ttl = "60s" }
"""


def config(api, url: str) -> str:
    return fleet_config(api, url, routes=ROUTES,
                        cache=f'redis_timeout = "{TIMEOUT_S * 1000:.0f}ms"')


@pytest.fixture
def server(tmp, run, redis, api):
    """A daemon with a Redis that it tracks."""
    started = run(Workerless(tmp, config(api, redis.url)))
    started.wait_log(CONNECTED)
    wait_armed(redis)
    return started


@pytest.fixture
def connection(server, run):
    return run(Connection(server.address))


def descriptors(server) -> int:
    """How many it has open, without connections to the API, which are kept for the next call.
    Everything else here is local."""
    of_api = {line.split()[9] for line in
              Path(f"/proc/{server.pid}/net/tcp").read_text("ascii").splitlines()[1:]}
    links = [os.readlink(path) for path in Path(f"/proc/{server.pid}/fd").iterdir()]
    return sum(1 for link in links if re.sub(r"socket:\[(\d+)\]", r"\1", link) not in of_api)


def answered(connection, names) -> None:
    """All are requested at once, and answered by the source."""
    names = list(names)
    connection.send_raw(b"".join(fcgi.request(f"/fragment/{name}", 100 + number)
                                 for number, name in enumerate(names)))
    for number, name in enumerate(names):
        response = connection.response(100 + number)
        assert response.status == 200 and f"result for {name}<" in response.text


def stored(redis, connection, name: str) -> None:
    """Redis is in use (again)."""
    assert connection.request(f"/fragment/{name}", 99).status == 200
    wait_until(lambda: redis.command("EXISTS", f"worker:{name}"), "the value to be stored")


# Hanging, again and again.


def test_hanging(server, connection, redis):
    """It is answered within a few timeouts at first, and then at once: requests do not wait for a
    Redis that is known to hang."""
    for number in range(3):
        stored(redis, connection, f"before{number}")
        open_before = descriptors(server)
        redis.pause()
        began = time.monotonic()
        answered(connection, [f"during{number}-{each}" for each in range(50)])
        # The lookup and the claim; what they cost is one timeout, extended at most by ourselves.
        assert time.monotonic() - began < TIMEOUT_S * 20 * max(SLOWNESS, 1)
        server.wait_log(AWAY)
        wait_until(lambda: server.log().count(AWAY) == number + 1, "the loss to be logged")
        answered(connection, [f"later{number}-{each}" for each in range(50)])
        assert server.log().count(AWAY) == number + 1
        redis.resume()
        wait_until(lambda: server.log().count(BACK) == number + 1, "Redis to be back")
        wait_armed(redis)
        stored(redis, connection, f"after{number}")
        wait_until(lambda: descriptors(server) <= open_before, "its descriptors to be closed")
        wait_until(lambda: redis.clients() == 2, "its connections to be closed")


def test_stale_is_served_while_it_hangs(server, connection, redis, api):
    """What memory holds is served within its stale time, at once."""
    assert connection.request("/fragment/sie/a").status == 200
    wait_until(lambda: detail(connection.request("/fragment/sie/a")) == "memory", "memory in use")
    redis.pause()
    api.answer("sie/a", status=500)
    connection.request("/fragment/other")
    server.wait_log(AWAY)
    for _ in range(50):
        response = connection.request("/fragment/sie/a")
        assert response.status == 200 and "result for sie/a" in response.text
    wait_until(lambda: "ttl=-" in connection.request("/fragment/sie/a").headers["cache-status"],
               "it to become stale")
    assert connection.request("/fragment/sie/a").status == 200
    redis.resume()


def test_away_while_others_are_waited_for(server, connection, redis, api):
    """Another process holds the lease when Redis fails: the one that waits generates by itself."""
    redis.command("SET", "lease:{worker:a}", "other", "PX", 600_000)
    connection.send_raw(fcgi.request("/fragment/a"))
    wait_until(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") >= 1, "the claim")
    connection.sync()
    assert api.calls("a") == 0
    redis.kill()
    assert "result for a" in connection.response().text
    redis.start()
    server.wait_log(BACK)


def test_away_while_it_is_made(server, connection, redis, api):
    """The lease is lost with Redis; the result is served, and kept in memory."""
    api.hold("a")
    connection.send_raw(fcgi.request("/fragment/a"))
    api.wait_calls("a", 1)
    redis.kill()
    server.wait_log(AWAY)
    api.release("a")
    assert "result for a" in connection.response().text
    assert is_hit(connection.request("/fragment/a"))
    redis.start()
    server.wait_log(BACK)
    stored(redis, connection, "b")


# Refusing.


def assert_said_once(server, why):
    """That Redis refuses something, for each thing that it refuses."""
    refused = re.findall(rf": ([^:]+) is refused: {why}", server.log())
    assert refused and len(set(refused)) == len(refused), refused


def test_full(server, connection, redis):
    """noeviction: reads work, writes are refused; this is logged now and then, not for every
    request."""
    redis.command("SET", "worker:there", "kept", "EX", 600)
    redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis.command("CONFIG", "SET", "maxmemory", "1")
    answered(connection, [f"a{number}" for number in range(50)])
    assert connection.request("/fragment/there").text == "kept"
    server.wait_log("OOM")
    assert_said_once(server, "OOM")
    assert AWAY not in server.log()
    assert connection.request("/fragment/there", method="PURGE").status == 204
    redis.command("CONFIG", "SET", "maxmemory", "0")
    stored(redis, connection, "b")


def beside_a_replica(tmp, run, api, name, value):
    """A daemon whose Redis is a read-only replica, in step with a primary that has this value."""
    primary, replica = run(Redis(tmp, tcp=True)), run(Redis(tmp, tcp=True))
    primary.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    primary.command("SET", f"worker:{name}", value, "EX", 600)
    replica.command("REPLICAOF", "127.0.0.1", primary.address[1])
    wait_until(lambda: replica.command("GET", f"worker:{name}"), "the replica to be in step")
    server = run(Workerless(tmp, config(api, replica.url)))
    server.wait_log(CONNECTED)
    return server, replica


def test_readonly_replica(tmp, run, api):
    """Nothing can be written, and nothing is."""
    server, replica = beside_a_replica(tmp, run, api, "there", "from the primary")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/there").text == "from the primary"
        answered(connection, [f"a{number}" for number in range(20)])
        assert connection.request("/fragment/there", method="PURGE").status == 503
        assert_said_once(server, "READONLY")
        replica.command("REPLICAOF", "NO", "ONE")
        stored(replica, connection, "b")


def test_damaged_and_readonly(tmp, run, api):
    """A damaged entry that can't be removed: it is regenerated, and Redis is not asked
    endlessly."""
    server, replica = beside_a_replica(tmp, run, api, "a", "workerless/1 damaged")
    with Connection(server.address) as connection:
        for number in range(3):
            assert "result for a" in connection.request("/fragment/a", number + 1).text
    assert replica.calls_of("evalsha") + replica.calls_of("eval") < 100


def test_a_lease_without_end(server, connection, redis, api):
    """Somebody has set it by hand, without expiry: waiting requests do not ask again and again."""
    redis.command("SET", "lease:{worker:a}", "for ever")
    connection.send_raw(fcgi.request("/fragment/a"))
    wait_until(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") >= 1, "the claim")
    stays(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") < 5, "hardly any claim", 0.5)
    redis.command("DEL", "lease:{worker:a}")
    assert "result for a" in connection.response().text and api.calls("a") == 1


def test_auth_is_asked_for(tmp, run, api):
    """A password is set on a Redis that is in use, and taken away again."""
    redis = run(Redis(tmp, tcp=True))
    server = run(Workerless(tmp, config(api, redis.url)))
    server.wait_log(CONNECTED)
    with Connection(server.address) as connection:
        stored(redis, connection, "before")
        redis.command("CONFIG", "SET", "requirepass", "secret")
        redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        server.wait_log(AWAY)
        answered(connection, [f"a{number}" for number in range(20)])
        redis.command("CONFIG", "SET", "requirepass", "")
        server.wait_log(BACK)
        stored(redis, connection, "after")
        assert server.log().count(AWAY) == 1


def test_too_many_clients(tmp, run, redis, api):
    """-ERR max number of clients reached, before any command, and the connection is closed."""
    redis.command("CONFIG", "SET", "maxclients", "1")
    server = run(Workerless(tmp, config(api, redis.url)))
    server.wait_log(AWAY)
    with Connection(server.address) as connection:
        answered(connection, [f"a{number}" for number in range(10)])
        redis.command("CONFIG", "SET", "maxclients", "100")
        wait_until(lambda: BACK in server.log() or CONNECTED in server.log(), "Redis to be back")
        stored(redis, connection, "b")


def test_a_user_without_scripts(tmp, run, redis, api):
    """No EVAL: no leases; but what is there is served."""
    redis.command("ACL", "SETUSER", "default", "-@scripting")
    redis.command("SET", "worker:there", "kept", "EX", 600)
    server = run(Workerless(tmp, config(api, redis.url)))
    server.wait_log(CONNECTED)
    wait_armed(redis)  # a change while it looks makes it look again, and that takes a script
    with Connection(server.address) as connection:
        assert connection.request("/fragment/there").text == "kept"
        answered(connection, [f"a{number}" for number in range(20)])
        redis.command("ACL", "SETUSER", "default", "+@scripting")
        stored(redis, connection, "b")


# Nonsense.


@pytest.fixture
def fake(tmp, run):
    return run(FakeRedis(tmp))


@pytest.fixture(scope="module")
def module_fake():
    """A daemon and its fake Redis for all nonsense."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, FakeRedis(tmp) as redis:
        yield tmp, redis


@pytest.fixture(scope="module")
def module_victim(module_fake):
    """The daemon; its fragments are simulated, without delay."""
    tmp, redis = module_fake
    text = (f'cache {{ redis = "{redis.url}" redis_timeout = "100ms" }}\n'
            'source "quick" { type = "simulated" delay = "0" }\n'
            'purge = {"127.0.0.1"}\n'
            'fragment "*" { source = "quick" ttl = "60s" hold = "500ms" }\n')
    with Workerless(tmp, text) as server:
        server.wait_log(CONNECTED)
        yield server, redis


@pytest.fixture
def victim(module_victim):
    """The same, restarted if a test has ended it or made it hang."""
    server, redis = module_victim
    redis.normal()
    try:
        assert server.running
        with Connection(server.address) as connection:
            connection.send_raw(fcgi.request("/workerless/health"))
            connection.response(timeout=1)
    except AssertionError:
        server.kill()
        server.start()
    yield server, redis
    assert server.running, "the daemon has ended"


NONSENSE = {
    "type": b"?what\r\n", "http": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "zeros": b"\0" * 64, "newline": b"\r\n\r\n", "empty status": b"+\r\n",
    "status": b"+QUEUED\r\n", "integer": b":42\r\n", "negative": b":-9223372036854775808\r\n",
    "no integer": b":abc\r\n", "huge integer": b":99999999999999999999\r\n",
    "string": b"$3\r\nabc\r\n", "short string": b"$30\r\nabc\r\n", "no length": b"$\r\n",
    "minus two": b"$-2\r\n", "huge string": b"$999999999999\r\nabc",
    "largest string": b"$9223372036854775807\r\n",
    "bad end": b"$3\r\nabcdefgh", "empty array": b"*0\r\n", "nil array": b"*-1\r\n",
    "minus array": b"*-7\r\n", "array of nil": b"*2\r\n$-1\r\n$-1\r\n",
    "array of two": b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n", "array of ints": b"*2\r\n:1\r\n:2\r\n",
    "array of arrays": b"*2\r\n*0\r\n*1\r\n*0\r\n",
    "array of errors": b"*2\r\n-ERR a\r\n-ERR b\r\n",
    "deep": b"*1\r\n" * 50 + b":1\r\n", "huge array": b"*1000000000\r\n",
    "max array": b"*2147483647\r\n", "beyond array": b"*99999999999999\r\n",
    "error": b"-ERR no\r\n", "empty error": b"-\r\n",
    "long error": b"-ERR " + b"x" * 100_000 + b"\r\n",
    "noscript": b"-NOSCRIPT again\r\n", "moved": b"-MOVED 1 127.0.0.1:1\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "busy": b"-BUSY Redis is busy running a script\r\n", "resp3 map": b"%1\r\n+a\r\n+b\r\n",
    "resp3 push": b">2\r\n+invalidate\r\n*0\r\n", "resp3 null": b"_\r\n",
    "resp3 true": b"#t\r\n",
    "surplus": b"$-1\r\n$-1\r\n:1\r\n+OK\r\n*0\r\n", "percent": b"+%s%n%s%n\r\n",
    "silence": SILENCE, "close": CLOSE, "half": b"$10\r\nabc", "broken line": b"+OK\r",
}


def survives(server, redis, name: str) -> None:
    """A few requests are answered, whatever Redis does; and it is not asked endlessly. (A Redis may
    well say that another process generates the fragment: 202.)"""
    asked = len(redis.commands)
    with Connection(server.address) as connection:
        for number in range(3):
            response = connection.request(f"/fragment/{name}-{number}")
            assert response.status in (200, 202), response.stdout[:300]
            assert response.status == 202 or "result" in response.text, response.stdout[:300]
        assert connection.request(f"/fragment/{name}-0", method="PURGE").status in (204, 503)
        assert connection.request("/fragment/x*", method="PURGE").status in (204, 503)
    assert server.running, server.log()
    assert len(redis.commands) - asked < 500, f"asked without end: {redis.commands[-10:]}"


ONLY_NEW = ("SCRIPT", "PING", "CLIENT ID", "SUBSCRIBE", "CLIENT TRACKING")  # connections ask that


@pytest.mark.parametrize("commands", [
    ("GETRANGE",), ("EVAL", "EVALSHA"), ("SCRIPT",), ("PING",), ("CLIENT ID",), ("SUBSCRIBE",),
    ("CLIENT TRACKING",), ("DEL", "SCAN", "SET", "PTTL")], ids=lambda each: each[0])
def test_nonsense(victim, commands):
    """Every kind of it as the answer to a command; then Redis behaves again."""
    server, redis = victim
    try:
        for number, (case, saying) in enumerate(NONSENSE.items()):
            if commands[0] == "PING" and number % 5:
                continue  # without a PONG, reconnecting takes longer and longer
            for command in commands:
                redis.say(command, saying)
            if commands[0] in ONLY_NEW:
                seen = redis.connections
                redis.drop_all()
                wait_until(lambda: redis.connections > seen, "a new connection")
            survives(server, redis, case.replace(" ", "-"))
            redis.normal()
    finally:
        redis.normal()
    recovers(server, redis)


def recovers(server, redis) -> None:
    """It uses Redis again, with one connection for commands and one for changes."""
    redis.normal()
    with Connection(server.address) as connection:
        def is_asked() -> bool:
            before = len(redis.commands)
            connection.request(f"/fragment/again{before}")
            return not {"GETRANGE", "PTTL"}.isdisjoint(redis.commands[before:])

        wait_until(is_asked, "Redis to be asked again")
        redis.say("GETRANGE", b"$2\r\nhi\r\n")
        redis.say("PTTL", b":60000\r\n")
        for claim in ("EVAL", "EVALSHA"):  # if nothing was there lately, it is not looked up
            redis.say(claim, b"*2\r\n$2\r\nhi\r\n:60000\r\n")
        wait_until(lambda: connection.request(f"/fragment/h{len(redis.commands)}").text == "hi",
                   "Redis to be believed again")
        redis.normal()
    wait_until(lambda: len(redis._open) <= 2, "no connection to be left over")


@pytest.mark.parametrize("data", [
    b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$3\r\nabc\r\n", b"*0\r\n", b"*-1\r\n", b"-ERR x\r\n",
    b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$8\r\nworker:a\r\n",
    b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*-1\r\n",
    b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*3\r\n:1\r\n$-1\r\n*0\r\n",
    b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
    b"*2\r\n$0\r\n\r\n$15\r\nlease:{worker:a\r\n",
    b"*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nx\r\n", b"*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
    b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*1\r\n$7\r\nmessage\r\n", b"*1\r\n*-1\r\n",
    b"*3\r\n$11\r\nunsubscribe\r\n$20\r\n__redis__:invalidate\r\n:0\r\n",
    b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nx\r\n$1\r\ny\r\n",
    b"*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n", b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    b"*3\r\n$11\r\nunsubscribe\r\n$20\r\n__redis__:invalidate\r\n$1\r\nx\r\n",
    b"*2\r\n$11\r\nunsubscribe\r\n$20\r\n__redis__:invalidate\r\n",
], ids=lambda data: data.decode().replace("\r\n", "|"))
def test_unasked(victim, data):
    """Sent on both connections without a command, once and a thousand times."""
    server, redis = victim
    for each in (data, data * 1000):
        redis.interject(each)
        survives(server, redis, "unasked")
    recovers(server, redis)


@pytest.mark.parametrize("greeting", [b"+OK\r\n", b"-ERR max number of clients reached\r\n",
                                      b"\x15\x03\x01\0\x02\x02", CLOSE])
def test_greeted(victim, greeting):
    """It speaks first."""
    server, redis = victim
    redis.greeting = greeting
    try:
        for _ in range(3):
            seen = redis.connections
            redis.drop_all()
            wait_until(lambda: redis.connections > seen, "a new connection")
            survives(server, redis, "greeted")
    finally:
        redis.greeting = b""
    recovers(server, redis)


def test_nothing_leaks(victim):
    """After all of the above."""
    server, redis = victim
    recovers(server, redis)
    few = 20 if wrapper_command() else 15  # valgrind has some of its own
    wait_until(lambda: descriptors(server) <= few, "few descriptors")
    if server.memory_is_telling:
        assert server.resident_bytes() < 64 << 20


# Large.


def test_large_values(server, connection, redis, api):
    """15 MiB by hand: answered completely; the connection to Redis is kept."""
    body = b"<p>" + b"large" * (3 << 20)
    redis.command("SET", "worker:large", body, "EX", 600)
    for _ in range(3):
        response = connection.request("/fragment/large")
        assert response.status == 200 and response.body == body
    assert AWAY not in server.log() and api.calls("large") == 0


def test_many_large_values(server, redis):
    """Some at a time."""
    body = b"<p>" + b"large" * (1 << 20)
    for number in range(4):
        redis.command("SET", f"worker:large{number}", body, "EX", 600)
    with Connection(server.address) as connection:
        for number in range(4):
            connection.send_raw(fcgi.request(f"/fragment/large{number}", number + 1))
        for number in range(4):
            assert connection.response(number + 1).body == body
    assert server.running
    with Connection(server.address) as connection:
        stored(redis, connection, "b")


def test_many_outages_leak_nothing(server, connection, redis):
    """Its connections are closed again and again under load."""
    stored(redis, connection, "before")
    wait_armed(redis)
    before = descriptors(server)
    for number in range(scaled(20, least=5)):
        connection.send_raw(b"".join(fcgi.request(f"/fragment/n{number}-{each}", each)
                                     for each in range(1, 51)))
        redis.command("CLIENT", "KILL", "TYPE", "pubsub" if number % 3 else "normal",
                      "SKIPME", "yes")
        for each in range(1, 51):
            assert connection.response(each).status == 200
    wait_armed(redis)
    stored(redis, connection, "after")
    wait_until(lambda: descriptors(server) == before, "as many descriptors as before")
    wait_until(lambda: redis.clients() == 2, "two connections")
