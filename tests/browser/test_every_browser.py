"""What <page-fragment> has to do in every browser."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from harness.wait import stays, wait_until
from others import Firefox, WebKit, has_steady_webkit
from view import LISTEN

IT = "document.querySelector('page-fragment')"
LOADED = ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]


@pytest.fixture(scope="module", params=[
    pytest.param(Firefox, id="firefox"),
    pytest.param(WebKit, id="webkit", marks=pytest.mark.skipif(
        not has_steady_webkit(), reason="this MiniBrowser hangs now and then"))])
def started(request):
    """Each starts slowly, so it is one for all tests."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, request.param(Path(tmp)) as browser:
        yield browser


@pytest.fixture
def show(started, site):  # pylint: disable=redefined-outer-name
    """show(body) opens a page in the browser, and returns the browser."""
    site.answer("listen.js", body=LISTEN, type="text/javascript")

    def opened(body: str):
        started.open(site.page('<script src="listen.js"></script>' + body))
        return started

    return opened


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


def test_fills_itself(site, show):
    site.fragment("a", "<p>here</p><script>window.ran = 1</script>")
    site.hold_fragment("a")
    browser = show(element("a"))
    site.wait_asked("a")
    assert (browser.state("a"), browser.text("a"), browser.busy("a")) == ("loading", "…", True)
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert (browser.text("a"), browser.busy("a")) == ("here", False)
    assert browser.heard("a") == LOADED
    assert browser.script("return [violations, window.ran ?? null];") == [[], None]


def test_streams(site, show):
    names = ["a", "b/2", "c é"]
    browser = show("".join(element(name, "stream") for name in names))
    stream = site.stream()
    assert stream.names == names
    for at, name in enumerate(reversed(names)):
        assert browser.state(name) == "loading"
        stream.send(name, f"<p>{at}</p>")
        browser.wait_state(name, "loaded")
        assert browser.text(name) == str(at)
    stream.end()
    stays(lambda: len(site.streams) == 1, "no other request")


def test_stream_breaks_off(site, show):
    browser = show(element("a", "stream") + element("b", "stream"))
    stream = site.stream()
    stream.send("a", "<p>a</p>")
    browser.wait_state("a", "loaded")
    stream.cut()
    stream = site.stream(1)
    assert stream.names == ["b"]
    stream.send("b", "<p>b</p>")
    stream.end()
    browser.wait_state("b", "loaded")


def test_fails_and_heals(site, show):
    site.fragment("a", "<p>first</p>", status=503)
    site.fragment("b", "<p>none</p>", status=404)
    browser = show(element("a") + element("b", inside="…<template slot=error>sorry</template>"))
    browser.wait_state("b", "failed")
    assert browser.text("b") == "sorry"
    site.wait_asked("a")
    site.fragment("a")
    browser.wait_state("a", "loaded")
    site.fragment("a", status=404)
    assert browser.script(f"{IT}.reload().then(it => window.result = it);") is None
    wait_until(lambda: browser.script("return window.result;") == "failed", "the result")
    assert (browser.text("a"), browser.state("a")) == ("a", "loaded")


def test_silence(site, show):
    site.fragment("a")
    site.hold_fragment("a")
    browser = show(element("a", "timeout=0.5"))
    site.wait_asked("a", 2)
    site.release_fragment("a")
    browser.wait_state("a", "loaded")


def test_removed(site, show):
    """The request is aborted."""
    browser = show(element("a", "stream"))
    stream = site.stream()
    browser.script(f"{IT}.remove();")
    stream.wait_left()


def test_lazy(site, show):
    for name in "ab":
        site.fragment(name)
    site.answer("own.css", type="text/css", body="i { display: block; height: 3000px } "
                "[name=b] { display: contents }")
    browser = show('<link rel=stylesheet href=own.css><i></i>' + element("a", "loading=lazy") +
                   "<i></i>" + element("b", "loading=lazy", "<b>…</b>"))
    stays(lambda: site.asked("a") == 0, "it is not in sight")
    browser.script("scrollTo(0, 3000);")
    browser.wait_state("a", "loaded")
    assert site.asked("b") == 0
    browser.script("scrollTo(0, 6000);")
    browser.wait_state("b", "loaded")


def test_swaps(site, show):
    site.fragment("rows", "<tr><td>1</td></tr><tr><td>2</td></tr>")
    site.fragment("a", "<b>a</b>")
    browser = show(f'<table><tbody id=rows><tr><td>{element("rows", "swap=tr")}</td></tr></tbody>'
                   f'</table><p id=p>{element("a", "swap=replace")}</p>')
    wait_until(lambda: browser.script("return [rows.textContent, p.innerHTML];")
               == ["12", "<b>a</b>"], "both")


def test_properties(site, show):
    for name in "ab":
        site.fragment(name)
    browser = show("")
    browser.script("""
        const it = document.createElement("page-fragment");
        it.name = "a";
        document.body.append(it);""")
    browser.wait_state("a", "loaded")
    browser.script(f"{IT}.name = 'b';")
    browser.wait_state("b", "loaded")
    assert browser.text("b") == "b"
    browser.script(f"{IT}.after({IT}.cloneNode(true));")
    stays(lambda: site.asked("b") == 1, "a clone is loaded")


def test_shadow_roots(site, show):
    site.fragment("a", '<div><template shadowrootmode="open"><p>inside</p></template></div>')
    browser = show(element("a", "shadow"))
    browser.wait_state("a", "loaded")
    assert browser.script(f"return {IT}.firstChild.shadowRoot?.textContent;") == "inside"


def test_sanitize(site, show):
    """By the browser, or not at all."""
    site.fragment("a", "<p onclick='x()'>text</p>")
    browser = show(element("a", "sanitize"))
    wait_until(lambda: browser.state("a") in ("loaded", "failed"), "the end")
    shown = "<p>text</p>" if browser.script("return 'setHTML' in document.body;") else "…"
    assert browser.fragment("a", "innerHTML") == shown
