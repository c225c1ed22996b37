"""The demo's page in a real browser, behind nginx with conf/nginx.conf."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Chromium  # noqa: E402
from harness import fronts  # noqa: E402
from harness.httpc import get  # noqa: E402
from harness.wait import wait_until  # noqa: E402

NAMES = ("a", "b", "c")
TABS = 10


@pytest.fixture(scope="module")
def chromium():
    """One process for all tests, since it takes its time to start."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, Chromium(Path(tmp)) as started:
        yield started


@pytest.fixture
def browser(chromium, tmp):  # pylint: disable=redefined-outer-name
    """A browser that knows nothing of earlier tests."""
    chromium.renew(tmp)
    return chromium


@pytest.fixture
def site(tmp, run, daemon):
    """site(...) starts the daemon, with the fixture's options, and nginx before it."""
    def start(www: Path = fronts.WWW, **options):
        return run(fronts.nginx(tmp, daemon(**options).socket_path, www=www))

    return start


def site_without_daemon(api, *, deadline: str = "") -> str:
    """The page served by the API itself, which then says what its fragments answer. Returns the
    page's URL. `deadline` is put on every fragment."""
    for path, kind in (("index.html", "text/html"), ("style.css", "text/css"),
                       ("fragments.js", "text/javascript"), ("demo.js", "text/javascript"),
                       ("favicon.svg", "image/svg+xml")):
        text = (fronts.WWW / path).read_text("utf-8")
        if deadline:
            text = text.replace(" data-fragment=", f' data-deadline="{deadline}" data-fragment=')
        api.answer("" if path == "index.html" else path, body=text, type=kind,
                   headers={"Content-Security-Policy": "default-src 'self'"})
    for name in NAMES:
        api.answer(f"fragment/{name}", body=f"<p>{name}</p>", type="text/html")
    return api.url + "/"


def test_fragments_arrive_in_any_order(api, browser, site, redis):
    """Each is shown when it is ready: c, then a, then b."""
    front = site(redis=redis.url)
    api.hold(*NAMES)
    browser.open(front.url)
    for name in NAMES:
        api.wait_calls(name, 1)
        assert browser.state(name) == "loading"
        assert browser.slot(name, "getAttribute('aria-busy')") == "true"
        assert browser.text(name) == "Loading…"
    browser.shoot_all("loading")

    shown = set()
    for name in "cab":
        api.release(name)
        browser.wait_state(name, "loaded")
        shown.add(name)
        assert browser.text(name) == f"result for {name}"
        assert browser.slot(name, "getAttribute('aria-busy')") == "false"
        assert "made just now" in browser.badge(name)
        assert {other for other in NAMES if browser.state(other) == "loaded"} == shown
    browser.shoot_all("loaded")

    browser.open(front.url)
    for name in NAMES:
        browser.wait_state(name, "loaded")
        assert "hit" in browser.badge(name)
        assert api.calls(name) == 1
    assert browser.complaints() == []


def test_ten_tabs_at_once(tmp, run, api, browser, daemon):
    """As ten visitors: each tab is another host to the browser, so each has connections of its own
    and 30 requests are parked at the same time. One slow call makes each fragment."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.nginx(tmp, relay.path))
    api.hold(*NAMES)
    for tab in range(TABS):
        browser.cdp("Target.createTarget", url=f"http://tab{tab}.localhost:{front.port}/")
    relay.wait_begun(TABS * len(NAMES), "/fragment/")
    assert relay.in_flight() == TABS * len(NAMES)

    tabs = browser.other_tabs()
    assert len(tabs) == TABS
    shown = set()
    for name in "cab":
        api.release(name)
        shown.add(name)
        for tab in tabs:
            browser.driver.switch_to.window(tab)
            browser.wait_state(name, "loaded")
            assert browser.text(name) == f"result for {name}"
            assert {other for other in NAMES if browser.state(other) == "loaded"} == shown
    assert [api.calls(name) for name in NAMES] == [1, 1, 1]


def test_ten_tabs_of_one_host(api, browser, site):
    """As one visitor: the browser opens six connections, and the rest of its requests queue."""
    front = site()
    api.hold(*NAMES)
    for _ in range(TABS):
        browser.cdp("Target.createTarget", url=front.url)
    for name in NAMES:
        api.wait_calls(name, 1)
    api.release_all()
    for tab in browser.other_tabs():
        browser.driver.switch_to.window(tab)
        for name in NAMES:
            wait_until(lambda n=name: browser.script(
                "return document.querySelector(`[data-fragment='${arguments[0]}']`)"
                "?.dataset.state === 'loaded'", n), f"fragment {name} to be loaded")
    assert [api.calls(name) for name in NAMES] == [1, 1, 1]


def test_failures_are_shown(tmp, api, browser, site):
    """A failed fragment says so: in the server's words if it has any for this. It can be tried
    again; its neighbours do not suffer."""
    fallback = Path(tmp) / "fallback.html"
    fallback.write_text("<p>Our <em>weather</em> is late today.</p>", "utf-8")
    front = site(extra=f'fragment "b" {{ source = "api" fallback = "{fallback}" }}')
    api.answer("b", 500)
    api.answer("c", 500)
    browser.open(front.url)
    browser.wait_state("a", "loaded")
    for name in "bc":
        browser.wait_state(name, "failed")
        assert browser.slot(name, "getAttribute('aria-busy')") == "false"
        assert "failed" in browser.badge(name)
        assert browser.slot(name, "querySelectorAll('.spinner').length") == 0
    assert browser.text("b").startswith("Our weather is late today.")
    assert browser.text("c").startswith("This part of the page could not be loaded.")
    logged = " ".join(browser.complaints())
    assert "fragment b: HTTP status 502" in logged and "fragment c" in logged
    browser.shoot_all("failed")

    api.answer("b", body="<p>Sunny.</p>", type="text/html")
    browser.slot("b", "querySelector('button').click()")
    browser.wait_state("b", "loaded")
    assert browser.text("b") == "Sunny."


def test_front_server_error_page_is_not_shown(run, tmp, browser):
    """nginx's own page for an error is a whole document: it does not belong into a card."""
    front = run(fronts.nginx(tmp, str(Path(tmp) / "nobody")))
    browser.open(front.url)
    for name in NAMES:
        browser.wait_state(name, "failed")
        assert browser.text(name).startswith("This part could not be loaded.")
        assert "nginx" not in browser.text(name)


