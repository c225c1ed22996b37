"""HTML that does not end where it began: served alone as it is, and never in a template."""

import json
import re
import signal

import pytest

from harness import fcgi
from harness.cli import cli_for
from harness.config import api_config
from harness.events import parse, query
from harness.fcgi import Connection
from harness.fleet import wait_armed
from harness.wait import wait_until

FALLBACK = "<p>later</p>"

# What is left open -> what the log says of it.
UNBALANCED = {
    "<p>a</p><!-- b": "an unclosed comment that begins at line 1, column 9",
    "<p>\n<textarea>": "an unclosed <textarea> that begins at line 2, column 1",
    "<script>a": "an unclosed <script> that begins at line 1, column 1",
    "<template><p>a</p>": "an unclosed <template> that begins at line 1, column 1",
    "<plaintext>a": "an unclosed <plaintext> that begins at line 1, column 1",
    "a</template><b>c</b>": "a </template> without its start tag at line 1, column 2",
    '<a title="b>c</a>': "an unclosed quote that begins at line 1, column 10",
    "<?marker name=x>": "a <?marker> marker, which belongs to the page, at line 1, column 1",
    '<template for="x">a</template>': "a <template for>, which would replace other parts of the "
                                      "page, at line 1, column 1",
}
BALANCED = "<div><p>a<table>&lt;!--"  # in a template, which closes what is open


@pytest.fixture(name="fallback")
def make_fallback(tmp):
    """A route's options with a fallback."""
    path = tmp / "fallback.html"
    path.write_text(FALLBACK, "utf-8")
    return f'source = "api" ttl = "60s" stream = "yes" fallback = "{path}"'


def stream(connection: Connection, *names: str, accept: str = "text/html"):
    return connection.request("/fragments", query=query(names), headers={"Accept": accept})


def templates(text: str) -> dict:
    """What is in each template; failed ones have None before it."""
    parts = re.findall(r'<template for="([^"]+)"( data-failed><!--failed--|)>(.*?)</template>\n', text, re.DOTALL)
    whole = "".join(f'<template for="{name}"{failed}>{html}</template>\n'
                    for name, failed, html in parts)
    assert whole == text.lstrip("\n")
    return {name: (None, html) if failed else html for name, failed, html in parts}


def warnings(server) -> list:
    return re.findall(r'fragment "(.*?)": the result has (.*?); it is served alone', server.log())


@pytest.mark.parametrize("html", UNBALANCED)
def test_from_a_source(daemon, api, name, fallback, html):
    """Alone and as an event it is as the source made it; a template has a failure, and the ones beside
    it are unharmed."""
    server = daemon(extra=f'fragment "{name}" {{ {fallback} }}')
    api.answer(name, type="text/html", body=html)
    api.answer("good", type="text/html", body=BALANCED)
    with Connection(server.address) as connection:
        for _ in range(2):
            assert templates(stream(connection, "good", name, "other").text) == {
                "good": BALANCED, name: (None, FALLBACK),
                "other": '<div id="other">result for other</div>'}
            alone = connection.request(f"/fragment/{name}")
            assert (alone.status, alone.text) == (200, html)
            events = dict(parse(stream(connection, name, accept="text/event-stream").body))
            assert events == {name: html, "end": ""}
        assert warnings(server) == [(name, UNBALANCED[html])]
    counters = server.counters()
    assert (counters["unbalanced"], counters["withheld"]) == (1, 2)
    assert api.calls(name) == 1


def test_while_it_is_made(daemon, api, name, fallback):
    """The stream waits for the call that finds it out; a request beside it gets the result."""
    server = daemon(extra=f'fragment "{name}" {{ {fallback} }}')
    api.answer(name, type="text/html", body="<!--")
    api.hold(name)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragments", 1, query=query([name]),
                                         headers={"Accept": "text/html"}))
        connection.send_raw(fcgi.request(f"/fragment/{name}", 2))
        wait_until(lambda: server.counter("parked") == 2, "both to be parked")
        api.release(name)
        assert templates(connection.response(1).text) == {name: (None, FALLBACK)}
        assert connection.response(2).text == "<!--"


@pytest.mark.parametrize("memory", ["64MiB", "0"])
def test_from_redis(daemon, api, redis, fallback, memory):
    """Whoever wrote it there, and with whatever type; nobody else has to have checked it."""
    server = daemon(f'cache {{ redis = "{redis.url}" memory = "{memory}" }}\n'
                    f'source "api" {{ type = "http" url = "{api.url}/{{name}}" }}\n'
                    + "".join(f'fragment "{name}" {{ {fallback} }}\n'
                              for name in ("plain", "entry", "text", "good")))
    wait_armed(redis)
    line = "workerless/1 made={0}000 fresh={0}900 cost=1 status=200 type={1}\n"
    second = 9_000_000_000
    redis.command("SET", "worker:plain", "<p>a</p></template>", "EX", 60)
    redis.command("SET", "worker:entry", line.format(second, "text/html") + "<textarea>", "EX", 60)
    redis.command("SET", "worker:text", line.format(second, "text/plain") + "</template>", "EX", 60)
    redis.command("SET", "worker:good", BALANCED, "EX", 60)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/plain").text == "<p>a</p></template>"
        assert warnings(server) == []  # nobody had to know
        for _ in range(3):
            assert templates(stream(connection, "plain", "entry", "good", "text").text) == {
                **dict.fromkeys(("plain", "entry", "text"), (None, FALLBACK)), "good": BALANCED}
        assert connection.request("/fragment/entry").text == "<textarea>"
        redis.command("SET", "worker:plain", "<p>b", "EX", 60)
        wait_until(lambda: templates(stream(connection, "plain").text) == {"plain": "<p>b"},
                   "the mended result")
    assert sorted(warnings(server)) == [
        ("entry", "an unclosed <textarea> that begins at line 1, column 1"),
        ("plain", "a </template> without its start tag at line 1, column 9")]
    assert 'fragment "text" is text/plain, which can\'t be a part of this stream' in server.log()
    assert api.calls() == 0


