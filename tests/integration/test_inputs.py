"""What a fragment depends on: keys and variants, behind the front servers and in a fleet. (What of it
reaches a source is in test_urls.py.)"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import fcgi, fronts
from harness.events import parse
from harness.fcgi import ask
from harness.fleet import detail, is_hit, own_fleet
from harness.httpc import get
from harness.process import connect
from harness.wait import wait_until

ROUTES = """
fragment "weather"  { source = "api"  vary = {"query:city", "language:en,de,fr"}  stream = "yes" }
fragment "cart"     { source = "api"  vary = {"cookie:session"}  private = "yes"  stream = "yes" }
fragment "account"  { source = "api"  vary = {"header:authorization"}  private = "yes" }
fragment "price/*"  { source = "api"  vary = {"header:x-currency"}  stream = "yes" }
fragment "site"     { source = "api"  vary = {"host"} }
"""
FRONTS = ["nginx", "lighttpd", "haproxy"]


def digest(label: str, value: str) -> str:
    return hashlib.blake2b(f"{label}\0{value}".encode(), digest_size=16).hexdigest()


@pytest.fixture(params=FRONTS)
def front(request, tmp, run, redis, daemon):
    """A front server with its example, before a daemon with a Redis."""
    server = daemon(redis=redis.url, extra=ROUTES)
    return run(getattr(fronts, request.param)(tmp, server.socket_path))


CASES = [
    ("/fragment/weather?city=Paris", {"Accept-Language": "de-CH,de;q=0.9"},
     "weather?city=Paris&language=de"),
    ("/fragment/weather?x=1&city=New+York&city=x", {}, "weather?city=New%20York&language=en"),
    ("/fragment/weather?city=M%C3%BCnchen", {"Accept-Language": "it"},
     "weather?city=M%C3%BCnchen&language=en"),
    ("/fragment/weather?city=", {}, "weather?city=&language=en"),
    ("/fragment/weather", {"Cookie": "session=1"}, "weather?language=en"),
    ("/fragment/cart", {"Cookie": "a=b; session=s3cret"},
     "cart?cookie:session=" + digest("cookie:session", "s3cret")),
    ("/fragment/cart?city=Paris", {}, "cart?"),
    ("/fragment/account", {"Authorization": "Bearer s3cret"},
     "account?header:authorization=" + digest("header:authorization", "Bearer s3cret")),
    ("/fragment/price/7", {"X-Currency": "EUR"}, "price/7?header:x-currency=EUR"),
    ("/fragment/site", {"Host": "Shop.Example:8080"}, "site?host=shop.example:8080"),
    ("/fragment/plain?city=Paris", {"Cookie": "session=1"}, "plain"),
]


def test_keys(front, redis, api):
    """Each kind of input arrives, and the key is as README says. No secret is in any key."""
    for path, headers, key in CASES:
        calls = api.calls()
        reply = get(front.address, path, headers=headers)
        assert reply.status == 200, path
        wait_until(lambda: redis.command("EXISTS", f"worker:{key}") == 1, f"the key {key}")
        again = get(front.address, path, headers=headers)
        assert "hit" in again.headers["cache-status"] and again.body == reply.body
        assert api.calls() == calls + 1
    assert sorted(redis.keys()) == sorted(f"worker:{key}" for _, _, key in CASES)
    assert not any("s3cret" in key for key in redis.keys())


@pytest.mark.parametrize("path, headers", [
    ("/fragment/weather?city=%00", {}),  # lighttpd would make %25zz of %zz
    ("/fragment/weather?city=" + "x" * 257, {}),
    ("/fragment/weather?city=" + "%7B" * 256 + "x", {}),
    ("/fragment/cart", {"Cookie": "session=" + "x" * 4097}),
    ("/fragment/price/7", {"X-Currency": "x" * 257}),
    ("/fragments?name=plain&name=weather&city=%00", {}),
    ("/fragments?name=cart&name=plain", {"Cookie": "session=" + "x" * 4097}),
])
def test_refused(front, api, path, headers):
    assert get(front.address, path, headers=headers).status == 400
    assert api.calls() == 0


def test_heads(front):
    """Vary and Cache-Control arrive at the client, with a 304 as well."""
    for path, vary, private in [("weather", "Accept-Language", False), ("cart", "Cookie", True),
                                ("account", "Authorization", True),
                                ("price/1", "X-Currency", False), ("site", None, False),
                                ("plain", None, False)]:
        first = get(front.address, f"/fragment/{path}")
        assert first.headers["cache-control"].startswith("private, max-age=60") == private, path
        same = get(front.address, f"/fragment/{path}",
                   headers={"If-None-Match": first.headers["etag"]})
        assert (first.status, same.status) == (200, 304)
        assert first.headers.get("vary") == same.headers.get("vary") == vary, path


def test_stream(front, redis):
    """The page's query, cookies and headers are inputs of all its fragments."""
    reply = get(front.address,
                "/fragments?name=weather&name=cart&city=Paris&name=price/1&name=price/2&name=cart",
                headers={"Accept": "text/event-stream", "Cookie": "session=1",
                         "X-Currency": "EUR", "Accept-Language": "fr"})
    assert reply.status == 200 and reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "Accept, Accept-Language, Cookie, X-Currency"
    assert sorted(name for name, _ in parse(reply.body)) == \
        ["cart", "end", "price/1", "price/2", "weather"]
    keys = ["weather?city=Paris&language=fr", "cart?cookie:session=" + digest("cookie:session", "1"),
            "price/1?header:x-currency=EUR", "price/2?header:x-currency=EUR"]
    wait_until(lambda: sorted(redis.keys()) == sorted(f"worker:{key}" for key in keys),
               "the four keys")


