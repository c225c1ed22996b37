"""A Redis Cluster, with real nodes: one generation of a key anywhere, and coherent memories, while
slots move, primaries die, and replicas take over."""

import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from harness import fcgi
from harness.cluster import SLOTS, Cluster, ClusterFleet, Migration, names_in, slot_of
from harness.fcgi import Connection
from harness.fleet import detail, fleet_config, is_hit, trackers
from harness.peer import new_name
from harness.sentinel import Mute
from harness.servers import Port, Redis, RedisError, SlowApi, Workerless
from harness.wait import SLOWNESS, scaled, wait_until

USED = "redis: connected"
BACK = "back in use"
AWAY = "continuing without it"
TIMEOUT_S = 0.25  # redis_timeout
CACHE = f'redis_timeout = "{TIMEOUT_S * 1000:.0f}ms"'
BUDGET_S = TIMEOUT_S * 20 * max(SLOWNESS, 1)  # for an answer, whatever the state of Redis


@pytest.fixture(scope="module")
def shared_cluster():
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, Cluster(tmp) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    """Three primaries, for the tests that leave them running and settled."""
    yield shared_cluster
    shared_cluster.wait_settled()


@pytest.fixture(scope="module")
def shared(shared_cluster):
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, SlowApi() as source, \
            ClusterFleet(tmp, shared_cluster, source, cache=CACHE) as members:
        yield members


@pytest.fixture
def fleet(shared, cluster):
    """Three daemons on them."""
    shared.wait_armed()
    with shared.lent():
        yield shared
        cluster.wait_settled()


@pytest.fixture
def guarded(tmp, run):
    """A cluster of its own for a test, whose first primary has a replica."""
    return run(Cluster(tmp, replica=True))


@pytest.fixture
def own(tmp, run, guarded, api):
    """Three daemons on it."""
    return run(ClusterFleet(tmp, guarded, api, cache=CACHE))


def other_than(cluster, node):
    return next(each for each in cluster.primaries() if each is not node)


def spread(cluster, count: int):
    """So many new names on each primary."""
    return [name for node in cluster.primaries() for name in cluster.names_on(node, count)]


def made(name: str) -> str:
    return f'<div id="{name}">result for {name}</div>'


def in_memory(fleet, *names: str) -> None:
    for name in names:
        for number in fleet.running():
            wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")


def park(fleet, number: int, name: str, ids=(1,)) -> None:
    """Sends requests of a key that another daemon makes, and waits until they wait for that one:
    the daemon has tried to take the lease."""
    node = fleet.redis.primary_of(f"worker:{name}")
    before = node.calls_of("evalsha") + node.calls_of("eval")
    fleet.send(number, name, ids)
    fleet.connections[number].sync()
    wait_until(lambda: node.calls_of("evalsha") + node.calls_of("eval") > before,
               "the lease to be asked for")


def answered_at_once(fleet, names) -> None:
    """Each daemon is asked for all, and answers them all within its budget."""
    began = time.monotonic()
    for number in fleet.running():
        fleet.connections[number].send_raw(b"".join(
            fcgi.request(f"/fragment/{name}", 100 + each) for each, name in enumerate(names)))
    for number in fleet.running():
        for each, name in enumerate(names):
            response = fleet.response(number, 100 + each)
            assert (response.status, response.text) == (200, made(name))
    assert time.monotonic() - began < BUDGET_S


def of_node(text: str, node) -> str:
    """A pattern of a line in the log about that node."""
    return rf"127\.0\.0\.1:{node.port}\b.*{text}|{text}.*127\.0\.0\.1:{node.port}\b"


def wait_said(server, text: str, node) -> None:
    wait_until(lambda: re.search(of_node(text, node), server.log()),
               f"{text!r} of the node at {node.port}")


