"""How an entry is used as it ages: fresh, early, stale, stale-if-error; and what clients are told
about it (RFC 5861, RFC 9211)."""

import re
import time

import pytest

from harness.fcgi import Connection
from harness.fleet import cache_status, detail, is_hit, own_fleet
from harness.wait import wait_until

ROUTES = """
fragment "plain/*"  { source = "api" ttl = "60s" }
fragment "short/*"  { source = "api" ttl = "150ms" }
fragment "swr/*"    { source = "api" ttl = "60s" stale = "120s" }
fragment "wait/*"   { source = "api" ttl = "60s" stale = "120s" stale_wait = "200ms" }
fragment "long/*"   { source = "api" ttl = "60s" stale = "120s" stale_wait = "50s" }
fragment "sie/*"    { source = "api" ttl = "60s" stale_error = "300s" }
fragment "both/*"   { source = "api" ttl = "60s" stale = "30s" stale_error = "90s" }
fragment "split/*"  { source = "api" ttl = "60s" stale = "1500ms" stale_error = "2500ms" }
fragment "jitter/*" { source = "api" ttl = "60s" jitter = "30s" }
fragment "early/*"  { source = "api" ttl = "60s" early = "yes" }
fragment "late/*"   { source = "api" ttl = "60s" }
fragment "no/*"     { source = "api" ttl = "0" stale = "60s" stale_error = "60s" }
fragment "neg/*"    { source = "api" ttl = "60s" negative = "30s" }
"""


@pytest.fixture(scope="module")
def shared():
    with own_fleet(routes=ROUTES) as members:
        yield members


@pytest.fixture
def fleet(shared):
    """Three daemons on one Redis."""
    with shared.lent():
        yield shared


def put(fleet, name: str, body: str, *, made: float = -10, fresh: float = 60, keep: float = 600,
        cost: int = 5, status: int = 200) -> None:
    """An entry in Redis, as the daemon writes it; times are seconds from now."""
    now = time.time()
    fleet.redis.command(
        "SET", f"worker:{name}", f"workerless/1 made={(now + made) * 1000:.0f} "
        f"fresh={(now + fresh) * 1000:.0f} cost={cost} status={status} type=text/html\n{body}",
        "PX", int(keep * 1000))
    fleet.hear()


def html(fleet, name: str, body: str) -> None:
    fleet.api.answer(name, body=body, type="text/html")


def ttl(response) -> int:
    return int(re.search(r"; ttl=(-?\d+)", response.headers["cache-status"]).group(1))


def envelope_times(fleet, name: str):
    """made, fresh until, and the end of its life in Redis, all in milliseconds."""
    value = wait_until(lambda: fleet.redis.command("GET", f"worker:{name}"), "the value")
    found = re.match(rb"workerless/1 made=(\d+) fresh=(\d+) ", value)
    return int(found.group(1)), int(found.group(2)), \
        fleet.redis.command("PEXPIRETIME", f"worker:{name}")


# What clients are told.


def test_cache_status(fleet, name):
    """A miss that is stored, a hit in Redis, hits in memory."""
    name = f"plain/{name}"
    first = fleet.ask(0, name)
    assert cache_status(first)[:3] == ["workerless", "fwd=miss", "stored"]
    assert detail(first) == "source" and 58 <= ttl(first) <= 60
    fleet.wait_value(name)
    second = fleet.ask(1, name)
    assert cache_status(second)[:2] == ["workerless", "hit"] and detail(second) == "redis"
    third = fleet.ask(1, name)
    assert cache_status(third)[:2] == ["workerless", "hit"] and detail(third) == "memory"
    for response in (second, third):
        assert 50 <= ttl(response) <= 60 and not {"stored", "collapsed"} & {*cache_status(response)}
        assert response.body == first.body and response.headers["etag"] == first.headers["etag"]
    wait_until(lambda: detail(fleet.ask(0, name)) == "memory", "the maker's own memory")
    assert fleet.api.calls(name) == 1


def test_of_failures(fleet, name):
    name = f"plain/{name}"
    fleet.api.answer(name, status=500)
    response = fleet.ask(0, name)
    assert response.status == 502
    assert cache_status(response) == ["workerless", "fwd=miss", "detail=source"]