def send(address, path: str, lines: str) -> bytes:
    """A request with header lines that may come twice."""
    with connect(address) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n".encode())
        reply = b""
        while data := line.recv(65536):
            reply += data
    return reply


def test_repeated_headers(front, redis):
    """A header that comes twice is one list, whatever the front server makes of it."""
    assert b" 200 " in send(front.address, "/fragment/price/1", "X-Currency: a\r\nX-Currency: b\r\n")
    assert b" 200 " in send(front.address, "/fragment/cart", "Cookie: a=b\r\nCookie: session=1\r\n")
    keys = ["worker:cart?cookie:session=" + digest("cookie:session", "1"),
            "worker:price/1?header:x-currency=a,%20b"]
    wait_until(lambda: sorted(redis.keys()) == keys, f"{keys} to be stored")


def test_calls_are_shared_by_variant(front, api):
    """Of many simultaneous requests, those with the same inputs share a call, and get its
    result."""
    api.hold("cart")
    users = ["1", "2", "3"] * 10
    with ThreadPoolExecutor(len(users)) as clients:
        replies = [clients.submit(get, front.address, "/fragment/cart",
                                  headers={"Cookie": f"session={user}; x={number}"})
                   for number, user in enumerate(users)]
        try:
            api.wait_calls("cart", 3)
        finally:
            api.release("cart")
        assert [reply.result().status for reply in replies] == [200] * len(users)
    assert api.calls("cart") == 3


def test_results_are_not_mixed(daemon, redis, api):
    """A result for one value is never given to another."""
    server = daemon(redis=redis.url, extra=ROUTES)
    for user in ("1", "2"):
        api.answer("cart", body=f"cart of {user}", type="text/html")
        assert ask(server.address, "/fragment/cart",
                   headers={"Cookie": f"session={user}"}).text == f"cart of {user}"
    api.answer("cart", body="new", type="text/html")
    for user in ("2", "1"):
        assert ask(server.address, "/fragment/cart",
                   headers={"Cookie": f"session={user}"}).text == f"cart of {user}"
    assert ask(server.address, "/fragment/cart").text == "new"


# Purges, in a fleet.


