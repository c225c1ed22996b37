"""The demo's page in a real browser, behind nginx and lighttpd with the configs of conf/."""

from __future__ import annotations

import shutil
from pathlib import Path

from chromium import Chromium
from harness import fronts
from harness.httpc import get
from harness.wait import wait_until
from pages import HTML, POLICY

NAMES = ("a", "b", "c")
TABS = 10
BAR = "return [...document.querySelectorAll('.timeline .bar')].map(bar => bar.classList[1]);"


def badge(browser: Chromium, name: str) -> str:
    """What is shown under the fragment's card."""
    return browser.fragment(name, "closest('.card').querySelector('footer').innerText")


def summary(browser: Chromium) -> str:
    """What is shown above the timeline."""
    return browser.script("return document.querySelector('#summary').innerText;")


def shoot_all(browser: Chromium, server: fronts.FrontServer, name: str) -> None:
    """The page looks the same behind all of them."""
    if server.name == "nginx":
        browser.shoot_all(name)


def test_fragments_arrive_in_any_order(api, browser, front, redis):
    """Each is shown when it is ready: c, then a, then b. The timeline agrees."""
    server = front(redis=redis.url)
    api.hold(*NAMES)
    browser.open(server.url)
    for name in NAMES:
        api.wait_calls(name, 1)
        assert (browser.state(name), browser.busy(name)) == ("loading", True)
        assert browser.text(name) == "Loading…"
    assert summary(browser) == "Requested 3 fragments: 3 parked."
    shoot_all(browser, server, "loading")

    shown = set()
    for name in "cab":
        api.release(name)
        browser.wait_state(name, "loaded")
        shown.add(name)
        assert (browser.text(name), browser.busy(name)) == (f"result for {name}", False)
        assert "made just now" in badge(browser, name)
        assert {other for other in NAMES if browser.state(other) == "loaded"} == shown
    assert browser.script(BAR) == ["made"] * 3
    assert summary(browser).startswith("All loaded after ")
    shoot_all(browser, server, "loaded")

    browser.open(server.url)
    for name in NAMES:
        browser.wait_state(name, "loaded")
        assert "hit" in badge(browser, name)
        assert api.calls(name) == 1
    assert browser.script(BAR) == ["hit"] * 3
    assert "from the cache" in summary(browser)
    shoot_all(browser, server, "hits")
    assert browser.complaints() == []


def test_ten_tabs_at_once(tmp, run, api, browser, daemon):
    """As ten visitors: each tab is another host to the browser, so each has connections of its own
    and 30 requests are parked at the same time. Each fragment takes one slow call."""
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
    told = []
    for tab in tabs:
        browser.driver.switch_to.window(tab)
        told += [badge(browser, name) for name in NAMES]
    assert sum("made just now" in words for words in told) == len(NAMES)
    assert sum("joined" in words for words in told) == len(NAMES) * (TABS - 1)


def test_ten_tabs_of_one_host(tmp, run, api, browser, daemon):
    """As one visitor: the browser opens six connections, and the rest of its requests queue."""
    front = run(fronts.nginx(tmp, daemon().socket_path))
    api.hold(*NAMES)
    for _ in range(TABS):
        browser.cdp("Target.createTarget", url=front.url)
    for name in NAMES:
        api.wait_calls(name, 1)
    api.release_all()
    for tab in browser.other_tabs():
        browser.driver.switch_to.window(tab)
        for name in NAMES:
            browser.wait_state(name, "loaded")
    assert [api.calls(name) for name in NAMES] == [1, 1, 1]


def with_retries(tmp: Path, retries: int) -> Path:
    """A copy of the page whose fragments have that attribute."""
    copy = tmp / "www"
    shutil.copytree(fronts.WWW, copy)
    copy.chmod(0o755)
    text = (copy / "index.html").read_text("utf-8")
    assert "<page-fragment " in text
    (copy / "index.html").write_text(
        text.replace("<page-fragment ", f'<page-fragment retries="{retries}" '), "utf-8")
    return copy


