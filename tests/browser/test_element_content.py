"""<page-fragment>: how HTML becomes content: policies, sanitizing, shadow roots, transitions; and
when an element is in sight."""

from __future__ import annotations

import pytest

from harness.servers import TOP
from harness.wait import stays, wait_until
from libraries import library
from pages import POLICY

IT = "document.querySelector('page-fragment')"
OWN = '<script type="module" src="own.js"></script>'


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


# --- policies ---


def test_policy_is_private(site, browser):
    """Nobody gets the element's own policy, which takes any HTML. A page can set its own, and take
    it back."""
    site.fragment("a", "<p class=x>a</p>", headers={"X-Own": "1"})
    site.answer("own.js", type="text/javascript", body="""
        import PageFragment from "./page-fragment.js";
        window.PageFragment = PageFragment;""")
    browser.open(site.page(OWN + element("a"), policy=POLICY + " own"))
    browser.wait_state("a", "loaded")
    assert browser.script("return PageFragment.policy === undefined;")
    browser.script("""
        PageFragment.policy = trustedTypes.createPolicy("own", {
            createHTML: (html, { headers }) => `<b>${headers.get("X-Own")}</b>` });""")
    assert browser.script(f"return {IT}.reload();") == "loaded"
    assert browser.fragment("a", "innerHTML") == "<b>1</b>"
    browser.script("PageFragment.policy = null;")
    browser.script(f"return {IT}.reload();")
    assert browser.fragment("a", "innerHTML") == '<p class="x">a</p>'


def test_policy_that_refuses(site, browser):
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        import PageFragment from "./page-fragment.js";
        PageFragment.policy = { createHTML() { throw Error("not this"); } };
        document.addEventListener("error", ({ detail }) => window.failure = detail.error, true);""")
    browser.open(site.page(OWN + element("a"), policy="default-src 'self'"))
    wait_until(lambda: browser.script(f"return window.failure && {IT}.reload();") == "failed",
               "the failure")
    assert browser.script("return failure.message;") == "not this"


def test_sanitize(site, browser):
    """By the browser, and never not at all."""
    site.fragment("a", "<p onclick='x()'>text</p><script>1</script><iframe src='/x'></iframe>")
    browser.open(site.page(element("a", "sanitize"), policy="default-src * 'unsafe-inline'"))
    browser.wait_state("a", "loaded")
    assert browser.fragment("a", "innerHTML") == "<p>text</p>"
    browser.script(f"delete Element.prototype.setHTML; {IT}.removeAttribute('name');"
                   f"{IT}.name = 'a';")
    browser.wait_state("a", "failed")
    assert browser.text("a") == "…"


def test_sanitize_by_the_page(site, browser):
    """Where the browser has no sanitizer, the page's policy is asked."""
    site.fragment("a", "<p onclick='x()'>text</p>")
    site.answer("own.js", type="text/javascript", body="""
        import PageFragment from "./page-fragment.js";
        delete Element.prototype.setHTML;
        PageFragment.policy = { createHTML: html => html.replace(/ onclick='[^']*'/, "") };""")
    site.hold_fragment("a")
    browser.open(site.page(OWN + element("a", "sanitize"), policy="default-src 'self'"))
    wait_until(lambda: browser.script("return !Element.prototype.setHTML;"), "the script")
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.fragment("a", "innerHTML") == "<p>text</p>"


@pytest.mark.parametrize("attribute, text", [("shadow", "inside"), ("", None)])
def test_shadow_roots(site, browser, attribute, text):
    """Two elements, since a shadow root can't be copied."""
    site.fragment("a", '<div id=host><template shadowrootmode="open"><p>inside</p></template>'
                       '</div>')
    browser.open(site.page(element("a", attribute) + element("a", attribute)))
    wait_until(lambda: browser.script(
        "return document.querySelectorAll('[state=loaded]').length;") == 2, "both")
    assert browser.script("return [...document.querySelectorAll('#host')]"
                          ".map(it => it.shadowRoot?.textContent ?? null);") == [text, text]
    assert browser.complaints() == []


