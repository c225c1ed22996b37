"""What the source says about its answer, end to end: who may get it, for how long, how it is
refreshed, and which of its header fields are passed on. (RFC 9111, 9213, 5861;
tests/unit/test_terms.c has every rule. Here each kind of rule meets a real upstream and a real
Redis.)"""

from __future__ import annotations

import re
import time
from email.utils import formatdate

import pytest

from harness import fronts
from harness.config import api_config
from harness.fcgi import Connection
from harness.httpc import get
from harness.servers import Workerless
from harness.wait import SLOWNESS, wait_until


def html(api, name: str, body: str, **headers: str) -> None:
    """Sets the API's answer; of a header's name, _ stands for -."""
    api.answer(name, body=body, type="text/html",
               headers={key.replace("_", "-"): value for key, value in headers.items()})


def test_the_next_visitor_does_not_get_it(daemon, api, redis, name):
    """A page for one user, with a session."""
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
    server.wait_log(f'fragment "{name}": the source forbids caching and sharing its result: '
                    "Set-Cookie")


# Who may get it (RFC 9111 3, 5.2.2).


@pytest.mark.parametrize("reason, headers", [
    ("Set-Cookie", {"Set_Cookie": "a=1"}),
    ("no-store", {"Cache_Control": "max-age=60, no-store"}),
    ("no-cache", {"Cache_Control": 'no-cache="x"'}),
    ("private (", {"Cache_Control": 'max-age=60, private="x"'}),
    ('"Vary: *"', {"Vary": "Accept-Encoding, *"}),
    ('"Vary: X-Currency" (add "header:X-Currency" to its vary)', {"Vary": "X-Currency"}),
    ("no-store", {"CDN_Cache_Control": "max-age=60, no-store", "Cache_Control": "public"}),
    ("Surrogate-Control: no-store", {"Surrogate_Control": "no-store"}),
    ("private (", {"Cache_Control ": "private"}),  # blanks before the colon (RFC 9112 5.1)
    ("Set-Cookie", {"Set_Cookie\t": "a=1"}),
    ("no-store", {"Cache_Control": "max-age=60,\r\n no-store"}),  # in a folded line (5.2)
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
    server.wait_log(f'fragment "{name}": the source forbids caching and sharing its result: '
                    f"{reason}")
    assert server.log().count("forbids caching") == 1


def test_private_without_a_user(daemon, api, redis, name):
    """Who has no session, or an empty one, shares a key with all others who have none."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  ttl = "60s"  private = "yes"
                             vary = {{"cookie:session", "header:x-currency"}} }}""")
    with Connection(server.address) as connection:
        for cookie in ({}, {"Cookie": "session=; other=1"}):
            for count in (1, 2):
                html(api, name, f"basket {count}", Cache_Control="private")
                response = connection.request(f"/fragment/{name}",
                                              headers={"X-Currency": "EUR", **cookie})
                assert response.text == f"basket {count}"
                assert response.headers["cache-control"] == "private, no-store"
        html(api, name, "Alice's", Cache_Control="private")
        for count in (1, 2):
            response = connection.request(f"/fragment/{name}", headers={"Cookie": "session=a"})
            assert response.text == "Alice's"
            html(api, name, "another")
    server.wait_log("forbids caching and sharing its result: private (and the request has no input "
                    "that identifies its user)")


@pytest.mark.parametrize("reason, headers", [
    ("Set-Cookie", {"Set-Cookie": "JSESSIONID=1"}),
    ("no-store", {"Cache-Control": "no-store"}),
    ("private (", {"Cache-Control": "private"}),
    ('"Vary: Cookie" (add "cookie:NAME" to its vary)', {"Vary": "Cookie"}),
])
def test_never_shared_behind_a_redirect(daemon, api, redis, name, reason, headers):
    """The target may be shared, but not that it is the one's target: that may be the session of
    who asked first."""
    server = daemon(redis=redis.url)
    with Connection(server.address) as connection:
        for user in ("Alice", "Bob"):
            api.answer(name, status=302, headers={"Location": f"/{name}/next", **headers})
            api.answer(f"{name}/next", status=302, headers={"Location": f"/{name}/{user}"})
            html(api, f"{name}/{user}", f"{user}'s", Cache_Control="public, max-age=60")
            response = connection.request(f"/fragment/{name}")
            assert response.text == f"{user}'s"
            assert response.headers["cache-control"] == "private, no-store"
    server.wait_log(f'fragment "{name}": the source forbids caching and sharing its result: '
                    f"a redirect with {reason}")


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
    """The operator overrides it, and the log says what that means."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  ttl = "60s"  origin = "ignore" }}""")
    html(api, name, "one", Set_Cookie="a=1", Cache_Control="private, no-store", Vary="*")
    with Connection(server.address) as connection:
        for _ in range(2):
            response = connection.request(f"/fragment/{name}")
            assert response.text == "one" and "set-cookie" not in response.headers
            assert response.headers["cache-control"] == "max-age=60"
    assert api.calls(name) == 1
    assert f'fragment "{name}" caches results that its source forbids sharing' in server.log()


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


