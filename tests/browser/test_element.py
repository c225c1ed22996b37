"""<page-fragment> by itself: what its attributes, events and methods do. All pages are under a
policy that requires Trusted Types."""

from __future__ import annotations

from email.utils import formatdate
import gzip
import time

import pytest

from harness.servers import TOP
from harness.wait import stays, wait_until
from pages import POLICY

SCRIPT = TOP / "www/page-fragment.js"
LIMIT_BYTES = 5120  # as it is sent, with gzip

LOADED = ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]
FAILED = [*LOADED[:3], "error", "loadend"]
UNFILLED = ["loadstart", "error", "loadend"]  # failed, with nothing to show

AGAIN = "document.querySelector(\"page-fragment[name='a']\")"


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


def test_is_small():
    assert len(gzip.compress(SCRIPT.read_bytes())) <= LIMIT_BYTES


# --- content ---


def test_fills_itself(site, browser):
    """The placeholder is shown until the fragment is there, and until then the element is busy."""
    name = "a/b ?&é"
    site.fragment(name, "<p>here</p>")
    site.hold_fragment(name)
    browser.open(site.page(element(name.replace("&", "&amp;"))))
    site.wait_asked(name)
    assert (browser.state(name), browser.text(name), browser.busy(name)) == ("loading", "…", True)
    browser.script("""
        window.changed = [];
        new MutationObserver(changes => changed.push(
            ...changes.map(change => change.attributeName ?? "children"))
        ).observe(document.querySelector("page-fragment"), { attributes: true, childList: true });
        """)
    site.release_fragment(name)
    browser.wait_state(name, "loaded")
    assert (browser.text(name), browser.busy(name)) == ("here", False)
    assert browser.script("return changed;") == ["children", "state", "aria-busy"]
    assert browser.script("return heard.map(it => it.split(' ')[0]);") == LOADED
    [call] = [call for call in site.requests() if call.path.startswith("/fragment/")]
    assert call.headers["accept"] == "text/html"
    assert browser.complaints() == []


def test_src(site, browser):
    site.answer("elsewhere?x=1", body="<p>from there</p>", type="text/html")
    browser.open(site.page(element("a", 'src="/elsewhere?x=1"')))
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "from there"
    assert site.asked("a") == 0


def test_empty_fragment(site, browser):
    """It clears the placeholder."""
    site.answer("fragment/a", body="", type="text/html")
    browser.open(site.page(element("a")))
    browser.wait_state("a", "loaded")
    assert browser.text("a") == ""


def test_scripts_are_inert(site, browser):
    """Whether the policy of the page would let them run or not."""
    site.fragment("a", "<script>window.ran = 1</script><script src='/ran.js'></script>"
                       "<img src='/favicon.svg' alt=''><p>shown</p>")
    site.answer("ran.js", body="window.ran = 2", type="text/javascript")
    browser.open(site.page(element("a"), policy="default-src * 'unsafe-inline'"))
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "shown"
    site.wait_calls("favicon.svg", 1)
    assert browser.script("return window.ran;") is None
    assert site.calls("ran.js") == 0


@pytest.mark.parametrize("policy, runs", [
    ("", True), ("default-src * 'unsafe-inline'", True),
    ("default-src 'self'", False), (POLICY, False)])
def test_event_handlers(site, browser, policy, runs):
    """Those in attributes run, unless the page's policy forbids inline script. The policies of the
    front servers' examples do."""
    site.fragment("a", "<img src='/none' alt='' onerror='window.ran = 1'><p>shown</p>")
    browser.open(site.page(element("a"), policy=policy))
    browser.wait_state("a", "loaded")
    if runs:
        wait_until(lambda: browser.script("return window.ran;") == 1, "the handler to run")
    else:
        wait_until(lambda: browser.script("return violations.length;"), "the browser to refuse it")
        site.wait_calls("none", 1)
        stays(lambda: browser.script("return window.ran;") is None, "it does not run")