def test_not_cached(fleet, name):
    """ttl 0: nothing is kept, and clients are told not to keep it."""
    name = f"no/{name}"
    for count in (1, 2):
        response = fleet.ask(0, name)
        assert cache_status(response)[:2] == ["workerless", "fwd=miss"]
        assert "stored" not in cache_status(response)
        assert response.headers["cache-control"] in ("no-cache", "no-store")
        assert fleet.api.calls(name) == count
    fleet.hear()
    assert fleet.value(name) is None


@pytest.mark.parametrize("route, told", [
    ("plain", "max-age=60"), ("swr", "max-age=60, stale-while-revalidate=120"),
    ("sie", "max-age=60, stale-if-error=300"),
    ("both", "max-age=60, stale-while-revalidate=30, stale-if-error=90"),
    ("split", "max-age=60, stale-while-revalidate=1, stale-if-error=2")])
def test_cache_control(fleet, name, route, told):
    name = f"{route}/{name}"
    for _ in range(2):
        response = fleet.ask(0, name)
        assert response.headers["cache-control"] == told
        assert 0 <= int(response.headers["age"]) < 20


@pytest.mark.parametrize("route, extra", [("plain", 0), ("swr", 120_000), ("sie", 300_000),
                                          ("both", 90_000), ("split", 2500)])
def test_its_life_in_redis(fleet, name, route, extra):
    """As long as it is usable."""
    name = f"{route}/{name}"
    fleet.ask(0, name)
    made, fresh, end = envelope_times(fleet, name)
    assert fresh - made == 60_000
    assert fresh + extra - 5 <= end <= fresh + extra + 2000


# Stale while it is refreshed.


@pytest.mark.parametrize("where", ["redis", "memory"])
def test_stale_is_served_at_once(fleet, name, where):
    """By all, during the one call of the fleet; then all have the new one."""
    name = f"swr/{name}"
    fleet.api.hold(name)
    html(fleet, name, "new")
    if where == "memory":  # where it becomes stale
        put(fleet, name, "old", fresh=1)
        for number in fleet.running():
            fleet.ask(number, name)
        wait_until(lambda: ttl(fleet.ask(0, name)) < 0, "it to become stale")
    else:
        put(fleet, name, "old", made=-70, fresh=-10)
    for _ in range(3):
        for response in fleet.ask_all(name):
            assert is_hit(response) and response.text == "old" and ttl(response) < 0
            assert int(response.headers["age"]) >= 10
            assert "stale-while-revalidate=120" in response.headers["cache-control"] \
                or where == "memory"
    fleet.api.wait_calls(name, 1)
    fleet.hear()
    assert fleet.api.calls(name) == 1
    fleet.api.release(name)
    fleet.wait_value(name, lambda value: value == b"new")
    fleet.hear()
    for response in fleet.ask_all(name):
        assert is_hit(response) and response.text == "new" and ttl(response) > 50
    assert fleet.api.calls(name) == 1


def test_stale_wait(fleet, name):
    """All wait for the refresh, but no longer than that; later requests do not wait for it."""
    name = f"wait/{name}"
    fleet.api.hold(name)
    html(fleet, name, "new")
    put(fleet, name, "old", made=-70, fresh=-10)
    begin = time.monotonic()
    for number in fleet.running():
        fleet.send(number, name, ids=(1, 2))
    fleet.api.wait_calls(name, 1)
    for number in fleet.running():
        for response in (fleet.response(number, 1), fleet.response(number, 2)):
            assert is_hit(response) and response.text == "old" and ttl(response) < 0
    assert time.monotonic() - begin >= 0.2
    begin = time.monotonic()
    for _ in range(20):
        for response in fleet.ask_all(name):
            assert is_hit(response) and response.text == "old" and ttl(response) < 0
    assert time.monotonic() - begin < 60 * 0.2
    assert fleet.api.calls(name) == 1
    fleet.api.release(name)
    fleet.wait_value(name, lambda value: value == b"new")
    fleet.hear()
    for response in fleet.ask_all(name):
        assert is_hit(response) and response.text == "new" and ttl(response) > 50
    assert fleet.api.calls(name) == 1


def test_refresh_within_stale_wait(fleet, name):
    """Nobody gets the old one."""
    name = f"long/{name}"
    html(fleet, name, "new")
    put(fleet, name, "old", made=-70, fresh=-10)
    for response in fleet.ask_all(name):
        assert response.text == "new"
    assert fleet.api.calls(name) == 1


def test_failure_within_stale_wait(fleet, name):
    name = f"long/{name}"
    fleet.api.answer(name, status=500)
    put(fleet, name, "old", made=-70, fresh=-10)
    response = fleet.ask(0, name)
    assert response.text == "old" and "fwd=stale" in cache_status(response)


