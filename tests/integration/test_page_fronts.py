"""A page that workerless sends in one response, through the front servers as conf/ has them."""

from __future__ import annotations

import shutil

import pytest

from harness import fronts
from harness.config import api_config
from harness.httpc import get
from harness.process import Port
from harness.wait import wait_until
from harness.wire import GZIP, HTTP2, Wire

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd, "haproxy": fronts.haproxy}
WIRES = {"plain": (), "gzip": GZIP, "http2": HTTP2, "http2-gzip": HTTP2 + GZIP}

everywhere = pytest.mark.parametrize("kind", FRONTS)

SKELETON = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>test</title></head><body>
<section><?start name="a">Loading…<?end></section>
<section><?start name="b">Loading…<?end></section>
<p>That was all.</p>
</body></html>
"""
SKELETON_END = "<p>That was all.</p>"

# Of a browser that replaces placeholders by templates, so that nothing is held back for it.
CHROMIUM = ("--user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                            "Chrome/150.0.0.0 Safari/537.36")


def part(name: str) -> str:
    return f'<div id="{name}">result for {name}</div>'


def template(name: str) -> str:
    return f'<template for="{name}">{part(name)}</template>'


@pytest.fixture
def www(tmp):
    """A site whose page has placeholders."""
    place = tmp / "www"
    shutil.copytree(fronts.WWW, place)
    (place / "index.html").write_text(SKELETON, "utf-8")
    return place


@pytest.fixture
def page(tmp, www, daemon):
    """page(...) starts a daemon that has the page, with these options."""
    def start(extra: str = "", **options):
        return daemon(extra=f'page "/" {{ file = "{www}/index.html" }}\n{extra}', **options)

    return start


def check_each_part(wire: Wire, api) -> None:
    """The skeleton before any fragment, and the fragments in the order in which they get ready."""
    wire.wait(SKELETON_END)
    assert "<template" not in wire.body
    for name in "ab":
        assert f'<?start name="{name}">Loading…<?end>' in wire.body
        api.wait_calls(name, 1)
    api.release("b")
    wire.wait(template("b"))
    assert "result for a" not in wire.body
    api.release("a")
    wire.wait_over()
    assert wire.status == 200 and wire.body.endswith("</body></html>\n")
    assert wire.body.index(template("b")) < wire.body.index(template("a"))
    assert wire.headers["content-type"] == "text/html; charset=utf-8"
    assert wire.headers["cache-control"] == "no-store"
    assert wire.headers["content-security-policy"] == "default-src 'self'"
    assert "etag" not in wire.headers
    print(wire.table())


def check_warm(front: fronts.FrontServer) -> None:
    """The page is complete, in any browser."""
    reply = get(front.address, "/")
    assert reply.status == 200
    assert reply.text == SKELETON.replace('<?start name="a">Loading…<?end>', part("a")).replace(
        '<?start name="b">Loading…<?end>', part("b"))
    assert reply.headers["cache-control"].startswith("max-age=")


@everywhere
def test_cold_and_warm(tmp, run, api, page, kind):
    front = run(FRONTS[kind](tmp, page().socket_path, page=True))
    api.hold("a", "b")
    with Wire(front.url + "/", *CHROMIUM) as wire:
        check_each_part(wire, api)
    check_warm(front)
    assert (api.calls("a"), api.calls("b")) == (1, 1)


def test_spawned(tmp, run, api, www):
    front = run(fronts.lighttpd_spawn(
        tmp, api_config(api, extra=f'page "/" {{ file = "{www}/index.html" }}'), page=True))
    api.hold("a", "b")
    with Wire(front.url + "/", *CHROMIUM) as wire:
        check_each_part(wire, api)
    check_warm(front)


@pytest.mark.parametrize("options", WIRES.values(), ids=WIRES)
def test_nginx_with_gzip_and_http2(tmp, run, api, page, options):
    port = Port().number
    front = run(fronts.nginx(tmp, page().socket_path, page=True, changes={
        "server_tokens off;": "server_tokens off; gzip on;",
        "index index.html;": f"index index.html; listen 127.0.0.1:{port} http2;"}))
    port = port if HTTP2[0] in options else front.port
    api.hold("a", "b")
    with Wire(f"http://127.0.0.1:{port}/", *CHROMIUM, *options) as wire:
        check_each_part(wire, api)
        assert ("content-encoding" in wire.headers) == (GZIP[0] in options)


@everywhere
def test_inputs(tmp, run, api, page, kind):
    """The page's parameters and headers are those of its fragments."""
    front = run(FRONTS[kind](tmp, page("""fragment "a" {
        source = "api"  stream = "yes"  vary = {"query:city", "cookie:session", "language:en,de"}
    }""").socket_path, page=True))
    reply = get(front.address, "/?city=Paris&name=c", headers={
        "Cookie": "session=7", "Accept-Language": "de"})
    assert part("a") in reply.text or template("a") in reply.text
    call = next(call for call in api.requests() if call.path.startswith("/a"))
    assert (call.path, call.headers["cookie"], call.headers["accept-language"]) == \
        ("/a?city=Paris", "session=7", "de")
    assert api.calls() == 2
    assert {"cookie", "accept-language"} <= set(reply.headers["vary"].lower().split(", "))


