"""Clocks that are wrong, or stepped: freshness follows Redis' clock in the entire fleet, and within
a process a clock that is never stepped."""

import re
import time

import pytest

from harness import fcgi
from harness.cluster import Cluster, ClusterFleet
from harness.config import shipped_permissions
from harness.fakeredis import FakeRedis, tell_time
from harness.faketime import WrongClock
from harness.fcgi import Connection
from harness.fleet import Fleet, detail, fleet_config, is_hit, wait_armed
from harness.relay import Relay
from harness.servers import Redis, Workerless
from harness.wait import wait_until

MINUTES = 300  # seconds: five of them
OFF = pytest.mark.parametrize("off", [MINUTES, -MINUTES], ids=["ahead", "behind"])
ROUTES = """
fragment "swr/*" { source = "api" ttl = "60s" stale = "600s" }
fragment "*"     { source = "api" ttl = "60s" }
"""
FAR = "synchronize the clocks of both machines with NTP"
REFUSED = "TIME is refused"
CONNECTED = "redis: connected"


class ClockFleet(Fleet):
    """Daemons whose wall clocks are each wrong by so many seconds."""

    def __init__(self, tmp, redis, api, offs, **options) -> None:
        super().__init__(tmp, redis, api, size=len(offs), routes=ROUTES, **options)
        self.clocks = [WrongClock(tmp, off) for off in offs]
        for server, clock in zip(self.servers, self.clocks):
            server.environment.update(clock.environment(server))


class ClockClusterFleet(ClockFleet, ClusterFleet):
    """The same with a cluster."""


def with_clock(server, clock: WrongClock):
    """The server, before its start."""
    server.environment.update(clock.environment(server))
    return server


def ttl(response) -> int:
    return int(re.search(r"; ttl=(-?\d+)", response.headers["cache-status"]).group(1))


def assert_young(response) -> None:
    """It was made a moment ago, and has a ttl of 60 s."""
    assert response.status == 200
    assert 40 <= ttl(response) <= 60, response.headers
    assert 0 <= int(response.headers["age"]) < 20


def assert_shared(fleet: Fleet, name: str, first: int, places=("redis", "memory")) -> None:
    """What one daemon generates is fresh for all of them, wherever they get it."""
    assert_young(fleet.ask(first, name))
    assert fleet.wait_value(name)
    for place in places:
        for number in fleet.running():
            response = fleet.ask(number, name)
            assert is_hit(response) and (detail(response) == place or number == first)
            assert_young(response)
    assert fleet.api.calls(name) == 1


def cut_off(redis: Redis) -> None:
    """Closes all connections, so that all daemons connect to Redis again."""
    redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


# Between hosts.


@OFF
def test_one_clock_is_off(tmp, run, redis, api, name, off):
    """Whichever daemon generates it."""
    fleet = run(ClockFleet(tmp, redis, api, [0, off]))
    for first in (0, 1):
        assert_shared(fleet, f"{name}{first}", first)
        made = re.match(rb"workerless/1 made=(\d+) fresh=(\d+) ",
                        redis.command("GET", f"worker:{name}{first}"))
        assert abs(int(made.group(1)) / 1000 - time.time()) < 30
        assert int(made.group(2)) - int(made.group(1)) == 60_000


@OFF
def test_redis_is_off(tmp, run, redis, api, name, off):
    """And both daemons are right, which does not matter here: they agree."""
    relay = run(Relay(tmp, redis))
    relay.set_clock(off)
    fleet = run(ClockFleet(tmp, redis, api, [0, 0], url=relay.url))
    assert_shared(fleet, name, 0)
    made = re.match(rb"workerless/1 made=(\d+) ", redis.command("GET", f"worker:{name}"))
    assert abs(int(made.group(1)) / 1000 - time.time() - off) < 30


@OFF
def test_redis_clock_is_stepped(tmp, run, redis, api, name, off):
    """The fleet follows, when it asks for the time again."""
    relay = run(Relay(tmp, redis))
    fleet = run(ClockFleet(tmp, redis, api, [0, 0], url=relay.url))
    assert_shared(fleet, name, 0)
    relay.set_clock(off)
    cut_off(redis)
    for server in fleet.servers:
        server.wait_log(FAR)
    fleet.wait_armed()
    assert_shared(fleet, f"{name}-later", 1)


@OFF
def test_plain_values(tmp, run, redis, api, name, off):
    """Are fresh as long as their key lives."""
    fleet = run(ClockFleet(tmp, redis, api, [0, off]))
    redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    fleet.hear()
    for _ in range(2):
        for response in fleet.ask_all(name):
            assert is_hit(response) and response.text == "by hand"
            assert_young(response)


@OFF
def test_a_soft_purge(tmp, run, redis, api, name, off):
    """By a daemon whose clock is wrong: stale from now on for all, and still usable as stale."""
    name = f"swr/{name}"
    fleet = run(ClockFleet(tmp, redis, api, [0, off]))
    fleet.ask(0, name)
    fleet.wait_value(name)
    api.hold(name)
    assert fleet.purge(1, name, headers={"Workerless-Purge": "soft"}).status == 204
    fleet.hear()
    for response in fleet.ask_all(name):
        assert is_hit(response) and -20 <= ttl(response) <= 0
    api.wait_calls(name, 1 + 1)


