"""What others store in Redis, or send in its place, costs only so much memory and time."""

import re

import pytest

from harness import fcgi
from harness.fakeredis import FakeRedis
from harness.fcgi import Connection, ask
from harness.fleet import cache_status, fleet_config, is_hit
from harness.servers import Workerless
from harness.wait import SLOWNESS, wait_until

USED = "redis: connected"
MIB = 1 << 20
LARGE = 300 * MIB
TOO_LONG = "more than max_value"
# A busy machine may need long to fill hundreds of MiB in Redis, or to handle hundreds of requests.
PATIENT = 'redis_timeout = "10s"'
SLOW = max(SLOWNESS, 1)


@pytest.fixture
def start(tmp, run, api):
    """start(redis, ...) starts a daemon; the options are fleet_config's."""
    def start_daemon(redis, **options) -> Workerless:
        server = run(Workerless(tmp, fleet_config(api, redis, **options)))
        server.wait_log(USED)
        return server

    return start_daemon


def enlarge(redis, key: str, size: int = LARGE) -> None:
    """Makes a value of that size without sending it."""
    redis.command("SETRANGE", key, size - 1, "x")


def info(redis, section: str, field: str) -> int:
    return int(re.search(rf"^{field}:(\d+)", redis.command("INFO", section).decode(),
                         re.MULTILINE).group(1))


# Large values.


def test_a_huge_value_does_not_travel(start, redis, api):
    """It counts as missing: the fragment is regenerated, and replaces it."""
    server = start(redis, cache=PATIENT)
    enlarge(redis, "worker:a")
    sent, resident = info(redis, "stats", "total_net_output_bytes"), server.resident_bytes()
    response = ask(server.address)
    assert "result for a" in response.text and not is_hit(response), len(response.body)
    assert info(redis, "stats", "total_net_output_bytes") - sent < 20 * MIB
    if server.memory_is_telling:
        assert server.resident_bytes() - resident < 64 * MIB
    wait_until(lambda: redis.command("STRLEN", "worker:a") < 1000, "it to be replaced")
    assert is_hit(ask(server.address)) and api.calls("a") == 1
    assert f"worker:a holds {LARGE} bytes, {TOO_LONG} ({16 * MIB})" in server.log()


def test_huge_values_are_logged_now_and_then(start, redis):
    server = start(redis, cache='max_value = "4KiB"')
    with Connection(server.address) as connection:
        for number in range(20):
            enlarge(redis, f"worker:n{number}", 5000)
            assert not is_hit(connection.request(f"/fragment/n{number}"))
    assert 1 <= server.log().count(TOO_LONG) < 15


@pytest.mark.parametrize("head", ["", "workerless/1 made=1 fresh=9999999999999 cost=1 status=200 "
                                      "type=text/html\n"], ids=["plain", "envelope"])
def test_max_value_is_the_largest(start, redis, head):
    server = start(redis, cache='max_value = "4KiB"')
    with Connection(server.address) as connection:
        for name, size in (("most", 4096), ("more", 4097)):
            redis.command("SET", f"worker:{name}", head.ljust(size, "x"), "EX", 60)
            assert is_hit(connection.request(f"/fragment/{name}")) == (size == 4096)


def test_max_value_bounds_what_is_stored(start, redis, api):
    """A larger result is sent to the requests for it, and is not stored; logged now and then."""
    server = start(redis, cache='max_value = "4KiB"')
    for number in range(3):
        api.answer(f"n{number}", type="text/html", body=b"x" * 4096)
        response = ask(server.address, f"/fragment/n{number}")
        assert response.body == b"x" * 4096 and "stored" not in cache_status(response)
    api.answer("small", type="text/html", body=b"x" * 3000)
    assert "stored" in cache_status(ask(server.address, "/fragment/small"))
    wait_until(lambda: redis.keys() == ["worker:small"], "only the small one to be stored")
    assert server.log().count(TOO_LONG) == 3 and "worker:n0 is not stored" in server.log()


