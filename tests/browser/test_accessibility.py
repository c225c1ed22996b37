"""axe-core finds no problem in the demo's page, in any of its states."""

from __future__ import annotations

from typing import List

from chromium import DESKTOP, PHONE, Chromium
from harness import fronts
from libraries import library

RUN = """
const done = arguments[0];
axe.run(document).then(found => done([found.passes.length, found.violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(node => node.html).join(" ")}`)]));
"""


def violations(browser: Chromium) -> List[str]:
    browser.script(library("axe-core/axe.min.js").read_text("utf-8"))
    # The colours of an animation that has just begun can't be judged.
    browser.script("document.getAnimations().forEach(it => it.effect.getComputedTiming().iterations"
                   " === Infinity || it.finish());")
    passes, found = browser.driver.execute_async_script(RUN)
    assert passes > 15, "axe-core has checked almost nothing"
    return found


def check(browser: Chromium) -> None:
    for size, dark in ((DESKTOP, False), (DESKTOP, True), (PHONE, True)):
        browser.look(size, dark=dark)
        assert violations(browser) == []


def test_page(tmp, run, api, browser, daemon):
    """With one fragment that is loading, one that is loaded, and one that has failed; and on the
    next visit, with hits."""
    server = run(fronts.nginx(tmp, daemon().socket_path))
    api.hold("a")
    api.answer("c", 404)
    browser.open(server.url)
    for name, state in (("b", "loaded"), ("c", "failed"), ("a", "loading")):
        browser.wait_state(name, state)
    check(browser)
    api.release("a")
    browser.wait_state("a", "loaded")
    browser.open(server.url)
    browser.wait_state("a", "loaded")
    check(browser)