# For how long it is fresh (RFC 9111 4.2).

def fresh_for(redis, name: str) -> float:
    """The lifetime in the envelope, in seconds."""
    value = wait_until(lambda: redis.command("GET", f"worker:{name}"), "the value")
    made, fresh = re.match(rb"workerless/1 made=(\d+) fresh=(\d+) ", value).groups()
    return (int(fresh) - int(made)) / 1000


def envelope(redis, name: str) -> bytes:
    """The header line, without its times and its type."""
    value = wait_until(lambda: redis.command("GET", f"worker:{name}"), "the value")
    return re.match(rb"[^\n]* cost=\d+ status=\d+(.*) type=[^\n]*\n", value).group(1).strip()


FRESHNESS = [
    ({}, 60),
    ({"Cache_Control": "max-age=600"}, 600),
    ({"Cache_Control": "max-age=600, s-maxage=300"}, 300),
    ({"Cache_Control": "max-age=600", "Age": "100"}, 500),
    ({"Cache_Control": "max-age=nonsense, stale-if-error=9"}, 0),
    ({"Expires": "Fri, 01 Jan 2100 00:00:00 GMT", "Cache_Control": "s-maxage=30"}, 30),
    ({"Surrogate_Control": "max-age=700", "Cache_Control": "s-maxage=60"}, 700),
    ({"CDN_Cache_Control": "max-age=800", "Surrogate_Control": "max-age=700"}, 800),
    ({"CDN_Cache_Control": "max-age=800,", "Cache_Control": "max-age=90"}, 90),
    ({"CDN_Cache_Control": "public", "Cache_Control": "max-age=90"}, 60),
]


@pytest.mark.parametrize("headers, seconds", FRESHNESS)
def test_freshness(daemon, api, redis, name, headers, seconds):
    """A route without a ttl takes the source's; `default_ttl` is for those without one."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    html(api, name, "one", **headers)
    with Connection(server.address) as connection:
        response = connection.request(f"/fragment/{name}")
        assert fresh_for(redis, name) == seconds
        left = int(re.search(r"ttl=(-?\d+)", response.headers["cache-status"]).group(1))
        assert seconds - 20 <= left <= seconds
        told = response.headers["cache-control"].split(",")[0]
        assert told == "no-cache" if seconds == 0 else \
            seconds - 20 <= int(told.removeprefix("max-age=")) <= seconds


def test_expires(daemon, api, redis, name):
    """Expires - Date (RFC 9111 4.2.1), and an Expires that is no date (5.3)."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}*" {{ source = "api" }}')
    with Connection(server.address) as connection:
        html(api, name, "one", Expires=formatdate(time.time() + 3600, usegmt=True))
        connection.request(f"/fragment/{name}")
        assert 3598 <= fresh_for(redis, name) <= 3602
        html(api, f"{name}-0", "one", Expires="0")
        assert connection.request(f"/fragment/{name}-0").headers["cache-control"] == "no-cache"
        connection.request(f"/fragment/{name}-0")
        assert api.calls(f"{name}-0") == 2


