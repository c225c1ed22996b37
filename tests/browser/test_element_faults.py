"""<page-fragment> and failures: rejections, broken streams, removed elements, and invalid
values."""

from __future__ import annotations

import itertools
import socket
import time

import pytest

from harness.wait import stays, wait_until


def element(name: str, attributes: str = "", inside: str = "…") -> str:
    return f'<page-fragment name="{name}" {attributes}>{inside}</page-fragment>'


OWN = '<script type="module" src="own.js"></script>'


def test_reload_asks_again_while_another_shares(site, browser):
    """A listener that reloads when it has loaded does not get the same answer again."""
    site.fragment("a")
    site.answer("own.js", type="text/javascript", body="""
        window.loads = 0;
        window.answers = new Set();
        document.addEventListener("load", ({ target, detail }) => {
            if (!detail) return;
            answers.add(detail.response);
            if (++loads < 20) target.reload();
        }, true);""")
    site.hold_fragment("a")
    browser.open(site.page(OWN + element("a") * 2))
    wait_until(lambda: browser.script("return window.loads === 0;"), "the listener")
    site.release_fragment("a")
    wait_until(lambda: browser.script("return window.loads >= 20;"), "them to load")
    assert browser.script("return answers.size;") > 5
    assert site.asked("a") > 5


@pytest.mark.parametrize("swap", ["((", "html"])
def test_swap_that_can_not_be(site, browser, swap):
    """It is not a spinner for ever."""
    site.fragment("a", "text")
    browser.open(site.page(element("a", f'swap="{swap}"')))
    wait_until(lambda: browser.state("a") in ("loaded", "failed"), "the end")
    assert browser.busy("a") is False
    assert browser.complaints() == []


@pytest.mark.parametrize("status", [400, 404, 414])
def test_stream_refused(site, browser, status):
    """One bad name among them, or a URL that is too long, does not affect the others."""
    site.stream_status = status
    for path in ("fragments?name=end&name=b", "fragments?name=end"):
        site.answer(path, status, type="text/html")
    site.fragment("end")
    site.fragment("b")
    browser.open(site.page(element("end", "stream") + element("b", "stream")))
    browser.wait_state("b", "loaded")
    browser.wait_state("end", "loaded")


def test_stream_that_nobody_waits_for(site, browser):
    """The first leaves, the second is filled: nobody is left."""
    browser.open(site.page(element("a", "stream") + element("b", "stream")))
    stream = site.stream()
    browser.script("document.querySelector('page-fragment').remove();")
    stream.send("b", "<p>b</p>")
    browser.wait_state("b", "loaded")
    stream.wait_left()


def test_cut_before_the_end(site, browser):
    """All have arrived: there is nothing to request."""
    browser.open(site.page(element("a", "stream")))
    stream = site.stream()
    stream.send("a", "<p>a</p>")
    browser.wait_state("a", "loaded")
    stream.cut()
    stays(lambda: len(site.streams) == 1, "no other request", seconds=1.5)


def test_retry_after_of_a_month(site, browser):
    """More than a timer can hold does not cause a storm of requests."""
    site.fragment("a", status=202, headers={"Retry-After": "2592000"})
    browser.open(site.page(element("a")))
    site.wait_asked("a")
    stays(lambda: site.asked("a") <= 2, "no storm", seconds=0.5)


def test_stream_failure_is_tried_again(site, browser):
    """`retries` are for all elements."""
    browser.open(site.page(element("a", "stream retries=2")))
    site.fragment("a")
    stream = site.stream()
    stream.send("a:error", "<p>too much is going on</p>")
    stream.end()
    browser.wait_state("a", "loaded")


ELEMENT = """
    const it = document.createElement("page-fragment");
    it.setAttribute("name", "x");
    it.setAttribute("stream", "");
    it.setAttribute("retries", "0");
    it.addEventListener("load", () => window.seen = it.textContent);
    document.body.append(it);"""
