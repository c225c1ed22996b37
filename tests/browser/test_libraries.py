"""Other people's libraries with the same endpoint: a fragment is an ordinary URL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.wait import wait_until
from libraries import library

NAMES = ("a", "b", "c")

# include-fragment brings along a style of its own that it can do without.
STYLE = re.compile("inline style violates|^style-src")

LIBRARIES = {
    "htmx": ("htmx.org/dist/htmx.min.js", """
        <meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
        <script src="library.js"></script>""",
             '<div id="in-NAME" hx-get="/fragment/NAME" hx-trigger="load">…</div>'),
    "include-fragment": ("@github/include-fragment-element/dist/bundle.js", """
        <script type="module" src="library.js"></script>""",
                         '<div id="in-NAME"><include-fragment src="/fragment/NAME">…'
                         '</include-fragment></div>'),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_fragments_arrive_in_any_order(tmp, api, browser, front, name):
    """Under the policy of the examples for the front servers."""
    file, head, element = LIBRARIES[name]
    www = Path(tmp) / "www"
    www.mkdir()
    (www / "library.js").write_bytes(library(file).read_bytes())
    (www / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", "utf-8")
    (www / "index.html").write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f'<link rel="icon" href="favicon.svg">{head}' +
        "".join(element.replace("NAME", fragment) for fragment in NAMES), "utf-8")

    def texts():
        return browser.script("return [...document.querySelectorAll('[id^=in-]')]"
                              ".map(it => it.innerText);")

    server = front(www=www)
    api.hold(*NAMES)
    browser.open(server.url)
    for fragment in NAMES:
        api.wait_calls(fragment, 1)
    shown = ["…"] * 3
    for fragment in "cab":
        assert texts() == shown
        api.release(fragment)
        shown[NAMES.index(fragment)] = f"result for {fragment}"
        wait_until(lambda: texts() == shown, f"{fragment} to be shown, and nothing else")
    browser.open(server.url)
    wait_until(lambda: texts() == shown, "the hits")
    assert [api.calls(fragment) for fragment in NAMES] == [1, 1, 1]
    assert [it for it in browser.complaints() if not STYLE.search(it)] == []
