"""What a source is protected from, and what the log says when it fails: redirects to other hosts,
and requests that would take all its connections."""

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.slowapi import SlowApi
from harness.wait import SLOWNESS, wait_until

HTTP = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{url}" timeout = "{timeout}" {extra} }}
fragment "flood/*" {{ source = "api" hold = "55s" }}
fragment "*"       {{ source = "api" hold = "55s" }}
"""


def http(url: str, *, redis: str = "", timeout: str = "60s", extra: str = "") -> str:
    return HTTP.format(url=url, redis=redis, timeout=timeout, extra=extra)


# Redirects.


@pytest.fixture
def internal(run):
    """A server that only this host can reach."""
    return run(SlowApi())


def redirect(api, name: str, location: str, status: int = 302) -> None:
    api.answer(name, status=status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_elsewhere(daemon, api, internal, status):
    """It is refused, and the log says how to allow it."""
    server = daemon(http(f"{api.url}/{{name}}"))
    redirect(api, "a", f"http://me:secret@127.0.0.1:{internal.port}/secret?secret", status)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 502
    assert internal.calls() == 0
    assert (f'fragment "a": source "api": {api.url}/a redirects to {internal.url}, which is refused '
            "(list it in redirects to allow it)\n") in server.log()
    assert "secret" not in server.log()


def test_redirect_to_what_is_listed(daemon, api, internal):
    server = daemon(http(f"http://me:secret@127.0.0.1:{api.port}/{{name}}",
                         extra=f'redirects = {{"cdn.test", "127.0.0.1:{internal.port}"}}'))
    redirect(api, "a", f"{internal.url}/a")
    redirect(api, "b", "/c")
    with Connection(server.address) as connection:
        assert "result for a" in connection.request("/fragment/a").text
        assert "result for c" in connection.request("/fragment/b").text
    there, = internal.requests()
    assert "authorization" not in there.headers
    assert all("authorization" in call.headers for call in api.requests())
    assert len(api.requests()) == 3


# What the log says.


def test_failures_are_named(daemon, api):
    """Which source, which url, and what: but no password, and nothing of a query."""
    timeout_s = 0.3 * max(SLOWNESS, 1)
    server = daemon(http(f"http://me:secret@127.0.0.1:{api.port}/{{name}}?key=secret",
                         timeout=f"{timeout_s * 1000:.0f}ms"))
    api.answer("news?key=secret", status=500, body="secret trouble")
    api.answer("logo?key=secret", type="image/png", body=b"\x89PNG")
    api.hold("slow?key=secret")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/news").status == 502
        assert connection.request("/fragment/logo").status == 502
        assert connection.request("/fragment/slow").status == 504
    for name, what in (("news", " answered 500"),
                       ("logo", " answered with image/png, which is neither HTML nor text "
                            "(render = \"raw\" passes any type)"),
                       ("slow", f": no complete response within timeout = {timeout_s:g}s")):
        assert (f'warning flight: fragment "{name}": source "api": {api.url}/{name}?...{what}\n'
                in server.log())
    assert "secret" not in server.log()


# Floods.

CONNECTIONS = 20
FLOOD = 500


def flood(connection, api, **options) -> None:
    """So many requests, each with a new name, which all wait for the API."""
    names = [f"flood/{number}" for number in range(FLOOD)]
    api.hold(*names)
    connection.send_raw(b"".join(
        fcgi.request(f"/fragment/{name}", number, **options)
        for number, name in enumerate(names, start=1)))
    connection.sync()


def order_of(api, name: str) -> int:
    """Which one of the calls that the API got."""
    return [call.path for call in api.requests()].index("/" + name)


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_who_does_not_wait_takes_no_place(request, daemon, api, where):
    """A client that requests new names and never waits gets the free connections, and no more:
    others do not queue behind it."""
    redis = request.getfixturevalue("redis") if where == "redis" else None
    server = daemon(http(f"{api.url}/{{name}}", redis=redis.url if redis else "",
                         extra=f"connections = {CONNECTIONS}"))
    with Connection(server.address) as attacker, Connection(server.address) as other:
        flood(attacker, api, headers={"Prefer": "wait=0"})
        responses = [attacker.response(number) for number in range(1, FLOOD + 1)]
        assert {response.status for response in responses} == {202}
        begun = [response for response in responses if response.headers["retry-after"] == "0"]
        refused = [response for response in responses if response.headers["retry-after"] == "1"]
        assert len(begun) + len(refused) == FLOOD and len(begun) >= CONNECTIONS
        if not redis:  # with Redis also those that it has not answered within 100 ms
            assert len(begun) == CONNECTIONS
        assert {response.headers["preference-applied"] for response in responses} == {"wait=0"}

        def refused_at_once() -> bool:
            response = other.request(f"/fragment/flood/{FLOOD}",
                                     headers={"Prefer": "wait=0, handling=strict"})
            assert response.status == 503
            return response.headers["retry-after"] == "1"

        wait_until(refused_at_once, "the call to be refused")

        api.wait_calls(None, CONNECTIONS)
        other.send_raw(fcgi.request("/fragment/other"))  # waits, so it queues: as the first one
        other.sync()
        other.expect_silence()
        if redis:  # there is no lease for what is not generated
            wait_until(lambda: len(redis.command("KEYS", "lease:*")) <= CONNECTIONS + 1, "leases")
        api.release_all()
        assert other.response().status == 200
        assert order_of(api, "other") == CONNECTIONS
        assert attacker.request(f"/fragment/flood/{FLOOD - 1}").status == 200
    assert api.calls() == CONNECTIONS + 2


def test_routes_take_turns(daemon, api):
    """A route with many queued calls does not delay another one: its call starts as soon as any
    connection is free, though it came last."""
    server = daemon(http(f"{api.url}/{{name}}", extra=f"connections = {CONNECTIONS}"))
    with Connection(server.address) as attacker, Connection(server.address) as other:
        flood(attacker, api)
        api.wait_calls(None, CONNECTIONS)
        other.send_raw(fcgi.request("/fragment/other"))
        other.sync()
        api.release("flood/0", "flood/1")  # two connections are free: one of them is the other's
        assert other.response().status == 200
        api.release_all()
        for number in range(1, FLOOD + 1):
            assert attacker.response(number).status == 200
    assert api.calls() == FLOOD + 1
