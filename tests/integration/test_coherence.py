"""Memory before Redis: it never holds what Redis does not, whatever messages are lost or late."""

import itertools
import re
import signal
import time

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.fleet import Fleet, detail, fleet_config, is_hit, own_fleet, trackers, wait_armed
from harness.relay import Relay
from harness.servers import Redis, Workerless
from harness.wait import scaled, stays, wait_until


@pytest.fixture(scope="module")
def shared():
    with own_fleet() as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Three daemons on one Redis."""
    shared.wait_armed()
    with shared.lent():
        yield shared


def in_memory(fleet, *names: str) -> None:
    for name in names:
        for number in fleet.running():
            wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")


def assert_coherent(fleet, names) -> None:
    """Every process answers with what Redis holds; nothing else is a hit."""
    for name in names:
        held = fleet.value(name)
        for number in fleet.running():
            response = fleet.ask(number, name)
            if held is None:
                assert not is_hit(response), f"{name} of daemon {number} is not in Redis"
                held = fleet.wait_value(name)
            assert response.body == held, f"{name} of daemon {number}"


def test_hits_come_from_memory(fleet, name):
    """The first lookup in Redis brings it into memory; then Redis is not asked."""
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    fleet.hear()  # or the change would be told between a lookup and its answer
    for number in fleet.running():
        assert detail(fleet.ask(number, name)) == "redis"
        assert detail(fleet.ask(number, name)) == "memory"
    before = fleet.redis.calls_of("getrange")
    for _ in range(20):
        assert {detail(response) for response in fleet.ask_all(name)} == {"memory"}
    assert fleet.redis.calls_of("getrange") == before


def test_a_change_is_heard_before_the_next_request(fleet, name):
    """Both wait in the sockets of a busy daemon: the change arrived first."""
    for _ in range(5):
        fleet.redis.command("SET", f"worker:{name}", "old", "EX", 60)
        in_memory(fleet, name)
        fleet.servers[0].signal(signal.SIGSTOP)
        fleet.redis.command("DEL", f"worker:{name}")
        fleet.send(0, name)
        fleet.servers[0].signal(signal.SIGCONT)
        assert fleet.connections[0].response(1).text != "old"


def test_memory_off(tmp, run, redis, api):
    fleet_text = fleet_config(api, redis, cache='memory = "0"')
    server = run(Workerless(tmp, fleet_text))
    with Connection(server.address) as connection:
        connection.request("/fragment/a")
        for _ in range(5):
            assert detail(connection.request("/fragment/a")) == "redis"
        redis.command("SET", "worker:a", "by hand", "EX", 60)
        assert connection.request("/fragment/a").text == "by hand"


def test_expiry(fleet, name):
    """Of a plain string and of an envelope whose life was shortened by hand."""
    other = f"{name}-other"
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    in_memory(fleet, name, other)
    fleet.redis.command("PEXPIRE", f"worker:{name}", 150)
    fleet.redis.command("PEXPIRE", f"worker:{other}", 150)
    wait_until(lambda: not fleet.redis.command("EXISTS", f"worker:{name}", f"worker:{other}"),
               "both to expire")
    fleet.hear()
    assert_coherent(fleet, [name, other])
    assert "result for" in fleet.ask(1, name).text and fleet.api.calls(other) == 2


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
def test_flush(fleet, name, command):
    names = [f"{name}-{number}" for number in range(5)]
    in_memory(fleet, *names)
    fleet.redis.command(command)
    fleet.hear()
    assert_coherent(fleet, names)
    assert {fleet.api.calls(each) for each in names} == {2}


@pytest.mark.parametrize("command", [
    ("RENAME", "worker:@", "worker:@2"), ("UNLINK", "worker:@"), ("APPEND", "worker:@", "more"),
    ("SETRANGE", "worker:@", 0, "B"), ("COPY", "worker:from@", "worker:@", "REPLACE"),
    ("EVAL", "return redis.call('SET', KEYS[1], 'by script', 'EX', 60)", 1, "worker:@")],
    ids=lambda command: command[0])
def test_other_writers(fleet, name, command):
    for key in ("worker:", "worker:from"):
        fleet.redis.command("SET", f"{key}{name}", f"first of {key}", "EX", 60)
    in_memory(fleet, name)
    fleet.redis.command(*(str(word).replace("@", name) for word in command))
    fleet.hear()
    assert_coherent(fleet, [name])


def test_eviction(tmp, run, api):
    """Redis is full and evicts keys: they leave every memory cache too."""
    redis = run(Redis(tmp))
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    fleet = run(Fleet(tmp, redis, api, size=2))
    names = [f"k{number}" for number in range(50)]
    for name in names:
        api.answer(name, body=name + "." * 20_000, type="text/html")
    in_memory(fleet, *names)
    used = int(next(line for line in redis.command("INFO", "memory").decode().splitlines()
                    if line.startswith("used_memory:")).partition(":")[2])
    redis.command("CONFIG", "SET", "maxmemory", used - 300_000)
    wait_until(lambda: len([key for key in redis.keys() if key.startswith("worker:k")]) < 45,
               "keys to be evicted")
    redis.command("CONFIG", "SET", "maxmemory", 0)
    fleet.hear()
    gone = [name for name in names if fleet.value(name) is None]
    assert gone
    assert not is_hit(fleet.ask(0, gone[0])) and not is_hit(fleet.ask(1, gone[1]))
    assert_coherent(fleet, names)


def test_subscriber_killed(fleet, name):
    """The connection that tells of changes: what was missed is not served."""
    names = [f"{name}-{number}" for number in range(3)]
    in_memory(fleet, *names)
    for line in fleet.redis.command("CLIENT", "LIST", "TYPE", "pubsub").splitlines():
        fleet.redis.command("CLIENT", "KILL", "ID", line.split()[0].partition(b"=")[2])
    fleet.redis.command("SET", f"worker:{names[0]}", "by hand", "EX", 60)
    fleet.redis.command("DEL", f"worker:{names[1]}")
    for number in fleet.running():
        wait_until(lambda: fleet.ask(number, names[0]).text == "by hand", "the loss to be noticed")
    assert_coherent(fleet, names)
    fleet.wait_armed()
    in_memory(fleet, *names)
    assert len(trackers(fleet.redis)) == 3


def test_commands_killed(fleet, name):
    """The connection for commands, and with it the tracking."""
    names = [f"{name}-{number}" for number in range(3)]
    in_memory(fleet, *names)
    for line in trackers(fleet.redis):
        fleet.redis.command("CLIENT", "KILL", "ID", line.split()[0].partition(b"=")[2])
    fleet.redis.command("SET", f"worker:{names[0]}", "by hand", "EX", 60)
    fleet.redis.command("DEL", f"worker:{names[1]}")
    for number in fleet.running():
        wait_until(lambda: fleet.ask(number, names[0]).text == "by hand", "the loss to be noticed")
    fleet.wait_armed()
    assert_coherent(fleet, names)


def test_all_killed(fleet, name):
    in_memory(fleet, name)
    for round_number in range(3):
        text = f"by hand {round_number}"
        fleet.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        fleet.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        fleet.redis.command("SET", f"worker:{name}", text, "EX", 60)
        fleet.wait_armed()
        assert [response.text for response in fleet.ask_all(name)] == [text] * 3
        in_memory(fleet, name)


def test_restarted(tmp, run, api):
    """Empty: what memory was allowed to serve meanwhile is forgotten."""
    redis = run(Redis(tmp))
    fleet = run(Fleet(tmp, redis, api, size=2))
    names = ["a", "b", "c"]
    in_memory(fleet, *names)
    redis.kill()
    for server in fleet.servers:
        server.wait_log("continuing without it")
    assert {detail(response) for response in fleet.ask_all("a")} == {"memory"}
    redis.start()
    redis.command("SET", "worker:b", "by hand", "EX", 60)
    fleet.wait_armed()
    assert_coherent(fleet, names)
    assert fleet.ask(0, "b").text == fleet.ask(1, "b").text == "by hand"
    in_memory(fleet, *names)


def test_a_large_change(fleet, name):
    """Thousands of keys change in one step of Redis."""
    names = [f"{name}-{number}" for number in range(scaled(3000, least=100))]
    fleet.redis.command("MSET", *(word for each in names for word in (f"worker:{each}", "first")))
    for each in names[::100]:
        in_memory(fleet, each)
    fleet.redis.command("MSET", *(word for each in names for word in (f"worker:{each}", "second")))
    fleet.hear()
    for each in names[::100]:
        assert {response.text for response in fleet.ask_all(each)} == {"second"}
    fleet.redis.command("DEL", *(f"worker:{each}" for each in names))


# Redis can't report changes.


def test_without_tracking(tmp, run, redis, api):
    """A user that may not use CLIENT TRACKING: answers are correct, and it is logged once."""
    redis.command("ACL", "SETUSER", "default", "-client|tracking")
    servers = [run(Workerless(tmp, fleet_config(api, redis))) for _ in range(2)]
    for server in servers:
        server.wait_log("CLIENT TRACKING is refused")
    with Connection(servers[0].address) as one, Connection(servers[1].address) as two:
        one.request("/fragment/a")
        wait_until(lambda: "worker:a" in redis.keys(), "the value to be stored")
        for number in range(3):
            redis.command("SET", "worker:a", f"text {number}", "EX", 60)
            for connection in (one, two):
                response = connection.request("/fragment/a")
                assert detail(response) == "redis" and response.text == f"text {number}"
        api.hold("slow")  # requests that wait for another process are looked up again now and then
        one.send_raw(fcgi.request("/fragment/slow"))
        api.wait_calls("slow", 1)
        two.send_raw(fcgi.request("/fragment/slow"))
        two.sync()
        api.release("slow")
        assert "result for slow" in one.response().text
        assert "result for slow" in two.response().text and api.calls("slow") == 1
        redis.command("ACL", "SETUSER", "default", "+client|tracking")
        wait_armed(redis, 2)  # tried again by itself
        wait_until(lambda: detail(one.request("/fragment/a")) == "memory", "memory to be used")
    for server in servers:
        assert server.log().count("CLIENT TRACKING is refused") == 1


# Late and out of order.


@pytest.fixture
def relayed(tmp, run, redis, api):
    """A daemon behind a relay: (relay, daemon's connection)."""
    relay = run(Relay(tmp, redis))
    # The relay holds commands back for long; that is no outage here.
    server = run(Workerless(tmp, fleet_config(api, relay.url, cache='redis_timeout = "60s"')))
    wait_armed(redis)
    connection = run(Connection(server.address))
    redis.command("SET", "worker:warm", "x", "EX", 100)
    wait_until(lambda: detail(connection.request("/fragment/warm")) == "memory", "memory in use")
    yield relay, connection
    for kind in ("commands", "changes"):
        relay.release(kind)


def heard(relay, redis, connection) -> None:
    """Waits until the daemon has handled what Redis has reported."""
    redis.command("SET", "worker:warm", f"at {time.monotonic()}", "EX", 100)
    now = redis.command("GET", "worker:warm")
    wait_until(lambda: connection.request("/fragment/warm", 999).body == now, "changes to be heard")


def wait_heard_while_held(redis, connection) -> None:
    """The same while replies are held back: then the fragment is no longer in memory, so that a
    request for it is not answered."""
    redis.command("SET", "worker:warm", "y", "EX", 100)
    ids = itertools.count(1000)

    def is_parked() -> bool:
        request_id = next(ids)
        connection.send_raw(fcgi.request("/fragment/warm", request_id))
        connection.sync()
        return not connection.responses[request_id].ended

    wait_until(is_parked, "changes to be heard")


def test_change_overtakes_the_reply(relayed, redis, api):
    """GET is answered, the value changes and that is reported; then the old reply arrives."""
    relay, connection = relayed
    redis.command("SET", "worker:a", "old", "EX", 100)
    relay.hold("commands")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b"old")
    redis.command("SET", "worker:a", "new", "EX", 100)
    wait_heard_while_held(redis, connection)
    relay.release("commands")
    assert connection.response(1).text in ("old", "new")
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 3).text == "new"
    assert api.calls("a") == 0


