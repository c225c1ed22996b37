"""Elements that are marked `stream`: one response brings all of them. First against a server that
does as the test says, then against the daemon."""

from __future__ import annotations

import pytest

from harness.wait import stays, wait_until

NAMES = ("a", "b/2", "c d")
TEXTS = "return [...document.querySelectorAll('page-fragment')].map(it => it.innerText);"


def elements(*names: str, attributes: str = "") -> str:
    return "".join(f'<page-fragment name="{name}" stream {attributes}>…</page-fragment>'
                   for name in names)


def test_one_request_for_all(site, browser):
    """Each is filled when its event arrives, in any order, and with all its lines."""
    site.fragment("alone")
    browser.open(site.page(elements(*NAMES, "a") +
                           '<page-fragment name="alone">…</page-fragment>' +
                           '<page-fragment src="/fragment/alone" stream>…</page-fragment>'))
    stream = site.stream()
    assert stream.names == list(NAMES)
    [call] = site.requests("/fragments?name=a&name=b%2F2&name=c+d")
    assert call.headers["accept"] == "text/event-stream"
    for name in NAMES:
        assert (browser.state(name), browser.busy(name)) == ("loading", True)
    stream.send("c d", "<pre> one\n\n  three</pre>")
    browser.wait_state("c d", "loaded")
    assert browser.fragment("c d", "innerHTML") == "<pre> one\n\n  three</pre>"
    stream.send("a", "<p>a</p>")
    browser.wait_state("a", "loaded")
    assert browser.state("b/2") == "loading"
    stream.send("b/2", "<p>b</p>")
    stream.end()
    browser.wait_state("b/2", "loaded")
    wait_until(lambda: browser.script(TEXTS)[3:] == ["a", "alone", "alone"], "the other elements")
    assert len(site.streams) == 1 and site.asked("alone") == 1
    assert browser.heard("a") == ["loadstart"] * 2 + [
        "fragment:beforeswap", "fragment:swap", "load", "loadend"] * 2
    assert browser.complaints() == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bytes_in_any_pieces(site, browser, end):
    """However the network splits the lines; comments and other fields are ignored."""
    lines = [": heartbeat", "", "id: 1", "event: a", "data:<p>é€😀", "data: data: ",
             "data:  \u2028event: b/2", "retry: 5", "", "data: of no name", "",
             "event:b/2", "data", "data:", "", ": beat"]
    browser.open(site.page(elements(*NAMES)))
    stream = site.stream()
    text = end.join([*lines, ""]).encode()
    for at in range(len(text)):
        stream.raw(text[at:at + 1])
    browser.wait_state("b/2", "loaded")
    assert browser.fragment("a", "textContent") == "é€😀\ndata: \n \u2028event: b/2"
    assert browser.fragment("b/2", "textContent") == "\n"
    assert browser.state("c d") == "loading"


def test_failure_of_one(site, browser):
    """It is requested once more, by itself, which tells why. Others are not affected."""
    slot = '<template slot="error"><p>our words</p></template>'
    site.fragment("a", "<p>their words</p>", 404)
    site.fragment("b", "…", 404, type="text/plain")
    site.fragment("d", "<p>their words</p>", 404)
    browser.open(site.page(elements("a", "b", "c") +
                           f'<page-fragment name="d" stream>…{slot}</page-fragment>'))
    stream = site.stream()
    stream.send("a:error", "<p>their words</p>")
    stream.send("b:error")
    stream.send("d:error", "<p>their words</p>")
    for name, words in (("a", "their words"), ("b", "…"), ("d", "our words")):
        browser.wait_state(name, "failed")
        assert (browser.text(name), browser.busy(name)) == (words, False)
        assert browser.heard(name)[-2:] == ["error", "loadend"]
    stream.send("c", "<p>c</p>")
    stream.end()
    browser.wait_state("c", "loaded")
    assert len(site.streams) == 1


def test_cut(site, browser):
    """After a stream that breaks off, the rest is requested again, by one request. It does not
    count as a retry, since something had arrived."""
    browser.open(site.page(elements(*NAMES, attributes="retries=0")))
    stream = site.stream()
    stream.send("a", "<p>a</p>")
    browser.wait_state("a", "loaded")
    stream.raw("event: b/2\ndata: <p>half")
    stream.cut()
    stream = site.stream(1)
    assert stream.names == ["b/2", "c d"]
    assert browser.state("b/2") == "loading"
    stream.send("b/2", "<p>whole</p>")
    stream.send("c d", "<p>c</p>")
    stream.end()
    browser.wait_state("c d", "loaded")
    assert browser.text("b/2") == "whole"


def test_cut_before_anything_came(site, browser):
    """That may happen as often as `retries` allows."""
    browser.open(site.page(elements("a", "b", attributes="retries=1")))
    site.stream(0).cut()
    site.stream(1).cut()
    for name in "ab":
        browser.wait_state(name, "failed")
        assert browser.text(name) == "…"
    assert len(site.streams) == 2


