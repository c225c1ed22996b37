"""<page-fragment stream="page">: the document brings the fragments, in place or in templates. In
every browser, and in Chromium also as if it could not patch. All pages are under a policy that
requires Trusted Types."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from chromium import Chromium
from harness import fronts
from harness.servers import TOP
from harness.wait import stays, wait_until
from others import Firefox, WebKit, has_steady_webkit
from pages import HTML
from view import LISTEN

# Quick retries: a minute is a second.
QUICK = """
const wait = window.setTimeout;
window.setTimeout = (run, ms) => wait(run, ms / 60);
"""

# The states that elements have had at the ends of tasks, in which they may be painted.
WATCH = """
window.states = [];
new MutationObserver(changes => changes.forEach(({ target }) => setTimeout(() =>
    states.push(`${target.getAttribute("name")} ${target.getAttribute("state")}`)))
).observe(document, { subtree: true, attributeFilter: ["state"] });
"""

HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>test</title>
<script src="listen.js"></script>{script}</head><body><main>
""" + " " * 2000 + "\n"  # WebKit waits for some text
ASYNC = '<script type="module" async src="page-fragment.js"></script>'
SCRIPT = '<script src="import.js"></script>'  # WebKit lets async ones wait at times
FRAME = "<!DOCTYPE html><title>test</title><p>a frame</p>"
TEXTS = "return [...{}.document.querySelectorAll('page-fragment')].map(it => it.innerText.trim());"

PATCHED = ["loadstart", "load", "loadend"]
LOADED = ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]
FAILED = [*LOADED[:3], "error", "loadend"]


@pytest.fixture(scope="module", params=[
    pytest.param(Chromium, id="chromium"),
    pytest.param(functools.partial(Chromium, without="DocumentPatching"), id="without-patching"),
    pytest.param(Firefox, id="firefox"),
    pytest.param(WebKit, id="webkit", marks=pytest.mark.skipif(
        not has_steady_webkit(), reason="this MiniBrowser hangs now and then"))])
