"""conf/shop.conf: a page of five fragments that depend on a query, a language, a user's cookie and
a currency, and on an API with a token."""

from __future__ import annotations

import pytest

from harness import fronts, shop
from harness.httpc import get
from harness.wait import wait_until

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd}


@pytest.fixture(name="api")
def fixture_api(tmp, run):
    return run(shop.ShopApi(tmp))


@pytest.fixture(name="page", params=FRONTS)
def fixture_page(request, tmp, run, api, redis, daemon):
    """page(path, **headers) requests a fragment through the front server."""
    server = daemon(f'cache {{ redis = "{redis.url}" }}\n' + shop.config(api))
    front = run(FRONTS[request.param](tmp, server.socket_path))

    def ask(path: str, **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return get(front.address, f"/fragment/{path}", headers=named)

    return ask


def is_hit(reply) -> bool:
    return "hit" in reply.headers["cache-status"]


# Requests in their order: (path, headers, what its body says, whether it is a hit).
VISITS = {
    "search": [
        ("search?q=tea", {}, "results for <b>tea</b>", False),
        ("search?q=milk", {}, "results for <b>milk</b>", False),
        ("search?q=tea", {}, "results for <b>tea</b>", True),
        ("search?utm_source=mail&q=tea&x=1", {}, "results for <b>tea</b>", True),
        ("search?q=a%26b%3D%3Cc", {}, "results for <b>a&amp;b=&lt;c</b>", False),
    ],
    "greeting": [
        ("greeting", {"Accept_Language": "de-CH, de;q=0.9, en;q=0.5"}, "Willkommen!", False),
        ("greeting", {"Accept_Language": "fr"}, "Bienvenue!", False),
        ("greeting", {"Accept_Language": "nl, de;q=0.1"}, "Willkommen!", True),
        ("greeting", {"Accept_Language": "ja"}, "Welcome!", False),
        ("greeting", {}, "Welcome!", True),
    ],
    "cart": [
        ("cart", {"Cookie": "session=ann; theme=dark"}, "The cart of ann<", False),
        ("cart", {"Cookie": "session=bob"}, "The cart of bob<", False),
        ("cart", {"Cookie": "theme=light; session=ann"}, "The cart of ann<", True),
        ("cart", {}, "The cart of nobody<", False),
        ("cart", {"Cookie": "session=bob"}, "The cart of bob<", True),
    ],
    "price": [
        ("price/tea", {"X_Currency": "EUR"}, "4.20 €", False),
        ("price/tea", {"X_Currency": "USD"}, "$4.50", False),
        ("price/tea", {"X_Currency": "EUR"}, "4.20 €", True),
        ("price/milk", {"X_Currency": "EUR"}, "4.20 €", False),
    ],
    "stock": [
        ("stock", {}, "{&quot;tea&quot;: 12}", False),
        ("stock", {"Authorization": "Bearer mine", "Cookie": "session=ann"}, "12}", True),
    ],
}


@pytest.mark.parametrize("card", VISITS)
def test_each_gets_their_own(page, card):
    for path, headers, says, hit in VISITS[card]:
        reply = page(path, **headers)
        assert (reply.status, says in reply.text) == (200, True), (path, headers, reply.text)
        assert is_hit(reply) == hit, (path, headers)


def test_what_other_caches_are_told(page):
    told = {path: page(path, Cookie="session=ann").headers
            for path in ("search?q=tea", "greeting", "cart", "price/tea", "stock")}
    assert {path: headers.get("vary", "") for path, headers in told.items()} == {
        "search?q=tea": "", "greeting": "Accept-Language", "cart": "Cookie",
        "price/tea": "X-Currency", "stock": ""}
    private = [path for path, headers in told.items() if "private" in headers["cache-control"]]
    assert private == ["cart"]


def test_what_reaches_the_shop(page, api):
    page("search?q=tea&secret=1", Cookie="session=ann", X_Currency="EUR")
    page("cart", Cookie="theme=dark; session=ann; other=1", Authorization="Basic eDp5")
    page("price/tea", X_Currency="GBP", Cookie="session=ann", Accept_Language="de")
    page("stock", Authorization="Basic eDp5")
    search, cart, price, stock = api.requests()
    assert search.path == "/search?q=tea"
    assert cart.path == "/cart" and cart.headers["cookie"] == "session=ann"
    assert price.path == "/price/tea" and price.headers["x-currency"] == "GBP"
    assert stock.headers["authorization"] == f"Bearer {shop.TOKEN}"
    for call, allowed in ((search, ()), (cart, ("cookie",)), (price, ("x-currency",)),
                          (stock, ("authorization",))):
        client = {"cookie", "authorization", "x-currency", "accept-language"} & set(call.headers)
        assert client == set(allowed), call


def test_keys_are_readable_and_have_no_session(page, redis):
    page("search?q=tea")
    page("greeting", Accept_Language="de")
    page("cart", Cookie="session=very-secret")
    page("price/tea", X_Currency="EUR")
    wait_until(lambda: len(redis.keys()) == 4, "four results in Redis")
    keys = " ".join(redis.keys())
    assert "worker:search?q=tea" in keys and "worker:greeting?language=de" in keys
    assert "worker:cart?" in keys and "worker:price/tea?" in keys and "EUR" in keys
    assert "very-secret" not in keys
