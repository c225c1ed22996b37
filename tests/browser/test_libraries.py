"""Other people's libraries with the same endpoints: a fragment is an ordinary URL, and many of them
are server-sent events."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.servers import TOP
from harness.wait import stays, wait_until
from libraries import HERE, library

NAMES = ("a", "b", "c")

# include-fragment has a style of its own that it works without.
STYLE = re.compile("inline style violates|^style-src")

LIBRARIES = {
    "htmx": ("htmx.org/dist/htmx.min.js", """
        <meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
        <script src="library.js"></script>""",
             '<div id="in-NAME" hx-get="/fragment/NAME" hx-trigger="load">…</div>'),
    "htmx 4": ("htmx4/dist/htmx.min.js", '<script src="library.js"></script>',
               '<div id="in-NAME" hx-get="/fragment/NAME" hx-trigger="load">…</div>'),
    "include-fragment": ("@github/include-fragment-element/dist/bundle.js", """
        <script type="module" src="library.js"></script>""",
                         '<div id="in-NAME"><include-fragment src="/fragment/NAME">…'
                         '</include-fragment></div>'),
}


URL = "/fragments?name=a&name=b&name=c"

# One response for all of them.
STREAMS = {
    "htmx": (("htmx.org/dist/htmx.min.js", "htmx-ext-sse/sse.js"), """
        <meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
        <script src="0.js"></script><script src="1.js"></script>""",
             f'<div hx-ext="sse" sse-connect="{URL}" sse-close="end">',
             '<div id="in-NAME" sse-swap="NAME">…</div>'),
    "htmx 4": (("htmx4/dist/htmx.min.js", "htmx4/dist/ext/hx-sse.min.js"), """
        <script src="0.js"></script><script src="1.js"></script>
        <script src="partials.js" defer></script>""",
               f'<div hx-sse:connect="{URL}" hx-sse:close="end">',
               '<div id="in-NAME">…</div>'),
    "EventSource": ((), '<script src="own.js" defer></script>', "<div>",
                    '<div id="in-NAME">…</div>'),
}

# Records what is connected, by any library.
SPY = """
window.sources = [];
window.EventSource = class extends EventSource {
  constructor(...parameters) {
    super(...parameters);
    sources.push(this);
  }
};
"""

# README's script for htmx 4, where a fragment's name is its placeholder's id.
PARTIALS = """
document.addEventListener("htmx:sse:before:message", ({ detail: { message } }) => {
  if (!message.event || message.event === "end") return;
  const id = CSS.escape(message.event.replace(/:error$/, ""));
  message.data = `<hx-partial hx-target="#${id}">${message.data}</hx-partial>`;
  message.event = "";
});
"""

OWN = f"""
const source = new EventSource("{URL}");
const show = ({{ type, data }}) => document.getElementById(`in-${{type}}`).innerHTML = data;
for (const name of ["a", "b", "c"])
  source.addEventListener(name, show);
source.addEventListener("end", () => source.close());
"""


def put_page(tmp, head: str, body: str, **files) -> Path:
    www = Path(tmp) / "www"
    www.mkdir()
    for file, content in files.items():
        (www / file.replace("_", ".")).write_bytes(content)
    (www / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", "utf-8")
    (www / "index.html").write_text(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>test</title>'
        f'<link rel="icon" href="favicon.svg">{head}{body}', "utf-8")
    return www


def elements(element: str) -> str:
    return "".join(element.replace("NAME", name) for name in NAMES)


def check_order(api, browser, server) -> None:
    """They are shown as they arrive, and at once when they are requested again, without an error
    under the policy of the examples for the front servers."""
    def texts():
        return browser.script("return [...document.querySelectorAll('[id^=in-]')]"
                              ".map(it => it.innerText);")

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


def test_readme_says_which_versions():
    """Its recipes are for the major versions that are tested here."""
    versions = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    text = (TOP / "README.md").read_text("utf-8")
    htmx, sse = (versions[name].partition(".")[0] for name in ("htmx.org", "htmx-ext-sse"))
    assert f"<!-- htmx {htmx} -->" in text
    assert f"npm install htmx.org@{htmx} htmx-ext-sse@{sse}" in text
    assert versions["htmx4"].startswith("npm:htmx.org@4.")
    assert PARTIALS in text


@pytest.mark.parametrize("name", LIBRARIES)
def test_fragments_arrive_in_any_order(tmp, api, browser, front, name):
    file, head, element = LIBRARIES[name]
    www = put_page(tmp, head, elements(element), library_js=library(file).read_bytes())
    check_order(api, browser, front(www=www))


@pytest.mark.parametrize("name", STREAMS)
def test_streams(tmp, api, browser, front, name):
    """One request for all of a page; after its `end` event there is no other one."""
    files, head, start, element = STREAMS[name]
    scripts = {f"{number}_js": library(file).read_bytes() for number, file in enumerate(files)}
    www = put_page(tmp, '<script src="spy.js"></script>' + head, start + elements(element),
                   own_js=OWN.encode(), spy_js=SPY.encode(),
                   partials_js=PARTIALS.replace("#${", "#in-${").encode(), **scripts)
    server = front(www=www)
    check_order(api, browser, server)
    closed = "return sources.every(it => it.readyState === EventSource.CLOSED);"
    wait_until(lambda: browser.script(closed), "it to be closed")
    stays(lambda: server.relay.begun() == 2, "no other request", seconds=1)
    assert server.relay.begun() == server.relay.begun("/fragments") == 2