def started(request):
    """Each starts slowly, so it is one for all tests."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, request.param(Path(tmp)) as browser:
        browser.window = "frames[0]"
        browser.patches = isinstance(browser, Chromium) and not browser.without
        yield browser


@pytest.fixture
def browser(started):  # pylint: disable=redefined-outer-name
    return started


@pytest.fixture
def begin(browser, site):  # pylint: disable=redefined-outer-name
    """begin(body) opens a page in a frame and sends its skeleton; returns the page."""
    site.answer("listen.js", body=LISTEN, type="text/javascript")
    site.answer("quick.js", body=QUICK, type="text/javascript")
    site.answer("import.js", body='import("./page-fragment.js");', type="text/javascript")

    def opened(body: str, script: str = SCRIPT, end: str = "</main>\n"):
        site.answer("frame.html", body=FRAME, type=HTML)
        open_in_frame(browser, site.url, "/pieces")
        wait_until(lambda: site.pages, "the request of the page")
        page = site.pages[-1]
        page.raw(HEAD.format(script=script) + body + end)
        return page

    return opened


def open_in_frame(browser, url: str, path: str) -> None:
    """The page may be incomplete, which would block the driver."""
    browser.open(url + "/frame.html")
    browser.script("document.body.append(document.createElement('iframe'));"
                   "frames[0].location = arguments[0];", path)


def element(name: str, attributes: str = "", slot: str = "", inside: str = "…") -> str:
    return (f'<page-fragment name="{name}" stream="page" {attributes}>'
            f'<?start name="{name}">{inside}<?end>{slot}</page-fragment>\n')


def in_place(name: str, html: str, slot: str = "") -> str:
    return f'<page-fragment name="{name}" stream="page">{html}{slot}</page-fragment>\n'


def template(name: str, html: str) -> str:
    return f'<template for="{name}">{html}</template>\n'


def failed(name: str, html: str = "") -> str:
    return f'<template for="{name}" data-failed><!--failed-->{html}</template>\n'


def patience(browser) -> str:
    """Chromium does not tell that a document was cut off."""
    return "timeout=3" if isinstance(browser, Chromium) else ""


def texts(browser):
    return browser.script(TEXTS.format(browser.window))


def templates(browser) -> int:
    return browser.script(
        f"return {browser.window}.document.querySelectorAll('template[for]').length;")


def requests(site):
    return [call.path for call in site.requests() if call.path.startswith("/fragment")]


def check_quiet(browser, site) -> None:
    """No request, and nothing that the policy has forbidden."""
    stays(lambda: requests(site) == [], "no request")
    assert browser.script(f"return {browser.window}.violations;") == []


def test_templates(site, browser, begin):
    page = begin(element("a") + element("b") + element("c d"))
    for name in ("a", "b", "c d"):
        browser.wait_state(name, "loading")
        assert (browser.text(name), browser.busy(name)) == ("…", True)
    page.raw(template("c d", "<p>c</p><b>1</b>"))
    browser.wait_state("c d", "loaded")
    assert (browser.text("c d"), browser.busy("c d")) == ("c\n\n1", False)
    assert browser.state("a") == "loading"
    page.raw(template("b", "<p>b</p>") + template("a", "<p>a</p>"))
    browser.wait_state("a", "loaded")
    browser.wait_state("b", "loaded")
    page.raw("</body></html>\n")
    page.close()
    assert texts(browser) == ["a", "b", "c\n\n1"]
    assert templates(browser) == 0
    assert browser.heard("a") == (PATCHED if browser.patches else LOADED)
    check_quiet(browser, site)


def test_in_pieces(site, browser, begin):
    """A template that is half there is not taken."""
    page = begin(element("a") + element("b"))
    browser.wait_state("a", "loading")
    page.raw('<template for="a"><p>one</p>')
    stays(lambda: browser.state("a") == "loading", "it waits", seconds=0.2)
    page.raw("<p>two</p></template>\n")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "one\n\ntwo"
    page.raw(template("b", "<p>b</p>"))
    page.close()
    browser.wait_state("b", "loaded")
    check_quiet(browser, site)


def test_something_behind_a_template(site, browser, begin):
    """A script has put it there, so it does not mean that the template is complete."""
    page = begin(element("a"))
    browser.wait_state("a", "loading")
    page.raw('<template for="a"><p>one</p>')
    wait_until(lambda: browser.patches or templates(browser), "the template")
    browser.script(f"const page = {browser.window}.document;"
                   "page.body.append(page.createElement('i'));")
    stays(lambda: browser.state("a") == "loading", "it waits", seconds=0.2)
    page.raw("<p>two</p></template>\n</body>\n")
    page.close()
    if not browser.patches:
        stream = site.stream()
        stream.send("a", "<p>one</p><p>two</p>")
        stream.end()
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "one\n\ntwo"


def test_in_place(site, browser, begin):
    """What the server had at once, while the page is still loading: it is never busy."""
    site.answer("watch.js", body=WATCH, type="text/javascript")
    page = begin('<script src="watch.js"></script>', end="")
    wait_until(lambda: browser.script(
        f"return !!{browser.window}.customElements.get('page-fragment');"), "the definition")
    page.raw(in_place("a", "<p>a</p>") + in_place("b", "b") + element("c") +
             '<page-fragment name="d" state="loaded">d</page-fragment>\n')
    for name in "ab":
        browser.wait_state(name, "loaded")
        assert (browser.text(name), browser.busy(name)) == (name, False)
        assert browser.heard(name) == PATCHED
    browser.wait_state("c", "loading")
    assert {state for state in browser.script(f"return {browser.window}.states;")
            if not state.startswith("c")} == {"a loaded", "b loaded"}
    page.raw(template("c", "c"))
    page.close()
    browser.wait_state("c", "loaded")
    check_quiet(browser, site)


@pytest.mark.parametrize("attributes", ["", "async"])
def test_defined_late(site, browser, begin, attributes):
    """The placeholder and the content are never both shown."""
    site.hold("page-fragment.js")
    page = begin(in_place("a", "<p>a</p>") + element("b") + element("c"),
                 script=ASYNC.replace("async", attributes))
    page.raw(template("b", "<p>b</p>"))
    if attributes:
        site.release("page-fragment.js")
    page.raw(template("c", "<p>c</p>") + "</body>\n")
    page.close()
    site.release("page-fragment.js")
    for name in "abc":
        browser.wait_state(name, "loaded")
    assert texts(browser) == ["a", "b", "c"]
    assert templates(browser) == 0
    check_quiet(browser, site)


def test_what_does_not_come(site, browser, begin):
    """One stream brings it, and only that."""
    page = begin("".join(map(element, "abcd")))
    page.raw(template("b", "<p>b</p>") + "</body></html>\n")
    browser.wait_state("b", "loaded")
    stays(lambda: requests(site) == [], "it may still come")
    page.close()
    stream = site.stream()
    assert stream.names == ["a", "c", "d"]
    for name in "dca":
        stream.send(name, f"<p>{name}</p>")
        browser.wait_state(name, "loaded")
    stream.end()
    assert texts(browser) == ["a", "b", "c", "d"]
    assert browser.heard("a") == LOADED
    stays(lambda: len(requests(site)) == 1, "one request")


@pytest.mark.parametrize("half", ["", '<template for="b"><p>half'])
def test_cut(site, browser, begin, half):
    """The server dies in the middle."""
    page = begin("".join(element(name, patience(browser)) for name in "abc"))
    page.raw(template("a", "<p>a</p>") + half)
    browser.wait_state("a", "loaded")
    page.cut()
    stream = site.stream()
    assert stream.names == ["b", "c"]
    stream.send("c", "<p>c</p>")
    stream.send("b", "<p>b</p>")
    stream.end()
    browser.wait_state("b", "loaded")
    browser.wait_state("c", "loaded")
    assert texts(browser) == ["a", "b", "c"]
    assert len(requests(site)) == 1


def test_cut_in_place(site, browser, begin):
    """Half a fragment is none."""
    page = begin(in_place("a", "<p>a</p>") +
                 f'<page-fragment name="b" stream="page" {patience(browser)}><p>half', end="")
    browser.wait_state("a", "loaded")
    page.cut()
    stream = site.stream()
    assert stream.names == ["b"]
    stream.send("b", "<p>b</p>")
    stream.end()
    browser.wait_state("b", "loaded")
    assert texts(browser) == ["a", "b"]


def test_script(site, browser, begin):
    """Where the element takes a template, no script of it runs."""
    site.answer("ran.js", body="window.ran = 1", type="text/javascript")
    page = begin(element("a"))
    browser.wait_state("a", "loading")
    page.raw(template("a", "<p>a</p><script src='ran.js'></script>"))
    browser.wait_state("a", "loaded")
    page.close()
    ran = f"return {browser.window}.ran ?? 0;"
    if browser.patches:
        wait_until(lambda: browser.script(ran), "the script")
    else:
        stays(lambda: not browser.script(ran), "it does not run")


def test_fragments_in_fragments(site, browser, begin):
    """They load themselves, whoever has put the outer one into its place."""
    site.fragment("x")
    site.fragment("y")
    page = begin(in_place("a", '<page-fragment name="x">…</page-fragment>') + element("b"))
    browser.wait_state("b", "loading")
    page.raw(template("b", '<page-fragment name="y">…</page-fragment>'))
    for name in "aybx":
        browser.wait_state(name, "loaded")
    page.close()
    assert (browser.text("a"), browser.text("b")) == ("x", "y")
    stays(lambda: sorted(requests(site)) == ["/fragment/x", "/fragment/y"], "no other request")


@pytest.mark.parametrize("place", ["template", "in place"])
@pytest.mark.parametrize("slot", ["", '<template slot="error"><p>our words</p></template>'])
def test_failed(site, browser, begin, place, slot):
    """It is shown like any failure, and heals like any."""
    words = "<p>their words</p>"
    page = begin('<script src="quick.js"></script>' + (
        in_place("a", "<!--failed-->" + words, slot) if place == "in place"
        else element("a", slot=slot)))
    if place == "template":
        browser.wait_state("a", "loading")
        page.raw(failed("a", words))
    browser.wait_state("a", "failed")
    assert browser.text("a") == ("our words" if slot else "their words")
    assert not browser.busy("a")
    page.close()
    stream = site.stream()
    assert stream.names == ["a"]
    stream.send("a", "<p>a</p>")
    stream.end()
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "a"
    assert templates(browser) == 0
    heard = browser.heard("a")
    assert heard[-5:] == LOADED and heard.count("error") == 1


def test_reload(site, browser, begin):
    """As with `stream`, also before the document has ended; another name, too."""
    page = begin(in_place("a", "<p>a</p>") + element("b"))
    browser.wait_state("a", "loaded")
    browser.wait_state("b", "loading")
    it = f"{browser.window}.document.querySelector('page-fragment')"
    browser.script(f"{it}.reload();")
    site.stream().send("a", "<p>new</p>")
    wait_until(lambda: browser.text("a") == "new", "the new one")
    site.stream().end()
    browser.script(f"{it}.name = 'x';")
    stream = site.stream(1)
    assert stream.names == ["x"]
    stream.send("x", "<p>x</p>")
    stream.end()
    browser.wait_state("x", "loaded")
    page.raw(template("b", "b"))
    page.close()
    browser.wait_state("b", "loaded")
    assert len(site.streams) == 2


def test_added_later(site, browser, begin):
    """By a script: it is loaded as with `stream`, whatever is in it."""
    begin(in_place("c", "c")).close()
    browser.wait_state("c", "loaded")
    wait_until(lambda: browser.script(f"return {browser.window}.document.readyState;") ==
               "complete", "the end")
    browser.script(f"""
        const page = {browser.window}.document;
        for (const name of "ab") {{
            const it = page.createElement("page-fragment");
            Object.assign(it, {{ name, stream: "page", textContent: "…" }});
            page.body.append(it, " ");
        }}""")
    stream = site.stream()
    assert stream.names == ["a", "b"]
    for name in "ab":
        stream.send(name, f"<p>{name}</p>")
        browser.wait_state(name, "loaded")
    stream.end()
    assert texts(browser) == ["c", "a", "b"]


# --- the daemon ---


@pytest.fixture
def whole(tmp, run, daemon, www):
    """whole(names) is nginx, and a daemon that sends a page with these elements at /."""
    def start(*names: str, attributes: str = "", options: str = "") -> fronts.FrontServer:
        skeleton = HEAD.format(script=SCRIPT) + "".join(
            element(name, attributes) for name in names) + "</main>\n</body></html>\n"
        for name, text in (("listen.js", LISTEN), ("import.js", 'import("./page-fragment.js");'),
                           ("frame.html", FRAME), ("index.html", skeleton)):
            (www / name).write_text(text, "utf-8")
        server = daemon(extra=f'page "/" {{ file = "{www}/index.html" {options} }}')
        relay = run(fronts.Relay(tmp, server.address))
        front = run(fronts.nginx(tmp, relay.path, www=www, page=True))
        front.daemon, front.relay = server, relay
        return front

    return start


@pytest.mark.parametrize("options", ["", 'page_hold = "0"'])
def test_daemon(browser, api, whole, options):
    """By one response: first as templates, or when a browser that can't patch has been kept waiting
    for long enough; then in place."""
    names = "abc"
    front = whole(*names, options=options)
    api.hold(*names)
    open_in_frame(browser, front.url, "/")
    for name in "cab":
        api.wait_calls(name, 1)
        api.release(name)
        if browser.patches or options:
            browser.wait_state(name, "loaded")
    for name in names:
        browser.wait_state(name, "loaded")
    assert texts(browser) == [f"result for {name}" for name in names]
    open_in_frame(browser, front.url, "/")
    for name in names:
        browser.wait_state(name, "loaded")
        assert browser.heard(name) == PATCHED
    assert texts(browser) == [f"result for {name}" for name in names]
    stays(lambda: front.relay.begun("/fragment") == 0, "no other request")
    assert api.calls() == 3
    assert browser.script(f"return {browser.window}.violations;") == []


def test_daemon_is_killed(browser, api, whole):
    """In the middle of a page. A stream brings the rest when it is back."""
    front = whole(*"abc", attributes="timeout=3", options='page_hold = "0"')
    api.hold(*"abc")
    open_in_frame(browser, front.url, "/")
    api.wait_calls("b", 1)
    api.release("b")
    browser.wait_state("b", "loaded")
    front.daemon.kill()
    front.daemon.start()
    api.release("a", "c")
    for name in "abc":
        browser.wait_state(name, "loaded")
    assert texts(browser) == [f"result for {name}" for name in "abc"]
    assert front.relay.begun("/fragment") == front.relay.begun("/fragments") >= 1


def test_daemon_fails_a_part(browser, api, whole):
    """The failure of the one part is shown, and does not affect the others."""
    front = whole(*"ab", options='page_hold = "0"')
    api.hold("a", "b")
    api.answer("a", 500)
    open_in_frame(browser, front.url, "/")
    api.wait_calls("a", 1)
    api.release("a")
    browser.wait_state("a", "failed")
    assert "could not be loaded" in browser.text("a")
    assert browser.heard("a").count("error") == 1
    api.release("b")
    browser.wait_state("b", "loaded")
    stays(lambda: front.relay.begun("/fragment") == 0, "the next is more than a minute away")


def test_page_by_nginx(browser, tmp, run, daemon, api, www):
    """conf/nginx-page.html: nginx includes templates. Those for when the daemon is away are
    failures."""
    shutil.copy(TOP / "conf/nginx-page.html", www / "index.html")
    shutil.copy(TOP / "conf/nginx-page-away.html", www / "page-away.html")
    (www / "frame.html").write_text(FRAME, "utf-8")
    server = daemon()
    relay = run(fronts.Relay(tmp, server.address))
    front = run(fronts.nginx(tmp, relay.path, www=www, streamed={}))
    open_in_frame(browser, front.url, "/")
    browser.wait_state("b", "loaded")
    assert browser.text("b") == "result for b"
    stays(lambda: (relay.begun("/fragment"), api.calls("b")) == (1, 1), "it was the page's request")
    server.stop()
    open_in_frame(browser, front.url, "/")
    browser.wait_state("b", "failed")
    assert "could not be loaded" in browser.text("b")
