"""What the log says when a source fails."""

from harness.fcgi import Connection

HTTP = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{url}" timeout = "{timeout}" {extra} }}
fragment "flood/*" {{ source = "api" hold = "55s" }}
fragment "*"       {{ source = "api" hold = "55s" }}
"""


def http(url: str, *, redis: str = "", timeout: str = "60s", extra: str = "") -> str:
    return HTTP.format(url=url, redis=redis, timeout=timeout, extra=extra)


# What the log says.


def test_failures_are_named(daemon, api):
    """Which source, which url, and what: but no password, and nothing of a query."""
    server = daemon(http(f"http://me:secret@127.0.0.1:{api.port}/{{name}}?key=secret",
                         timeout="300ms"))
    api.answer("news?key=secret", status=500, body="secret trouble")
    api.answer("logo?key=secret", type="image/png", body=b"\x89PNG")
    api.hold("slow?key=secret")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/news").status == 502
        assert connection.request("/fragment/logo").status == 502
        assert connection.request("/fragment/slow").status == 504
    for name, what in (("news", " answered 500"),
                       ("logo", " answered with image/png, which is neither HTML nor text"),
                       ("slow", ": no complete response within timeout = 0.3s")):
        assert (f'warning flight: fragment "{name}": source "api": {api.url}/{name}?...{what}\n'
                in server.log())
    assert "secret" not in server.log()