def test_reply_overtakes_the_change(relayed, redis):
    """The value changes, and the report is late: the old one may be served until it arrives, but no
    longer."""
    relay, connection = relayed
    redis.command("SET", "worker:a", "old", "EX", 100)
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 1).text == "old"
    assert detail(connection.request("/fragment/a", 1)) == "memory"
    relay.hold("changes")
    redis.command("SET", "worker:a", "new", "EX", 100)
    relay.wait_held("changes", b"worker:a")
    assert connection.request("/fragment/a", 1).text == "old"
    relay.release("changes")
    wait_until(lambda: connection.request("/fragment/a", 1).text == "new", "the change to arrive")
    assert detail(connection.request("/fragment/a", 1)) == "memory"


def test_change_during_the_claim(relayed, redis, api):
    """The value appears while the lease is being claimed, and is reported before the claim is
    answered."""
    relay, connection = relayed
    api.hold("a")
    relay.hold("commands")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b"$0\r\n\r\n")
    redis.command("SET", "worker:a", "by hand", "EX", 100)
    wait_heard_while_held(redis, connection)
    relay.release("commands")
    assert connection.response(1).text == "by hand"
    assert api.calls("a") == 0
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 2).text == "by hand"


def test_change_between_lookup_and_claim(relayed, redis, api):
    """The value appears after the lookup has missed it, and nobody tells: the claim finds it, and gives
    up the lease that it has taken."""
    relay, connection = relayed
    relay.hold("commands")
    relay.hold("changes")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b"$0\r\n\r\n")
    redis.command("SET", "worker:a", "by hand", "EX", 100)
    relay.release("commands")
    assert connection.response(1).text == "by hand"
    assert api.calls("a") == 0
    wait_until(lambda: "lease:{worker:a}" not in redis.keys(), "the lease to be released")
    relay.release("changes")