EVENT_SOURCE = """
    const source = new EventSource("/fragments?name=x");
    source.addEventListener("x", ({ data }) => window.seen = data);
    source.addEventListener("end", () => source.close());"""


@pytest.mark.parametrize("script", [ELEMENT, EVENT_SOURCE], ids=["element", "EventSource"])
def test_daemon_ends_while_a_stream_waits(tmp, run, api, browser, front, daemon, script):
    """A long call survives the process: the next process is asked at once. That is no retry after a
    failure."""
    listening = run(socket.socket(socket.AF_UNIX))
    listening.bind(f"{tmp}/held")
    listening.listen()
    process = {"listen": "none", "systemd": listening, "address": f"{tmp}/held"}
    server = front(**process)
    api.hold("x")
    browser.open(server.url)
    browser.script(script)
    api.wait_calls("x", 1)
    daemon(**process)
    server.daemon.stop()
    api.wait_calls("x", 2)
    api.release("x")
    wait_until(lambda: "result for x" in (browser.script("return window.seen;") or ""), "x")


def test_retries_of_those_that_share_a_stream(site, browser):
    """That the first one must not be retried does not apply to the others."""
    browser.open(site.page(element("a", "stream retries=0") + element("b", "stream")))
    site.stream().cut()
    stream = site.stream(1)
    assert "b" in stream.names
    stream.send("b", "<p>b</p>")
    browser.wait_state("b", "loaded")


def test_any_order(site, browser):
    """Whatever happens to elements in whatever order, all of them end with the content of their
    name, and each loadstart has had its loadend."""
    for name in "abc":
        site.fragment(name)
    site.stream_status = 404
    for count in (1, 2, 3):
        for names in itertools.permutations("abc", count):
            site.answer("fragments?name=" + "&name=".join(names), 404, type="text/html")
    browser.open(site.page("<div id=one></div><div id=two></div>"))
    seed = time.time_ns() % 2**31 or 1
    browser.script("""
        let seed = arguments[0];
        const random = below => (seed = (seed * 48271) % 2147483647) % below;
        const balance = new Map();
        const make = () => {
            const it = document.createElement("page-fragment");
            balance.set(it, 0);
            it.addEventListener("loadstart", () => balance.set(it, balance.get(it) + 1));
            it.addEventListener("loadend", () => balance.set(it, balance.get(it) - 1));
            it.append("…");
            it.name = "abc"[random(3)];
            it.stream = random(2);
            one.append(it);
        };
        const steps = [
            it => it.reload(), it => it.reload(), it => it.remove(), it => two.append(it),
            it => one.prepend(it), it => it.name = "abc"[random(3)], it => it.src = "/fragment/b",
            it => it.src = null, it => it.stream = !it.stream, it => it.loading = "lazy",
            it => it.loading = "eager", it => it.name = null];
        window.balance = balance;
        window.over = (async () => {
            for (let count = 0; count < 12; ++count) make();
            const all = [...balance.keys()];
            for (let count = 0; count < 600; ++count) {
                steps[random(steps.length)](all[random(all.length)]);
                if (!random(3)) await null;
                if (!random(15)) await new Promise(resolve => setTimeout(resolve, random(20)));
            }
            for (const it of all) {
                it.name = "abc"[random(3)];
                it.src = null;
                it.loading = "eager";
                one.append(it);
            }
            window.done = true;
        })();""", seed)
    wait_until(lambda: browser.script("return window.done;"), "all steps")
    wrong = """return [...balance].filter(([it, open]) =>
        open || it.state !== "loaded" || it.textContent !== it.name).map(([it, open]) =>
        `${open} ${it.outerHTML}`);"""
    try:
        wait_until(lambda: browser.script(wrong) == [], "all elements")
    except AssertionError as failure:
        raise AssertionError(f"seed {seed}: {browser.script(wrong)}") from failure
    assert all("404" in it for it in browser.complaints())