def test_failures_are_shown(tmp, api, browser, front):
    """A failed fragment says so, with the server's message if there is one. It can be retried; its
    neighbours are not affected."""
    fallback = tmp / "fallback.html"
    fallback.write_text("<p>Our <em>weather</em> is late today.</p>", "utf-8")
    server = front(www=with_retries(tmp, 1),
                   extra=f'fragment "b" {{ source = "api" fallback = "{fallback}" }}')
    api.answer("b", 500)
    api.answer("c", 404)
    browser.open(server.url)
    browser.wait_state("a", "loaded")
    for name in "bc":
        browser.wait_state(name, "failed")
        assert not browser.busy(name)
        assert "failed" in badge(browser, name)
        assert browser.fragment(name, "querySelectorAll('.spinner').length") == 0
    assert browser.text("b").startswith("Our weather is late today.")
    assert browser.text("c").startswith("There is no such fragment.")
    assert [api.calls(name) for name in "bc"] == [2, 1]
    assert summary(browser) == "Failed: b, c. The others were not affected."
    logged = " ".join(browser.complaints())
    assert "fragment b: HTTP status 502" in logged and "fragment c: HTTP status 404" in logged
    shoot_all(browser, server, "failed")

    api.answer("b", body="<p>Sunny.</p>", type="text/html")
    browser.fragment("b", "querySelector('button').click()")
    browser.wait_state("b", "loaded")
    assert browser.text("b") == "Sunny."


def test_strictest_policy(site, browser):
    """The page and its scripts under the policy that they promise to work with."""
    site.answer("", body=(fronts.WWW / "index.html").read_bytes(), type=HTML,
                headers={"Content-Security-Policy": POLICY})
    site.hold_fragment("a")
    for name in NAMES:
        site.fragment(name)
    browser.open(site.url)
    for name in NAMES[1:]:
        browser.wait_state(name, "loaded")
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.complaints() == []


def test_front_server_error_page_is_not_shown(run, tmp, browser):
    """nginx's own page for an error is a complete document: it is not shown in a card."""
    server = run(fronts.nginx(tmp, str(tmp / "nobody"), www=with_retries(tmp, 0)))
    browser.open(server.url)
    for name in NAMES:
        browser.wait_state(name, "failed")
        assert browser.text(name).startswith("This part could not be loaded.")
        assert "nginx" not in browser.text(name)


def test_too_busy_is_retried(tmp, run, api, browser, daemon):
    """A 503 of the daemon is not a failure yet: there may be room on the next try."""
    relay = run(fronts.Relay(tmp, daemon(extra="max_parked = 1").address))
    server = run(fronts.nginx(tmp, relay.path))
    api.hold(*NAMES)
    browser.open(server.url)
    relay.wait_begun(len(NAMES) + 2, "/fragment/")  # two were rejected, and retried
    assert {browser.state(name) for name in NAMES} == {"loading"}
    api.release_all()
    for name in NAMES:
        browser.wait_state(name, "loaded")
    assert [api.calls(name) for name in NAMES] == [1, 1, 1]


def test_reattaches_until_ready(api, browser, front):
    """The route's hold is shorter than the call: the element asks again, and no call is repeated.
    The timeline shows when."""
    server = front(extra='fragment "a" { source = "api" hold = "1s" }')
    api.hold("a")
    browser.open(server.url)
    server.relay.wait_begun(2, "/fragment/a")
    assert browser.state("a") == "loading"
    api.release("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "result for a"
    assert api.calls("a") == 1
    assert browser.script("return document.querySelectorAll('.timeline .again').length;") == 1
    assert browser.complaints() == []


def test_removal_aborts_the_request(api, browser, front):
    """The element is removed, and its request with it: the daemon, which has room for one, has room
    again. The call goes on, and its result is there for the next request. (lighttpd treats this as
    a half-close, so there the place is free only when the call has ended.)"""
    server = front(extra="max_parked = 1")
    api.hold("left")
    browser.open(server.url)
    for name in NAMES:
        browser.wait_state(name, "loaded")
    browser.script("""
        window.it = document.createElement("page-fragment");
        it.setAttribute("name", "left");
        document.querySelector(".card").append(it);""")
    api.wait_calls("left", 1)
    assert get(server.address, "/fragment/other").status == 503
    browser.script("it.remove();")
    wait_until(lambda: browser.script("return it.getAttribute('state');") == "", "it to abort")
    if server.name == "nginx":
        fronts.check_place_is_free(server)
    fronts.check_flight_goes_on(server, api, "left")
    fronts.check_place_is_free(server)


def test_without_scripts(run, tmp, browser, daemon):
    """The page says how to see the fragments, and nothing spins."""
    front = run(fronts.nginx(tmp, daemon().socket_path))
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