def test_the_lease_is_taken_without_a_script(relayed, redis, api):
    """Of the commands for a cold miss only the last one is a script, and what the process itself writes
    makes it ask for nothing more."""
    relay, connection = relayed
    def scripts() -> int:
        return redis.calls_of("eval") + redis.calls_of("evalsha")

    before = scripts()
    api.hold("a")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    api.wait_calls("a", 1)
    heard(relay, redis, connection)
    asked = scripts() - before
    api.release("a")
    assert "result for a" in connection.response(1).text
    assert asked == 0
    wait_until(lambda: scripts() == before + 1, "the result to be stored")


def make_cold(connection) -> None:
    """From then on a miss claims its lease without a lookup."""
    for number in range(40):
        assert connection.request(f"/fragment/cold-{number}", 1).status == 200


def lookups(connection) -> int:
    text = connection.request("/workerless/counters", 998).text
    return int(re.search(r"^lookups (\d+)$", text, re.MULTILINE).group(1))


def test_a_cold_miss_is_not_looked_up(relayed, redis, api):
    relay, connection = relayed
    make_cold(connection)
    before = lookups(connection)
    api.hold("a")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    api.wait_calls("a", 1)
    assert redis.command("EXISTS", "lease:{worker:a}")
    api.release("a")
    assert "result for a" in connection.response(1).text
    assert lookups(connection) == before
    wait_until(lambda: redis.command("EXISTS", "worker:a"), "the value to be stored")