@pytest.mark.parametrize("options, control, seconds", [
    ('ttl = "20s"', "max-age=600", 20),  # ours counts
    ('ttl = "20s"', "max-age=0", 20),
    ('ttl_max = "1m"', "max-age=600", 60),
    ('ttl_min = "5s"', "max-age=0", 5),
    ('ttl_min = "5s"  default_ttl = "2s"', "public", 2),
    ('default_ttl = "2m"', "", 120),
])
def test_bounds(daemon, api, redis, name, options, control, seconds):
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api"  {options} }}')
    html(api, name, "one", Cache_Control=control)
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
    assert fresh_for(redis, name) == seconds


@pytest.mark.parametrize("options, control, written, told", [
    ('ttl = "60s"', "max-age=600", b"", "max-age=60"),
    ("", "max-age=600", b"stale=0 error=0", "max-age=600"),
    ("", "max-age=600, stale-while-revalidate=30, stale-if-error=90",
     b"stale=30000 error=90000", "max-age=600, stale-while-revalidate=30, stale-if-error=90"),
    ('stale = "5s"', "max-age=600, stale-while-revalidate=30, stale-if-error=90",
     b"stale=5000 error=90000", "max-age=600, stale-while-revalidate=5, stale-if-error=90"),
    ('ttl = "60s"', "stale-while-revalidate=30",
     b"stale=30000 error=0", "max-age=60, stale-while-revalidate=30"),
    ('stale = "5s"  stale_error = "7s"', "max-age=600, must-revalidate",
     b"stale=0 error=0 must-revalidate", "max-age=600, must-revalidate"),
    ('ttl = "60s"  stale = "5s"', "proxy-revalidate",
     b"stale=0 error=0 must-revalidate", "max-age=60, must-revalidate"),
    ("", "max-age=10, s-maxage=600", b"stale=0 error=0 clients=10", "max-age=10"),
    ("", "max-age=600, s-maxage=10", b"stale=0 error=0 clients=600", "max-age=10"),
    ("", "max-age=0, s-maxage=600", b"stale=0 error=0 clients=0", "no-cache"),
    ('ttl = "60s"', "max-age=10, s-maxage=600", b"", "max-age=60"),
    ('browser_ttl = "20s"', "max-age=10, s-maxage=600", b"stale=0 error=0 clients=10",
     "max-age=20"),
    ('browser_ttl = "10s"', "max-age=600", b"stale=0 error=0", "max-age=10"),
    ('browser_ttl = "0"', "max-age=600, must-revalidate",
     b"stale=0 error=0 must-revalidate", "no-cache, must-revalidate"),
])
def test_stale_times(daemon, api, redis, name, options, control, written, told):
    """RFC 5861: the source's count where the route has none; RFC 9111 5.2.2.2 forbids both."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api"  {options} }}')
    html(api, name, "one", Cache_Control=control)
    with Connection(server.address) as connection:
        said = connection.request(f"/fragment/{name}").headers["cache-control"]
    ages = [int(seconds) for seconds in re.findall(r"max-age=(\d+)", said + told)]
    assert re.sub(r"max-age=\d+", "", said) == re.sub(r"max-age=\d+", "", told)
    assert max(ages, default=0) - min(ages, default=0) <= SLOWNESS, said  # some of it has passed
    assert envelope(redis, name) == written


@pytest.mark.parametrize("control, written, told", [
    ("private, no-store", b"clients=no-store", "no-store"),
    ("no-cache", b"clients=0", "no-cache"),
    ("max-age=30", b"clients=30", "max-age=30"),
    ("public", b"", "max-age=600"),
])
def test_clients_get_what_cache_control_says(daemon, api, redis, name, control, written, told):
    """RFC 9213 2.2: CDN-Cache-Control is for us only."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    html(api, name, "one", CDN_Cache_Control="max-age=600", Cache_Control=control)
    with Connection(server.address) as connection:
        for _ in range(2):
            assert connection.request(f"/fragment/{name}").headers["cache-control"] == told
            assert envelope(redis, name) == (b"stale=0 error=0 " + written).strip()
    assert api.calls(name) == 1


