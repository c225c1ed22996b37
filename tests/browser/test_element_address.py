"""<page-fragment>: its attributes and properties, and the URLs that follow from them."""

from __future__ import annotations

import pytest

from harness.wait import stays, wait_until

IT = "document.querySelector('page-fragment')"


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


def wait_text(browser, text: str) -> None:
    wait_until(lambda: browser.script(f"return {IT}.innerText;") == text, text)


# --- properties ---


def test_properties_are_attributes(site, browser):
    browser.open(site.page(""))
    browser.script("window.it = document.createElement('page-fragment');")
    missing = browser.script("""
        return ["name", "src", "base", "loading", "swap", "fetchPriority", "retries", "timeout",
                "stream", "sanitize", "shadow", "state"].map(key => it[key]);""")
    assert missing == ["", "", "", "eager", "", "auto", 3, 60, False, False, False, ""]
    browser.script("""
        Object.assign(it, { name: "a", loading: "lazy", retries: 5, stream: true, sanitize: false,
                            fetchPriority: "low", src: null });""")
    assert browser.script("return it.outerHTML;") == \
        '<page-fragment name="a" loading="lazy" retries="5" stream="" fetchpriority="low">' \
        '</page-fragment>'
    assert browser.script("return [it.retries, it.stream, it.fetchPriority];") == [5, True, "low"]
    assert browser.script("it.stream = 'page'; return [it.stream, it.getAttribute('stream')];") \
        == ["page", "page"]
    assert browser.script("it.setAttribute('stream', 'any'); return it.stream;") is True
    browser.script("Object.assign(it, { stream: false, retries: undefined, name: null });")
    assert browser.script("return it.outerHTML;") == \
        '<page-fragment loading="lazy" fetchpriority="low"></page-fragment>'