@pytest.mark.parametrize("command, text", [
    (("SET", "worker:a", "by hand", "EX", 100), "by hand"),
    (("SET", "worker:a", "by hand"), "by hand"),
    (("SET", "worker:a", ""), ""),
    (("SET", "worker:a", "workerless/1 made=1 by hand"), None),
    (("HSET", "worker:a", "by", "hand"), None),
])
def test_what_is_there_although_it_is_cold(relayed, redis, api, command, text):
    """A value that can be read is found, and the lease that was taken in vain is given up."""
    relay, connection = relayed
    make_cold(connection)
    redis.command(*command)
    answer = connection.request("/fragment/a", 2).text
    assert answer == text if text is not None else "result for a" in answer
    assert api.calls("a") == (text is None)
    wait_until(lambda: "lease:{worker:a}" not in redis.keys(), "the lease to be released")
    before = lookups(connection)
    assert "result for b" in connection.request("/fragment/b", 3).text
    assert lookups(connection) - before == (text is not None)


def test_change_during_a_cold_claim(relayed, redis, api):
    """The value appears while the lease is ours already, and the answer to that is late."""
    relay, connection = relayed
    make_cold(connection)
    api.hold("a")
    relay.hold("commands")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b":-2\r\n")
    redis.command("SET", "worker:a", "by hand", "EX", 100)
    wait_heard_while_held(redis, connection)
    relay.release("commands")
    assert connection.response(1).text == "by hand"
    wait_until(lambda: "lease:{worker:a}" not in redis.keys(), "the lease to be released")
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 2).text == "by hand"


