"""`make demo`: it shows the page, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.demo import Demo
from harness.httpc import get, get_many
from harness.process import gone
from harness.servers import is_sanitized
from harness.wait import DEADLINE, SLOWNESS, wait_until

pytestmark = pytest.mark.seconds(180)  # PostgreSQL makes its files each time

MADE_BY = {
    "weather": r"Rain later.*Made by <code>weather.html</code> from JSON of process \d+",
    "departures": r"Lisboa.*Made by <code>departures.html</code> from JSON of process \d+",
    "moon": r"% lit.*Made by PHP \d+\.\d+\.\d+\S* in php-fpm, process \d+",
    "books": r"Marcel Proust</td><td>\d+<.*Made by PostgreSQL \d+\.\d+, process \d+",
    "report": r"lines of C.*Made by Python \d+\.\d+\.\d+\S*, worker process \d+",
}


def read(reply) -> dict:
    return json.loads(reply.text)


def press(address, name: str, **options):
    """Presses a button of the page."""
    return get(address, f"/demo/{name}", method="POST", **{"headers": {"X-Demo": "1"}, **options})


@pytest.mark.parametrize("front", ["nginx", "lighttpd"])
def test_shows_what_each_gets(tmp, run, front):
    demo = run(Demo(tmp, FRONT=front, PORT="0"))
    address = demo.address()
    assert "status.js" in get(address, "/status.html").text
    assert "demo.js" in get(address, "/abc.html").text
    whole = get(address, "/whole").text
    assert "result for a" in whole and "Lisboa" in whole and whole.endswith("</html>\n")
    assert get(address, "/workerless/status?json").status == 200
    for path, headers, says in [
        ("search?q=milk", {}, "results for <b>milk</b>"),
        ("greeting", {"Accept-Language": "fr-CH, fr;q=0.9"}, "Bonsoir"),
        ("cart", {"Cookie": "session=bob"}, "The cart of <strong>Bob"),
        ("price/tea", {"X-Currency": "USD"}, "$4.50"),
        ("stock", {}, "12}"),
    ]:
        reply = get(address, f"/fragment/{path}", headers=headers)
        assert reply.status == 200 and says in reply.text, (path, reply.text)


@pytest.mark.parametrize("front, number", [
    ("nginx", signal.SIGINT), ("lighttpd", signal.SIGTERM)])
def test_shows_fragments_and_leaves_nothing(tmp, run, front, number):
    demo = run(Demo(tmp, FRONT=front, PORT="0"))
    address = demo.address()
    processes = demo.processes()
    assert len(processes) >= 8  # workerless, the front server, and what is behind them
    assert b"<page-fragment" in get(address, "/").body

    paths = [f"/fragment/{name}" for name in "abc"] * 10  # as ten tabs would
    replies = get_many(address, paths)
    assert [reply.status for reply in replies] == [200] * len(paths)
    assert replies[0].text == '<div id="a">result for a</div>'
    assert "<strong>b</strong>" in replies[1].text
    assert replies[2].text == '<div id="c">result for c</div>'
    assert len({reply.body for reply in replies}) == 3
    assert re.findall(r"slow API called: /(\S+)", demo.output()).count("b") == 1
    assert "hit" in get(address, "/fragment/c").headers["cache-status"]

    [show] = re.findall(r"^ +(redis-cli .*)$", demo.output(), re.MULTILINE)
    assert b"<strong>b</strong>" in subprocess.check_output(shlex.split(show))
    assert press(address, "purge").status == 200
    assert "fwd=miss" in get(address, "/fragment/b").headers["cache-status"]

    assert demo.end(number) == 0, demo.output()
    wait_until(lambda: all(gone(pid) for pid in processes), "all processes to end")
    demo.check_nothing_left()


def check_sources(demo: Demo, absent: str) -> None:
    """Each part of the page says what has made it; one that can't be made says what to install."""
    address = demo.address()
    assert b'<page-fragment name="moon"' in get(address, "/").body
    paths = [f"/fragment/{name}" for name in MADE_BY]
    for name, reply in zip(MADE_BY, get_many(address, paths)):
        if name in absent.split():
            assert reply.status == 502 and "apt-get install" in reply.text, (name, reply.text)
        else:
            assert reply.status == 200, (name, reply.text, demo.output())
            assert re.search(MADE_BY[name], reply.text, re.DOTALL), (name, reply.text)
            assert "hit" in get(address, f"/fragment/{name}").headers["cache-status"]