def test_no_wait_within_stale_wait(fleet, name):
    """A request that does not wait gets what there is."""
    name = f"long/{name}"
    fleet.api.hold(name)
    put(fleet, name, "old", made=-70, fresh=-10)
    response = fleet.ask(0, name, headers={"Prefer": "wait=0"})
    assert is_hit(response) and response.text == "old"
    fleet.api.wait_calls(name, 1)
    fleet.api.release(name)


def test_stale_and_the_source_fails(fleet, name):
    """Within `stale` it is still served."""
    name = f"both/{name}"
    put(fleet, name, "old", made=-70, fresh=-5)
    fleet.api.answer(name, status=500)
    assert {response.text for response in fleet.ask_all(name)} == {"old"}
    fleet.api.wait_calls(name, 1)
    assert {response.text for response in fleet.ask_all(name)} == {"old"}
    html(fleet, name, "new")
    wait_until(lambda: fleet.ask(0, name).text == "new", "it to be refreshed")


def test_past_stale_it_is_waited_for(fleet, name):
    name = f"swr/{name}"
    put(fleet, name, "old", made=-300, fresh=-130)
    html(fleet, name, "new")
    response = fleet.ask(0, name)
    assert response.text == "new" and not is_hit(response)


def test_without_stale_it_is_waited_for(fleet, name):
    name = f"plain/{name}"
    put(fleet, name, "old", made=-70, fresh=-1)
    html(fleet, name, "new")
    assert fleet.ask(0, name).text == "new"
    assert fleet.api.calls(name) == 1


def test_a_ttl_that_ends(fleet, name):
    """Memory does not serve it longer than Redis has it."""
    name = f"short/{name}"
    html(fleet, name, "old")
    fleet.ask_all(name)
    html(fleet, name, "new")
    wait_until(lambda: {response.text for response in fleet.ask_all(name)} == {"new"}, "the end")


# Stale if the refresh fails.


@pytest.mark.parametrize("failure", [{"status": 500}, {"type": "image/png", "body": "x"},
                                     {"body": "x" * (2 << 20)}], ids=["500", "type", "too long"])
def test_stale_if_error(fleet, name, failure):
    name = f"sie/{name}"
    put(fleet, name, "old", made=-70, fresh=-10)
    fleet.api.answer(name, **failure)
    for response in fleet.ask_all(name):
        assert (response.status, response.text) == (200, "old")
        assert "fwd=stale" in cache_status(response) and ttl(response) < 0
        assert "hit" not in cache_status(response) and "stored" not in cache_status(response)
    html(fleet, name, "new")
    assert fleet.ask(0, name).text == "new"


def test_stale_if_error_waits_for_the_source(fleet, name):
    """It is not served before the source has failed; then all waiting requests get it."""
    name = f"sie/{name}"
    put(fleet, name, "old", made=-70, fresh=-10)
    fleet.api.answer(name, status=503)
    fleet.api.hold(name)
    fleet.send(0, name, (1, 2, 3))
    fleet.connections[0].sync()
    fleet.api.wait_calls(name, 1)
    fleet.connections[0].expect_silence()
    fleet.api.release(name)
    assert [fleet.response(0, each).text for each in (1, 2, 3)] == ["old"] * 3
    assert [("collapsed" in cache_status(fleet.response(0, each))) for each in (1, 2, 3)] == \
        [False, True, True]


def test_past_stale_error_it_is_an_error(fleet, name):
    name = f"sie/{name}"
    put(fleet, name, "old", made=-900, fresh=-301)
    fleet.api.answer(name, status=500)
    assert fleet.ask(0, name).status == 502


def test_what_is_gone_is_gone(fleet, name):
    """A 404 of the source is an answer, not an error: no stale entry is served."""
    name = f"sie/{name}"
    put(fleet, name, "old", made=-70, fresh=-10)
    fleet.api.answer(name, status=404)
    assert fleet.ask(0, name).status == 404


def test_conditional_requests_of_a_stale_entry(fleet, name):
    name = f"swr/{name}"
    fleet.api.hold(name)
    put(fleet, name, "old", made=-70, fresh=-10)
    etag = fleet.ask(0, name).headers["etag"]
    response = fleet.ask(0, name, headers={"If-None-Match": etag})
    assert response.status == 304 and response.body == b""


# The time until then.