@OFF
def test_a_cluster(tmp, run, api, off):
    """The time is that of slot 0's server, whichever is the seed."""
    cluster = run(Cluster(tmp))
    seeds = cluster.seeds(*(node.port for node in reversed(cluster.nodes)))
    fleet = run(ClockClusterFleet(tmp, cluster, api, [0, off], url=seeds))
    for node in cluster.nodes:
        for number, name in enumerate(cluster.names_on(node, 2)):
            assert_shared(fleet, name, number)
            made = re.match(rb"workerless/1 made=(\d+) ", cluster.command("GET", f"worker:{name}"))
            assert abs(int(made.group(1)) / 1000 - time.time()) < 30
    first, *others = [node.calls_of("time") for node in cluster.nodes]
    assert first >= 3 * len(fleet) and others == [len(fleet)] * 2


@OFF
def test_before_the_first_request(tmp, run, redis, api, name, off):
    """Nothing that Redis holds is judged before its time is known. Here the first request arrives
    before the first connection is established."""
    now_ms = int(time.time() * 1000)
    for age in (10, 70):
        redis.command("SET", f"worker:{name}-{age}", f"workerless/1 made={now_ms - age * 1000} "
                      f"fresh={now_ms + (60 - age) * 1000} cost=1 status=200 type=text/html\nold")
    server = with_clock(Workerless(tmp, fleet_config(api, redis, cache='redis_timeout = "10s"')),
                        WrongClock(tmp, off))
    redis.pause()
    run(server)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request(f"/fragment/{name}-10", 1) +
                            fcgi.request(f"/fragment/{name}-70", 2))
        connection.sync()  # Redis has been asked, or will be as soon as it can
        redis.resume()
        young, old = connection.response(1), connection.response(2)
        assert young.text == "old" and 30 <= ttl(young) <= 50
        assert old.text != "old"


# Within a process.


@OFF
@pytest.mark.parametrize("kept", ["memory", "redis"])
def test_a_step(tmp, run, redis, api, name, kept, off):
    """Of the wall clock, while it runs: nothing becomes older or younger."""
    clock = WrongClock(tmp)
    server = run(with_clock(Workerless(
        tmp, fleet_config(api, redis if kept == "redis" else "", routes=ROUTES)), clock))
    if kept == "redis":
        wait_armed(redis)
    with Connection(server.address) as connection:
        def ask(what: str):
            return connection.request(f"/fragment/{what}")

        assert_young(ask(name))
        wait_until(lambda: detail(ask(name)) == "memory", "it to be in memory")
        clock.set(off)
        response = ask(name)
        assert is_hit(response) and detail(response) == "memory"
        assert_young(response)
        assert_young(ask(f"{name}-later"))
        clock.set(0)
        for each in (name, f"{name}-later"):
            assert_young(ask(each))
            assert api.calls(each) == 1


@OFF
def test_redis_is_away(tmp, run, api, name, off):
    """The clock runs on as it was last set."""
    redis = run(Redis(tmp))
    clock = WrongClock(tmp, off)
    server = run(with_clock(Workerless(tmp, fleet_config(api, redis, routes=ROUTES)), clock))
    wait_armed(redis)
    with Connection(server.address) as connection:
        def ask(what: str):
            return connection.request(f"/fragment/{what}")

        ask(name)
        wait_until(lambda: detail(ask(name)) == "memory", "it to be in memory")
        redis.kill()
        server.wait_log("continuing without it")
        clock.set(-off)
        for each in (name, f"{name}-later"):
            assert_young(ask(each))
            assert is_hit(ask(each))
        redis.start()
        wait_armed(redis)
        assert_young(ask(f"{name}-back"))
        made = re.match(rb"workerless/1 made=(\d+) ", wait_until(
            lambda: redis.command("GET", f"worker:{name}-back"), "the value"))
        assert abs(int(made.group(1)) / 1000 - time.time()) < 30


def test_a_suspended_machine(tmp, run, redis, api, name):
    """All of its clocks are ahead when it wakes up (or so it seems here). It asks for the time
    within a minute or so, without a new connection."""
    clock = WrongClock(tmp, all_clocks=True)
    server = run(with_clock(Workerless(tmp, fleet_config(api, redis, routes=ROUTES)), clock))
    wait_armed(redis)
    with Connection(server.address) as connection:
        assert_young(connection.request(f"/fragment/{name}"))
        wait_until(lambda: detail(connection.request(f"/fragment/{name}")) == "memory", "memory")
        asked = redis.calls_of("time")
        clock.set(100)

        def set_right() -> bool:
            connection.request("/workerless/health")  # something has to wake it up
            return redis.calls_of("time") >= asked + 3

        wait_until(set_right, "the time to be asked for")
        server.wait_log("100.0 s ahead of that of Redis")
        assert_young(connection.request(f"/fragment/{name}"))
        assert api.calls(name) == 1 and "back in use" not in server.log()


