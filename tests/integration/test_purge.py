"""PURGE: who may, what is removed and where, and what happens to a result in progress."""

import re
import signal

import pytest
from urllib.parse import quote

from harness import fcgi
from harness.fakeredis import FakeRedis
from harness.fcgi import Connection, ask
from harness.fleet import Fleet, cache_status, detail, is_hit, own_fleet
from harness.servers import Redis
from harness.wait import scaled, wait_until

SOFT = {"Workerless-Purge": "soft"}
ROUTES = """
fragment "swr/*"   { source = "api" ttl = "60s" stale = "60s" }
fragment "sie/*"   { source = "api" ttl = "60s" stale_error = "60s" }
fragment "brief/*" { source = "api" ttl = "100ms" stale_error = "60s" }
fragment "*"       { source = "api" ttl = "60s" }
"""
OPEN = 'purge = {"127.0.0.1", "::1"}\n'


@pytest.fixture(scope="module")
def shared():
    with own_fleet(size=2, routes=ROUTES, extra=OPEN) as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Two daemons on one Redis that may be purged."""
    with shared.lent():
        yield shared


def html(fleet, name: str, body: str) -> None:
    """What the API answers from now on."""
    fleet.api.answer(name, body=body, type="text/html")


def in_memory(fleet, name: str) -> None:
    """Gets the fragment into the memory of every daemon."""
    for number in fleet.running():
        wait_until(lambda: detail(fleet.ask(number, name)) == "memory", "it to be in memory")


# Who may.


def test_nobody_may_by_default(daemon, redis, api):
    server = daemon(redis=redis.url)
    redis.command("SET", "worker:a", "kept", "EX", 60)
    response = ask(server.address, "/fragment/a", method="PURGE")
    assert response.status == 403 and response.headers["cache-control"] == "no-store"
    assert ask(server.address, "/fragment/*", method="PURGE").status == 403
    assert ask(server.address, "/fragment/a").text == "kept"


@pytest.mark.parametrize("address, status", [
    ("127.0.0.1", 204), ("::1", 204), ("127.0.0.2", 403), ("127.0.0.10", 403), ("127.0.0.", 403),
    ("", 403), (None, 403), ("::ffff:127.0.0.1", 204), ("::ffff:127.0.0.2", 403),
    ("127.0.0.1, 10.0.0.1", 403)])
def test_who_may(fleet, name, address, status):
    fleet.ask(0, name)
    fleet.wait_value(name)
    assert fleet.purge(0, name, extra={"REMOTE_ADDR": address}).status == status
    assert (fleet.value(name) is None) == (status == 204)


def test_a_header_gives_no_right(fleet, name):
    response = fleet.purge(0, name, extra={"REMOTE_ADDR": "10.0.0.1",
                                           "HTTP_REMOTE_ADDR": "127.0.0.1",
                                           "HTTP_X_FORWARDED_FOR": "127.0.0.1"})
    assert response.status == 403


@pytest.mark.parametrize("path, status", [
    ("/fragment/", 400), ("/fragment/a//b", 400), ("/fragment/../a", 400), ("/other", 404),
    ("/workerless/health", 404), ("/fragment/" + "x" * 300, 400), ("/fragment/a\0b", 400), ("/fragment/\xff", 204),
    ("/fragment/not there", 204)])
def test_paths(fleet, path, status):
    connection = fleet.connections[0]
    assert connection.request(path, method="PURGE").status == status
    assert connection.request(path, method="PURGE", extra={"REMOTE_ADDR": "10.1.1.1"}).status == 403


def test_a_204_has_no_body(fleet, name):
    response = fleet.purge(0, name)
    assert response.status == 204 and response.body == b""
    assert "content-length" not in response.headers and "cache-status" not in response.headers


# What is removed.


def test_hard(fleet, name):
    html(fleet, name, "old")
    in_memory(fleet, name)
    html(fleet, name, "new")
    assert fleet.purge(0, name).status == 204
    assert fleet.value(name) is None
    response = fleet.ask(0, name)
    assert not is_hit(response) and response.text == "new"
    fleet.hear()
    assert fleet.ask(1, name).text == "new" and fleet.api.calls(name) == 2
    assert f"worker:{name}" in fleet.redis.keys()


@pytest.mark.parametrize("value, status, kept", [
    ("", 204, False), ("SOFT", 204, True), ("Soft", 204, True), ("x", 400, True),
    ("exact", 204, False), ("Exact, soft", 204, True), ("soft,exact", 204, True),
    ("hard", 400, True), ("soft, x", 400, True), ("softer", 400, True)])
def test_how(fleet, name, value, status, kept):
    """An invalid purge does nothing, and the answer says so."""
    fleet.ask(0, name)
    fleet.wait_value(name)
    response = fleet.purge(0, name, headers={"Workerless-Purge": value})
    assert response.status == status and ("Workerless-Purge" in response.text) == (status == 400)
    assert (fleet.value(name) is not None) == kept


def test_soft_with_stale(fleet, name):
    """The old one is served at once while one flight generates a new one."""
    name = f"swr/{name}"
    html(fleet, name, "old")
    in_memory(fleet, name)
    html(fleet, name, "new")
    fleet.api.hold(name)
    assert fleet.purge(0, name, headers=SOFT).status == 204
    assert fleet.value(name) == b"old"
    assert fleet.redis.command("PTTL", f"worker:{name}") > 60_000  # its life is as before
    fleet.hear()
    for response in fleet.ask_all(name) * 2:
        assert is_hit(response) and response.text == "old"
        assert int(re.search(r"ttl=(-?\d+)", response.headers["cache-status"]).group(1)) <= 0
    fleet.api.wait_calls(name, 2)
    fleet.api.release(name)
    fleet.wait_value(name, lambda value: value == b"new")
    fleet.hear()
    assert [response.text for response in fleet.ask_all(name)] == ["new"] * 2
    assert fleet.api.calls(name) == 2


def test_soft_with_stale_error(fleet, name):
    """The old one is served if no new one can be generated."""
    name = f"sie/{name}"
    html(fleet, name, "old")
    in_memory(fleet, name)
    fleet.api.answer(name, status=500)
    assert fleet.purge(1, name, headers=SOFT).status == 204
    fleet.hear()
    for response in fleet.ask_all(name):
        assert response.status == 200 and response.text == "old"
        assert "fwd=stale" in cache_status(response)
    html(fleet, name, "new")
    assert fleet.ask(0, name).text == "new"


def test_soft_without_either_is_a_miss(fleet, name):
    in_memory(fleet, name)
    assert fleet.purge(0, name, headers=SOFT).status == 204
    fleet.hear()
    assert not is_hit(fleet.ask(1, name)) and fleet.api.calls(name) == 2


@pytest.mark.parametrize("headers", [{}, SOFT], ids=["hard", "soft"])
def test_values_of_others(fleet, name, headers):
    """A plain string can't be marked; it is removed. So are other types."""
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    in_memory(fleet, name)
    assert fleet.purge(0, name, headers=headers).status == 204
    assert fleet.value(name) is None
    assert not is_hit(fleet.ask(0, name))
    fleet.wait_value(name)
    fleet.redis.command("DEL", f"worker:{name}")
    fleet.redis.command("LPUSH", f"worker:{name}", "x")
    assert fleet.purge(0, name, headers=headers).status == 204
    assert f"worker:{name}" not in fleet.redis.keys()


