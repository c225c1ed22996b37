"""A primary that is found through Sentinel, with real Sentinels where possible."""

import tempfile
from contextlib import ExitStack

import pytest

from harness.fcgi import Connection
from harness.peer import new_name
from harness.sentinel import FakeSentinel, Group, Member, Mute, Sentinel, resp
from harness.servers import Port
from harness.wait import stays, wait_until

USED = "redis: connected"
BACK = "back in use"
AWAY = "continuing without it"


@pytest.fixture(scope="module")
def shared():
    """A Group for the tests that leave it unchanged."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, Group(tmp) as group:
        yield group


@pytest.fixture
def group(tmp, run):
    """A Group of its own for a test."""
    return run(Group(tmp, hasty=True))


def wait_used(server) -> None:
    """Until it uses a Redis, at the first attempt or later."""
    wait_until(lambda: USED in server.log() or BACK in server.log(), "the primary to be found")


def in_memory(response) -> bool:
    return "; hit" in response.headers["cache-status"] \
        and "detail=memory" in response.headers["cache-status"]


def assert_in_use(server, api, primary: Member, *, db: int = 0) -> None:
    """Values are stored in that Redis, and its reports of changes reach the memory cache."""
    name = new_name()
    with Connection(server.address) as connection:
        assert f"result for {name}" in connection.request(f"/fragment/{name}").text
        wait_until(lambda: f"worker:{name}" in primary.keys(db), f"{name} to be stored")
        wait_until(lambda: in_memory(connection.request(f"/fragment/{name}")), "a hit in memory")
        primary.command("SET", f"worker:{name}", "by hand", "EX", 60, db=db)
        wait_until(lambda: connection.request(f"/fragment/{name}").text == "by hand",
                   "the change to be seen")
        calls = api.calls(name)
        primary.command("DEL", f"worker:{name}", db=db)
        wait_until(lambda: "result for" in connection.request(f"/fragment/{name}").text,
                   "the value to be refreshed")
        assert api.calls(name) == calls + 1


def ask_until(server, condition, what: str) -> None:
    """Requests new fragments all the time until then; each must be answered."""
    with Connection(server.address) as connection:
        def step() -> bool:
            name = new_name()
            assert f"result for {name}" in connection.request(f"/fragment/{name}").text
            return condition()

        wait_until(step, what)


# Finding it.


def test_it_is_used(daemon, shared, api):
    server = daemon(redis=shared.url())
    server.wait_log(USED)
    primary = shared.primary()
    assert f"mymaster at 127.0.0.1:{primary.port}" in server.log()
    assert_in_use(server, api, primary)
    assert AWAY not in server.log()
    # The connection for the query is closed again.
    wait_until(lambda: all(b"cmd=sentinel|get-master" not in sentinel.command("CLIENT", "LIST")
                           for sentinel in shared.sentinels), "the Sentinels to be left")
    assert primary.calls_of("role") > 0


@pytest.mark.parametrize("login", [{"password": "p@ss"}, {"user": "me", "password": "pw"}])
def test_password_and_database(tmp, run, daemon, api, login):
    """They are those of the server; the Sentinels are asked without them."""
    primary = run(Member(tmp, **login))
    with FakeSentinel(resp("127.0.0.1", str(primary.port))) as fake:
        user, password = login.get("user", ""), login["password"].replace("@", "%40")
        server = daemon(redis=f"sentinel://{user}:{password}@127.0.0.1:{fake.port}/a%20b/3")
        server.wait_log(f"{USED}: a b at")
        assert_in_use(server, api, primary, db=3)


def test_the_first_sentinel_is_dead(daemon, shared, api):
    dead = Port()
    server = daemon(redis=shared.url([dead.number]))
    server.wait_log(USED)
    assert_in_use(server, api, shared.primary())
    assert AWAY not in server.log()


def test_a_sentinel_hangs(daemon, shared, api):
    """One is stopped, and one never accepts: that takes time, but no request waits for it."""
    stopped = shared.sentinels[0]
    stopped.pause()
    try:
        with Mute() as mute:
            server = daemon(redis=shared.url([mute]))
            with Connection(server.address) as connection:
                assert "result for early" in connection.request("/fragment/early").text
            server.wait_log(USED)
            assert_in_use(server, api, shared.primary())
            assert AWAY not in server.log()
    finally:
        stopped.resume()


def test_an_end_amid_the_search(daemon, shared):
    """The daemon is stopped while a Sentinel lets it wait."""
    with Mute() as mute:
        server = daemon('cache { redis = "%s" redis_timeout = "60s" }\n'
                        'source "s" { type = "simulated" }\n'
                        'fragment "*" { source = "s" }\n' % shared.url([mute]))
        stays(lambda: USED not in server.log(), "it waits for the Sentinel", 0.05)
        server.stop()


def test_a_sentinel_by_its_name(daemon, shared, api):
    port = shared.sentinels[0].port
    server = daemon(redis=f"sentinel://localhost:{port}/mymaster")
    wait_used(server)
    assert_in_use(server, api, shared.primary())


def test_a_sentinel_whose_name_is_unknown(daemon, shared, api):
    port = shared.sentinels[0].port
    server = daemon(redis=f"sentinel://sentinel.invalid,127.0.0.1:{port}/mymaster")
    server.wait_log(USED)
    assert_in_use(server, api, shared.primary())
    assert AWAY not in server.log()


def test_an_unknown_primary(daemon, shared):
    """The same as without Redis; logged once, with its name, whatever the others do."""
    dead = Port()
    with FakeSentinel(b"*-1\r\n") as fake:
        server = daemon(redis=shared.url([fake.port, dead.number], name="nobody"))
        server.wait_log(AWAY)
        ask_until(server, lambda: fake.asked > 3, "some more attempts")
    assert server.log().count(AWAY) == 1
    assert "nobody: Sentinel 127.0.0.1:" in server.log()
    assert "knows no primary of that name" in server.log()


def test_all_sentinels_are_dead_at_the_start(tmp, daemon, run, api):
    """Logged once. When they start, the primary is found."""
    primary = run(Member(tmp))
    sentinels = [Sentinel(tmp, primary) for _ in range(2)]
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    server = daemon(redis=f"sentinel://{hosts}/mymaster")
    server.wait_log(AWAY)
    with Connection(server.address) as connection:
        for _ in range(20):
            assert connection.request(f"/fragment/{new_name()}").status == 200
    assert server.log().count(AWAY) == 1
    run(sentinels[1])
    server.wait_log(BACK)
    assert_in_use(server, api, primary)
    assert server.log().count(AWAY) == 1


# Wrong answers.


NONSENSE = {
    "an error": b"-NOAUTH Authentication required.\r\n",
    "nil": b"*-1\r\n",
    "nothing": None,
    "a number": b":6379\r\n",
    "a word": b"+OK\r\n",
    "an empty array": b"*0\r\n",
    "one string": resp("127.0.0.1"),
    "three strings": resp("127.0.0.1", "6379", "x"),
    "numbers": b"*2\r\n:1\r\n:2\r\n",
    "nested": b"*2\r\n*1\r\n+a\r\n+1\r\n",
    "no host": resp("", "6379"),
    "a long host": resp("h" * 300, "6379"),
    "a NUL in the host": resp("127.0.0.1\0x", "6379"),
    "no port": resp("127.0.0.1", ""),
    "port 0": resp("127.0.0.1", "0"),
    "a port out of range": resp("127.0.0.1", "65536"),
    "a long port": resp("127.0.0.1", "4294973675"),
    "a port that is none": resp("127.0.0.1", "63x9"),
    "a negative port": resp("127.0.0.1", "-1"),
    "too much": resp("127.0.0.1", "x") * 1000,
    "more than it is asked": b"*-1\r\n+PONG\r\n:1\r\n",
    "half a reply": b"*2\r\n$9\r\n127.0",
    "no RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a huge array": b"*2147483647\r\n",
    "a huge string": b"*2\r\n$2147483647\r\n",
}


def test_nonsense(daemon, shared, api):
    """Half of it at a time, listed before the real Sentinels, which are asked as well."""
    cases = list(NONSENSE)
    for part in (cases[:13], cases[13:]):
        with ExitStack() as stack:
            fakes = [stack.enter_context(FakeSentinel(NONSENSE[case])) for case in part]
            server = daemon(redis=shared.url([fake.port for fake in fakes]))
            server.wait_log(USED)
            assert [case for case, fake in zip(part, fakes) if fake.asked != 1] == []
            assert_in_use(server, api, shared.primary())
            assert AWAY not in server.log()
            server.stop()


@pytest.mark.parametrize("case", ["a huge array", "an error", "nil", "a word", "an empty array",
                                  "nested", "more than it is asked", "no RESP"])
def test_a_primary_that_is_none(daemon, shared, api, case):
    """What the Sentinel names does not speak as a primary does."""
    with FakeSentinel(NONSENSE[case]) as other, \
            FakeSentinel(resp("127.0.0.1", str(other.port))) as fake:
        server = daemon(redis=f"sentinel://127.0.0.1:{fake.port}/mymaster")
        server.wait_log(AWAY)
        ask_until(server, lambda: other.asked > 1, "a second attempt")
        assert server.log().count(AWAY) == 1
        fake.tell(shared.primary())
        server.wait_log(BACK)
        assert_in_use(server, api, shared.primary())


def test_a_replica_is_not_used(daemon, shared, api):
    """A Sentinel that is behind names it; the next attempt asks another one first."""
    with FakeSentinel(resp("127.0.0.1", str(shared.replica().port))) as fake:
        server = daemon(redis=shared.url([fake.port]))
        server.wait_log(AWAY)
        assert f"mymaster at 127.0.0.1:{shared.replica().port}: is a replica" in server.log()
        server.wait_log(BACK)
        assert_in_use(server, api, shared.primary())
        assert server.log().count(AWAY) == 1


# The primary moves.


def test_failover_by_command(daemon, group, api):
    server = daemon(redis=group.url())
    server.wait_log(USED)
    old = group.primary()
    assert_in_use(server, api, old)
    group.fail_over()
    ask_until(server, lambda: group.failed_over(old), "the failover")
    ask_until(server, lambda: BACK in server.log(), "the new primary to be found")
    assert group.primary() is not old
    assert_in_use(server, api, group.primary())
    assert f"{BACK}: mymaster at 127.0.0.1:{group.primary().port}" in server.log()


def test_failover_by_death(daemon, group, api):
    server = daemon(redis=group.url())
    server.wait_log(USED)
    old = group.primary()
    assert_in_use(server, api, old)
    old.kill()
    ask_until(server, lambda: BACK in server.log(), "the new primary to be found")
    primary = group.primary()
    assert primary is not old
    assert_in_use(server, api, primary)
    assert server.log().count(AWAY) == 1

    wait_until(lambda: group.failed_over(old), "all Sentinels to know")
    old.of = primary
    old.start()
    assert_in_use(server, api, primary)
    assert server.log().count(AWAY) == 1


def test_failover_by_hanging(daemon, group, api):
    """The old primary keeps its connections, and answers nothing."""
    server = daemon(redis=group.url())
    server.wait_log(USED)
    old, new = group.primary(), group.replica()
    assert_in_use(server, api, old)
    old.pause()
    try:
        ask_until(server, lambda: BACK in server.log(), "the new primary to be found")
        assert new.role() == "master"
        assert_in_use(server, api, new)
    finally:
        old.resume()


def test_a_primary_that_becomes_a_replica(tmp, run, daemon, api):
    """And keeps its connections, which Sentinel would close: a refused write reveals it."""
    one, two = run(Member(tmp)), run(Member(tmp))
    with FakeSentinel(resp("127.0.0.1", str(one.port))) as fake:
        server = daemon(redis=f"sentinel://127.0.0.1:{fake.port}/mymaster")
        server.wait_log(USED)
        assert_in_use(server, api, one)
        fake.tell(two)
        one.command("REPLICAOF", "127.0.0.1", two.port)
        ask_until(server, lambda: BACK in server.log(), "the new primary to be found")
        assert "has become a replica" in server.log()
        assert_in_use(server, api, two)
        assert server.log().count(AWAY) == 1