# The log.


@pytest.mark.parametrize("off, told", [
    (MINUTES, "300.0 s ahead of that of Redis"), (-MINUTES, "300.0 s behind that of Redis"), (0.3, ""), (0, "")])
def test_said_once(tmp, run, redis, api, off, told):
    """Not again with every connection, nor for a harmless difference."""
    server = with_clock(Workerless(tmp, fleet_config(api, redis)), WrongClock(tmp, off))
    run(server)
    for again in range(3):
        wait_armed(redis)
        wait_until(lambda: redis.calls_of("time") >= 3 * (again + 1), "the time to be asked for")
        cut_off(redis)
        wait_until(lambda: server.log().count("back in use") == again + 1, "Redis to be back")
    assert server.log().count(FAR) == (1 if told else 0)
    assert not told or re.sub(r"(299|300)\.\d", "300.0", server.log()).count(told) == 1


def test_said_again(tmp, run, redis, api):
    """When it was put right, and is wrong again."""
    clock = WrongClock(tmp)
    server = run(with_clock(Workerless(tmp, fleet_config(api, redis)), clock))
    wait_armed(redis)
    for count in (1, 2):
        for off, text in ((MINUTES, FAR), (0, "agrees with that of Redis again")):
            clock.set(off)
            cut_off(redis)
            wait_until(lambda: server.log().count(text) == count, f"{text!r}, {count} times")


def test_without_permission(tmp, run, redis, api, name):
    """A user that may not use TIME: our own clock is used, and that is logged once."""
    redis.command("ACL", "SETUSER", "default", "-time")
    fleet = run(ClockFleet(tmp, redis, api, [0, 0]))
    assert_shared(fleet, name, 0)
    cut_off(redis)
    for server in fleet.servers:
        server.wait_log("back in use")
    fleet.wait_armed()
    assert_shared(fleet, f"{name}-later", 1)
    for server in fleet.servers:
        assert server.log().count(REFUSED) == 1 and "+time" in server.log()
        assert FAR not in server.log()


def test_the_permissions_that_the_config_names(tmp, run, api, name):
    """Are enough."""
    redis = run(Redis(tmp, tcp=True, user="me", password="secret"))
    redis.command("ACL", "SETUSER", "least", "reset", "on", ">secret", *shipped_permissions())
    url = redis.url.replace("me:", "least:")
    fleet = run(ClockFleet(tmp, redis, api, [0, MINUTES], url=url))
    assert_shared(fleet, name, 1)
    for server in fleet.servers:
        assert "refused" not in server.log()


@pytest.mark.parametrize("answer", [
    b":1\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*1\r\n$1\r\n1\r\n", b"*2\r\n:1\r\n:1\r\n",
    b"*2\r\n$1\r\n0\r\n$1\r\n0\r\n", b"*2\r\n$0\r\n\r\n$1\r\n0\r\n", b"*2\r\n$2\r\n-1\r\n$1\r\n0\r\n",
    b"*2\r\n$20\r\n99999999999999999999\r\n$1\r\n0\r\n", b"*2\r\n$1\r\n1\r\n$7\r\n1000000\r\n",
    b"*2\r\n*0\r\n$1\r\n0\r\n", b"-ERR unknown command 'TIME'\r\n", b"+OK\r\n",
    b"*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n"])
def test_no_time(tmp, run, api, name, answer):
    """An invalid time changes nothing, and is logged once."""
    with FakeRedis(tmp) as fake:
        fake.say("TIME", answer)
        server = run(Workerless(tmp, fleet_config(api, fake.url, routes=ROUTES)))
        with Connection(server.address) as connection:
            server.wait_log(REFUSED)
            assert_young(connection.request(f"/fragment/{name}"))
        fake.drop_all()
        server.wait_log("back in use")
        wait_until(lambda: fake.commands.count("TIME") >= 2, "TIME to be asked again")
        assert server.log().count(REFUSED) == 1


def test_any_time(tmp, run, api, name):
    """From one extreme of valid times to the other, and back."""
    with FakeRedis(tmp) as fake:
        fake.say("TIME", tell_time(1_000_000))
        server = run(Workerless(tmp, fleet_config(api, fake.url, routes=ROUTES)))
        with Connection(server.address) as connection:
            for now_us in (99_999_999_999_999_999, 2_000_000_000_000_000, 1_000_000):
                assert_young(connection.request(f"/fragment/{name}-{now_us}"))
                fake.say("TIME", tell_time(now_us))
                asked = fake.commands.count("TIME")
                fake.drop_all()
                wait_until(lambda: fake.commands.count("TIME") >= asked + 3, "the time")
        assert server.log().count(FAR) == 1


def test_seldom(tmp, run, redis, api, name):
    """It costs a few commands a connection, not one a request."""
    server = run(Workerless(tmp, fleet_config(api, redis)))
    wait_armed(redis)
    with Connection(server.address) as connection:
        for number in range(50):
            connection.request(f"/fragment/{name}-{number % 10}")
    assert 1 <= redis.calls_of("time") <= 3