def age(redis, name: str, seconds: int) -> None:
    """Makes the entry in Redis so much older."""
    value = redis.command("GET", f"worker:{name}")
    older = re.sub(rb"(made|fresh)=(\d+)",
                   lambda found: b"%s=%d" % (found[1], int(found[2]) - seconds * 1000), value,
                   count=2)
    redis.command("SET", f"worker:{name}", older, "KEEPTTL")


def test_stale_while_revalidate_of_the_source(daemon, api, redis, name):
    """A stale entry is served, and refreshed; stale-if-error hides a failure of that."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}*" {{ source = "api" }}')
    html(api, name, "one", Cache_Control="max-age=100, stale-while-revalidate=50, "
                                         "stale-if-error=90")
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        assert 180_000 <= redis.command("PTTL", f"worker:{name}") <= 190_000
        age(redis, name, 120)
        html(api, name, "two", Cache_Control="max-age=100, stale-while-revalidate=50, "
                                             "stale-if-error=90")
        stale = wait_until(lambda: cache_status(connection, name, "hit"), "the older entry")
        assert stale.text == "one" and "hit; ttl=-2" in stale.headers["cache-status"]
        wait_until(lambda: connection.request(f"/fragment/{name}").text == "two", "the refresh")
        wait_until(lambda: b"two" in redis.command("GET", f"worker:{name}"), "the store")
        age(redis, name, 170)
        api.answer(name, status=500)
        failed = wait_until(lambda: cache_status(connection, name, "fwd=stale"), "the failure")
        assert failed.status == 200 and failed.text == "two"


def cache_status(connection, name: str, what: str):
    """The response, if its Cache-Status says that of an entry that is stale."""
    response = connection.request(f"/fragment/{name}")
    told = response.headers["cache-status"]
    return response if f"{what}; ttl=-" in told else None


def test_must_revalidate_forbids_stale(daemon, api, redis, name):
    """RFC 9111 5.2.2.2: a failure is served rather than a stale entry, whatever the route says."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  stale = "1h"  stale_error = "2h" }}""")
    html(api, name, "one", Cache_Control="max-age=100, must-revalidate")
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        api.answer(name, status=500)
        age(redis, name, 110)
        wait_until(lambda: connection.request(f"/fragment/{name}").status == 502, "the failure")


def test_soft_purge(daemon, api, redis, name):
    """It shortens the freshness of an entry on terms as well, and leaves the terms alone."""
    server = daemon(redis=redis.url, extra=f"""
        purge = {{"127.0.0.1"}}
        fragment "{name}" {{ source = "api" }}""")
    html(api, name, "one", Cache_Control="max-age=100, stale-while-revalidate=50")
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        before = envelope(redis, name)
        assert fresh_for(redis, name) == 100 and before == b"stale=50000 error=0"
        assert connection.request(f"/fragment/{name}", method="PURGE",
                                  headers={"Workerless-Purge": "soft"}).status == 204
        assert fresh_for(redis, name) < 100 and envelope(redis, name) == before
        html(api, name, "two")
        stale = connection.request(f"/fragment/{name}")
        assert stale.text == "one" and "hit" in stale.headers["cache-status"]
        wait_until(lambda: connection.request(f"/fragment/{name}").text == "two", "the refresh")


# Which of its header fields go along.

KEEP = 'keep = {"link", "Content-Language", "server-timing"}'