@everywhere
def test_client_leaves(tmp, run, api, page, kind):
    """Its places are free. All but nginx notice only when there is something to send."""
    beat = "1h" if kind == "nginx" else "50ms"
    front = run(FRONTS[kind](tmp, page(f'max_parked = 2\nheartbeat = "{beat}"').socket_path,
                             page=True))
    api.hold("a", "b")
    with Wire(front.url + "/", *CHROMIUM) as wire:
        wire.wait(SKELETON_END)
        api.wait_calls("a", 1)
        api.wait_calls("b", 1)
    fronts.check_place_is_free(front)


@everywhere
def test_daemon_killed_midway(tmp, run, api, page, kind):
    """What has come stays, and the front server serves the next visitor."""
    server = page()
    front = run(FRONTS[kind](tmp, server.socket_path, page=True))
    api.hold("a")
    with Wire(front.url + "/", *CHROMIUM) as wire:
        wire.wait(template("b"))
        server.kill()
        wire.wait_end()
        assert "<template for=\"a\"" not in wire.body
    api.release("a")
    server.start()
    wait_until(lambda: part("a") in get(front.address, "/").text, "the complete page")


# --- workerless is not there ---


@pytest.mark.parametrize("kind, status", [("nginx", 502), ("lighttpd", 503)])
def test_skeleton_while_workerless_is_away(tmp, run, page, www, kind, status):
    """The status says so."""
    server = page()
    front = run(FRONTS[kind](tmp, server.socket_path, www=www, page=True))
    server.stop()
    reply = get(front.address, "/")
    assert (reply.status, reply.text) == (status, SKELETON)
    assert reply.headers["content-security-policy"] == "default-src 'self'"
    server.start()
    wait_until(lambda: get(front.address, "/").status == 200, "the page")


def test_nginx_limits_pages(tmp, run, page, www):
    """As it does streams, together with them; over the limit, the skeleton is all."""
    front = run(fronts.nginx(tmp, page().socket_path, www=www, page=True))
    replies = [get(front.address, path) for path in ["/", "/fragments?name=b"] * 15]
    for kind in replies[::2], replies[1::2]:
        assert {reply.status for reply in kind} == {200, 429}
    assert {reply.text for reply in replies[::2] if reply.status == 429} == {SKELETON}


def test_haproxy_has_the_skeleton_of_another_server(tmp, run, page, www):
    """As soon as its check has noticed that workerless is away, until it has noticed that it is
    back."""
    server = page()
    files = run(fronts.nginx(tmp, server.socket_path, www=www))
    front = fronts.haproxy(tmp, server.socket_path, skeleton=files.address, page=True)
    assert "check inter 2s" in front.conf_text
    front.conf_path.write_text(front.conf_text.replace("inter 2s", "inter 50ms"), "utf-8")
    run(front)
    assert part("a") in get(front.address, "/").text
    server.stop()
    wait_until(lambda: get(front.address, "/").text == SKELETON, "the skeleton")
    server.start()
    wait_until(lambda: part("a") in get(front.address, "/").text, "the page")
