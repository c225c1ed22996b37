"""What the source says of its answer, end to end: who may get it, for how long, how it is asked
again, and which of its header fields go along. (RFC 9111, 9213, 5861; tests/unit/test_terms.c has
every rule. Here each kind of rule meets a real upstream and a real Redis.)"""

from __future__ import annotations

import pytest

from harness.fcgi import Connection


def html(api, name: str, body: str, **headers: str) -> None:
    """Sets the API's answer; of a header's name, _ stands for -."""
    api.answer(name, body=body, type="text/html",
               headers={key.replace("_", "-"): value for key, value in headers.items()})


def test_the_next_visitor_does_not_get_it(daemon, api, redis, name):
    """A page for one user, with her session."""
    server = daemon(redis=redis.url)
    with Connection(server.address) as connection:
        html(api, name, "Alice's", Cache_Control="private, no-store", Set_Cookie="session=alice")
        first = connection.request(f"/fragment/{name}")
        html(api, name, "Bob's", Cache_Control="private, no-store", Set_Cookie="session=bob")
        assert connection.request(f"/fragment/{name}").text == "Bob's"
        assert first.text == "Alice's" and "set-cookie" not in first.headers
        assert first.headers["cache-control"] == "private, no-store"
        assert "etag" not in first.headers and "stored" not in first.headers["cache-status"]
        assert api.calls(name) == 2
    assert b"Alice" not in redis.command("GET", f"worker:{name}")
    server.wait_log(f'fragment "{name}": the source forbids to cache and share its result by '
                    "Set-Cookie")


# Who may get it (RFC 9111 3, 5.2.2).


@pytest.mark.parametrize("reason, headers", [
    ("Set-Cookie", {"Set_Cookie": "a=1"}),
    ("no-store", {"Cache_Control": "max-age=60, no-store"}),
    ("no-cache", {"Cache_Control": 'no-cache="x"'}),
    ("private: ", {"Cache_Control": 'max-age=60, private="x"'}),
    ('"Vary: *"', {"Vary": "Accept-Encoding, *"}),
    ('"Vary: X-Currency": add "header:X-Currency" to its vary', {"Vary": "X-Currency"}),
    ("no-store", {"CDN_Cache_Control": "max-age=60, no-store", "Cache_Control": "public"}),
    ("Surrogate-Control: no-store", {"Surrogate_Control": "no-store"}),
])
def test_never_shared(daemon, api, redis, name, reason, headers):
    """It reaches the request that it was made for, is stored nowhere, and is logged once."""
    server = daemon(redis=redis.url)
    html(api, name, "one", **headers)
    with Connection(server.address) as connection:
        for count in (1, 2, 3):
            response = connection.request(f"/fragment/{name}")
            assert response.text == "one"
            assert response.headers["cache-control"] == "private, no-store"
            assert "stored" not in response.headers["cache-status"]
            assert api.calls(name) == count
    assert redis.keys() == [f"worker:{name}"]  # the marker
    assert b"one" not in redis.command("GET", f"worker:{name}")
    server.wait_log(f'fragment "{name}": the source forbids to cache and share its result by '
                    f"{reason}")
    assert server.log().count("forbids to cache") == 1


@pytest.mark.parametrize("headers", [
    {},
    {"Cache_Control": "public, x=\"private, no-store\""},
    {"Vary": "Accept-Encoding"},
    {"Pragma": "no-cache"},
    {"CDN_Cache_Control": "max-age=60", "Cache_Control": "private, no-store"},
])
def test_shared(daemon, api, redis, name, headers):
    server = daemon(redis=redis.url)
    html(api, name, "one", **headers)
    with Connection(server.address) as connection:
        for _ in range(2):
            assert connection.request(f"/fragment/{name}").text == "one"
    assert api.calls(name) == 1


def test_origin_is_ignored(daemon, api, redis, name):
    """The operator knows better, and is told what that means."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  ttl = "60s"  origin = "ignore" }}""")
    html(api, name, "one", Set_Cookie="a=1", Cache_Control="private, no-store", Vary="*")
    with Connection(server.address) as connection:
        for _ in range(2):
            response = connection.request(f"/fragment/{name}")
            assert response.text == "one" and "set-cookie" not in response.headers
            assert response.headers["cache-control"] == "max-age=60"
    assert api.calls(name) == 1
    assert f'fragment "{name}" caches results that its source forbids to share' in server.log()


@pytest.mark.parametrize("headers", [
    {"Cache-Control": "no-cache"}, {"Cache-Control": "no-store, max-age=0"},
    {"Pragma": "no-cache"}, {"Range": "bytes=0-1"}, {"If-Range": '"x"', "Range": "bytes=0-1"},
])
def test_what_the_client_says_is_ignored(daemon, api, name, headers):
    """RFC 9111 5.2.1 allows that: a visitor can't force a call, nor get a part (RFC 9110 14.2)."""
    server = daemon()
    html(api, name, "one result")
    with Connection(server.address) as connection:
        for _ in range(2):
            response = connection.request(f"/fragment/{name}", headers=headers)
            assert response.status == 200 and response.text == "one result"
    assert api.calls(name) == 1
    assert not {key.lower() for key in headers} & set(api.requests(name)[0].headers)
