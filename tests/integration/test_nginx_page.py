"""The page in one response: nginx sends the skeleton and then its fragments, with
conf/nginx-page.conf."""

from __future__ import annotations

import re
import signal

import pytest

from harness import fronts
from harness.httpc import get
from harness.process import Port
from harness.servers import TOP
from harness.wait import wait_until
from harness.wire import GZIP, HTTP2, Wire

SKELETON_END = "<p>That was all.</p>"
FAILED = '<p class="fragment-error">This part of the page could not be loaded.</p>'
WIRES = {"plain": (), "gzip": GZIP, "http2": HTTP2, "http2-gzip": HTTP2 + GZIP}

everywhere = pytest.mark.parametrize("options", WIRES.values(), ids=WIRES)


def template(name: str) -> str:
    return f'<template for="{name}"><div id="{name}">result for {name}</div></template>\n'


def away() -> str:
    return (TOP / "conf/nginx-page-away.html").read_text("utf-8")


@pytest.fixture
def www(tmp):
    """A site whose page is the example."""
    return fronts.copy_www(tmp, index="nginx-page.html", page_away="nginx-page-away.html")


@pytest.fixture
def site(tmp, run, daemon, www):
    """site(...) starts the daemon with these options, a relay, and nginx, which also compresses and
    speaks HTTP/2. `changes` are those of conf/nginx-page.conf. In the result, `daemon` and `relay`
    are the first two, and open() requests the page, with options of curl: one of the WIRES, and
    `more`."""
    def start(changes=None, **options) -> fronts.FrontServer:
        server = daemon(**options)
        relay = run(fronts.Relay(tmp, server.address))
        http2 = Port()
        front = run(fronts.nginx(tmp, relay.path, www=www, streamed=changes or {}, changes={
            "server_tokens off;": "server_tokens off; gzip on;",
            "index index.html;": f"index index.html; listen 127.0.0.1:{http2.number} http2;"}))
        front.daemon, front.relay = server, relay

        def visit(options=(), path="/", more=()) -> Wire:
            port = http2.number if HTTP2[0] in options else front.port
            return run(Wire(f"http://127.0.0.1:{port}{path}", *options, *more))

        front.open = visit
        return front

    return start


def check_complete(wire: Wire) -> str:
    """The document is complete, without the line for nginx; returns what comes after the
    skeleton."""
    wire.wait_over()
    assert wire.status == 200
    assert wire.headers["content-type"].startswith("text/html")
    assert wire.body.startswith("<!DOCTYPE html>") and wire.body.endswith("</body>\n</html>\n")
    assert "<!--#" not in wire.body and "<center>" not in wire.body
    return wire.body.partition(SKELETON_END)[2].partition("</body>")[0].strip()


@everywhere
def test_each_part_as_soon_as_it_is_ready(site, api, options):
    """The skeleton before any fragment, and the fragments in the order in which they get ready."""
    front = site()
    api.hold("a", "b")
    wire = front.open(options)
    wire.wait(SKELETON_END)
    for name in "ab":
        assert f'<?start name="{name}"><p>Loading…</p><?end>' in wire.body
        api.wait_calls(name, 1)
    assert "<template" not in wire.body
    api.release("b")
    wire.wait(template("b"))
    assert "result for a" not in wire.body
    api.release("a")
    assert check_complete(wire) + "\n" == template("b") + template("a")
    assert ("content-encoding" in wire.headers) == (GZIP[0] in options)
    assert front.relay.begun() == 1
    print(wire.table())


def test_what_is_cached_comes_at_once(site, api):
    front = site()
    for _ in range(2):
        assert check_complete(front.open()).count("</template>") == 2
    assert (api.calls("a"), api.calls("b")) == (1, 1)


def test_a_large_skeleton_and_many_names(site, api, www):
    """Nothing of the skeleton waits in a buffer, and the include line has room for many names."""
    names = [f"{'name' * 20}-{number}" for number in range(64)]
    page = (www / "index.html").read_text("utf-8")
    page = page.replace("name=a&name=b", "&".join(f"name={name}" for name in names))
    (www / "index.html").write_text(page.replace(
        SKELETON_END, "<p>line</p>\n" * 40000 + SKELETON_END), "utf-8")
    front = site()
    api.hold(names[0])
    wire = front.open()
    wire.wait(SKELETON_END)
    for name in names[1:]:
        wire.wait(template(name))
    api.release(names[0])
    assert check_complete(wire).endswith(template(names[0]).strip())