def assert_in_use(server, api, cluster) -> None:
    """Values are stored on every primary, and its reports of changes reach the memory cache."""
    with Connection(server.address) as connection:
        for node in cluster.primaries():
            name, = cluster.names_on(node, 1)
            key = f"worker:{name}"
            assert connection.request(f"/fragment/{name}").text == made(name)
            wait_until(lambda: key in node.keys(), f"{name} to be stored")
            wait_until(lambda: detail(connection.request(f"/fragment/{name}")) == "memory",
                       "a hit in memory")
            node.command("SET", key, "by hand", "EX", 60)
            wait_until(lambda: connection.request(f"/fragment/{name}").text == "by hand",
                       "the change to be seen")
            assert api.calls(name) == 1


# The harness: how a cluster behaves, so that the tests below test what they claim to.


def reply(node, *words, asking: bool = False):
    """A reply, or the text of an error."""
    try:
        if asking:
            node.command("ASKING")
        return node.command(*words)
    except RedisError as error:
        return str(error)


def test_harness_slots(cluster):
    for key in ("worker:a", "{a}b", "a{b}c", "{}", "a{}{b}", "a{{b}c}", ""):
        assert slot_of(key) == cluster.nodes[0].command("CLUSTER", "KEYSLOT", key)
    assert len(cluster.primaries()) == 3
    assert {cluster.primary_of_slot(slot) for slot in (0, SLOTS // 2, SLOTS - 1)} == \
        set(cluster.nodes)
    for node in cluster.primaries():
        name, = cluster.names_on(node, 1)
        cluster.command("SET", f"worker:{name}", "x", "EX", 60)
        assert f"worker:{name}" in node.keys() and f"worker:{name}" in cluster.keys()
        other = other_than(cluster, node)
        assert reply(other, "GET", f"worker:{name}") == \
            f"MOVED {slot_of('worker:' + name)} 127.0.0.1:{node.port}"


def test_harness_half_way(cluster):
    """A key is found where it is; for two keys on different nodes, no node answers."""
    slot = 1
    there, missing = names_in(slot, 2)
    source = cluster.primary_of_slot(slot)
    target = other_than(cluster, source)
    cluster.command("SET", f"worker:{there}", "x", "EX", 60)
    migration = Migration(cluster, slot, target)
    assert migration.keys() == [f"worker:{there}".encode()]
    ask = f"ASK {slot} 127.0.0.1:{target.port}"
    keys = (f"worker:{missing}", f"lease:{{worker:{missing}}}")
    assert reply(source, "GET", f"worker:{there}") == b"x"
    assert reply(source, "GET", keys[0]) == ask
    assert reply(source, "EVAL", "return 1", 2, *keys) == ask
    assert reply(target, "GET", keys[0]).startswith("MOVED")
    assert reply(target, "GET", keys[0], asking=True) is None
    assert reply(target, "EVAL", "return 1", 2, *keys, asking=True).startswith("TRYAGAIN")
    assert reply(source, "DEL", f"worker:{there}", keys[0]).startswith("TRYAGAIN")
    migration.move(f"worker:{there}")
    assert reply(source, "GET", f"worker:{there}") == ask
    assert cluster.command("GET", f"worker:{there}") == b"x"
    migration.finish()
    assert cluster.primary_of_slot(slot) is target
    assert reply(target, "EVAL", "return 1", 2, *keys) == 1
    cluster.wait_settled()
    cluster.migrate_slot(slot, source)
    assert source.command("GET", f"worker:{there}") == b"x"


def test_harness_takeover(guarded):
    old = guarded.nodes[0]
    name, = guarded.names_on(old, 1)
    guarded.command("SET", f"worker:{name}", "x", "EX", 60)
    guarded.fail_over()
    new = guarded.primary_of(f"worker:{name}")
    assert new is guarded.nodes[3] and old.role() == "slave"
    assert guarded.command("GET", f"worker:{name}") == b"x"
    other = other_than(guarded, new)
    mine, = guarded.names_on(other, 1)
    other.kill()
    assert guarded.command("GET", f"worker:{name}") == b"x"
    guarded.restart(other)
    assert guarded.primary_of(f"worker:{mine}") is other
    assert guarded.command("GET", f"worker:{mine}") is None


# Normal operation.


def test_cold_keys(fleet, cluster):
    """All daemons are asked at once for keys of all primaries: one call each, and then hits."""
    names = spread(cluster, 20)
    count = scaled(10, least=3)
    fleet.api.hold(*names)
    for connection in fleet.connections:
        connection.send_raw(b"".join(
            fcgi.request(f"/fragment/{name}", 1 + each * count + again)
            for each, name in enumerate(names) for again in range(count)))
        connection.sync()
    for name in names:
        fleet.api.wait_calls(name, 1)
    fleet.api.release(*names)
    for number in fleet.running():
        for each, name in enumerate(names):
            for again in range(count):
                response = fleet.response(number, 1 + each * count + again)
                assert (response.status, response.text) == (200, made(name))
    for name in names:
        fleet.wait_value(name)
        assert all(is_hit(response) for response in fleet.ask_all(name))
    in_memory(fleet, *names)
    assert {name: fleet.api.calls(name) for name in names} == {name: 1 for name in names}
    for node in cluster.primaries():
        assert sum(f"worker:{name}" in node.keys() for name in names) == 20


def test_one_connection_for_commands_to_each(fleet, cluster):
    """And one for what it tells, from each daemon, however many requests there are."""
    answered_at_once(fleet, spread(cluster, 30))
    for node in cluster.primaries():
        assert len(trackers(node)) == 3
        tellers = node.command("CLIENT", "LIST", "TYPE", "pubsub").splitlines()
        assert len(tellers) == 3


def test_set_wakes_everybody(fleet, cluster):
    for name in spread(cluster, 1):
        fleet.api.hold(name)
        fleet.send(0, name, range(1, 6))
        fleet.api.wait_calls(name, 1)
        for number in (1, 2):
            park(fleet, number, name, range(1, 6))
        cluster.primary_of(f"worker:{name}").command(
            "SET", f"worker:{name}", "<p>hi</p>", "EX", 60)
        for number in fleet.running():
            for request_id in range(1, 6):
                response = fleet.response(number, request_id)
                assert is_hit(response) and response.text == "<p>hi</p>"
        fleet.api.release(name)
        assert fleet.api.calls(name) == 1


def test_del_is_seen_by_everybody(fleet, cluster):
    names = spread(cluster, 1)
    in_memory(fleet, *names)
    for first, name in enumerate(names):
        fleet.api.answer(name, body="<p>new</p>", type="text/html")
        cluster.command("DEL", f"worker:{name}")
        fleet.hear()
        assert not is_hit(fleet.ask(first, name))
        assert [response.text for response in fleet.ask_all(name)] == ["<p>new</p>"] * 3
        assert fleet.api.calls(name) == 2


@pytest.mark.parametrize("soft", [False, True])
def test_purge(fleet, cluster, soft):
    """By any daemon, of keys on any primary."""
    headers = {"Workerless-Purge": "soft"} if soft else {}
    names = spread(cluster, 1)
    in_memory(fleet, *names)
    for number, name in enumerate(names):
        assert fleet.purge(number, name, headers=headers).status == 204
        fleet.hear()
        if soft:
            assert fleet.value(name) and fleet.api.calls(name) == 1
        else:
            assert fleet.value(name) is None
            assert not is_hit(fleet.ask(number, name)) and fleet.api.calls(name) == 2


def test_purge_of_a_prefix(fleet, cluster):
    """All primaries are scanned, in several steps each; leases are removed as well."""
    stem = new_name()
    count = scaled(1500, least=700)
    for number in range(count):
        cluster.command("SET", f"worker:{stem}/{number}", "old", "EX", 60)
    kept = spread(cluster, 1)
    in_memory(fleet, *kept, *(f"{stem}/{number}" for number in range(12)))
    fleet.api.hold(f"{stem}/made")
    fleet.send(0, f"{stem}/made")
    fleet.api.wait_calls(f"{stem}/made", 1)
    assert fleet.purge(1, f"{stem}/*").status == 204

    def left():
        return [key for key in cluster.keys() if f"worker:{stem}/" in key]

    wait_until(lambda: not left(), "all of them to be gone")
    fleet.hear()
    fleet.api.release(f"{stem}/made")
    fleet.response(0)
    for number in range(12):
        assert fleet.ask(number % 3, f"{stem}/{number}").text == made(f"{stem}/{number}")
    for name in kept:
        assert all(is_hit(response) for response in fleet.ask_all(name))
        assert fleet.api.calls(name) == 1


def test_a_marker(fleet, cluster):
    """Of a result that must not be shared; on each primary, one that may be shared replaces it."""
    names = spread(cluster, 2)
    for name in names:
        fleet.api.answer(name, body="<p>private</p>", type="text/html",
                         headers={"Cache-Control": "private"})
        assert fleet.ask(0, name).headers["cache-control"] == "private, no-store"
        wait_until(lambda key=f"worker:{name}": b"status=uncacheable" in
                   (fleet.redis.command("GET", key) or b""),
                   "the marker")
        fleet.api.answer(name, body="<p>shared</p>", type="text/html")
        assert fleet.ask(1, name).text == "<p>shared</p>"
        fleet.wait_value(name, lambda value: value == b"<p>shared</p>")
        wait_until(lambda each=name: is_hit(fleet.ask(2, each)), "the value to be found")
        assert fleet.api.calls(name) == 2


def test_script_flush(fleet, cluster):
    """One primary has forgotten the scripts."""
    for node in cluster.primaries():
        node.command("SCRIPT", "FLUSH")
        for name in cluster.names_on(node, 2):
            assert fleet.ask(0, name).text == made(name)
            fleet.wait_value(name)
            assert is_hit(fleet.ask(1, name)) and fleet.api.calls(name) == 1


# A slot moves.


@contextmanager
def load(fleet, names):
    """Requests for the names, to each daemon all the time; each must be answered correctly."""
    over = threading.Event()

    def ask(server, first: int) -> int:
        count = first
        with Connection(server.address) as connection:
            while not over.is_set():
                name = names[count % len(names)]
                response = connection.request(f"/fragment/{name}")
                assert (response.status, response.text) == (200, made(name))
                count += 1
        return count - first

    with ThreadPoolExecutor(len(fleet)) as pool:
        asking = [pool.submit(ask, server, 7 * number)
                  for number, server in enumerate(fleet.servers)]
        try:
            yield
        finally:
            over.set()
        assert all(each.result() > 0 for each in asking)


def moves(cluster, slots):
    """A target for each slot, so that slots move between all nodes."""
    for number, slot in enumerate(slots):
        others = [node for node in cluster.primaries()
                  if node is not cluster.primary_of_slot(slot)]
        yield slot, others[number % len(others)]


def test_slots_move_under_load(fleet, cluster):
    """With keys that exist, and with keys that nobody has requested before."""
    slots = [slot for third in range(3) for slot in range(third * 6000, third * 6000 + 4)]
    there = [name for slot in slots for name in names_in(slot, 2)]
    cold = [name for slot in slots for name in names_in(slot, 2)]
    for name in there:
        fleet.ask(0, name)
        fleet.wait_value(name)
    with load(fleet, there + cold):
        for slot, target in list(moves(cluster, slots)):
            cluster.migrate_slot(slot, target)
            assert cluster.primary_of_slot(slot) is target
        wait_until(lambda: all(fleet.api.calls(name) for name in cold), "all to be asked for")
    cluster.wait_settled()
    for name in there + cold:
        fleet.wait_value(name)
    assert {name: fleet.api.calls(name) for name in there + cold} == \
        {name: 1 for name in there + cold}

    # Now the new primaries report changes to the memory caches.
    fleet.wait_armed()
    in_memory(fleet, *there, *cold)
    for name in there + cold:
        cluster.primary_of(f"worker:{name}").command("DEL", f"worker:{name}")
    fleet.hear()
    for first, name in enumerate(there + cold):
        assert not is_hit(fleet.ask(first % 3, name))
        assert {response.text for response in fleet.ask_all(name)} == {made(name)}
        assert fleet.api.calls(name) == 2


def test_a_slot_moves_while_its_key_is_made(fleet, cluster):
    """The lease moves with it, and the result goes to the new primary. Requests keep waiting."""
    slot = 2
    name, = names_in(slot, 1)
    source = cluster.primary_of_slot(slot)
    target = other_than(cluster, source)
    fleet.api.hold(name)
    fleet.send(0, name)
    fleet.api.wait_calls(name, 1)
    for number in (1, 2):
        park(fleet, number, name)
    cluster.migrate_slot(slot, target)
    fleet.hear()
    assert f"lease:{{worker:{name}}}" in target.keys()
    fleet.api.release(name)
    assert [fleet.response(number).text for number in fleet.running()] == [made(name)] * 3
    wait_until(lambda: f"worker:{name}" in target.keys(), "the result to be stored")
    assert fleet.api.calls(name) == 1
    wait_until(lambda: not fleet.leases(), "the lease to be released")


def test_half_way_with_a_key_that_is_there(fleet, cluster):
    """It is a hit before it moves, and after it has moved ahead of its slot."""
    slot = 3
    names = names_in(slot, 2)
    for name in names:
        cluster.command("SET", f"worker:{name}", "by hand", "EX", 60)
    migration = Migration(cluster, slot, other_than(cluster, cluster.primary_of_slot(slot)))
    try:
        migration.move(f"worker:{names[1]}")
        fleet.hear()
        for name in names:
            for number in fleet.running():
                response = fleet.ask(number, name)
                assert is_hit(response) and response.text == "by hand"
            assert fleet.api.calls(name) == 0
        for name in names:  # the node that serves it reports the change
            cluster.command("SET", f"worker:{name}", "changed", "EX", 60)
        fleet.hear()
        for name in names:
            assert [response.text for response in fleet.ask_all(name)] == ["changed"] * 3
    finally:
        migration.finish()
    cluster.wait_settled()
    for name in names:
        assert [response.text for response in fleet.ask_all(name)] == ["changed"] * 3
        assert fleet.api.calls(name) == 0


def test_half_way_with_a_missing_key(fleet, cluster):
    """If a key and its lease are both missing, neither node accepts a script (TRYAGAIN) during the
    move: each daemon still answers within the budget, at worst by one call of its own for all its
    requests."""
    slot = 4
    name, purged, later = names_in(slot, 3)
    cluster.command("SET", f"worker:{purged}", "by hand", "EX", 60)
    migration = Migration(cluster, slot, other_than(cluster, cluster.primary_of_slot(slot)))
    try:
        began = time.monotonic()
        for number in fleet.running():
            fleet.send(number, name, range(1, 11))
        for number in fleet.running():
            for request_id in range(1, 11):
                assert fleet.response(number, request_id).text == made(name)
        assert time.monotonic() - began < BUDGET_S
        assert 1 <= fleet.api.calls(name) <= 3
        assert fleet.purge(0, purged).status == 204
        assert cluster.command("GET", f"worker:{purged}") is None
    finally:
        migration.finish()
    cluster.wait_settled()
    assert {response.text for response in fleet.ask_all(name)} == {made(name)}
    assert {response.text for response in fleet.ask_all(later)} == {made(later)}
    assert fleet.api.calls(later) == 1
    assert all(AWAY not in server.log() for server in fleet.servers)


def test_a_node_loses_all_its_slots(tmp, run, api):
    """They move elsewhere and come back: the node is not used meanwhile, and then used again."""
    cluster = run(Cluster(tmp))
    fleet = run(ClusterFleet(tmp, cluster, api, size=2, cache=CACHE))
    target, _, node = cluster.nodes
    slot = node.view()[-1][0]  # the first of the node's
    name, other, later = names_in(slot, 3)
    for each in cluster.nodes:
        each.command("FLUSHALL")
    move_all(cluster, node, target)
    assert fleet.ask(0, name).text == made(name)
    wait_until(lambda: f"worker:{name}" in target.keys(), "it to be stored elsewhere")
    assert fleet.ask(1, name).text == made(name) and api.calls(name) == 1
    assert not node.keys()

    target.command("FLUSHALL")
    cluster.migrate_slot(slot, node)
    cluster.wait_settled()
    assert fleet.ask(0, other).text == made(other)
    wait_until(lambda: f"worker:{other}" in node.keys(), "it to be stored there")
    fleet.wait_armed()
    assert fleet.ask(1, later).text == made(later)
    in_memory(fleet, later)
    node.command("DEL", f"worker:{later}")
    fleet.hear()
    assert not is_hit(fleet.ask(1, later)) and api.calls(later) == 2


def move_all(cluster, source, target) -> None:
    """All slots of the source, which holds no keys, to the target at once.

    The source gives them up first: one that loses its last slot to another becomes its replica. The
    target takes them whatever the source still says of them in messages that are on their way.
    """
    mine = [(first, last) for first, last, port in source.view() if port == source.port]
    target.command("CLUSTER", "BUMPEPOCH")
    for first, last in mine:
        source.command("CLUSTER", "DELSLOTSRANGE", first, last)
        for slot in range(first, last + 1):
            target.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
    cluster.wait_settled()


# A primary fails.


def test_a_primary_is_killed(own, guarded, api):
    """Keys of the others are served as usual. Its own are answered from memory or the source."""
    victim = guarded.nodes[1]
    rest = [node for node in guarded.primaries() if node is not victim]
    held = [name for node in rest for name in guarded.names_on(node, 3)]
    mine, cold = guarded.names_on(victim, 1), guarded.names_on(victim, 20)
    in_memory(own, *held, *mine)
    victim.kill()
    answered_at_once(own, cold)
    assert all(1 <= api.calls(name) <= 3 for name in cold)
    for server in own.servers:
        wait_said(server, AWAY, victim)
    for name in held:  # changes are still reported, each by its own primary
        own.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
        for number in own.running():
            wait_until(lambda: own.ask(number, name).text == "by hand", "the change to be seen")
        assert api.calls(name) == 1
    fresh = [name for node in rest for name in guarded.names_on(node, 3)]
    for name in fresh:
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert api.calls(name) == 1
    for server in own.servers:
        assert server.log().count(AWAY) == 1

    guarded.restart(victim)
    for server in own.servers:
        wait_said(server, BACK, victim)
    own.wait_armed()
    for name in guarded.names_on(victim, 3):
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert own.wait_value(name) and api.calls(name) == 1
    for name in mine:  # it has lost them, so no memory holds them
        assert not is_hit(own.ask(0, name))


def test_a_primary_hangs(fleet, cluster):
    """Its connections stay open; its keys are answered by the source, and others as usual."""
    victim = cluster.nodes[1]
    mine = cluster.names_on(victim, 10)
    others = cluster.names_on(cluster.nodes[0], 10)
    victim.pause()
    try:
        answered_at_once(fleet, mine + others)
        assert {fleet.api.calls(name) for name in others} == {1}
        for server in fleet.servers:
            wait_said(server, AWAY, victim)
    finally:
        victim.resume()
    for server in fleet.servers:
        wait_said(server, BACK, victim)


def test_failover_by_command(own, guarded, api):
    """The replica has the keys; it is used, and reports changes, as soon as it is the primary."""
    old, new = guarded.nodes[0], guarded.nodes[3]
    names = guarded.names_on(old, 5)
    in_memory(own, *names)
    assert not trackers(new)
    wait_until(lambda: all(f"worker:{name}" in new.keys() for name in names),
               "the replica to have them")
    with load(own, names):
        guarded.fail_over()
    ask_until_tracked(own, guarded, new)
    for name in names:
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert api.calls(name) == 1
        new.command("DEL", f"worker:{name}")
    own.hear()
    for name in names:
        assert not is_hit(own.ask(1, name)) and api.calls(name) == 2
    for name in guarded.names_on(new, 5):
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert own.wait_value(name) and api.calls(name) == 1


def test_failover_by_death(own, guarded, api):
    old, new = guarded.nodes[0], guarded.nodes[3]
    cold = guarded.names_on(old, 10)
    old.kill()
    answered_at_once(own, cold)
    wait_until(lambda: new.role() == "master", "the replica to take over")
    ask_until_tracked(own, guarded, new)
    for name in guarded.names_on(new, 5):
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert own.wait_value(name) and api.calls(name) == 1
    guarded.restart(old)
    wait_until(lambda: old.role() == "slave", "the old primary to see what it is now")
    for name in guarded.names_on(new, 5):
        assert {response.text for response in own.ask_all(name)} == {made(name)}
        assert api.calls(name) == 1


def ask_until_tracked(fleet, cluster, node) -> None:
    """Requests new fragments of that primary until all daemons have found it."""
    def step() -> bool:
        name, = cluster.names_on(node, 1)
        assert {response.text for response in fleet.ask_all(name)} == {made(name)}
        return len(trackers(node)) >= len(fleet)

    wait_until(step, "the new primary to be found")
    fleet.wait_armed()


# Finding it.


def single(tmp, run, api, url: str) -> Workerless:
    return run(Workerless(tmp, fleet_config(api, url, cache=CACHE)))


def test_the_first_seed_is_dead(tmp, run, cluster, api):
    dead = Port()
    server = single(tmp, run, api, cluster.seeds(dead.number, cluster.nodes[1].port))
    server.wait_log(USED)
    assert_in_use(server, api, cluster)
    assert AWAY not in server.log()


def test_the_first_seed_hangs(tmp, run, cluster, api):
    with Mute() as mute:
        server = single(tmp, run, api, cluster.seeds(mute, cluster.nodes[2].port))
        with Connection(server.address) as connection:
            assert connection.request("/fragment/early").text == made("early")
        server.wait_log(USED)
        assert_in_use(server, api, cluster)
        assert AWAY not in server.log()


def test_a_seed_by_its_name(tmp, run, cluster, api):
    """The others are found by its answer."""
    server = single(tmp, run, api, f"cluster://localhost:{cluster.nodes[0].port}/")
    server.wait_log(USED)
    assert_in_use(server, api, cluster)


def test_all_seeds_are_dead_at_the_start(tmp, run, api):
    """It is logged once, and requests are answered. Nodes that start are not a cluster yet, and
    serve no slots; once they are, it is found."""
    cluster = Cluster(tmp)
    server = single(tmp, run, api, cluster.url)
    server.wait_log(AWAY)
    with Connection(server.address) as connection:
        for _ in range(20):
            assert connection.request(f"/fragment/{new_name()}").status == 200
    run(cluster)
    server.wait_log(BACK)
    assert_in_use(server, api, cluster)
    assert server.log().count(AWAY) == 1


def test_a_seed_that_is_no_cluster(tmp, run, api):
    """It is logged once, in the server's words, and the server is not used as a cluster."""
    alone = run(Redis(tmp, tcp=True))
    server = single(tmp, run, api, f"cluster://127.0.0.1:{alone.address[1]}")
    server.wait_log("cluster support disabled")
    with Connection(server.address) as connection:
        for _ in range(20):
            assert connection.request(f"/fragment/{new_name()}").status == 200
    assert server.log().count("cluster support disabled") == 1
    assert AWAY in server.log() and not alone.keys()


@pytest.mark.parametrize("login", [{"password": "secret"}, {"user": "me", "password": "secret"}],
                         ids=["password", "user"])
def test_login(tmp, run, api, login):
    """Every node uses those of the seeds' URL. Without them there is no access."""
    cluster = run(Cluster(tmp, **login))
    if "user" in login:
        for node in cluster.nodes:
            node.command("ACL", "SETUSER", "default", "off")
    server = single(tmp, run, api, cluster.seeds(cluster.nodes[0].port))
    server.wait_log(USED)
    assert_in_use(server, api, cluster)
    fleet = run(ClusterFleet(tmp, cluster, api, size=1, cache=CACHE))
    slot = slot_of("worker:moved")
    cluster.migrate_slot(slot, other_than(cluster, cluster.primary_of_slot(slot)))
    assert fleet.ask(0, "moved").text == made("moved")
    assert fleet.wait_value("moved") and AWAY not in server.log()


def test_a_wrong_password(tmp, run, api):
    cluster = run(Cluster(tmp, password="secret"))
    server = single(tmp, run, api, f"cluster://:wrong@127.0.0.1:{cluster.nodes[0].port}")
    server.wait_log("WRONGPASS")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").text == made("a")
    assert server.log().count(AWAY) == 1