def test_change_during_the_store(relayed, redis, api):
    """The result is stored, and replaced by hand before the daemon knows that it was stored."""
    relay, connection = relayed
    api.hold("a")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    api.wait_calls("a", 1)
    relay.hold("commands")
    api.release("a")
    assert "result for a" in connection.response(1).text
    wait_until(lambda: redis.command("EXISTS", "worker:a"), "the value to be stored")
    relay.wait_held("commands", b":1")
    redis.command("SET", "worker:a", "by hand", "EX", 100)
    wait_heard_while_held(redis, connection)
    relay.release("commands")
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 2).text == "by hand"


def test_change_while_the_lease_is_answered(relayed, redis, api):
    """Another process takes the lease and stores; both are reported before we know of the lease."""
    relay, connection = relayed
    redis.command("SET", "lease:{worker:a}", "other", "PX", 30000)
    relay.hold("commands")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b"$0\r\n\r\n")
    relay.release("commands")
    connection.sync()
    wait_until(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") >= 1, "the claim")
    redis.command("SET", "worker:a", "theirs", "EX", 100)
    redis.command("DEL", "lease:{worker:a}")
    assert connection.response(1).text == "theirs" and api.calls("a") == 0


def test_tracking_lost_while_a_reply_is_late(relayed, redis):
    """What was read while tracking was on is not kept when it was off in between."""
    relay, connection = relayed
    redis.command("SET", "worker:a", "old", "EX", 100)
    relay.hold("commands")
    connection.send_raw(fcgi.request("/fragment/a", 1))
    relay.wait_held("commands", b"old")
    opened = relay.opened["changes"]
    relay.cut("changes")
    redis.command("SET", "worker:a", "new", "EX", 100)
    wait_until(lambda: relay.opened["changes"] > opened, "a new connection")
    relay.release("commands")
    connection.response(1)
    wait_armed(redis)
    heard(relay, redis, connection)
    assert connection.request("/fragment/a", 2).text == "new"


def test_no_connection_for_changes(relayed, redis):
    """Tracking is not available for a while: every request asks Redis."""
    relay, connection = relayed
    redis.command("SET", "worker:a", "0", "EX", 100)
    wait_until(lambda: detail(connection.request("/fragment/a")) == "memory", "memory to be in use")
    relay.refuse("changes")
    wait_until(lambda: detail(connection.request("/fragment/a")) == "redis", "the loss")
    for number in range(20):
        redis.command("SET", "worker:a", str(number), "EX", 100)
        response = connection.request("/fragment/a")
        assert response.text == str(number) and is_hit(response)
    relay.refuse("changes", False)
    wait_until(lambda: detail(connection.request("/fragment/a")) == "memory", "memory to be in use")


# Its limit.


def test_bound(tmp, run, redis, api):
    """Memory stays within its limit, and a scan of cold keys does not evict hot ones."""
    server = run(Workerless(tmp, fleet_config(api, redis, cache='memory = "4MiB"')))
    wait_armed(redis)
    count = scaled(600, least=600)
    with Connection(server.address) as connection:
        for number in range(10):
            redis.command("SET", f"worker:hot{number}", "h" * 20_000, "EX", 100)
        for _ in range(3):
            for number in range(10):
                connection.request(f"/fragment/hot{number}")
        before = server.resident_bytes()
        for number in range(count):
            redis.command("SET", f"worker:cold{number}", "c" * 20_000, "EX", 100)
        for number in range(count):
            assert detail(connection.request(f"/fragment/cold{number}")) == "redis"
        assert {detail(connection.request(f"/fragment/hot{number}")) for number in range(10)} == \
            {"memory"}
        assert detail(connection.request("/fragment/cold0")) == "redis"
        if server.memory_is_telling:
            assert server.resident_bytes() - before < 12 << 20
        stays(lambda: server.running, "it runs", 0.01)