@pytest.mark.parametrize("front", ["nginx", "lighttpd"])
def test_shows_any_slow_thing(tmp, run, front):
    demo = run(Demo(tmp, FRONT=front, PORT="0"))
    check_sources(demo, "")
    processes = demo.processes()
    assert demo.end(signal.SIGTERM) == 0, demo.output()
    wait_until(lambda: all(gone(pid) for pid in processes), "all processes to end")
    demo.check_nothing_left()


def test_without_libpq(tmp, run):
    """The card whose programs are not installed says what to install; so does the demo."""
    demo = run(Demo(tmp, PORT="0", MODULE=""))
    check_sources(demo, "books")
    assert "libpq-dev postgresql" in read(get(demo.address(), "/demo/state"))["missing"]["books"]
    assert "books will fail: it needs apt-get install libpq-dev postgresql" in demo.output()


@pytest.mark.parametrize("front", ["nginx", "lighttpd"])
def test_buttons(tmp, run, front):
    """A thousand visitors take one call; what is broken fails until it is mended; workerless comes
    back, and so do its results."""
    demo = run(Demo(tmp, FRONT=front, PORT="0"))
    address = demo.address()
    state = read(press(address, "visitors"))
    assert state["visitors"]["running"] and not state["broken"]

    def come() -> dict:
        return read(get(address, "/demo/state"))["visitors"]

    wait_until(lambda: not come()["running"], "all visitors to leave")
    assert (come()["filled"], come()["failed"], come()["calls"]) == (come()["count"], 0, 1)
    most = 1 << 20 if is_sanitized() else 4096  # a sanitizer adds its own memory
    assert 100 < read(get(address, "/demo/state"))["bytes_parked"] < most

    assert read(press(address, "break"))["broken"]
    broken = get(address, "/fragment/departures")
    assert broken.status == 502 and "The station does not answer" in broken.text
    assert not read(press(address, "mend"))["broken"]
    assert get(address, "/fragment/departures").status == 200

    before = read(get(address, "/workerless/status?json"))["pid"]
    assert not read(press(address, "kill"))["running"]

    def again() -> bool:
        reply = get(address, "/workerless/status?json")
        return reply.status == 200 and read(reply)["pid"] != before

    wait_until(again, "workerless to be there again")
    assert "hit" in get(address, "/fragment/departures").headers["cache-status"]
    assert demo.process.poll() is None


def test_buttons_are_for_the_page(tmp, run):
    """No other site can press them, and there are no others."""
    address = run(Demo(tmp, PORT="0", MODULE="")).address()
    assert press(address, "kill", headers={}).status == 403
    assert get(address, "/demo/kill").status == 405
    assert press(address, "state").status == 404
    assert get(address, "/demo/").status == 404
    assert get(address, "/workerless/health").status == 200


def test_port_in_use(tmp, run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        demo = run(Demo(tmp, PORT=str(port)))
        assert demo.process.wait(DEADLINE * SLOWNESS) == 1
    assert f"port {port} is in use" in demo.output()
    assert "Traceback" not in demo.output()
    assert not demo.processes()
    demo.check_nothing_left()


def test_a_server_dies(tmp, run):
    """The demo reports it and ends the others."""
    demo = run(Demo(tmp, PORT="0"))
    demo.address()
    processes = demo.processes()
    [redis] = [pid for pid in processes if "redis" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(redis, signal.SIGKILL)
    assert demo.process.wait(DEADLINE * SLOWNESS) == 1
    assert "redis has ended" in demo.output()
    wait_until(lambda: all(gone(pid) for pid in processes), "all processes to end")
    demo.check_nothing_left()


@pytest.mark.parametrize("name, value", [("FRONT", "iis"), ("PORT", "http"), ("PORT", "70000")])
def test_wrong_settings(tmp, run, name, value):
    demo = run(Demo(tmp, **{name: value}))
    assert demo.process.wait(DEADLINE * SLOWNESS) == 1
    assert f"demo: {name}={value}" in demo.output()
    demo.check_nothing_left()