def test_large_fragment(site, api):
    """It passes unchanged, though nothing on its way has a buffer of that size."""
    html = "".join(f"<p>line {number}</p>\n" for number in range(40000))
    api.answer("a", type="text/html", body=html)
    front = site()
    for options in WIRES.values():
        wire = front.open(options)
        wire.wait_over()
        assert f'<template for="a">{html}</template>\n' in wire.body


def test_include_line_that_is_too_long(site, www):
    """The page is complete without it, and nginx's log says why."""
    page = (www / "index.html").read_text("utf-8")
    (www / "index.html").write_text(page.replace("&name=b", "&name=b" + "&name=c" * 2000), "utf-8")
    front = site()
    assert check_complete(front.open()) == ""
    front.wait_log("too long")


def test_headers(site):
    """Those of the skeleton, without what would let a cache or a browser keep the page."""
    front = site()
    wire = front.open()
    check_complete(wire)
    assert wire.headers["cache-control"] == "no-store"
    assert wire.headers["content-security-policy"] == "default-src 'self'"
    for name in ("etag", "last-modified", "expires", "content-length", "accept-ranges", "vary",
                 "x-accel-buffering"):
        assert name not in wire.headers, name


def test_page_is_always_complete(site, www):
    """A browser that has kept the skeleton from another time does not get a 304."""
    (www / "same.html").symlink_to("index.html")
    front = site()
    skeleton = get(front.address, "/same.html").headers
    for header in (f"If-None-Match: {skeleton['etag']}",
                   f"If-Modified-Since: {skeleton['last-modified']}", "Range: bytes=0-9"):
        assert "result for a" in check_complete(front.open(more=("--header", header))), header


def test_head(site, api):
    reply = get(site().address, "/", method="HEAD")
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (200, b"", "no-store")
    assert api.calls("a") == 0


INPUTS = """fragment "a" {
    source = "api"  stream = "yes"
    vary = {"query:city", "query:unit", "cookie:session", "language:en,de", "header:x-currency"}
}"""
SENT = ("--cookie", "session=7", "--header", "Accept-Language: de", "--header", "X-Currency: EUR",
        "--header", "Accept: text/event-stream", "--header", "Proxy: http://evil.test")


@pytest.mark.parametrize("query, path", [
    ("", "/a"), ("?city=Paris&unit=C", "/a?city=Paris&unit=C"),
    ("?name=x&city=Paris", "/a?city=Paris"), ("?city=Paris&name=", "/a?city=Paris"),
    ("?city=Paris&name=x&unit=C", "/a?city=Paris&unit=C"), ("?name=x&name=y&city=Paris", "/a"),
    ("?rename=x&city=%22%3C%21--%23", "/a?city=%22%3C%21--%23")])
def test_inputs(site, api, query, path):
    """The page's parameters and headers are inputs of its fragments; `name` is ours."""
    front = site(extra=INPUTS)
    check_complete(front.open((), "/" + query, SENT))
    call = next(call for call in api.requests() if call.path.startswith("/a"))
    assert call.path == path
    assert call.headers["cookie"] == "session=7"
    assert call.headers["accept-language"] == "de"
    assert call.headers["x-currency"] == "EUR"
    assert api.calls() == 2
    heard = front.relay.lines[0].requests[0]
    assert b"evil.test" not in heard.params


def test_lines_for_nginx_in_a_fragment(site, api):
    """They are only comments."""
    line = '<!--# include virtual="/style.css" -->'
    api.answer("a", type="text/html", body=f"<p>{line}</p>")
    wire = site().open()
    wire.wait_over()
    assert f'<template for="a"><p>{line}</p></template>' in wire.body


def test_failed_fragment(site, api, tmp):
    (tmp / "gone.html").write_text("<p>No a today.</p>", "utf-8")
    front = site(extra=f'fragment "a" {{ source = "api"  stream = "yes"  '
                       f'fallback = "{tmp}/gone.html" }}')
    api.answer("a", 500)
    rest = check_complete(front.open())
    assert '<template for="a" data-failed><!--failed--><p>No a today.</p></template>' in rest
    assert template("b") in rest + "\n"