def test_kept_fields(daemon, api, redis, name):
    """They are in every answer with the result, wherever it comes from; all others are not."""
    servers = [daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  {KEEP} }}""") for _ in range(2)]
    html(api, name, "one", Link="</a.css>; rel=preload", CONTENT_LANGUAGE="de",
         Server_Timing="db;dur=5", X_Powered_By="test", Connection="keep-alive")
    for server in servers:
        with Connection(server.address) as connection:
            for _ in range(2):
                response = connection.request(f"/fragment/{name}")
                assert response.text == "one"
                assert response.headers["link"] == "</a.css>; rel=preload"
                assert response.headers["content-language"] == "de"
                assert re.fullmatch(r"source;dur=\d+, db;dur=5", response.headers["server-timing"])
                assert not {"x-powered-by", "connection"} & set(response.headers)
                etag = response.headers["etag"]
                fresh_for(redis, name)
            same = connection.request(f"/fragment/{name}", headers={"If-None-Match": etag})
            assert same.status == 304 and same.headers["content-language"] == "de"
    assert api.calls(name) == 1


def test_kept_fields_of_what_is_not_shared(daemon, api, name):
    server = daemon(extra=f'fragment "{name}" {{ source = "api"  {KEEP} }}')
    html(api, name, "one", Link="<a>", Cache_Control="private")
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}").headers["link"] == "<a>"


def test_kept_fields_have_a_bound(tmp, run, daemon, api, name):
    """2 KiB fit into the first buffer of nginx; a field that does not fit is left out, and that is
    logged once."""
    server = daemon(extra=f'fragment "{name}*" {{ source = "api"  {KEEP} }}')
    front = run(fronts.nginx(tmp, server.socket_path))
    html(api, name, "one", Link="<" + "a" * 2000 + ">", Server_Timing="db")
    for _ in range(2):
        reply = get(front.address, f"/fragment/{name}")
        assert reply.status == 200 and len(reply.headers["link"]) == 2002
    html(api, f"{name}-2", "two", Link="<" + "a" * 2500 + ">", CONTENT_LANGUAGE="de")
    html(api, f"{name}-3", "three", Link="<" + "a" * 2500 + ">")
    for suffix in ("-2", "-3"):
        reply = get(front.address, f"/fragment/{name}{suffix}")
        assert reply.status == 200 and "link" not in reply.headers
    assert get(front.address, f"/fragment/{name}-2").headers["content-language"] == "de"
    assert server.log().lower().count('the header field "link" is not kept') == 1


@pytest.mark.parametrize("field", ["set-cookie", "Content-Length", "connection", "etag", "age",
                                   "X-Accel-Redirect", "x-sendfile", "Vary", "Status", "a b"])
def test_fields_that_are_never_kept(tmp, api, name, field):
    server = Workerless(tmp, api_config(api, extra=f"""
        fragment "{name}" {{ source = "api"  keep = {{"{field}"}} }}"""))
    server.spawn()
    assert server.wait() == 1
    assert f'keep = "{field}": this ' in server.log()


# Whether it has changed (RFC 9110 13.1, RFC 9111 4.3).


class Versions:
    """An upstream whose answer has validators, and which answers 304 to who has it."""

    def __init__(self, api, name: str) -> None:
        self.api, self.name = api, name
        self.body, self.headers = "one", {}

    def set(self, body: str, **headers: str) -> None:
        """Names in `headers` as for html."""
        self.body = body
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}
        self.api.answer(self.name, body=body, type="text/html", headers=self.headers)

    def unchanged(self, **headers: str) -> None:
        """From now on it answers 304, whatever it is asked."""
        self.api.answer(self.name, status=304, type="",
                        headers={key.replace("_", "-"): value for key, value in headers.items()})

    def asked(self) -> dict:
        """The conditions of the last call."""
        headers = self.api.requests(self.name)[-1].headers
        return {key: headers[key] for key in ("if-none-match", "if-modified-since")
                if key in headers}


@pytest.fixture
def versions(api, name):
    return Versions(api, name)


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("headers, asked", [
    ({"ETag": '"v1"'}, {"if-none-match": '"v1"'}),
    ({"ETag": 'W/"v1"'}, {"if-none-match": 'W/"v1"'}),
    ({"Last_Modified": DATE}, {"if-modified-since": DATE}),
    ({"ETag": '"v1"', "Last_Modified": DATE},
     {"if-none-match": '"v1"', "if-modified-since": DATE}),
    ({"ETag": "no tag"}, {}),
    ({"Last_Modified": "yesterday"}, {}),
    ({}, {}),
])
def test_a_refresh_asks_whether_it_has_changed(daemon, redis, name, versions, headers, asked):
    """Beyond any use, as long as Redis has it. The first call has nothing to ask about."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    versions.set("one", Cache_Control="max-age=100", **headers)
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}").text == "one"
        assert versions.asked() == {}
        lifetime = fresh_for(redis, name)
        kept = redis.command("PTTL", f"worker:{name}")
        assert lifetime * 1000 < kept <= 3700_000 if asked else kept <= lifetime * 1000
        age(redis, name, 150)
        versions.set("two")
        wait_until(lambda: connection.request(f"/fragment/{name}").text == "two", "the refresh")
        assert versions.asked() == asked


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("vary", ["", 'vary = {"header:x-a"}'])
def test_validators_are_of_one_url(daemon, api, redis, name, vary, before):
    """RFC 9110 8.8: those of what a redirect leads to say nothing of another target, nor do those of
    a result say anything of what its url redirects to later."""
    server = daemon(redis=redis.url,
                    extra=f'fragment "{name}" {{ source = "api" {vary} }}')
    key = f"{name}?header:x-a=b" if vary else name
    headers = {"X-A": "b"} if vary else {}
    for number in ("one", "two"):
        html(api, f"{name}/{number}", number, Cache_Control="max-age=100", ETag='"v"')
    if before:
        api.answer(name, status=302, headers={"Location": f"/{name}/one"})
    else:
        html(api, name, "one", Cache_Control="max-age=100", ETag='"v"')
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}", headers=headers).text == "one"
        fresh_for(redis, key)
        age(redis, key, 150)
        api.answer(name, status=302, headers={"Location": f"/{name}/two"})
        wait_until(lambda: connection.request(f"/fragment/{name}", headers=headers).text == "two",
                   "the other target")
    assert "if-none-match" not in api.requests(f"{name}/two")[-1].headers
    assert before == ("if-none-match" not in api.requests(name)[-1].headers)