def test_end_without_one(site, browser):
    """The server has ended without naming it: it is not requested again."""
    browser.open(site.page(elements("a", "b")))
    site.stream().send("b", "<p>b</p>")
    site.stream().end()
    browser.wait_state("a", "failed")
    browser.wait_state("b", "loaded")
    stays(lambda: len(site.streams) == 1, "there is no other request")


def test_server_without_streams(site, browser):
    site.stream_status = 404
    site.answer("fragments?name=a", 404, type="text/html")
    browser.open(site.page(elements("a")))
    browser.wait_state("a", "failed")
    assert site.calls("fragments?name=a") == 1


def test_removed_meanwhile(site, browser):
    """Removed elements are not filled, and not requested again; when all are removed, the stream is
    closed."""
    browser.open(site.page(elements("a", "b", "c")))
    stream = site.stream()
    browser.script("""
        window.it = document.querySelector("page-fragment");
        it.remove();""")
    stream.send("a", "<p>a</p>")
    stream.send("b", "<p>b</p>")
    browser.wait_state("b", "loaded")
    stream.cut()
    stream = site.stream(1)
    assert stream.names == ["c"]
    browser.script("document.querySelector(\"page-fragment[name='c']\").remove();")
    stream.wait_left()
    assert browser.script("return it.innerText;") == "…"
    assert browser.heard("a") == ["loadstart"]


def test_more_than_the_server_takes(site, browser):
    """At most 64 names go into one request."""
    names = [f"n{number}" for number in range(70)]
    browser.open(site.page(elements(*names)))
    streams = [site.stream(0), site.stream(1)]
    assert sorted(len(stream.names) for stream in streams) == [6, 64]
    for stream in streams:
        for name in stream.names:
            stream.send(name, f"<p>{name}</p>")
        stream.end()
    wait_until(lambda: browser.script(TEXTS) == names, "all 70")


def test_lazy_ones(site, browser):
    """Those that become visible together share a request."""
    browser.open(site.page(elements("a", "b") +
                           '<br><img src="favicon.svg" width=10 height=3000 alt=""><br>' +
                           elements("c", "d", attributes="loading=lazy")))
    assert site.stream().names == ["a", "b"]
    browser.script("scrollTo(0, 3000);")
    assert site.stream(1).names == ["c", "d"]


@pytest.mark.parametrize("status", [403, 413, 431, 405])
def test_refused(site, browser, status):
    """Whoever refuses it, the server or a proxy: each element asks for itself."""
    site.stream_status = status
    site.answer("fragments?name=a&name=b", status, type="text/html")
    for name in "ab":
        site.fragment(name)
    browser.open(site.page(elements("a", "b")))
    for name in "ab":
        browser.wait_state(name, "loaded")
        assert site.asked(name) == 1
    assert site.calls("fragments?name=a&name=b") == 1


def test_other_types(site, browser):
    """A login page, say, is no stream."""
    site.stream_type = "text/html"
    site.fragment("a")
    browser.open(site.page(elements("a")))
    site.stream().end()
    browser.wait_state("a", "loaded")
    assert len(site.streams) == 1


def test_one_after_the_other(site, browser):
    """Elements that come within a frame share a stream, although each comes by itself."""
    browser.open(site.page(""))
    browser.script("""
        let left = 10;
        const channel = new MessageChannel(); // tasks that follow each other at once
        channel.port1.onmessage = () => {
            const it = document.createElement("page-fragment");
            it.name = `n${left}`;
            it.stream = true;
            document.body.append(it);
            if (--left) channel.port2.postMessage(0);
        };
        channel.port2.postMessage(0);""")
    names = site.stream().names
    for name in [f"n{number}" for number in range(10, 0, -1)]:
        if name not in names:
            names = names + site.stream(len(site.streams) - 1).names
        assert name in names
    assert len(site.streams) <= 2


def test_while_one_opens(site, browser):
    """While the server has not answered, others gather for the next one."""
    site.fragment("a")
    site.stream_status = 404
    site.answer("fragments?name=a", 404, type="text/html")
    site.hold("fragments?name=a")
    browser.open(site.page(elements("a")))
    site.wait_calls("fragments?name=a", 1)
    site.stream_status = 200
    for name in "bcd":
        browser.script("""
            const it = document.createElement("page-fragment");
            it.name = arguments[0];
            it.stream = true;
            document.body.append(it);""", name)
        stays(lambda: not site.streams, "it waits", seconds=0.1)
    site.release("fragments?name=a")
    assert site.stream().names == ["b", "c", "d"]
    browser.wait_state("a", "loaded")