def test_only_the_page_may_include(site):
    assert get(site().address, "/page/fragments?name=a").status == 404


# --- workerless is not there ---


def test_file_for_failures_has_all_parts():
    """And it is what workerless would send."""
    names = re.findall(r'<\?start name="(.*?)">', (TOP / "conf/nginx-page.html").read_text("utf-8"))
    assert away() == "".join(f'<template for="{name}" data-failed><!--failed-->{FAILED}</template>\n'
                             for name in names)


@everywhere
def test_daemon_gone_and_back(site, options):
    """The skeleton, and at once the news that its parts could not be loaded."""
    front = site()
    front.daemon.stop()
    assert check_complete(front.open(options)) == away().strip()
    front.daemon.start()
    assert "result for a" in check_complete(front.open(options))


@everywhere
def test_daemon_that_hangs(site, options):
    """The page ends after fastcgi_read_timeout. The skeleton does not wait for that, unless it is
    compressed."""
    front = site({"fastcgi_read_timeout 20s;": "fastcgi_read_timeout 1s;"})
    front.daemon.signal(signal.SIGSTOP)
    wire = front.open(options)
    assert check_complete(wire) == away().strip()
    front.daemon.signal(signal.SIGCONT)
    assert (wire.when(SKELETON_END) < wire.when(FAILED)) == (GZIP[0] not in options)
    assert "result for a" in check_complete(front.open(options))


@everywhere
def test_daemon_hangs_midway(site, api, options):
    """What has come stays, what has not keeps its placeholder, and the document is complete."""
    front = site({"fastcgi_read_timeout 20s;": "fastcgi_read_timeout 1s;"})
    api.hold("a")
    wire = front.open(options)
    wire.wait(template("b"))
    front.daemon.signal(signal.SIGSTOP)
    assert check_complete(wire) == template("b").strip()
    front.daemon.signal(signal.SIGCONT)


@everywhere
def test_daemon_killed_midway(site, api, options):
    """The same, at once."""
    front = site()
    api.hold("a")
    wire = front.open(options)
    wire.wait(template("b"))
    front.daemon.kill()
    assert check_complete(wire) == template("b").strip()
    api.release("a")
    front.daemon.start()
    assert template("a") in check_complete(front.open(options)) + "\n"


def test_daemon_drained_midway(site, api):
    """A daemon that stops leaves the placeholder of what it can't deliver."""
    front = site()
    api.hold("a")
    wire = front.open()
    wire.wait(template("b"))
    front.daemon.signal(signal.SIGTERM)
    assert check_complete(wire) == template("b").strip()


@pytest.mark.parametrize("limit, cookie", [("max_stream = 1", "a=b"),
                                           ('max_params = "1KiB"', "a=" + "b" * 2000)])
def test_refused(site, limit, cookie):
    """The request has more names than workerless allows, or a header that is too long."""
    assert check_complete(site(extra=limit).open(more=("--cookie", cookie))) == away().strip()


def test_limit(site):
    """Of streams, for pages and for /fragments together. A page over it has its skeleton."""
    front = site()
    replies = [get(front.address, path) for path in ["/", "/fragments?name=b"] * 15]
    pages, streams = replies[::2], replies[1::2]
    assert {reply.status for reply in pages} == {200}
    assert {reply.status for reply in streams} == {200, 429}
    assert all(SKELETON_END in reply.text for reply in pages)
    over = [FAILED in reply.text for reply in pages]
    assert not over[0] and over[-1]


@pytest.mark.parametrize("options", [(), HTTP2], ids=["plain", "http2"])
def test_client_leaves(site, api, options):
    """workerless learns of it: the place of the page is free."""
    front = site(extra="max_parked = 2")
    api.hold("a", "b")
    wire = front.open(options)
    api.wait_calls("a", 1)
    api.wait_calls("b", 1)
    wire.close()
    wait_until(lambda: front.relay.in_flight() == 0, "the end of the page's stream")
    fronts.check_place_is_free(front)


def test_connections_are_used_again(site):
    front = site()
    for _ in range(8):
        check_complete(front.open())
    assert front.relay.begun() == 8 > len(front.relay.lines)
