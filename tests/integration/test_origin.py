"""What the source says of its answer, end to end: who may get it, for how long, how it is asked
again, and which of its header fields go along. (RFC 9111, 9213, 5861; tests/unit/test_terms.c has
every rule. Here each kind of rule meets a real upstream and a real Redis.)"""

from __future__ import annotations

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