def test_sanitizer(site, browser):
    """The page's own policy gets the HTML, and the element's own is not made then."""
    site.fragment("a", "<p onclick='x()'>text</p>")
    site.hold_fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        import PageFragment from "./page-fragment.js";
        PageFragment.policy = trustedTypes.createPolicy("own", {
            createHTML: html => html.replace(/ onclick='[^']*'/, "") });""")
    browser.open(site.page(
        element("a") + '<script type="module" src="own.js"></script>',
        policy="default-src 'self'; require-trusted-types-for 'script'; trusted-types own"))
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.fragment("a", "innerHTML") == "<p>text</p>"
    assert browser.complaints() == []


def test_policy_that_is_not_allowed(site, browser):
    """The page forbids the element's policy and has none of its own: that is a failure like any
    other, not a spinner for ever."""
    site.fragment("a")
    browser.open(site.page(element("a"), policy="require-trusted-types-for 'script'; "
                                                "trusted-types other"))
    browser.wait_state("a", "failed")
    assert browser.heard("a") == UNFILLED


def test_twice_loaded(site, browser):
    """As two files, for example of two versions."""
    site.fragment("a")
    site.answer("page-fragment.js?2", body=SCRIPT.read_bytes(), type="text/javascript")
    browser.open(site.page('<script type="module" src="page-fragment.js?2"></script>' +
                           element("a")))
    browser.wait_state("a", "loaded")
    site.wait_calls("page-fragment.js?2", 1)
    assert site.asked("a") == 1
    assert browser.complaints() == []


# --- placement ---


def test_replaces_itself(site, browser):
    site.fragment("a", "<b>one</b><i>two</i>")
    browser.open(site.page(f"<p id=p>{element('a', 'swap=replace')}</p>"))
    wait_until(lambda: browser.script("return p.innerHTML;") == "<b>one</b><i>two</i>",
               "the element to be replaced")
    assert browser.heard("a") == LOADED[:3]  # the rest is for scripts that hold the element
    assert browser.complaints() == []


def test_rows_of_a_table(site, browser):
    """HTML's parser allows no such element between rows, so it is in a cell, and replaces the
    row."""
    site.fragment("a", "<tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr>")
    browser.open(site.page(f"""
        <table><thead><tr><th>x</th><th>y</th></tr></thead>
        <tbody id=rows><tr><td colspan=2>{element("a", "swap=tr")}</td></tr></tbody></table>"""))
    wait_until(lambda: browser.script("return rows.rows.length;") == 2, "two rows")
    assert browser.script("return [...rows.children].map(row => row.outerHTML).join('');") == \
        "<tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr>"


def test_failure_replaces_nothing(site, browser):
    site.fragment("a", "<p>sorry</p>", status=404)
    browser.open(site.page(f"<div>{element('a', 'swap=replace')}</div>"))
    browser.wait_state("a", "failed")
    assert browser.text("a") == "sorry"


def test_swap_can_be_cancelled(site, browser):
    """A listener that cancels it has the content, and decides what to do with it."""
    site.fragment("a")
    site.hold_fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        document.addEventListener("fragment:beforeswap", event => {
            event.preventDefault();
            document.querySelector("#other").append(event.detail.content);
        });""")
    browser.open(site.page('<p id=other></p><script type="module" src="own.js"></script>' +
                           element("a")))
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "…"
    assert browser.script("return document.querySelector('#other').innerText;") == "a"
    assert browser.heard("a") == ["loadstart", "fragment:beforeswap", "load", "loadend"]


def test_content_can_be_altered(site, browser):
    site.fragment("a")
    site.hold_fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        document.addEventListener("fragment:beforeswap", ({ detail }) => {
            detail.content.querySelector("p").append(
                ` ${detail.name} ${detail.response.status} ${detail.error}`);
        });""")
    browser.open(site.page('<script type="module" src="own.js"></script>' + element("a")))
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "a a 200 null"


def test_focus_stays(site, browser):
    site.fragment("a", "<input autofocus>")
    site.hold_fragment("a")
    browser.open(site.page("<input id=mine>" + element("a")))
    browser.script("mine.focus();")
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.script("return document.activeElement.id;") == "mine"


def test_is_announced(site, browser):
    """In a live region, assistive technology delays announcements while it is busy."""
    site.fragment("a", "<p>news</p>")
    site.hold_fragment("a")
    browser.open(site.page(element("a", 'aria-live="polite"')))
    site.wait_asked("a")

    def region():
        nodes = browser.cdp("Accessibility.getFullAXTree")["nodes"]
        for node in nodes:
            found = {it["name"]: it["value"].get("value") for it in node.get("properties", [])}
            if found.get("live") == "polite":
                return "busy" if found.get("busy") else "idle"
        return "none"

    assert region() == "busy"
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert region() == "idle"


# --- failures ---


@pytest.mark.parametrize("status", [400, 404, 410])
def test_terminal_statuses(site, browser, status):
    """They are not retried."""
    site.fragment("a", "<p>gone</p>", status=status)
    browser.open(site.page(element("a")))
    browser.wait_state("a", "failed")
    assert (browser.text("a"), browser.busy("a")) == ("gone", False)
    assert browser.heard("a") == FAILED
    assert site.asked("a") == 1


@pytest.mark.parametrize("answer", [
    {"type": "text/plain", "body": "<p>text</p>"},
    {"type": "text/html", "body": "<!DOCTYPE html><title>Login</title>"},
    {"type": "text/html", "body": "\n<html lang='en'>Bad gateway", "status": 404},
    {"status": 302, "headers": {"Location": "/"}, "type": "text/html"},
])
def test_what_is_no_fragment_is_not_shown(site, browser, answer):
    site.answer("fragment/a", **answer)
    browser.open(site.page(element("a")))
    browser.wait_state("a", "failed")
    assert browser.text("a") == "…"
    assert browser.heard("a") == UNFILLED


def test_error_slot(site, browser):
    """It takes precedence over the server's message. On a reload the placeholder is back."""
    site.fragment("a", "<p>the server's words</p>", status=404)
    browser.open(site.page(element(
        "a", inside='…<template slot="error"><p>Not <em>today</em>.</p></template>')))
    for _ in range(2):
        browser.wait_state("a", "failed")
        assert browser.text("a") == "Not today."
        site.hold_fragment("a")
        browser.script(f"window.done = {AGAIN}.reload();")
        assert (browser.state("a"), browser.text("a")) == ("loading", "…")
        site.release_fragment("a")
    assert browser.script("return done;") == "failed"
    site.fragment("a", "<p>tomorrow</p>")
    assert browser.script(f"return {AGAIN}.reload();") == "loaded"
    assert browser.text("a") == "tomorrow"


def test_retries(site, browser):
    """5xx are retried that many times; then the server's last message is shown."""
    site.fragment("a", "<p>first</p>", status=500)
    browser.open(site.page(element("a", "retries=1") + element("b", "retries=0")))
    site.fragment("b", "<p>busy</p>", status=503)
    site.wait_asked("a")
    site.fragment("a", "<p>second</p>", status=504)
    browser.wait_state("a", "failed")
    browser.wait_state("b", "failed")
    assert browser.text("a") == "second"
    assert site.asked("a") == 2
    assert browser.heard("a") == FAILED


def test_retries_that_are_no_number(site, browser):
    """They do not cause a spinner for ever."""
    site.fragment("a", status=500)
    browser.open(site.page(element("a", "retries=many")))
    browser.wait_state("a", "failed")
    assert site.asked("a") == 1


@pytest.mark.parametrize("retries, expected", [
    ("", [250, 500, 1000]),
    ("retries=8", [250, 500, 1000, 2000, 4000, 8000, 15000, 15000])])
def test_backs_off(site, browser, retries, expected):
    """The retries after failures wait for a random time of less than 1, 2, 4 s and so on, and of
    less than a minute. Later ones wait for one or two minutes, and so on, and of 8 or 16 at
    most."""
    site.answer("own.js", type="text/javascript", body="""
        Math.random = () => 0.25;
        const wait = window.setTimeout;
        window.waits = [];
        window.setTimeout = (run, ms) => {
            if (ms === 60000) return wait(run, ms); // how long it waits for a byte
            if (ms > 0) waits.push(ms);
            return wait(run, ms / 10000);
        };""")
    site.fragment("a", status=502)
    browser.open(site.page('<script src="own.js"></script>' + element("a", retries)))
    browser.wait_state("a", "failed")
    minutes = [60000 * many * 1.25 for many in (1, 2, 4, 8, 8)]
    wait_until(lambda: [it for it in browser.script("return waits;")
                        if it > 60000][:5] == minutes, "five later retries")
    assert browser.script("return waits;")[:len(expected)] == expected
    count = site.asked("a")
    assert count >= 5 * (len(expected) + 1)
    site.fragment("a")
    browser.wait_state("a", "loaded")


def test_network_error(site, browser):
    """Nothing arrives: it is retried until something does."""
    site.answer("fragment/a", body="<p>a lot</p>", type="text/html", cut=3)
    browser.open(site.page(element("a")))
    site.wait_asked("a")
    site.fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "a"


@pytest.mark.parametrize("status, form", [(503, "seconds"), (429, "date")])
def test_retry_after(site, browser, status, form):
    """Both forms are respected. A much later time is a failure."""
    def after(seconds):
        return {"Retry-After": str(seconds) if form == "seconds" else
                formatdate(time.time() + seconds, usegmt=True)}

    site.fragment("a", status=status, headers=after(2 if form == "date" else 1))
    site.fragment("b", "<p>much later</p>", status=status, headers=after(3600))
    browser.open(site.page(element("a") + element("b")))
    site.wait_asked("a")
    site.fragment("a")
    asked = time.monotonic()
    browser.wait_state("b", "failed")
    assert browser.text("b") == "much later"
    assert site.asked("b") == 1
    browser.wait_state("a", "loaded")
    assert time.monotonic() - asked > 0.9
    assert site.asked("a") == 2


def test_not_ready_is_no_failure(site, browser):
    """A 202 after parking is repeated at once, and as often as it comes, without using retries."""
    site.fragment("a", status=202, headers={"Retry-After": "0"}, delay=1.01)
    browser.open(site.page(element("a", "retries=0")))
    site.wait_asked("a", 2)
    site.fragment("a")
    browser.wait_state("a", "loaded")
    gaps = browser.script("""
        const all = performance.getEntriesByType("resource")
            .filter(it => it.name.endsWith("/fragment/a"));
        return all.slice(1).map((it, at) => it.startTime - all[at].responseEnd);""")
    assert max(gaps) < 200
    assert browser.heard("a") == LOADED


def test_not_ready_at_once_is_no_storm(site, browser):
    """A server that does not park is asked once a second."""
    site.fragment("a", status=202, headers={"Retry-After": "0"})
    begun = time.monotonic()
    browser.open(site.page(element("a", "retries=0")))
    site.wait_asked("a", 2)
    assert time.monotonic() - begun > 0.95
    stays(lambda: site.asked("a") == 2, "the next one is a second away")
    assert browser.state("a") == "loading"


# --- when it is requested ---


def test_lazy(site, browser):
    """Requested when it is some 100 pixels from the viewport, and once."""
    site.fragment("a")
    browser.look((400, 600))
    browser.open(site.page('<img src="favicon.svg" width=10 height=2000 alt=""><br>' +
                           element("a", "loading=lazy")))
    stays(lambda: browser.state("a") is None and site.asked("a") == 0, "it is not asked for")
    browser.script("scrollTo(0, 2000 - 600 - 600);")
    stays(lambda: site.asked("a") == 0, "it is 600 px away and not asked for")
    browser.script("scrollBy(0, 400);")
    browser.wait_state("a", "loaded")
    browser.script("scrollTo(0, 0);")
    browser.script("scrollTo(0, 2000);")
    stays(lambda: site.asked("a") == 1, "it is asked for once")


def test_elements_of_one_name_share_a_request(site, browser):
    """If one of them is removed, the others are not affected; if all are, the request is
    aborted."""
    site.fragment("a")
    site.hold_fragment("a")
    browser.open(site.page(element("a") * 3))
    site.wait_asked("a")
    browser.script(f"{AGAIN}.remove();")
    site.release_fragment("a")
    wait_until(lambda: browser.script("return document.body.innerText;").split() == ["a"] * 2,
               "the others to be filled")
    assert site.asked("a") == 1
    site.hold_fragment("a")
    browser.script("""
        window.all = [...document.querySelectorAll("page-fragment")];
        window.done = Promise.all(all.map(it => it.reload()));""")
    site.wait_asked("a", 2)
    browser.script("all.forEach(it => it.remove());")
    assert browser.script("return done;") == ["", ""]
    wait_until(lambda: browser.script(
        "return performance.getEntriesByName(location.origin + '/fragment/a').length;") == 2,
        "the request to be aborted")
    assert site.asked("a") == 2


def test_moved_while_loading(site, browser):
    """A move is not a removal, in one step or in two: the request continues, and is not
    repeated."""
    site.fragment("a")
    site.hold_fragment("a")
    browser.open(site.page(f"<div id=from>{element('a')}</div><div id=to></div>"))
    site.wait_asked("a")
    browser.script("to.append(from.firstChild);")
    browser.script("const it = to.firstChild; it.remove(); from.append(it);")
    browser.script("to.append(from.firstChild);")
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    browser.script("from.append(to.firstChild);")
    assert browser.text("a") == "a"
    assert browser.heard("a") == LOADED
    assert site.asked("a") == 1


def test_removed_and_inserted_again(site, browser):
    """A request that no element waits for is aborted, and repeated for one that is inserted again.
    Filled elements stay filled."""
    site.fragment("a")
    site.hold_fragment("a")
    browser.open(site.page(element("a")))
    site.wait_asked("a")
    browser.script(f"window.it = {AGAIN}; window.done = it.reload(); it.remove();")
    assert browser.script("return done;") == ""
    assert browser.script("return it.getAttribute('aria-busy');") == "false"
    site.release_fragment("a")
    asked = site.asked("a")
    browser.script("document.body.append(it);")
    browser.wait_state("a", "loaded")
    assert site.asked("a") == asked + 1
    browser.script("it.remove();")
    browser.script("document.body.append(it);")
    stays(lambda: browser.state("a") == "loaded" and site.asked("a") == asked + 1, "it is filled")


def test_upgraded_late(site, browser):
    """The script may be last, and elements may be created by other scripts."""
    site.fragment("a")
    browser.open(site.page(""))
    browser.script("""
        const it = document.createElement("page-fragment");
        it.setAttribute("name", "a");
        document.body.append(it);""")
    browser.wait_state("a", "loaded")
    assert site.asked("a") == 1


def test_reload(site, browser):
    """The loaded content is shown until the new one is there; after two reloads the last one is
    shown."""
    site.fragment("a", "<p>old</p>")
    browser.open(site.page(element("a")))
    browser.wait_state("a", "loaded")
    site.fragment("a", "<p>new</p>")
    site.hold_fragment("a")
    browser.script(f"window.done = Promise.all([{AGAIN}.reload(), {AGAIN}.reload()]);")
    site.wait_asked("a", 2)
    assert (browser.text("a"), browser.state("a"), browser.busy("a")) == ("old", "loading", True)
    site.release_fragment("a")
    assert browser.script("return done;")[1] == "loaded"
    assert browser.text("a") == "new"


def test_fragments_in_fragments(site, browser):
    """They are filled too, but not a fragment inside itself, at any depth."""
    site.fragment("a", "<b>a</b>" + element("b"))
    site.fragment("b", "<b>b</b>" + element("c", "swap=replace"))
    site.fragment("c", "<b>c</b>" + element("a", "class=inner"))
    browser.open(site.page(element("a", "class=outer")))
    wait_until(lambda: browser.script("return document.querySelector('.inner')?.matches("
                                      "'[state=failed]');"), "the innermost to be refused")
    assert browser.text("a") == "abc…"
    stays(lambda: [site.asked(name) for name in "abc"] == [1, 1, 1], "each is asked for once")


# --- navigation ---


def test_back_and_forward(site, browser):
    """A page that is left while its fragments are loading comes back unchanged (from the browser's
    back/forward cache), and they are loaded, though the request was lost meanwhile."""
    for name in "ab":
        site.fragment(name)
    site.answer("fragment/a", body="cut", type="text/html", cut=1)
    site.hold_fragment("a")
    site.page("<p id=other>another page</p>", "other")
    browser.open(site.page(element("a") + element("b")))
    browser.wait_state("b", "loaded")
    site.wait_asked("a")
    browser.script("window.same = true;")
    browser.script("location = 'other';")
    wait_until(lambda: browser.script("return window.other?.id;"), "the other page")
    site.release_fragment("a")
    site.fragment("a")
    browser.script("history.back();")
    browser.wait_state("a", "loaded")
    assert browser.script("return window.same;") is True
    assert browser.text("b") == "b"
    assert site.asked("b") == 1
