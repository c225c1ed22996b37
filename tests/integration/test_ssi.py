"""The page without JavaScript: nginx puts the fragments into it, with conf/nginx-ssi.conf."""

from __future__ import annotations

import socket
import threading
import time
from typing import List

import pytest

from harness import fronts
from harness.httpc import Reply, get
from harness.wait import SLOWNESS, wait_until

LOADING = "Loading…"


@pytest.fixture
def www(tmp):
    """A site whose page is the example."""
    return fronts.copy_www(tmp, index="nginx-ssi.html")


@pytest.fixture
def site(tmp, run, daemon, www):
    """The daemon, a relay, and nginx; `site.daemon` and `site.relay` are the first two."""
    def start(**options) -> fronts.FrontServer:
        server = daemon(**options)
        relay = run(fronts.Relay(tmp, server.address))
        front = run(fronts.nginx(tmp, relay.path, www=www, whole=True))
        front.daemon, front.relay = server, relay
        return front

    return start


class Visit(threading.Thread):
    """Requests the page; `reply` is there after the join, and it took so many `seconds`."""

    def __init__(self, front: fronts.FrontServer) -> None:
        super().__init__(daemon=True)
        self.front, self.seconds, self.replies = front, 0.0, []  # type: ignore[var-annotated]
        self.start()

    def run(self) -> None:
        before = time.monotonic()
        self.replies: List[Reply] = [get(self.front.address, "/whole/")]
        self.seconds = time.monotonic() - before

    @property
    def reply(self) -> Reply:
        self.join()
        assert self.replies, "the page did not come"
        return self.replies[0]


def check_whole(reply: Reply) -> str:
    """The page is complete, without the lines for nginx; returns its body."""
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.text.rstrip().endswith("</html>") and "That was all." in reply.text
    assert "<!--#" not in reply.text and "[an error occurred" not in reply.text
    assert "refresh" not in reply.text  # otherwise it would loop for ever
    return reply.text.partition("<body>")[2]


def test_same_file_without_assembly(site):
    """At / it is the skeleton: the lines are comments, the placeholders are shown, and browsers
    without JavaScript are sent to the other page."""
    text = get(site().address, "/").text
    assert text.count(LOADING) == text.count('<!--# include virtual="fragment/') == 2
    assert '<noscript><meta http-equiv="refresh" content="0; url=/whole/"></noscript>' in text


def test_fragments_are_in_the_page_and_asked_for_at_the_same_time(site, api):
    front = site()
    api.hold("a", "b")
    visit = Visit(front)
    front.relay.wait_begun(2)
    assert front.relay.in_flight() == 2
    for name in "ba":
        api.wait_calls(name, 1)
    for name in "ba":  # in the opposite order of the page
        api.release(name)
    body = check_whole(visit.reply)
    a, b = (body.index(f'<div id="{name}">result for {name}</div>') for name in "ab")
    assert a < b
    assert LOADING not in body


def test_page_is_not_late(site, api):
    """After two seconds the page shows the placeholders of what is not ready: not after its `hold`,
    and not one after the other. What is ready is there."""
    front = site(extra='fragment "a" { source = "api"  hold = "10m" }')
    api.hold("a", "b")
    visit = Visit(front)
    body = check_whole(visit.reply)
    assert 1.5 < visit.seconds < 3.5 * SLOWNESS
    assert body.count(LOADING) == 2 and "result" not in body

    api.release("b")
    wait_until(lambda: "hit" in get(front.address, "/fragment/b").headers["cache-status"],
               "b, for which nobody waited")
    body = check_whole(Visit(front).reply)
    assert body.count(LOADING) == 1 and body.index(LOADING) < body.index("result for b")
    api.release("a")
    wait_until(lambda: "result for a" in Visit(front).reply.text, "a")
    assert (api.calls("a"), api.calls("b")) == (1, 1)


@pytest.mark.parametrize("first", "ab")
def test_each_placeholder_is_there_once(site, api, first):
    """In any order in which nginx learns that its fragments are not ready: the second answer has to
    wait until the first placeholder is replaced, and is checked again then."""
    front = site(extra=f'fragment "{first}" {{ source = "api"  hold = "500ms" }}')
    api.hold("a", "b")
    body = check_whole(Visit(front).reply)
    assert body.count(LOADING) == 2
    assert body.count(LOADING, 0, body.index('name="b"')) == 1


def test_include_without_a_stub(site, api, www):
    """It is empty while the fragment is not ready."""
    page = (www / "index.html").read_text("utf-8")
    (www / "index.html").write_text(page.replace(' stub="a"', ""), "utf-8")
    front = site()
    api.hold("a")
    body = check_whole(Visit(front).reply)
    assert LOADING not in body and "result for b" in body and "<center>" not in body


def test_other_requests_keep_their_own_preferences(site, api):
    front = site(extra='fragment "a" { source = "api"  hold = "1s" }')
    api.hold("a")
    reply = get(front.address, "/fragment/a")
    assert reply.status == 202 and "preference-applied" not in reply.headers
    assert "fragment-pending" in reply.text
    for prefer, applied in (("handling=strict, wait=0", "wait=0, handling=strict"),
                            ('Handling = "strict"; x=y', "handling=strict")):
        reply = get(front.address, "/fragment/a", headers={"Prefer": prefer})
        assert (reply.status, reply.headers["retry-after"]) == (503, "0")
        assert reply.headers["preference-applied"] == applied
        assert "fragment-pending" in reply.text
    assert get(front.address, "/whole/fragment/a").status == 404  # for the page only


def test_failure(site, api, tmp):
    """The route's fallback, or a message of ours, is shown in place of the fragment."""
    (tmp / "gone.html").write_text("<p>No a today.</p>", "utf-8")
    front = site(extra=f'fragment "a" {{ source = "api"  fallback = "{tmp}/gone.html" }}')
    for name in "ab":
        api.answer(name, 500)
    body = check_whole(Visit(front).reply)
    assert "<p>No a today.</p>" in body
    assert "This part of the page could not be loaded." in body
    assert LOADING not in body


def test_daemon_gone_and_back(site):
    """The page's own placeholders, at once; no error page of nginx is in it."""
    front = site()
    front.daemon.stop()
    visit = Visit(front)
    body = check_whole(visit.reply)
    assert body.count(LOADING) == 2 and "<center>" not in body
    front.daemon.start()
    assert "result for a" in check_whole(Visit(front).reply)


def test_daemon_that_hangs(tmp, run, www):
    """Nor does that make the page late."""
    path = str(tmp / "deaf")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(path)
        deaf.listen(8)
        front = run(fronts.nginx(tmp, path, www=www, whole=True))
        visit = Visit(front)
        body = check_whole(visit.reply)
    assert body.count(LOADING) == 2 and "<center>" not in body
    assert visit.seconds < 8 * SLOWNESS


def test_headers_of_the_page_are_not_for_its_parts(site, api):
    """A fragment in the page is never a 304, and the client can't set how long it waits."""
    front = site()
    alone = get(front.address, "/fragment/a")
    api.hold("b")
    before = time.monotonic()
    reply = get(front.address, "/whole/", headers={
        "If-None-Match": alone.headers["etag"], "Prefer": "wait=25", "Proxy": "http://evil.test"})
    assert time.monotonic() - before < 10 * SLOWNESS
    body = check_whole(reply)
    assert "result for a" in body and LOADING in body
    asked = [request.params for line in front.relay.lines for request in line.requests]
    assert not any(b"evil.test" in params for params in asked)
    assert get(front.address, "/whole/", method="HEAD").body == b""
