"""<page-fragment> when the network, the server or the tab goes away and comes back."""

from __future__ import annotations

import pytest

from harness.wait import stays, wait_until

IT = "document.querySelector('page-fragment')"

# Whether the tab is hidden is what the test says; and an hour is two seconds.
OWN = """
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    window.hide = value => {
        hidden = value;
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    };
    const wait = window.setTimeout;
    window.setTimeout = (run, ms) => wait(run, ms === 60000 ? ms : ms / 1800); // but `timeout`
    window.fail = [];
    document.addEventListener("error", ({ detail }) => detail && fail.push(detail.error), true);
"""


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


@pytest.fixture
def page(site):
    """page(body): a page with OWN; returns its URL."""
    site.answer("own.js", type="text/javascript", body=OWN)
    return lambda body: site.page('<script src="own.js"></script>' + body)


@pytest.mark.parametrize("attributes", ["timeout=0.3", "timeout=0.3 stream"])
def test_silence(site, browser, attributes):
    """Nothing arrives for `timeout` seconds: it is requested again."""
    site.fragment("a")
    site.hold_fragment("a")
    browser.open(site.page(element("a", attributes)))
    if "stream" in attributes:
        site.stream(1).send("a", "<p>a</p>")
    else:
        site.wait_asked("a", 2)
        site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.heard("a") == \
        ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]


def test_silence_in_the_middle(site, browser):
    """Half an answer is as good as none."""
    site.answer("fragment/a", body="<p>a lot</p>", type="text/html", cut=3, stall=True)
    browser.open(site.page(element("a", "timeout=0.3")))
    site.wait_asked("a")
    site.fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "a"


def test_heartbeats(site, browser):
    """They are signs of life."""
    browser.open(site.page(element("a", "stream timeout=1")))
    stream = site.stream()

    def beat() -> bool:
        stream.raw(": still there\n\n")
        return len(site.streams) == 1

    stays(beat, "it is the same stream", seconds=2)
    stream.send("a", "<p>a</p>")
    browser.wait_state("a", "loaded")


def test_heals_after_an_outage(site, browser, page):
    """After `retries` it shows the failure, and goes on trying."""
    site.fragment("a", "<p>down</p>", status=503)
    browser.open(page(element("a", "retries=1")))
    wait_until(lambda: browser.text("a") == "down", "the failure")  # until it tries again
    assert browser.script("return fail[0] instanceof Error && fail[0].message;") == \
        "HTTP status 503"
    site.wait_asked("a", 4)
    site.fragment("a", "<p>up</p>")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "up"
    heard = browser.heard("a")
    assert heard.count("loadstart") == heard.count("loadend") == heard.count("error") + 1


def test_retry_after_is_kept(site, browser, page):
    """However often the tab is looked at."""
    site.fragment("a", status=503, headers={"Retry-After": "86400"})
    browser.open(page(element("a")))
    browser.wait_state("a", "failed")
    browser.script("hide(true); hide(false); dispatchEvent(new Event('online'));")
    stays(lambda: site.asked("a") == 1, "it is asked for once")


@pytest.mark.parametrize("answer", [
    {"status": 503}, {"status": 404}, {"status": 200, "type": "text/plain"}])
def test_what_does_not_heal(site, browser, page, answer):
    """`retries=0`, or failures that stay."""
    site.fragment("a", **answer)
    browser.open(page(element("a", "retries=0" if answer["status"] == 503 else "")))
    browser.wait_state("a", "failed")
    stays(lambda: site.asked("a") == 1, "it is asked for once", seconds=0.5)


@pytest.mark.parametrize("event", [
    "hide(true); hide(false);", "dispatchEvent(new Event('online'));"])
def test_early_retry(site, browser, event):
    """The network is back, or somebody looks: now is a good time."""
    site.answer("own.js", type="text/javascript",
                body=OWN.replace("ms / 1800", "ms > 30000 ? 1e9 : 1"))
    site.fragment("a", status=503)
    browser.open(site.page('<script src="own.js"></script>' + element("a", "retries=1")))
    browser.wait_state("a", "failed")
    stays(lambda: site.asked("a") == 2, "the next retry is far away")
    site.fragment("a")
    browser.script(event)
    browser.wait_state("a", "loaded")


@pytest.mark.parametrize("attributes", ["retries=1", "retries=9"])
def test_hidden_tabs_do_not_retry(site, browser, page, attributes):
    site.fragment("a", status=503)
    site.hold_fragment("a")
    browser.open(page(element("a", attributes)))
    site.wait_asked("a")
    browser.script("hide(true);")
    site.release_fragment("a")
    stays(lambda: site.asked("a") == 1, "nobody looks", seconds=0.5)
    browser.script("hide(false);")
    site.wait_asked("a", 2)
    site.fragment("a")
    browser.wait_state("a", "loaded")


def test_failing_reload_keeps_the_content(site, browser):
    site.fragment("a", "<p>good</p>")
    browser.open(site.page(element("a", "retries=0")))
    browser.wait_state("a", "loaded")
    browser.script("heard.length = 0;")
    site.fragment("a", "<p>bad</p>", 500)
    assert browser.script(f"return {IT}.reload();") == "failed"
    assert (browser.text("a"), browser.state("a"), browser.busy("a")) == ("good", "loaded", False)
    assert browser.heard("a") == ["loadstart", "error", "loadend"]
    site.fragment("a", "<p>better</p>")
    assert browser.script(f"return {IT}.reload();") == "loaded"
    assert browser.text("a") == "better"


def test_each_start_has_its_end(site, browser):
    """Also if it is removed, or reloaded meanwhile."""
    site.fragment("a")
    site.hold_fragment("a")
    browser.open(site.page(element("a")))
    site.wait_asked("a")
    browser.script(f"""
        window.it = {IT};
        window.own = [];
        for (const type of ["loadstart", "load", "error", "loadend"])
            it.addEventListener(type, event =>
                own.push([type, event.bubbles, event.cancelable].join()));
        it.reload();
        it.remove();""")
    wait_until(lambda: browser.script("return own.length;") == 3, "the end")
    assert browser.script("return own;") == [
        f"{type},false,false" for type in ("loadend", "loadstart", "loadend")]


def test_answer_before_the_placeholder(site, browser):
    """A fragment that is faster than the page is not shown together with its placeholder."""
    site.fragment("a")
    site.stream_type = "text/html"
    browser.open(site.page(""))
    browser.script("document.body.append(document.createElement('iframe'));"
                   "frames[0].location = '/fragments';")
    page = site.stream()
    page.raw('<!DOCTYPE html><title>test</title><script type="module" async '
             'src="page-fragment.js"></script><page-fragment name="a"><i>Load' + "i" * 2000)
    site.wait_asked("a")
    inside = "return frames[0].document.querySelector('page-fragment')."
    stays(lambda: browser.script(inside + "textContent;").startswith("Load"), "the placeholder")
    page.raw("ing</i>…</page-fragment><p>more</p>")
    wait_until(lambda: browser.script(inside + "state;") == "loaded", "the content")
    assert browser.script(inside + "innerHTML;") == "<p>a</p>"
    assert browser.script("return frames[0].document.readyState;") == "loading"
    page.end()