def test_not_modified(daemon, redis, name, versions):
    """A 304 prolongs the entry on its own terms. Its body travels neither from the source nor to
    Redis."""
    body = "<p>" + "x" * 100_000 + "</p>"
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  keep = {{"link", "x-old"}} }}""")
    versions.set(body, Cache_Control="max-age=100", ETag='"v1"', Link="<a>", X_Old="1")
    with Connection(server.address) as connection:
        first = connection.request(f"/fragment/{name}")
        assert first.text == body and fresh_for(redis, name) == 100
        age(redis, name, 150)
        versions.unchanged(Cache_Control="max-age=200, stale-while-revalidate=7", Link="<b>",
                           Last_Modified=DATE)
        before = redis.bytes_received()
        again = wait_until(lambda: cache_says(connection, name, "fwd=stale"), "the refresh")
        assert again.text == body and again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == "max-age=200, stale-while-revalidate=7"
        assert again.headers["link"] == "<b>" and again.headers["x-old"] == "1"
        wait_until(lambda: fresh_for(redis, name) == 200, "the store")
        assert redis.bytes_received() - before < 50_000
        assert redis.command("GET", f"worker:{name}").endswith(
            b'fields=%d type=text/html\netag: "v1"\nlast-modified: %s\nlink: <b>\nx-old: 1\n%s' % (
                len(f'etag: "v1"\nlast-modified: {DATE}\nlink: <b>\nx-old: 1\n'), DATE.encode(),
                body.encode()))
        assert not redis.command("EXISTS", f"lease:{{worker:{name}}}")
        assert versions.asked() == {"if-none-match": '"v1"'}
        assert server.counter("calls_not_modified") == 1
        hit = connection.request(f"/fragment/{name}")
        assert hit.text == body and "hit" in hit.headers["cache-status"]


def cache_says(connection, name: str, what: str):
    """The response, if its Cache-Status has that."""
    response = connection.request(f"/fragment/{name}")
    return response if what in response.headers.get("cache-status", "") else None


def test_a_not_modified_entry_is_gone(daemon, api, redis, name, versions):
    """If Redis has lost the value, all of it is stored again."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  stale = "1h" }}""")
    versions.set("one", Cache_Control="max-age=100", ETag='"v1"')
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        age(redis, name, 150)
        api.hold(name)
        versions.unchanged(Cache_Control="max-age=200")
        wait_until(lambda: cache_says(connection, name, "hit; ttl=-"), "the stale one")
        api.wait_calls(name, 2)
        redis.command("DEL", f"worker:{name}")
        api.release(name)
        wait_until(lambda: redis.command("EXISTS", f"worker:{name}"), "the store")
        assert fresh_for(redis, name) == 200
        assert redis.command("GET", f"worker:{name}").endswith(b"one")


