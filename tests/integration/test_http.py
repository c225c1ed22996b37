"""What the front server's client sees: methods, names, statuses, headers, and what it gets for each
answer of a source."""

import re

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.peer import Peer, new_name
from harness.wait import SLOWNESS, wait_until

FALLBACK = "<p class='sorry'>This part is away.</p>\n"

TEXT = """
source "api"    {{ type = "http" url = "@API@/{{name}}" timeout = "60s" }}
source "hasty"  {{ type = "http" url = "@API@/{{name}}" timeout = "200ms" }}
source "narrow" {{ type = "http" url = "@API@/{{name}}" max_body = "1KiB" }}
source "nobody" {{ type = "http" url = "http://127.0.0.1:1/{{name}}" }}
source "quick"  {{ type = "simulated" delay = "0-10ms" }}
fragment "hasty/*"     {{ source = "hasty" }}
fragment "narrow/*"    {{ source = "narrow" }}
fragment "nobody/*"    {{ source = "nobody" }}
fragment "quick/*"     {{ source = "quick" }}
fragment "brief/*"     {{ source = "api" hold = "50ms" }}
fragment "fresh/*"     {{ source = "api" ttl = "0" }}
fragment "fall/hasty"  {{ source = "hasty" fallback = "{fallback}" }}
fragment "fall/nobody" {{ source = "nobody" fallback = "{fallback}" }}
fragment "fall/*"      {{ source = "api" fallback = "{fallback}" }}
fragment "only"        {{ source = "quick" }}
fragment "n*"          {{ source = "api" ttl = "90s" }}
fragment "t/*"         {{ source = "api" }}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    fallback = tmp_path_factory.mktemp("http") / "fallback.html"
    fallback.write_text(FALLBACK)
    with Peer(text=TEXT.format(fallback=fallback)) as opened:
        yield opened


@pytest.fixture
def peer(shared):
    shared.ensure()
    yield shared
    shared.check()


@pytest.fixture
def get(peer):
    """get(name, **options of fcgi.request) -> Response, for a fragment."""
    with peer.connect() as connection:
        yield lambda name="", **options: connection.request(f"/fragment/{name}", **options)


@pytest.fixture
def connection(peer):
    with peer.connect() as opened:
        yield opened


def cache_status(response) -> dict:
    """Cache-Status (RFC 9211) of one cache: {"hit": True, "ttl": "59"}."""
    cache, *parameters = [part.strip() for part in response.headers["cache-status"].split(";")]
    assert cache == "workerless"
    return {name: value or True for name, _, value in (part.partition("=") for part in parameters)}


# Methods, paths, names.


def test_get(get):
    name = new_name()
    response = get(name)
    assert response.status == 200
    assert response.text == f'<div id="{name}">result for {name}</div>'
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-length"] == str(len(response.body))


def test_head(get):
    name = new_name()
    for _ in range(2):  # parked, and from the cache
        head = get(name, method="HEAD")
        assert (head.status, head.body) == (200, b"")
    whole = get(name)
    for header in ("content-type", "content-length", "etag", "cache-control"):
        assert head.headers[header] == whole.headers[header]
    head = get("unknown", method="HEAD")
    assert (head.status, head.body) == (404, b"")
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "GETS"])
def test_other_methods(get, peer, method):
    response = get("n-other", method=method, body=b"abc")
    assert response.status == 405
    assert sorted(re.split(r",\s*", response.headers["allow"])) == ["GET", "HEAD"]
    assert peer.api.calls("n-other") == 0


@pytest.mark.parametrize("method", ["", None])
def test_no_method(get, method):
    assert get(new_name(), extra={"REQUEST_METHOD": method}).status in (400, 405)


@pytest.mark.parametrize("path", [
    "/", "", "/fragment", "/fragments/", "/Fragment/n", "/fragmentn", "/x/fragment/n",
    "/workerless", "/workerless/health/", "/fragment/unknown", "/fragment/only/", "/fragment/onl",
    "/fragment/onlyy"])
def test_unknown(connection, path):
    response = connection.request(path)
    assert response.status == (400 if path == "/fragment/only/" else 404)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", [
    b"", b".", b"..", b"n/../n", b"n/./n", b"n//n", b"/n", b"n/", b"n/..", b"../n", b"n\0", b"n\n",
    b"n\x7f", b"n\x1b[1m", b"n\xff", b"n\xc0\xaf", b"n\xed\xa0\x80", b"n" * 256, b"n" * 5000])
def test_bad_names(connection, name):
    response = connection.request(extra={"DOCUMENT_URI": b"/fragment/" + name})
    assert response.status == 400
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["n" * 255, "n.", "n..", "n.html", "n/a/b", "n a", "n+a", "né",
                                  "n☃", "n%41", "n{x}", "n?q", "n#f", "n\"<&>'"])
def test_good_names(connection, peer, name):
    """They arrive decoded from the front server, and are sent percent-encoded to the API."""
    response = connection.request(extra={"DOCUMENT_URI": f"/fragment/{name}"})
    assert response.status == 200
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") \
        .replace('"', "&quot;").replace("'", "&#39;")
    assert response.text == f'<div id="{escaped}">result for {escaped}</div>'
    call = peer.api.requests()[-1]
    assert re.fullmatch(r"/([A-Za-z0-9._~/-]|%[0-9A-F]{2})+", call.path)


@pytest.mark.parametrize("values", [
    {"DOCUMENT_URI": "/fragment/{}"},
    {"DOCUMENT_URI": "/fragment/{}", "SCRIPT_NAME": "/wrong", "PATH_INFO": "/wrong"},
    {"SCRIPT_NAME": "/fragment/{}"},
    {"SCRIPT_NAME": "/fragment/{}", "PATH_INFO": ""},
    {"SCRIPT_NAME": "", "PATH_INFO": "/fragment/{}"},
    {"PATH_INFO": "/fragment/{}"},
    {"SCRIPT_NAME": "/fragment", "PATH_INFO": "/{}"},
    {"DOCUMENT_URI": "", "SCRIPT_NAME": "/fragment/{}"},
    {"SCRIPT_NAME": "/fragment/{}", "REQUEST_URI": "/elsewhere?x"}])
def test_where_the_path_is(connection, values):
    name = new_name()
    params = {"REQUEST_METHOD": "GET", **{key: text.format(name) for key, text in values.items()}}
    response = connection.request(params=params)
    assert response.text == f'<div id="{name}">result for {name}</div>'


def test_the_query_is_not_part_of_the_key(get, peer):
    name = new_name()
    assert get(name, query="a=1").status == 200
    assert cache_status(get(name, query="a=2"))["hit"]
    assert peer.api.calls(name) == 1


def test_health(connection):
    response = connection.request("/workerless/health")
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.body
    head = connection.request("/workerless/health", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert connection.request("/workerless/health", method="POST").status == 405


# Caching, as HTTP tells it.


def test_cache_status_and_age(get, peer):
    name = new_name()
    first, second = get(name), get(name)
    assert cache_status(first) == {"fwd": "miss", "stored": True, "ttl": cache_status(first)["ttl"],
                                   "detail": "source"}
    assert 0 <= int(cache_status(first)["ttl"]) <= 90
    assert cache_status(second) == {"hit": True, "ttl": cache_status(second)["ttl"],
                                    "detail": "memory"}
    for response in (first, second):
        assert response.headers["cache-control"] == "max-age=90"
        left = int(cache_status(response)["ttl"]) + int(response.headers["age"])
        assert 88 <= left <= 90  # both are rounded down
    assert peer.api.calls(name) == 1


def test_a_route_that_is_not_cached(get, peer):
    name = "fresh/" + new_name()
    for count in (1, 2):
        response = get(name)
        assert cache_status(response) == {"fwd": "miss", "detail": "source"}
        assert re.fullmatch("no-cache|no-store|max-age=0", response.headers["cache-control"])
        assert peer.api.calls(name) == count


def test_failures_are_not_cached(get, peer):
    name = new_name()
    peer.api.answer(name, status=500)
    response = get(name)
    assert (response.status, response.headers["cache-control"]) == (502, "no-store")
    assert "etag" not in response.headers
    peer.api.answer(name, body="well again")
    assert "well again" in get(name).text
    assert peer.api.calls(name) == 2


def test_etag(get, peer):
    one, two, three = new_name(), new_name(), new_name()
    for name in (one, two):
        peer.api.answer(name, type="text/html", body="<i>same</i>")
    peer.api.answer(three, type="text/html", body="<i>other</i>")
    tags = [get(name).headers["etag"] for name in (one, two, three)]
    assert all(re.fullmatch(r'"[\x21\x23-\x7e]+"', tag) for tag in tags)  # strong: no W/
    assert tags[0] == tags[1] != tags[2]
    assert get(one).headers["etag"] == tags[0]


@pytest.mark.parametrize("header, status", [
    ("{}", 304), ("W/{}", 304), ('"x", {}', 304), ('{},"x"', 304), ('"x" , W/{} ,"y"', 304),
    ("*", 304), (" {} ", 304), ('"x"', 200), ("", 200), ("{}x", 200), ('"x", "y"', 200),
    ("W/", 200), (",", 200), ("**", 200), ('"a,b", {}', 304)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match(get, peer, header, status, method):
    name = peer.cached()
    whole = get(name)
    etag = whole.headers["etag"]
    response = get(name, method=method, headers={"If-None-Match": header.format(etag)})
    assert response.status == status
    assert response.headers["etag"] == etag
    assert response.headers["cache-control"] == whole.headers["cache-control"]
    if status == 304:
        assert response.body == b""
        assert response.headers.get("content-length") in (None, whole.headers["content-length"])
    else:
        assert response.body == (b"" if method == "HEAD" else whole.body)


def test_if_none_match_of_a_parked_request(get, peer):
    name = "fresh/" + new_name()
    etag = get(name).headers["etag"]
    peer.api.hold(name)
    with peer.connect() as other:
        other.send_raw(fcgi.request(f"/fragment/{name}", headers={"If-None-Match": etag}))
        other.sync()
        peer.api.release(name)
        assert (other.response().status, other.response().body) == (304, b"")


# The hold.


def test_not_ready_within_the_hold(get, peer):
    name = "brief/" + new_name()
    peer.api.hold(name)
    for _ in range(2):
        response = get(name)
        assert response.status == 202
        assert response.headers["retry-after"] == "0"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"].startswith("text/html")
        assert "etag" not in response.headers
    head = get(name, method="HEAD")
    assert (head.status, head.body) == (202, b"")
    peer.api.release(name)
    wait_until(lambda: get(name).status == 200, "the fragment to be ready")
    assert peer.api.calls(name) == 1


# What clients get for the API's answers.


@pytest.mark.parametrize("status, seen", [
    (200, 200), (203, 200), (201, 502), (202, 502), (206, 502), (404, 404), (410, 404), (400, 502), (401, 502), (403, 502),
    (429, 502), (500, 502), (503, 502), (304, 502), (305, 502)])
def test_statuses_of_the_api(get, peer, status, seen):
    name = new_name()
    peer.api.answer(name, status=status, body="" if status == 304 else "the body")
    response = get(name)
    assert response.status == seen
    if seen != 200:
        assert b"the body" not in response.body
        assert response.headers["cache-control"] == "no-store"


def test_an_empty_success(get, peer):
    name = new_name()
    peer.api.answer(name, status=204, type="")
    response = get(name)
    assert (response.status, response.body) == (200, b"")


def test_timeout(get, peer):
    name = "hasty/" + new_name()
    peer.api.hold(name)
    assert get(name).status == 504
    stalled = "hasty/" + new_name()
    peer.api.hold(stalled)
    peer.api.answer(stalled, body="x" * 100, cut=50, stall=True)
    assert get(stalled).status == 504


@pytest.mark.parametrize("size, status", [(0, 200), (1023, 200), (1024, 200), (1025, 502),
                                          (300_000, 502)])
@pytest.mark.parametrize("chunked", [False, True])
def test_size_limit(get, peer, size, status, chunked):
    name = "narrow/" + new_name()
    peer.api.answer(name, type="text/html", body="x" * size, chunked=chunked)
    response = get(name)
    assert response.status == status
    if status == 200:
        assert response.body == b"x" * size


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_breaks_off(get, peer, chunked):
    name = new_name()
    peer.api.answer(name, body="x" * 1000, cut=500, chunked=chunked)
    assert get(name).status == 502
    peer.api.answer(name, body="x" * 1000)
    assert get(name).status == 200


def test_nobody_there(get):
    assert get("nobody/" + new_name()).status == 502


def test_redirects(get, peer):
    name = new_name()
    peer.api.answer(name, status=302, headers={"Location": f"/{name}-2"})
    peer.api.answer(f"{name}-2", status=301, headers={"Location": f"{peer.api.url}/{name}-3"})
    peer.api.answer(f"{name}-3", status=307, headers={"Location": f"{name}-4"})
    peer.api.answer(f"{name}-4", body="at last")
    assert "at last" in get(name).text


def test_a_redirect_too_many(get, peer):
    name = new_name()
    peer.api.answer(name, status=302, headers={"Location": f"/{name}"})
    assert get(name).status == 502
    assert peer.api.calls(name) == 4  # the call itself and three redirects


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1:1/", "gopher://x/",
                                      "dict://127.0.0.1:1/", "//", "http://[", ""])
def test_redirects_elsewhere(get, peer, location):
    name = new_name()
    peer.api.answer(name, status=302, headers={"Location": location})
    assert get(name).status == 502
    assert peer.api.calls(name) <= 4


def test_connections_are_used_again(get, peer):
    used = set()
    for _ in range(5):
        name = new_name()
        assert get(name).status == 200
        used.add(peer.api.requests(name)[0].connection)
    assert len(used) == 1


def test_simulated(get):
    name = new_name()
    assert get(f"quick/{name}").text == f'<div id="quick/{name}">result for quick/{name}</div>'
    assert get("only").text == '<div id="only">result for only</div>'


# The fallback.


@pytest.mark.parametrize("name, status", [("bad", 502), ("hasty", 504), ("nobody", 502)])
def test_fallback(get, peer, name, status):
    peer.api.answer("fall/bad", status=500, body="secret trouble")
    peer.api.hold("fall/hasty")
    response = get(f"fall/{name}")
    assert (response.status, response.text) == (status, FALLBACK)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-length"] == str(len(FALLBACK))
    head = get(f"fall/{name}", method="HEAD")
    assert (head.status, head.body) == (status, b"")


def test_failures_without_fallback_say_little(get, peer):
    name = new_name()
    peer.api.answer(name, status=500, body="secret trouble")
    response = get(name)
    assert response.status == 502 and "secret" not in response.text
    assert peer.api.url.partition("://")[2] not in response.text
    assert response.headers["content-type"].startswith("text/html")


# Rendering.


def test_html_passes_as_it_is(get, peer):
    name = new_name()
    body = b"<p>\xff\0 <script>a && b</script>\r\n</p>"
    peer.api.answer(name, type="text/html; charset=iso-8859-1", body=body)
    response = get(name)
    assert response.body == body
    assert response.headers["content-type"] == "text/html; charset=iso-8859-1"


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "application/json",
                                  "text/csv", "TEXT/PLAIN", ""])
def test_text_is_escaped(get, peer, kind):
    name = "t/a'b\"<&>" + new_name()
    peer.api.answer("t/a%27b%22%3C%26%3E" + name[9:], type=kind,
                    body="<script>\"x\" & 'y'</script>\n")
    response = get(name)
    assert response.text == (f'<div id="t/a&#39;b&quot;&lt;&amp;&gt;{name[9:]}">&lt;script&gt;'
                             "&quot;x&quot; &amp; &#39;y&#39;&lt;/script&gt;\n</div>")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "video/mp4"])
def test_what_is_not_text(get, peer, kind):
    name = new_name()
    peer.api.answer(name, type=kind, body=b"\x89PNG")
    assert get(name).status == 502


def test_many_headers(get, peer):
    """They take time in proportion to their number, and too many are a failure."""
    def seconds(count: int, status: int, times: int = 8) -> float:
        before = peer.server.cpu_seconds()
        for name in (new_name() for _ in range(times)):
            peer.api.answer(name, type="text/html", body="x",
                            headers={f"x{number:05d}": "1" for number in range(count)})
            assert get(name).status == status
        return peer.server.cpu_seconds() - before

    few, many = seconds(900, 200), seconds(4500, 200)  # newer versions of libcurl take 5,000
    assert many < 10 * few + 0.2 * SLOWNESS
    seconds(60000, 502, times=1)


@pytest.mark.parametrize("cacheable", [True, False])
def test_headers_of_the_api_stay_there(get, peer, cacheable):
    name = new_name()
    forbids = {} if cacheable else {"Set-Cookie": "session=secret", "Cache-Control": "private"}
    peer.api.answer(name, type="text/html", body="x", headers={
        "X-Secret": "1", "ETag": '"theirs"', "Age": "10", "Location": "/x", "Status": "500 x",
        **forbids})
    for _ in range(2):
        response = get(name)
        assert response.status == 200
        assert not {"set-cookie", "x-secret", "location"} & set(response.headers)
        assert ("etag" in response.headers) == cacheable
        assert response.headers.get("etag") != '"theirs"' and response.headers.get("age") != "10"


def test_nothing_of_the_client_goes_to_the_api(get, peer):
    """What is forwarded is exactly what the key holds: the name."""
    name = new_name()
    assert get(name, query="q=secret", headers={
        "Cookie": "secret=1", "Authorization": "Basic secret", "User-Agent": "secret",
        "X-Forwarded-For": "secret", "Accept-Language": "secret"}).status == 200
    call, = peer.api.requests(name)
    assert call.method == "GET"
    assert "secret" not in repr(call)


@pytest.mark.parametrize("kind", ["text/html\x01x", "text/html; a=\"" + "y" * 9000 + '"'])
def test_odd_types(get, peer, kind):
    """Whatever the status, the response is valid (fcgi.py checks its headers)."""
    name = new_name()
    peer.api.answer(name, type=kind, body="odd")
    response = get(name)
    assert response.status in (200, 502)
    assert response.headers["content-length"] and response.head_size < 4096


def test_a_response_of_a_connection_of_its_own(peer):
    with Connection(peer.server.address) as connection:
        assert connection.request(f"/fragment/{new_name()}", keep=False).status == 200
        connection.expect_close()


# What the operator is told.


def test_a_request_without_a_path(daemon):
    """As sent by an nginx without fastcgi_param lines: it is logged once."""
    server = daemon()
    with Connection(server.address) as connection:
        for _ in range(3):
            response = connection.request(params={"REQUEST_METHOD": "GET"})
            assert response.status == 404
    assert server.log().count("neither DOCUMENT_URI nor SCRIPT_NAME") == 1


def test_a_bound_that_is_reached(daemon, api):
    server = daemon(extra="max_parked = 1")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        api.wait_calls("a", 1)
        for name in ("b", "c"):
            assert connection.request(f"/fragment/{name}", 2).status == 503
        api.release("a")
        assert connection.response(1).status == 200
    assert server.log().count("max_parked is reached: requests are rejected with 503") == 1