def test_properties_before_the_script(site, browser):
    """A framework may set them before the element is defined."""
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        const it = document.createElement("page-fragment");
        it.name = "a";
        document.body.append(it);""")
    site.answer("late.js", type="text/javascript", body="import('./page-fragment.js');")
    site.answer("", type="text/html", body='<!DOCTYPE html><title>test</title><body>'
                '<script src="own.js"></script><script src="late.js"></script>')
    browser.open(site.url + "/")
    browser.wait_state("a", "loaded")
    assert browser.script(f"return Object.keys({IT});") == []


@pytest.mark.parametrize("change", [
    "it.name = 'b'", "it.src = '/fragment/b'", "it.setAttribute('name', 'b')",
    "it.src = 'b'; it.base = '/ignored'; it.src = '/fragment/b'"])
def test_another_address_is_loaded(site, browser, change):
    """By one request, whatever the state; the old content stays until then."""
    for name in "ab":
        site.fragment(name)
    browser.open(site.page(element("a")))
    browser.wait_state("a", "loaded")
    site.hold_fragment("b")
    browser.script(f"const it = {IT}; {change};")
    site.wait_asked("b")
    assert browser.script(f"return [{IT}.state, {IT}.innerText];") == ["loading", "a"]
    site.release_fragment("b")
    wait_text(browser, "b")
    assert (site.asked("a"), site.asked("b")) == (1, 1)
    browser.script(f"{IT}.name = {IT}.name;")
    stays(lambda: site.asked("b") == 1, "the same address is not loaded again")


def test_another_address_that_fails(site, browser):
    """What has been shown was for another address, so it does not stay."""
    site.fragment("a")
    site.fragment("b", "<p>none</p>", 404)
    browser.open(site.page(element("a")))
    browser.wait_state("a", "loaded")
    browser.script(f"{IT}.name = 'b';")
    browser.wait_state("b", "failed")
    assert browser.text("b") == "none"
    site.hold_fragment("a")
    browser.script(f"{IT}.name = 'a';")
    site.wait_asked("a", 2)
    assert browser.text("a") == "…"
    site.release_fragment("a")
    browser.wait_state("a", "loaded")


def test_another_address_while_loading(site, browser):
    """The request for the first one is aborted, and its answer is not shown."""
    for name in "ab":
        site.fragment(name)
    site.hold_fragment("a")
    browser.open(site.page(element("a")))
    site.wait_asked("a")
    browser.script(f"{IT}.name = 'b';")
    browser.wait_state("b", "loaded")
    site.release_fragment("a")
    stays(lambda: browser.text("b") == "b", "the last one is shown")
    assert browser.heard("a") == ["loadstart", "loadend"]


def test_lazy_becomes_eager(site, browser):
    site.fragment("a")
    browser.open(site.page(f"<div hidden>{element('a', 'loading=lazy')}</div>"))
    stays(lambda: site.asked("a") == 0, "it is not in sight")
    browser.script(f"{IT}.loading = 'eager';")
    browser.wait_state("a", "loaded")
    assert site.asked("a") == 1


# --- addresses ---


@pytest.mark.parametrize("attributes", ["", "src=''", "name=''", "name='' src=''"])
def test_no_address(site, browser, attributes):
    """It is left alone until it has one."""
    site.fragment("a")
    browser.open(site.page(f"<page-fragment {attributes}>…</page-fragment>"))
    assert browser.script(f"return {IT}.reload();") == ""
    stays(lambda: site.calls("/") == 1 and not any("fragment/" in call.path
                                                   for call in site.requests()), "no request")
    browser.script(f"{IT}.name = 'a';")
    browser.wait_state("a", "loaded")


@pytest.mark.parametrize("name", ["..", "a/../b", "./a", "\ud800"])
def test_names_that_can_not_be(site, browser, name):
    browser.open(site.page("<page-fragment>…</page-fragment>"))
    browser.script("const it = document.querySelector('page-fragment');"
                   "it.name = arguments[0] === 'lone' ? '\\ud800' : arguments[0];",
                   "lone" if name == "\ud800" else name)
    wait_until(lambda: browser.script(f"return {IT}.state;") == "failed", "the failure")
    types = "return heard.map(it => it.split(' ')[0]);"
    assert browser.script(types) == ["loadstart", "error", "loadend"]
    assert not any("fragment/" in call.path for call in site.requests())
    browser.script(f"{IT}.src = 'http://[';")
    wait_until(lambda: len(browser.script(types)) == 6, "a URL that can't be")


def test_spellings_of_one_address(site, browser):
    name = "é b:c+d;e=@f"
    site.fragment(name)
    site.hold_fragment(name)
    browser.open(site.page("".join(f'<page-fragment {it}>…</page-fragment>' for it in (
        f'name="{name}"', f'src="/fragment/{name}"', 'src="fragment/%C3%A9%20b:c+d;e=@f#x"',
        f'src="{site.url}/x/../fragment/{name}"'))))
    site.wait_asked(name)
    site.release_fragment(name)
    wait_until(lambda: browser.script("return document.body.innerText;").count(name) == 4, "all")
    assert site.asked(name) == 1


def test_base(site, browser):
    """Where the server is mounted: of an element, or of the page."""
    for path in ("app/fragment/a", "other/fragment/b", "x/fragment/a"):
        site.answer(path, body=f"<p>{path}</p>", type="text/html")
    browser.open(site.page('<meta name="page-fragment-base" content="/app">' + element("a") +
                           element("b", 'base="other/"') + element("s", "stream")))
    for name, path in (("a", "app/fragment/a"), ("b", "other/fragment/b")):
        browser.wait_state(name, "loaded")
        assert browser.text(name) == path
    site.wait_calls("app/fragments?name=s", 1)
    browser.script(f"{IT}.base = '/x';")
    wait_text(browser, "x/fragment/a")


def test_fetch_priority(site, browser):
    """It is what fetch is asked for."""
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        const request = window.fetch;
        window.priorities = [];
        window.fetch = (url, options) => (priorities.push(options.priority), request(url, options));
        """)
    browser.open(site.page('<script src="own.js"></script>' + element("a", "fetchpriority=low")))
    browser.wait_state("a", "loaded")
    assert browser.script("return priorities;") == ["low"]


# --- what has been loaded before ---


def test_loaded_by_the_server(site, browser):
    """It is not requested, until it is reloaded or its address changes."""
    for name in "ab":
        site.fragment(name)
    browser.open(site.page(element("a", 'state="loaded"', "<p>here</p>")))
    stays(lambda: site.asked("a") == 0, "it is there already")
    assert browser.script(f"return {IT}.reload();") == "loaded"
    assert browser.text("a") == "a"
    browser.script(f"""
        const copy = {IT}.cloneNode(true);
        {IT}.replaceWith(copy);
        window.copy = copy.cloneNode(true);
        copy.after(window.copy);""")
    stays(lambda: site.asked("a") == 1, "a clone is loaded, too")
    browser.script("copy.name = 'b';")
    browser.wait_state("b", "loaded")
    browser.script("copy = copy.cloneNode(true); copy.name = 'a'; document.body.append(copy);")
    site.wait_asked("a", 2)


def test_loaded_by_the_server_and_reload_fails(site, browser):
    site.fragment("a", status=404)
    browser.open(site.page(element("a", 'state="loaded"', "<p>here</p>")))
    assert browser.script(f"return {IT}.reload();") == "failed"
    assert (browser.text("a"), browser.state("a")) == ("here", "loaded")
