"""What of a request reaches a source: the bytes that the API reads."""

import pytest

from harness import fcgi

CONFIG = """
source "rest"  {{ type = "http" url = "{api}/v1/{{rest}}?n={{name}}" }}
source "both"  {{ type = "http" url = "{api}/{{name}}/x?{{query}}" }}
source "named" {{ type = "http" url = "{api}/{{language}}/{{query:q}}?h={{host}}&{{query}}&z=1" }}
source "plain" {{ type = "http" url = "{api}/{{name}}" headers = {{"X-Token: secret"}} }}
source "post"  {{
    type = "http"
    url = "{api}/p"
    method = "POST"
    body = "{{\\"n\\": \\"{{name}}\\"}}"
}}
fragment "price/*" {{ source = "rest" }}
fragment "odd*"    {{ source = "rest" }}
fragment "both"    {{ source = "both"  vary = {{"query:b", "query:a"}} }}
fragment "named"   {{ source = "named" vary = {{"query:q", "host", "query:r", "language:en,de"}} }}
fragment "plain"   {{
    source = "plain"
    vary = {{"query:q", "cookie:sid", "header:x-cur", "language:en,de", "host", "cookie:c"}}
}}
fragment "post"    {{ source = "post" vary = {{"query:q", "cookie:sid"}} }}
fragment "accept"  {{ source = "plain" vary = {{"header:accept", "header:user-agent"}} }}
"""

USUAL = {"Host", "User-Agent", "Accept-Encoding", "Accept", "X-Request-Id", "traceparent",
         "X-Token"}


@pytest.fixture
def server(daemon, api):
    return daemon(CONFIG.format(api=api.url))


@pytest.fixture
def ask(server, api):
    """ask(name, query, headers) -> the response, and the lines of the API's latest request, without
    those that every request has; None if there was no request."""
    def get(name, query="", headers=None):
        before = api.calls()
        with fcgi.Connection(server.address) as connection:
            response = connection.request(f"/fragment/{name}", query=query, headers=headers or {})
        if api.calls() == before:
            return response, None
        lines = api.requests()[-1].head.decode("latin-1").split("\r\n")
        assert lines[-2:] == ["", ""]
        return response, [line for line in lines[:-2] if line.partition(":")[0] not in USUAL]

    return get


@pytest.mark.parametrize("name, target", [
    ("price/eur", "/v1/eur?n=price/eur"),
    ("price/a/b c", "/v1/a/b%20c?n=price/a/b%20c"),
    ("price/&?#;=+", "/v1/%26%3F%23%3B%3D%2B?n=price/%26%3F%23%3B%3D%2B"),
    ("odd", "/v1/?n=odd"),
    ("odd/a", "/v1//a?n=odd/a"),
    ("both", "/both/x"),
])
def test_names(ask, name, target):
    response, lines = ask(name)
    assert (response.status, lines) == (200, [f"GET {target} HTTP/1.1"])


@pytest.mark.parametrize("name, query", [("odd..", ""), ("odd./a", ""), ("odd.", ""),
                                         ("named", "q=.."), ("named", "q=..%2Fadmin"),
                                         ("named", "q=.")])
def test_dot_segments(ask, server, name, query):
    """The name is a good one, but the path would lead to another place."""
    response, lines = ask(name, query)
    assert (response.status, lines) == (502, None)
    server.wait_log('a value of the request would make "." or ".." a part of the path')


@pytest.mark.parametrize("query, target", [
    ("", "/both/x"),
    ("a=1&b=2&c=3", "/both/x?b=2&a=1"),  # in the order of vary, and no more
    ("a=", "/both/x?a="),
    ("b=%26a%3D1%23%2B%3B%20+%C3%BC", "/both/x?b=%26a%3D1%23%2B%3B%20%20%C3%BC"),
])
def test_query(ask, query, target):
    response, lines = ask("both", query)
    assert (response.status, lines) == (200, [f"GET {target} HTTP/1.1"])


@pytest.mark.parametrize("query, headers, target", [
    ("q=a%2Fb", {"Host": "shop.test", "Accept-Language": "de-CH"}, "/de/a%2Fb?h=shop.test&z=1"),
    ("q=x&r=%26", {"Host": "a&b"}, "/en/x?h=a%26b&r=%26&z=1"),
])
def test_places_in_the_url(ask, query, headers, target):
    response, lines = ask("named", query, headers)
    assert (response.status, lines) == (200, [f"GET {target} HTTP/1.1"])


def test_headers(ask, api):
    response, lines = ask("plain", "q=1", {
        "Cookie": "a=0; c=x, y \"z; sid=1&2#3", "X-Cur": "EUR; q=1, CHF",
        "Accept-Language": "fr, de", "Host": "shop.test:8080", "X-Other": "1", "Accept": "x/y", "Authorization": "Bearer x"})
    assert response.status == 200
    assert lines == ["GET /plain?q=1 HTTP/1.1", "Cookie: sid=1&2#3; c=x, y \"z",
                     "x-cur: EUR; q=1, CHF", "Accept-Language: de",
                     "X-Forwarded-Host: shop.test:8080"]
    headers = api.requests()[-1].headers
    assert headers["accept"].startswith("text/html") and headers["x-token"] == "secret"


def test_without_inputs(ask):
    """Absent, and empty; the connection to the API is the same one."""
    ask("plain", "q=1", {"Cookie": "sid=1", "X-Cur": "EUR"})
    _, lines = ask("plain")
    assert lines == ["GET /plain HTTP/1.1", "Accept-Language: en", "X-Forwarded-Host: localhost"]
    _, lines = ask("plain", "q=", {"Cookie": "sid=", "Host": "h"})
    assert lines == ["GET /plain?q= HTTP/1.1", "Cookie: sid=", "Accept-Language: en",
                     "X-Forwarded-Host: h"]


def test_our_own_headers_give_way(ask, api):
    ask("accept", headers={"Accept": "x/y", "User-Agent": "me"})
    headers = api.requests()[-1].headers
    assert (headers["accept"], headers["user-agent"]) == ("x/y", "me")
    heads = api.requests()[-1].head.lower()
    assert heads.count(b"\naccept:") == heads.count(b"\nuser-agent:") == 1


def test_post(ask, api):
    """The headers of the body stay."""
    _, lines = ask("post", "q=1", {"Cookie": "sid=1"})
    assert sorted(lines) == ["Content-Length: 13", "Content-Type: application/json",
                             "Cookie: sid=1", "POST /p?q=1 HTTP/1.1"]
    assert api.requests()[-1].body == b'{"n": "post"}'