@pytest.mark.parametrize("odd", ["a b", "a{b}c", "50%", "é", "x*y", "x?y", "x[y]", "x\\y"])
def test_odd_names(fleet, name, odd):
    """Only the fragment of exactly that name is removed."""
    odd = f"{name}{odd}"
    other = odd.replace("*", "z").replace("?", "z").replace("[y]", "y").replace("\\", "") + "z"
    for each in (odd, other):
        fleet.ask(0, each)
    wait_until(lambda: len(fleet.redis.command("KEYS", f"worker:{name}*")) == 2, "both")
    assert fleet.purge(0, odd).status == 204
    assert not is_hit(fleet.ask(0, odd)) and is_hit(fleet.ask(0, other))


# Many at once.


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_prefix(fleet, name, soft):
    """Those with the prefix, of thousands; in Redis and in every memory cache."""
    count = scaled(3000, least=300)
    prefix = f"swr/{name}/user[1]*"  # no character of it is special
    inside = [f"{prefix}/{number}" for number in range(count)]
    outside = [f"swr/{name}/user1x{number}/1" for number in range(count // 4)] + \
        [f"swr/{name}/user[1]", f"swr/{name}", f"swr/{name}/user[1]z"]
    now = int(fleet.redis.command("TIME")[0]) * 1000
    head = f"workerless/1 made={now} fresh={now + 10 ** 7} cost=1 status=200 type=text/html\n"
    for each in inside + outside:
        fleet.redis.command("SET", f"worker:{each}", head + "old", "EX", 10000)
    fleet.redis.command("SET", "worker2:" + inside[0], "old", "EX", 10000)
    for each in (inside[0], inside[-1], outside[0], outside[-1]):
        in_memory(fleet, each)
    assert fleet.purge(0, prefix + "*", headers=SOFT if soft else {}).status == 204

    def state(each: str) -> str:
        value = fleet.redis.command("GET", f"worker:{each}")
        return "gone" if value is None else \
            "fresh" if f"fresh={now + 10 ** 7}".encode() in value else "stale"

    fleet.hear()
    assert {state(each) for each in inside} == {"stale" if soft else "gone"}
    assert {state(each) for each in outside} == {"fresh"}
    assert fleet.redis.command("GET", "worker2:" + inside[0]) == b"old"
    for each in (inside[0], inside[-1]):
        fleet.api.hold(quote(each))
    for number in fleet.running():
        assert {fleet.ask(number, each).text for each in (outside[0], outside[-1])} == {"old"}
        if soft:
            response = fleet.ask(number, inside[0])
            assert response.text == "old" and "ttl=-" in response.headers["cache-status"]
    for each in (inside[0], inside[-1]):
        fleet.api.release(quote(each))
    if not soft:
        assert not is_hit(fleet.ask(0, inside[-1]))
        assert fleet.ask(1, inside[-1]).text != "old"
    fleet.redis.command("DEL", "worker2:" + inside[0], *(f"worker:{each}"
                                                         for each in inside + outside))


@pytest.mark.parametrize("exact", [False, True])
def test_a_name_that_ends_in_an_asterisk(fleet, name, exact):
    """With "exact" it stands for itself."""
    inside = [f"{name}*", f"{name}*1", f"{name}1"]
    for each in inside:
        in_memory(fleet, each)
    response = fleet.purge(0, f"{name}*", headers={"Workerless-Purge": "exact"} if exact else {})
    assert response.status == 204
    kept = [each for each in inside if fleet.value(each) is not None]
    assert kept == (inside[1:] if exact else [])
    fleet.hear()
    assert is_hit(fleet.ask(1, inside[1])) == exact


def test_everything(tmp, run, redis, api):
    fleet = run(Fleet(tmp, redis, api, size=2, extra=OPEN))
    for each in ("a", "b/c"):
        in_memory(fleet, each)
    redis.command("SET", "alien", "kept")
    assert fleet.purge(0, "*").status == 204
    assert [key for key in redis.keys() if "mark" not in key] == ["alien"]
    fleet.hear()
    assert not is_hit(fleet.ask(1, "a")) and not is_hit(fleet.ask(0, "b/c"))


# While it is generated.


@pytest.mark.parametrize("purger", [0, 1], ids=["own", "another's"])
@pytest.mark.parametrize("what", ["name", "prefix"])
@pytest.mark.parametrize("headers", [{}, SOFT], ids=["hard", "soft"])
def test_during_generation(fleet, name, purger, what, headers):
    """Waiting requests get the result, nobody keeps it, and later requests get a new one."""
    html(fleet, name, "first")
    fleet.api.hold(name)
    fleet.send(0, name, (1, 2, 3))
    fleet.api.wait_calls(name, 1)
    assert fleet.purge(purger, name + ("*" if what == "prefix" else ""), request_id=9,
                       headers=headers).status == 204
    fleet.hear()
    html(fleet, name, "second")
    fleet.send(0, name, (4, 5))
    fleet.send(1, name, (4, 5))
    fleet.api.wait_calls(name, 2)
    fleet.api.release(name)
    assert {fleet.response(0, each).text for each in (1, 2, 3)} == {"first"}
    for number in (0, 1):
        assert {fleet.response(number, each).text for each in (4, 5)} == {"second"}
    fleet.wait_value(name, lambda value: value == b"second")
    fleet.hear()
    assert [response.text for response in fleet.ask_all(name)] == ["second"] * 2
    assert fleet.api.calls(name) == 2


def test_during_generation_the_old_result_is_last(fleet, name):
    """The result that was begun before the purge arrives after the newer one."""
    html(fleet, name, "first")
    fleet.api.hold(name)
    fleet.send(0, name, (1,))
    fleet.api.wait_calls(name, 1)
    assert fleet.purge(0, name, request_id=9).status == 204
    html(fleet, name, "second")
    fleet.api.hold_no_more(name)
    assert fleet.ask(0, name, request_id=2).text == "second"
    fleet.api.release(name)
    assert fleet.response(0, 1).text == "first"
    fleet.hear()
    assert [response.text for response in fleet.ask_all(name)] == ["second"] * 2
    assert fleet.value(name) == b"second"


@pytest.mark.parametrize("purger", [0, 1], ids=["own", "another's"])
def test_during_a_refresh(fleet, name, purger):
    """An old entry exists and is being refreshed when the purge comes: later requests get
    neither."""
    name = f"brief/{name}"
    html(fleet, name, "old")
    fleet.ask(0, name)
    html(fleet, name, "first")
    fleet.api.hold(name)
    wait_until(lambda: _is_over(fleet, name), "it to become stale")
    fleet.send(0, name, (1,))
    fleet.api.wait_calls(name, 2)
    assert fleet.purge(purger, name, request_id=9).status == 204
    fleet.hear()
    fleet.api.answer(name, status=500)
    fleet.send(0, name, (2,))
    fleet.api.wait_calls(name, 3)
    fleet.api.release(name)
    assert fleet.response(0, 1).text == "first"
    assert fleet.response(0, 2).status == 502
    assert fleet.value(name) is None


def _is_over(fleet, name: str) -> bool:
    """Whether the fresh time of the entry in Redis is over."""
    value = fleet.redis.command("GET", f"worker:{name}") or b""
    found = re.search(rb" fresh=(\d+)", value)
    seconds, micros = fleet.redis.command("TIME")
    return bool(found) and int(found.group(1)) < int(seconds) * 1000 + int(micros) // 1000


# What it costs.


@pytest.fixture
def alone(tmp, run, redis, api):
    """One daemon whose leases need no renewal while a test counts scripts."""
    return run(Fleet(tmp, redis, api, size=1, lease="300s", routes=ROUTES, extra=OPEN))


def begin(fleet, names: list, first_id: int) -> None:
    """A request for each fragment, whose source does not answer yet."""
    fleet.api.hold(*names)
    before = len(fleet.leases())
    fleet.connections[0].send_raw(b"".join(
        fcgi.request(f"/fragment/{each}", first_id + number) for number, each in enumerate(names)))
    wait_until(lambda: len(fleet.leases()) == before + len(names), "all to be made")


def scripts_of_purge(fleet, name: str, headers: dict) -> int:
    """How many scripts the daemon sends, and Redis runs, because of a purge."""
    def scripts() -> list:
        return [fleet.redis.calls_of("evalsha") + fleet.redis.calls_of("eval"),
                fleet.servers[0].counter("scripts")]

    fleet.hear()
    before, purges = scripts(), fleet.servers[0].counter("purges")
    assert fleet.purge(0, name, headers=headers).status == 204
    fleet.hear()
    run, sent = (after - then for after, then in zip(scripts(), before))
    assert run == sent and fleet.servers[0].counter("purges") == purges + 1
    return sent


@pytest.mark.parametrize("headers", [{}, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("what", ["name", "prefix"])
def test_cost_of_one_key(alone, name, what, headers):
    """The fragment is in progress: one script purges it, and it is not looked up again."""
    begin(alone, [name], 1000)
    assert scripts_of_purge(alone, name + ("*" if what == "prefix" else ""), headers) == 1
    alone.api.release(name)
    assert alone.response(0, 1000).status == 200


@pytest.mark.parametrize("headers", [{}, SOFT], ids=["hard", "soft"])
def test_cost_of_a_prefix(alone, name, headers):
    """One script for each key with the prefix, however many others are in progress."""
    begin(alone, [f"other/{number}" for number in range(scaled(200, least=50))], 1000)
    assert scripts_of_purge(alone, f"{name}*", headers) == 0
    begin(alone, [f"{name}/{number}" for number in range(5)], 2000)
    assert scripts_of_purge(alone, f"{name}*", headers) == 5


def test_a_purge_whose_sender_leaves(fleet, name):
    fleet.ask(0, name)
    fleet.wait_value(name)
    with Connection(fleet.servers[0].address) as connection:
        connection.send_raw(fcgi.request(f"/fragment/{name}", method="PURGE"))
    wait_until(lambda: fleet.value(name) is None, "it to be purged")


# Without Redis.


def test_memory_only(daemon, api):
    server = daemon(extra=OPEN + 'fragment "swr/*" { source = "api" stale = "60s" }')
    with Connection(server.address) as connection:
        def get(name: str):
            return connection.request(f"/fragment/{name}")

        def purge(name: str, **options) -> int:
            return connection.request(f"/fragment/{name}", method="PURGE", **options).status

        for name in ("a", "user/1", "user/2", "users"):
            get(name)
            assert is_hit(get(name))
        assert purge("a") == purge("none") == 204
        assert not is_hit(get("a")) and is_hit(get("a"))
        assert purge("user/*") == 204
        assert [is_hit(get(name)) for name in ("user/1", "user/2", "users")] == [False, False, True]
        assert purge("*") == 204
        assert not is_hit(get("users"))
        api.answer("swr/x", body="old", type="text/html")
        get("swr/x")
        api.answer("swr/x", body="new", type="text/html")
        api.hold("swr/x")
        assert purge("swr/x", headers=SOFT) == 204
        assert is_hit(get("swr/x")) and get("swr/x").text == "old"
        api.release("swr/x")
        wait_until(lambda: get("swr/x").text == "new", "it to be refreshed")


def test_memory_only_during_generation(daemon, api):
    server = daemon(extra=OPEN)
    with Connection(server.address) as connection:
        api.answer("a", body="first", type="text/html")
        api.hold("a")
        connection.send_raw(fcgi.request("/fragment/a", 1))
        api.wait_calls("a", 1)
        assert connection.request("/fragment/a", 2, method="PURGE").status == 204
        api.answer("a", body="second", type="text/html")
        connection.send_raw(fcgi.request("/fragment/a", 3))
        api.wait_calls("a", 2)
        api.release("a")
        assert connection.response(1).text == "first"
        assert connection.response(3).text == "second"
        assert connection.request("/fragment/a", 4).text == "second"


def test_one_of_many_fails(tmp, run, daemon):
    """The failure is reported, though Redis is there and purged the others."""
    redis = run(FakeRedis(tmp))
    redis.say("SCRIPT", b"-ERR no\r\n")  # so scripts come as EVAL
    server = daemon(redis=redis.url, extra=OPEN)
    server.wait_log("redis: connected")
    keys = "".join(f"$9\r\nworker:x{number}\r\n" for number in range(3))
    with Connection(server.address) as connection:
        for sayings, status in (([b":1\r\n"], 204),
                                ([b":1\r\n", b"-OOM no\r\n", b":1\r\n"], 503)):
            redis.say("SCAN", f"*2\r\n$1\r\n0\r\n*3\r\n{keys}".encode(),
                      b"*2\r\n$1\r\n0\r\n*0\r\n")
            redis.say("EVAL", *sayings)
            assert connection.request("/fragment/x*", method="PURGE").status == status


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_redis_is_away(tmp, run, daemon, api, how):
    """Then nobody knows whether it is removed everywhere: 503."""
    redis = run(Redis(tmp))
    server = daemon(redis=redis.url, extra=OPEN)
    server.wait_log("redis: connected")
    with Connection(server.address) as connection:
        connection.request("/fragment/a")
        if how == "killed":
            redis.kill()
            server.wait_log("continuing without it")
        else:
            redis.pause()
        for path in ("/fragment/a", "/fragment/*"):
            response = connection.request(path, method="PURGE")
            assert response.status == 503 and int(response.headers["retry-after"]) > 0
        if how == "killed":
            redis.start()
        else:
            redis.signal(signal.SIGCONT)
        wait_until(lambda: connection.request("/fragment/a", method="PURGE").status == 204,
                   "Redis to be back")