@pytest.mark.parametrize("control, seconds", [("", 100), ("max-age=50", 50), ("max-age=0", 0)])
def test_not_modified_says_how_long(daemon, redis, name, versions, control, seconds):
    """RFC 9111 3.2: what the 304 does not say is as it was."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    versions.set("one", Cache_Control="max-age=100, stale-if-error=9", ETag='"v1"')
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        age(redis, name, 150)
        versions.unchanged(**({"Cache_Control": control} if control else {}))
        again = wait_until(lambda: cache_says(connection, name, "fwd=stale"), "the refresh")
        assert again.text == "one"
        wait_until(lambda: fresh_for(redis, name) == seconds, "the store")
        assert envelope(redis, name).startswith(
            b"stale=0 error=0" if control else b"stale=0 error=9000")


def test_not_modified_and_forbidden(daemon, redis, name, versions):
    """Even a 304 can forbid to share."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    versions.set("one", Cache_Control="max-age=100", ETag='"v1"')
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        age(redis, name, 150)
        versions.unchanged(Cache_Control="private", Set_Cookie="a=1")
        again = wait_until(lambda: cache_says(connection, name, "fwd=stale"), "the refresh")
        assert again.text == "one" and "no-store" in again.headers["cache-control"]
        wait_until(lambda: b"status=uncacheable" in redis.command("GET", f"worker:{name}"),
                   "the marker")


def test_not_modified_of_another_version(daemon, api, redis, name, versions):
    """RFC 9111 4.3.4: a 304 with another strong tag is not about what we have; all of it is
    fetched. An upstream that still says 304 then has failed."""
    server = daemon(redis=redis.url, extra=f'fragment "{name}" {{ source = "api" }}')
    versions.set("one", Cache_Control="max-age=100", ETag='"v1"')
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        fresh_for(redis, name)
        age(redis, name, 150)
        versions.unchanged(ETag='"v2"')
        wait_until(lambda: connection.request(f"/fragment/{name}").status == 502, "the failure")
    assert "if-none-match" in api.requests(name)[1].headers
    assert "if-none-match" not in api.requests(name)[2].headers
    server.wait_log("answered 304, but was not asked whether the result has changed")


def test_not_modified_without_a_question(daemon, api, name, versions):
    server = daemon()
    versions.unchanged()
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}").status == 502
    assert api.calls(name) == 1
    server.wait_log("answered 304, but was not asked whether the result has changed")


def test_nothing_is_kept_for_a_comparison(daemon, redis, name, versions):
    """revalidate = "0"."""
    server = daemon(redis=redis.url, extra=f"""
        fragment "{name}" {{ source = "api"  ttl = "100s"  revalidate = "0" }}""")
    versions.set("one", ETag='"v1"', Last_Modified=DATE)
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
    assert fresh_for(redis, name) == 100 and envelope(redis, name) == b""
    assert redis.command("PTTL", f"worker:{name}") <= 100_000


def test_a_refresh_in_memory_asks_too(daemon, api, name, versions):
    """Without Redis, as long as the stale result may be used."""
    server = daemon(extra=f"""
        fragment "{name}" {{ source = "api"  ttl = "1s"  stale = "1h" }}""")
    versions.set("one", ETag='"v1"')
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{name}")
        versions.unchanged()
        wait_until(lambda: cache_says(connection, name, "hit; ttl=-"), "the stale one")
        api.wait_calls(name, 2)
        assert versions.asked() == {"if-none-match": '"v1"'}
        server.wait_counter("calls_not_modified", 1)
        fresh = wait_until(lambda: cache_says(connection, name, "hit; ttl=0"), "the fresh one")
        assert fresh.text == "one"
