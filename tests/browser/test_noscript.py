"""Pages in a browser that runs no scripts."""

from __future__ import annotations

import shutil

import pytest

from harness import fronts
from harness.servers import TOP
from harness.wait import wait_until

FRAMES = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>test</title>
<script type="module" src="page-fragment.js"></script></head><body>
<page-fragment name="a">Loading…</page-fragment>
<noscript><iframe src="/fragment/a" title="a"></iframe></noscript>
</body></html>
"""


@pytest.fixture
def scriptless(browser):
    """The browser that waits until a page has loaded, with scripts disabled for pages."""
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    yield browser
    browser.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_whole_page(tmp, run, api, daemon, www, scriptless):
    """nginx: the skeleton leads to the complete page."""
    shutil.copy(TOP / "conf/nginx-ssi.html", www / "index.html")
    front = run(fronts.nginx(tmp, daemon().socket_path, www=www, whole=True))
    scriptless.open(front.url)
    wait_until(lambda: scriptless.driver.current_url == front.url + "/whole/", "the other page")
    wait_until(lambda: "That was all." in scriptless.script("return document.body.innerText;"),
               "its end")
    for name in "ab":
        assert scriptless.text(name) == f"result for {name}"
        assert scriptless.state(name) is None  # only nginx has filled it
        assert api.calls(name) == 1


def test_whole_page_with_scripts(tmp, run, api, daemon, www, browser):
    """The skeleton stays, and its elements load themselves."""
    shutil.copy(TOP / "conf/nginx-ssi.html", www / "index.html")
    front = run(fronts.nginx(tmp, daemon().socket_path, www=www, whole=True))
    api.hold("a")
    browser.open(front.url)
    browser.wait_state("b", "loaded")
    assert browser.text("a") == "Loading…"
    api.release("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "result for a"
    assert browser.driver.current_url == front.url + "/"


def test_frames(front, api, www, scriptless):
    """Any front server, under the policy of conf/: a frame is filled when its fragment is there."""
    (www / "frames.html").write_text(FRAMES, "utf-8")
    server = front(www=www)
    scriptless.open(f"{server.url}/frames.html")  # returns when its frames are there
    assert scriptless.script(
        "return document.querySelector('iframe').contentDocument.body.innerText;") == "result for a"
    assert scriptless.state("a") is None
    assert api.calls("a") == 1