# --- swaps ---


def test_view_transition(site, browser):
    """A listener runs the swap itself; the element waits for it."""
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        document.addEventListener("fragment:beforeswap", event => {
            const transition = document.startViewTransition(event.detail.swap);
            event.respondWith(transition.updateCallbackDone);
        });""")
    site.hold_fragment("a")
    browser.open(site.page(OWN + element("a")))
    site.wait_asked("a")
    site.release_fragment("a")
    browser.wait_state("a", "loaded")
    assert browser.text("a") == "a"
    assert browser.heard("a") == \
        ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]


# README's.
MORPH = """
document.addEventListener("fragment:beforeswap", event => {
  const { content } = event.detail;
  event.respondWith(Promise.resolve(
    Idiomorph.morph(event.target, [...content.childNodes], { morphStyle: "innerHTML" })));
});
"""


def test_morph(site, browser):
    """With a library that changes only what is different, a reload does not disturb anybody."""
    assert MORPH in (TOP / "README.md").read_text("utf-8")
    site.fragment("a", "<input id=text value=old><details id=more><summary>x</summary>"
                       "<p>1</p></details>")
    site.answer("idiomorph.js", body=library("idiomorph/dist/idiomorph.min.js").read_bytes(),
                type="text/javascript")
    site.answer("own.js", body=MORPH, type="text/javascript")
    browser.open(site.page('<script src="idiomorph.js"></script><script src="own.js"></script>' +
                           element("a")))
    browser.wait_state("a", "loaded")
    browser.script("text.focus(); text.setSelectionRange(1, 2); more.open = true;"
                   "window.before = text;")
    site.fragment("a", "<input id=text value=old><details id=more open><summary>x</summary>"
                       "<p>2</p></details>")
    assert browser.script(f"return {IT}.reload();") == "loaded"
    assert browser.script("return [text === before, document.activeElement === text,"
                          "text.selectionStart, text.selectionEnd, more.open,"
                          "more.textContent];") == [True, True, 1, 2, True, "x2"]
    assert browser.heard("a").count("fragment:swap") == 2
    assert browser.complaints() == []


def test_listener_that_fails(site, browser):
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        document.addEventListener("fragment:beforeswap", event =>
            event.respondWith(Promise.reject(Error("no"))));""")
    site.hold_fragment("a")
    browser.open(site.page(OWN + element("a")))
    site.wait_asked("a")
    site.release_fragment("a")
    browser.wait_state("a", "failed")
    assert browser.heard("a")[-2:] == ["error", "loadend"]


# --- in sight ---


def test_lazy_without_a_box(site, browser):
    """Its first child tells where an element of `display: contents` is."""
    site.fragment("a")
    browser.look((400, 600))
    inside = '<template slot="error">no</template><i>Loading</i>'
    site.answer("own.css", body="page-fragment { display: contents }", type="text/css")
    browser.open(site.page('<link rel=stylesheet href=own.css>'
                           '<img src="favicon.svg" width=10 height=2000 alt=""><br>' +
                           element("a", "loading=lazy", inside)))
    stays(lambda: site.asked("a") == 0, "it is not in sight")
    browser.script("scrollTo(0, 2000);")
    browser.wait_state("a", "loaded")


def test_lazy_in_a_scroller(site, browser):
    """Before it is in sight there, too."""
    site.fragment("a")
    browser.look((400, 600))
    site.answer("own.css", type="text/css", body="""
        div { height: 300px; overflow: auto } img { height: 2000px; display: block }""")
    browser.open(site.page('<link rel=stylesheet href=own.css><div id=box>'
                           '<img src="favicon.svg" width=10 alt="">' +
                           element("a", "loading=lazy") + "</div>"))
    browser.script("box.scrollTop = 1000;")
    stays(lambda: site.asked("a") == 0, "it is 700 px away")
    browser.script("box.scrollTop = 1550;")
    browser.wait_state("a", "loaded")