def test_reattaches_until_ready(tmp, run, api, browser, daemon):
    """The route's hold is shorter than the call: the script asks again, and no call is made
    twice."""
    server = daemon(extra='fragment "a" { source = "api" hold = "1s" }')
    relay = run(fronts.Relay(tmp, server.address))
    front = run(fronts.nginx(tmp, relay.path))
    api.hold("a")
    browser.open(front.url)
    relay.wait_begun(3, "/fragment/a")
    assert browser.state("a") == "loading"
    api.release("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "result for a"
    assert api.calls("a") == 1
    assert browser.complaints() == []


def test_scripts_in_fragments_do_not_run(api, browser, site):
    """And the rest of the HTML arrives as it is, table rows too."""
    api.answer("a", type="text/html", body="<script>window.ran = 1</script>"
                                           "<img src='/nothing.svg'><p>shown</p>")
    api.answer("b", type="text/html", body="<tr><td>cell</td></tr>")
    front = site()
    browser.open(front.url)
    for name in NAMES:
        browser.wait_state(name, "loaded")
    assert browser.text("a") == "shown"
    assert browser.script("return window.ran") is None
    assert browser.slot("b", "querySelectorAll('tr > td').length") == 1


def test_never_spins_for_ever(api, browser):
    """A fragment that is never ready fails at its deadline, without a storm of requests: neither
    where the server parks them for too long, nor where it does not park them at all."""
    url = site_without_daemon(api, deadline="3")
    api.hold("fragment/a")
    api.answer("fragment/b", 202, headers={"Retry-After": "0"}, type="text/html")
    browser.open(url)
    for name in "ab":
        browser.wait_state(name, "failed")
        assert browser.text(name).startswith("This part did not come in time.")
    browser.wait_state("c", "loaded")
    assert 2 <= api.calls("fragment/b") <= 4


def test_too_busy_is_retried(api, browser):
    """A 503 with Retry-After is no failure yet; one without it is, and so is one that says to come
    back much later."""
    url = site_without_daemon(api)
    api.answer("fragment/a", 503, headers={"Retry-After": "1"}, type="text/html")
    api.answer("fragment/b", 503, type="text/html", body="<p>closed</p>")
    api.answer("fragment/c", 503, headers={"Retry-After": "3600"}, type="text/html")
    browser.open(url)
    api.wait_calls("fragment/a", 2)
    assert browser.state("a") == "loading"
    api.answer("fragment/a", body="<p>at last</p>", type="text/html")
    browser.wait_state("a", "loaded")
    browser.wait_state("b", "failed")
    assert browser.text("b").startswith("closed")
    browser.wait_state("c", "failed")
    assert api.calls("fragment/b") == api.calls("fragment/c") == 1


@pytest.mark.parametrize("answer", [
    {"type": "text/plain", "body": "<p>text</p>"},
    {"type": "text/html", "body": "<!DOCTYPE html><title>Login</title>"},
    {"status": 302, "headers": {"Location": "/"}, "type": "text/html"},
])
def test_what_is_no_fragment_is_not_inserted(api, browser, answer):
    url = site_without_daemon(api)
    api.answer("fragment/a", **answer)
    browser.open(url)
    browser.wait_state("a", "failed")
    assert browser.text("a").startswith("This part could not be loaded.")


def test_without_scripts(browser, site):
    """The page says how to see the fragments, and nothing spins."""
    front = site()
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(front.url)
    notice = browser.driver.find_element("css selector", "noscript")
    assert "scripts are off" in notice.text
    assert not any(spinner.is_displayed()
                   for spinner in browser.driver.find_elements("css selector", ".spinner"))
    links = browser.driver.find_elements("css selector", "noscript a")
    for link, name in zip(links, NAMES):
        path = link.get_attribute("href").removeprefix(front.url)
        assert get(front.address, path).text == f'<div id="{name}">result for {name}</div>'
    browser.shoot("noscript")