def test_scripts_do_not_copy_huge_values(start, redis):
    """Neither when a lease is taken or renewed, nor by a purge."""
    server = start(redis, lease=f"{300 * SLOW:.0f}ms", cache=PATIENT)
    enlarge(redis, "worker:a")
    enlarge(redis, "lease:{worker:a}", 100 * MIB)
    redis.command("PEXPIRE", "lease:{worker:a}", int(700 * SLOW))
    redis.command("CONFIG", "RESETSTAT")
    assert "result for a" in ask(server.address).text
    wait_until(lambda: redis.command("STRLEN", "worker:a") < 1000, "it to be replaced")
    for soft in (True, False):
        enlarge(redis, "worker:a")
        headers = {"Workerless-Purge": "soft"} if soft else {}
        assert ask(server.address, method="PURGE", headers=headers).status == 204
        assert redis.command("EXISTS", "worker:a") == 0
    assert info(redis, "memory", "used_memory_peak") < LARGE + 160 * MIB


# Leases that are not ours.


@pytest.mark.parametrize("command", [("SET", "foo"), ("RPUSH", "1"), ("SADD", "1"),
                                     ("HSET", "a", "1")], ids=lambda command: command[0])
@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])
def test_a_lease_without_expiry_ends(start, run, redis, api, command, tracked):
    """Of any type: waiting processes take it over after the time of a lease."""
    if not tracked:
        redis.command("ACL", "SETUSER", "default", "-client|tracking")
    routes = f'fragment "*" {{ source = "api" hold = "{6 * SLOW:.0f}s" }}\n'
    servers = [start(redis, lease=f"{500 * SLOW:.0f}ms", routes=routes) for _ in range(2)]
    redis.command(command[0], "lease:{worker:a}", *command[1:])
    connections = [run(Connection(server.address)) for server in servers]
    for connection in connections:
        connection.send_raw(fcgi.request("/fragment/a"))
    for connection in connections:
        response = connection.response()
        assert response.status == 200 and "result for a" in response.text
    assert api.calls("a") == 1
    wait_until(lambda: redis.keys() == ["worker:a"], "the lease to be released")


# Names that fail.


def test_made_up_names_do_not_fill_redis(start, redis, api):
    """The route's first failures are shared, further ones each process remembers alone."""
    server = start(redis, cache=PATIENT,
                   routes='fragment "exact" { source = "api" negative = "60s" }\n'
                          'fragment "*" { source = "api" negative = "60s" '
                          'max_negative = 20 }\n')
    names = [f"n{number}" for number in range(300)] + ["exact"]
    for name in names:
        api.answer(name, status=404)
    with Connection(server.address) as connection:
        for _ in range(2):
            connection.send_raw(b"".join(fcgi.request(f"/fragment/{name}", number)
                                         for number, name in enumerate(names, 1)))
            assert {connection.response(number).status for number, _ in enumerate(names, 1)} \
                == {404}
    assert [name for name in names if api.calls(name) != 1] == []
    wait_until(lambda: not [key for key in redis.keys() if key.startswith("lease:")],
               "all leases to be released")
    assert len(redis.keys()) == 21 and "worker:exact" in redis.keys()
    assert "its section has reached max_negative (20)" in server.log()


# A server that sends more than it may.


@pytest.mark.parametrize("saying", [
    b"$500000000\r\n" + b"x" * (60 * MIB), b"+" + b"x" * (60 * MIB),
    b"*1000\r\n" + (b"$1048576\r\n" + b"x" * MIB + b"\r\n") * 60,
    b"*64\r\n" + b"*1000000\r\n" * 8], ids=["string", "line", "many", "arrays"])
def test_a_reply_that_is_too_long(tmp, start, api, saying):
    """It ends the connection, and takes no more memory than a value may."""
    with FakeRedis(tmp) as fake:
        server = start(fake.url, cache='max_value = "1MiB"')
        resident, seen = server.resident_bytes(), fake.connections
        fake.say("GETRANGE", saying)
        assert "result for a" in ask(server.address).text
        wait_until(lambda: fake.connections > seen, "a new connection")
        if server.memory_is_telling:
            assert server.resident_bytes() - resident < 40 * MIB
        assert api.calls("a") == 1