@pytest.fixture(scope="module")
def shared():
    with own_fleet(size=2, routes=ROUTES + 'fragment "*" { source = "api" ttl = "60s" }\n',
                   extra='purge = {"127.0.0.1"}\n') as members:
        yield members


@pytest.fixture
def fleet(shared):
    with shared.lent():
        yield shared


def weather(fleet, number: int, city: str, language: str = "en"):
    return fleet.ask(number, "weather", query=f"city={city}",
                     headers={"Accept-Language": language})


CITIES = [("Paris", "en"), ("Paris", "de"), ("London", "en")]


def fill(fleet) -> None:
    """Puts three variants, and a fragment whose name begins in the same way, into all memory
    caches."""
    for number in fleet.running():
        for city, language in CITIES:
            wait_until(lambda: detail(weather(fleet, number, city, language)) == "memory",
                       "it to be in memory")
        wait_until(lambda: detail(fleet.ask(number, "weather2")) == "memory", "it to be in memory")


def left(fleet) -> list:
    """Of CITIES, those that are in Redis."""
    return [(city, language) for city, language in CITIES
            if fleet.value(f"weather?city={city}&language={language}") is not None]


def test_purge_of_a_name_takes_all_variants(fleet):
    fill(fleet)
    assert fleet.purge(0, "weather").status == 204
    assert left(fleet) == [] and fleet.value("weather2") is not None
    fleet.hear()
    for number in fleet.running():
        assert is_hit(fleet.ask(number, "weather2"))
    assert not any(is_hit(weather(fleet, 1, *each)) for each in CITIES)


def test_purge_of_one_variant(fleet):
    fill(fleet)
    assert fleet.purge(1, "weather", query="city=Paris&x=y",
                       headers={"Accept-Language": "de"}).status == 204
    assert left(fleet) == [("Paris", "en"), ("London", "en")]
    fleet.hear()
    for number in fleet.running():
        assert is_hit(weather(fleet, number, "Paris")) and is_hit(weather(fleet, number, "London"))
    assert not is_hit(weather(fleet, 0, "Paris", "de"))


@pytest.mark.parametrize("query, stale", [("", CITIES), ("city=Paris", [("Paris", "en")])])
def test_soft_purge(fleet, query, stale):
    """They stay in Redis, and the route has no `stale`, so they are generated again."""
    fill(fleet)
    assert fleet.purge(0, "weather", query=query,
                       headers={"Workerless-Purge": "soft"}).status == 204
    assert left(fleet) == CITIES
    fleet.hear()
    for each in CITIES:
        assert is_hit(weather(fleet, 1, *each)) == (each not in stale)


def test_purge_by_beginning(fleet):
    fill(fleet)
    assert fleet.purge(0, "weath*").status == 204
    assert left(fleet) == [] and fleet.value("weather2") is None


def test_bad_purge(fleet):
    fill(fleet)
    assert fleet.purge(0, "weather", query="city=%zz").status == 400
    assert left(fleet) == CITIES


def test_what_purges_cost(fleet):
    """One command for a key, a scan only for variants."""
    fill(fleet)
    scans = fleet.redis.calls_of("scan")
    assert fleet.purge(0, "weather2").status == 204
    assert fleet.purge(0, "weather", query="city=Paris").status == 204
    assert fleet.redis.calls_of("scan") == scans
    assert fleet.purge(0, "weather").status == 204
    assert fleet.redis.calls_of("scan") > scans


def test_a_purged_variant_is_not_stored(fleet):
    """A result in progress goes to the requests that wait for it, and is not cached."""
    key = "cart?cookie:session=" + digest("cookie:session", "late")
    fleet.api.hold("cart")
    fleet.connections[0].send_raw(fcgi.request("/fragment/cart", 7,
                                               headers={"Cookie": "session=late"}))
    wait_until(lambda: f"lease:{{worker:{key}}}" in fleet.leases(), "its lease")
    assert fleet.purge(1, "cart").status == 204
    fleet.hear()
    fleet.api.release("cart")
    assert fleet.connections[0].response(7).status == 200
    fleet.hear()
    assert fleet.value(key) is None
