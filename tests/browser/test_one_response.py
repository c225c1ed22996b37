"""The page in one response, in a browser that runs no scripts: assembled by nginx with
conf/nginx-page.conf, and by workerless behind each front server."""

from __future__ import annotations

import time

import pytest

from harness import fronts
from harness.wait import wait_until

FAILED = "This part of the page could not be loaded."

# What the page's two parts show, the rest, and whether the document is complete. The page may have
# just begun.
LOOK = """
const text = selector => document.querySelector(selector)?.innerText.trim();
return [text("section"), text("page-fragment"), text("body > p"), document.readyState];
"""


@pytest.fixture
def www(tmp):
    """The example page."""
    return fronts.copy_www(tmp, index="nginx-page.html", page_away="nginx-page-away.html")


@pytest.fixture
def assembled(tmp, run, daemon, www):  # pylint: disable=redefined-outer-name
    """nginx that assembles the page. `daemon` and `relay` are the daemon and what is before it."""
    server = daemon()
    relay = run(fronts.Relay(tmp, server.address))
    front = run(fronts.nginx(tmp, relay.path, www=www, streamed={}))
    front.daemon, front.relay = server, relay
    return front


BEHIND = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd, "haproxy": fronts.haproxy}


@pytest.fixture(params=["assembled", *BEHIND])
def page(request, tmp, run, daemon, www):  # pylint: disable=redefined-outer-name
    """The same, or a front server that has workerless send the page."""
    if request.param == "assembled":
        return request.getfixturevalue("assembled")
    server = daemon(extra=f'page "/" {{ file = "{www}/index.html" }}')
    relay = run(fronts.Relay(tmp, server.address))
    front = run(BEHIND[request.param](tmp, relay.path, page=True))
    front.daemon, front.relay = server, relay
    return front


def wait_shown(browser, first: str, second: str, state: str) -> None:
    wait_until(lambda: browser.script(LOOK) == [first, second, "That was all.", state],
               f"the page to show {first!r} and {second!r}, {state}")


def test_each_part_as_soon_as_it_is_ready(page, api, scriptless):
    """First the skeleton, then the parts in the order in which they get ready: one response, which
    ends with the last."""
    api.hold("a", "b")
    begin, moments = time.monotonic(), []

    def note(what: str) -> None:
        moments.append(f"{(time.monotonic() - begin) * 1000:8.1f} ms  {what}")

    scriptless.open(page.url)
    wait_shown(scriptless, "Loading…", "Loading…", "loading")
    note("skeleton")
    for name in "ab":
        api.wait_calls(name, 1)
    note("release b")
    api.release("b")
    wait_shown(scriptless, "Loading…", "result for b", "loading")
    note("b")
    scriptless.shoot("one-response")
    note("release a")
    api.release("a")
    wait_shown(scriptless, "result for a", "result for b", "complete")
    note("a, and the end of the document")
    assert scriptless.state("b") is None  # its script did not run
    assert scriptless.script("return document.querySelectorAll('template').length;") == 0
    assert page.relay.begun("Chrome/") == 1
    print("\n".join(moments))


def test_cached_page(page, api, scriptless):
    for _ in range(2):
        scriptless.open("about:blank")
        scriptless.open(page.url)
        wait_shown(scriptless, "result for a", "result for b", "complete")
    assert (api.calls("a"), api.calls("b")) == (1, 1)


def test_failed_part(page, api, scriptless):
    """It says so in its place, and the other part is there."""
    api.answer("a", 500)
    scriptless.open(page.url)
    wait_shown(scriptless, FAILED, "result for b", "complete")


def test_daemon_gone_and_back(assembled, scriptless):
    """All parts say so; the next visit has them."""
    assembled.daemon.stop()
    scriptless.open(assembled.url)
    wait_shown(scriptless, FAILED, FAILED, "complete")
    assembled.daemon.start()
    scriptless.open(assembled.url)
    wait_shown(scriptless, "result for a", "result for b", "complete")


def was_cut(browser) -> bool:
    return any("ERR_INCOMPLETE_CHUNKED_ENCODING" in entry["message"]
               for entry in browser.driver.get_log("browser"))


def test_daemon_killed_midway(page, api, scriptless):
    """What has come stays. nginx ends the response, so the document is complete; lighttpd and HAProxy
    cut it off, and then Chromium considers the document as loading for ever."""
    api.hold("a")
    scriptless.open(page.url)
    wait_shown(scriptless, "Loading…", "result for b", "loading")
    page.daemon.kill()
    if page.name == "nginx":
        wait_shown(scriptless, "Loading…", "result for b", "complete")
    else:
        wait_until(lambda: was_cut(scriptless), "the end of the response")
        wait_shown(scriptless, "Loading…", "result for b", "loading")