def test_query_of_the_page(site, browser):
    """It goes along, as the inputs of all fragments; also where they are requested alone."""
    site.page(elements("a", "b") + '<page-fragment name="c">…</page-fragment>',
              "?city=New%20York&name=x&q=%26")
    site.fragment("c")
    site.answer("fragment/b?city=New+York&q=%26", body="<p>alone</p>", type="text/html")
    browser.open(site.url + "/?city=New%20York&name=x&q=%26")
    stream = site.stream()
    assert stream.names == ["a", "b"]
    site.wait_calls("fragments?city=New+York&q=%26&name=a&name=b", 1)
    stream.send("b:error")
    browser.wait_state("b", "loaded")
    assert browser.text("b") == "alone"
    browser.wait_state("c", "loaded")


# --- the daemon ---


def add(browser, names) -> None:
    """Puts the elements on the page, all at the same time."""
    browser.script("""
        document.body.append(...arguments[0].map(name => {
            const it = document.createElement("page-fragment");
            it.setAttribute("name", name);
            it.setAttribute("stream", "");
            return it;
        }));""", names)


def test_daemon_streams(api, browser, front):
    """40 fragments by one request, in the order in which they are ready; meanwhile the page's
    images load, for which the six connections of HTTP/1.1 would not have been enough."""
    server = front()
    names = [f"n{number}" for number in range(40)]
    api.hold(*names)
    browser.open(server.url)
    add(browser, names)
    browser.script("""
        window.images = Array.from({ length: 10 }, (_, at) => {
            const image = new Image();
            image.src = `favicon.svg?${at}`;
            return image;
        });""")
    for name in names:
        api.wait_calls(name, 1)
    wait_until(lambda: browser.script("return images.every(it => it.complete && it.width);"),
               "the images")
    assert server.relay.begun("/fragments") == 1
    assert server.relay.begun("/fragment/n") == 0
    for name in reversed(names):
        api.release(name)
    for name in names:
        browser.wait_state(name, "loaded")
        assert browser.text(name) == f"result for {name}"
    assert server.relay.begun("/fragments") == 1


def test_daemon_streams_one_at_a_time(api, browser, front):
    """No buffer on the way holds one back, and a failure affects one only."""
    server = front()
    api.hold("x", "y", "z")
    api.answer("y", 500)
    browser.open(server.url)
    add(browser, ["x", "y", "z"])
    for name, state in (("z", "loaded"), ("y", "failed"), ("x", "loaded")):
        assert browser.state(name) == "loading"
        api.wait_calls(name, 1)
        api.release(name)
        browser.wait_state(name, state)


def test_daemon_closed_to_streams(api, browser, front):
    """The page still shows fragments that are not open to streams: each by a request of its own,
    once the stream has rejected it."""
    server = front(extra='fragment "own/*" { source = "api" }')
    names = ["own/1", "x", "own/2"]
    browser.open(server.url)
    add(browser, names)
    for name in names:
        browser.wait_state(name, "loaded")
        assert browser.text(name) == f"result for {name}"
        assert api.calls(name) == 1
    assert server.relay.begun("/fragments") == 1
    assert server.relay.begun("/fragment/own/1") == server.relay.begun("/fragment/own/2") == 1
    assert server.relay.begun("/fragment/x") == 0


def test_daemon_takes_the_query_of_the_page(api, browser, front):
    """As the inputs of a stream's fragments."""
    server = front(extra='fragment "in/*" { source = "api"  vary = {"query:q"}  stream = "yes" }')
    browser.open(server.url + "/?q=tea%20time&name=other")
    add(browser, ["in/a b", "in/b"])
    for name in ("in/a b", "in/b"):
        browser.wait_state(name, "loaded")
    assert {call.path.replace("+", "%20") for call in api.requests() if "/in/" in call.path} == \
        {"/in/a%20b?q=tea%20time", "/in/b?q=tea%20time"}
    assert api.calls("other") == 0


def test_daemon_and_odd_names(api, browser, front):
    """A stream and a single request name the same fragment."""
    server = front(extra='fragment "odd/*" { source = "api"  stream = "yes" }')
    browser.open(server.url)
    for name in ("odd/a+b:c", "odd/d&e=f;g", "odd/h ?#%41é"):
        add(browser, [name])
        wait_until(lambda name=name: browser.script(
            "return document.body.lastChild.state;") == "loaded", name)
        browser.script("""
            const it = document.body.lastChild.cloneNode();
            it.stream = false;
            it.removeAttribute("state");
            document.body.append(it);""")
        wait_until(lambda name=name: browser.script(
            "return document.body.lastChild.state;") == "loaded", name)
        texts = browser.script("return [document.body.lastChild.textContent,"
                               "document.body.lastChild.previousSibling.textContent];")
        assert texts == [f"result for {name}"] * 2
    assert sum("/odd/" in call.path for call in api.requests()) == 3