def test_a_worker_wakes_the_stream(daemon, api, redis, fallback):
    """A value that is written while the stream waits is checked, too."""
    server = daemon(redis=redis.url, extra=f'fragment "job" {{ {fallback} }}')
    wait_armed(redis)
    api.hold("job")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragments", 1, query=query(["job"]),
                                         headers={"Accept": "text/html"}))
        api.wait_calls("job", 1)
        redis.command("SET", "worker:job", "<title>", "EX", 60)
        assert templates(connection.response(1).text) == {"job": (None, FALLBACK)}


def test_the_log_is_bounded(daemon, api):
    """A route with many names, whose results have the same flaw at different places."""
    server = daemon()
    names = [f"user/{number}" for number in range(60)]
    for number, name in enumerate(names):
        api.answer(name, type="text/html", body=" " * number + "<style>")
    with Connection(server.address) as connection:
        assert set(templates(stream(connection, *names).text)) == set(names)
        assert len(warnings(server)) == 1 and server.counter("withheld") == len(names)
        api.answer("user/x", type="text/html", body="<!")
        connection.request("/fragment/user/x")
    assert warnings(server)[1:] == [
        ("user/x", "an unclosed declaration that begins at line 1, column 1")]


def test_in_the_access_log(tmp, daemon, api, fallback):
    """It failed for whoever got it, and so it counts."""
    path = tmp / "access.log"
    server = daemon(extra=f'access_log = "file:{path}" access_log_format = "json"\n'
                          f'fragment "a" {{ {fallback} }}')
    api.answer("a", type="text/html", body="<!--")
    with Connection(server.address) as connection:
        stream(connection, "a")
        metrics = connection.request("/workerless/metrics").text
    server.stop()
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(row["status"], row["outcome"], row["bytes"]) for row in rows
            if row.get("key") == "a"] == [(502, "failed", len(FALLBACK))]
    assert 'requests_total{route="a",outcome="failed"} 1' in metrics
    assert "workerless_withheld_total 1" in metrics and "workerless_unbalanced_total 1" in metrics


def test_explain(daemon, api, redis):
    server = daemon(redis=redis.url)
    wait_armed(redis)
    api.answer("open", type="text/html", body="<p>a</p>\n<textarea>b")
    api.answer("cut", type="text/html", body="<div>a")
    api.answer("good", type="text/html", body="<div>a</div>")
    found = {}
    for name in ("open", "cut", "good"):
        assert cli_for(server, "get", f"/fragment/{name}").returncode == 0
        done = cli_for(server, "explain", name)
        assert done.returncode == 0
        found[name] = re.findall(r"^            unbalanced(.*)$", done.stdout, re.MULTILINE)
    assert found["open"] and set(found["open"]) == {
        ", so streams of templates leave it out: an unclosed <textarea> that begins at line 2, "
        "column 1"}
    assert found["cut"] and set(found["cut"]) == {
        " outside of a template: an unclosed <div> that begins at line 1, column 1"}
    assert found["good"] == []


# The fallback.


def test_a_fallback_is_checked(tmp, daemon, api):
    """At the start, by `workerless check`, and at a reload, which changes nothing then."""
    page = tmp / "page.html"
    page.write_text("<p>one</p>", "utf-8")
    text = api_config(api, extra=f'fragment "a" {{ source = "api" fallback = "{page}" }}')
    server = daemon(text)
    api.answer("a", 500)

    def fallback() -> str:
        with Connection(server.address) as connection:
            return connection.request("/fragment/a").text

    assert fallback() == "<p>one</p>"
    page.write_text("<p>two</p>\n<!-- cut", "utf-8")
    wrong = f'fallback = "{page}": {page} has an unclosed comment that begins at line 2, column 1: ' \
            "that would break the rest of a page\n"
    mark = len(server.log())
    server.signal(signal.SIGHUP)
    wait_until(lambda: "stays in use" in server.log()[mark:] or "not reloaded" in server.log()[mark:],
               "the reload to fail")
    assert wrong.strip() in server.log()[mark:] and fallback() == "<p>one</p>"
    done = cli_for(server, "check")
    assert done.returncode == 1 and done.stderr.endswith(wrong) and ".conf:5: fallback" in done.stderr
    page.write_text("<p>three", "utf-8")
    done = cli_for(server, "check")
    assert done.returncode == 0 and "1 warning" in done.stderr
    assert f"warning: fallback = \"{page}\": {page} has an unclosed <p> " in done.stderr
    server.signal(signal.SIGHUP)
    wait_until(lambda: fallback() == "<p>three", "the reload")