def test_jitter(fleet, name):
    """Each result has its own ttl, at most as long as the route's."""
    names = [f"jitter/{name}-{number}" for number in range(40)]
    for each in names:
        fleet.ask(0, each)
    spans = []
    for each in names:
        made, fresh, _end = envelope_times(fleet, each)
        spans.append(fresh - made)
    assert 30_000 <= min(spans) and max(spans) <= 60_000
    assert len(set(spans)) > 20 and max(spans) - min(spans) > 10_000


def test_early(fleet, name):
    """Before it expires, a costly entry is refreshed by chance, while it is served."""
    early, late, cheap = f"early/{name}", f"late/{name}", f"early/{name}-cheap"
    for each in (early, late, cheap):
        html(fleet, each, "new")
        put(fleet, each, "old", fresh=60, cost=1 if each == cheap else 60_000)
    for each in (late, cheap):
        assert {fleet.ask(0, each).text for _ in range(50)} == {"old"}
    wait_until(lambda: [is_hit(fleet.ask(0, early)), fleet.api.calls(early)][1],
               "it to be refreshed")
    fleet.wait_value(early, lambda value: value == b"new")
    assert fleet.api.calls(early) == 1
    assert fleet.api.calls(late) == fleet.api.calls(cheap) == 0
    fleet.hear()
    assert fleet.ask(1, early).text == "new"


def test_early_is_once_in_the_fleet(fleet, name):
    name = f"early/{name}"
    html(fleet, name, "new")
    fleet.api.hold(name)
    put(fleet, name, "old", fresh=60, cost=600_000)
    for _ in range(20):
        assert {(is_hit(response), response.text) for response in fleet.ask_all(name)} == \
            {(True, "old")}
    fleet.api.wait_calls(name, 1)
    fleet.hear()
    assert fleet.api.calls(name) == 1


# Failures that are remembered.


def test_negative(fleet, name):
    """By the entire fleet, in Redis, and readable; a value that is set by hand ends it."""
    name = f"neg/{name}"
    fleet.api.answer(name, status=500)
    assert cache_status(fleet.ask(0, name))[:2] == ["workerless", "fwd=miss"]
    wait_until(lambda: b" status=502 " in (fleet.redis.command("GET", f"worker:{name}") or b""),
               "the failure in Redis")
    assert 0 < fleet.redis.command("PTTL", f"worker:{name}") <= 30_000
    for response in fleet.ask_all(name):
        assert response.status == 502 and "hit" in cache_status(response)
    assert fleet.api.calls(name) == 1
    fleet.redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
    fleet.hear()
    assert {response.text for response in fleet.ask_all(name)} == {"by hand"}


def test_without_negative_each_request_asks(fleet, name):
    name = f"plain/{name}"
    fleet.api.answer(name, status=500)
    stored = sum(server.counter("stores") for server in fleet.servers)
    fleet.ask_all(name)
    assert fleet.api.calls(name) == 3
    fleet.hear()  # what was sent to Redis before that has arrived there
    assert fleet.value(name) is None
    assert sum(server.counter("stores") for server in fleet.servers) == stored


def test_memory_only(daemon, api):
    """The same without Redis."""
    server = daemon('cache { redis = "" }\n'
                    f'source "api" {{ type = "http" url = "{api.url}/{{name}}" }}\n'
                    'fragment "swr/*" { source = "api" ttl = "300ms" stale = "60s" }\n'
                    'fragment "sie/*" { source = "api" ttl = "300ms" stale_error = "60s" }\n'
                    'fragment "neg/*" { source = "api" ttl = "60s" negative = "60s" }\n')
    with Connection(server.address) as connection:
        def get(name: str):
            return connection.request(f"/fragment/{name}")

        for name in ("swr/a", "sie/a"):
            api.answer(name, body="old", type="text/html")
            get(name)
        api.answer("swr/a", body="new", type="text/html")
        api.answer("sie/a", status=500)
        api.hold("swr/a")
        wait_until(lambda: ttl(get("swr/a")) < 0, "it to become stale")
        assert is_hit(get("swr/a")) and get("swr/a").text == "old"
        api.release("swr/a")
        wait_until(lambda: get("swr/a").text == "new", "the refresh")
        wait_until(lambda: "fwd=stale" in cache_status(get("sie/a")), "the failure")
        assert get("sie/a").text == "old"
        api.answer("neg/a", status=500)
        assert [get("neg/a").status for _ in range(3)] == [502] * 3
        assert api.calls("neg/a") == 1
