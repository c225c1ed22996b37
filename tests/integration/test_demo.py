"""`make demo`: it shows the page, and leaves nothing behind however it ends."""

from __future__ import annotations

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
from harness.wait import DEADLINE, SLOWNESS, wait_until

pytestmark = pytest.mark.seconds(180)  # PostgreSQL makes its files each time

MADE_BY = {
    "departures": r"Lisboa.*Made by <code>departures.html</code> from JSON of process \d+",
    "moon": r"% lit.*Made by PHP \d+\.\d+\.\d+\S* in php-fpm, process \d+",
    "books": r"Marcel Proust</td><td>\d+<.*Made by PostgreSQL \d+\.\d+, process \d+",
    "report": r"lines of C.*Made by Python \d+\.\d+\.\d+\S*, worker process \d+",
}


@pytest.mark.parametrize("front", ["nginx", "lighttpd"])
def test_shows_the_shop(tmp, run, front):
    demo = run(Demo(tmp, FRONT=front, PORT="0"))
    address = demo.address()
    assert b"<page-fragment" in get(address, "/shop.html").body
    assert get(address, "/shop.js").status == 200
    assert "status.js" in get(address, "/status.html").text
    assert get(address, "/workerless/status?json").status == 200
    for path, headers, says in [
        ("search?q=milk", {}, "results for <b>milk</b>"),
        ("greeting", {"Accept-Language": "fr-CH, fr;q=0.9"}, "Bienvenue"),
        ("cart", {"Cookie": "session=bob"}, "The cart of bob"),
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

    flush, show = [shlex.split(line)
                   for line in re.findall(r"^ +(redis-cli .*)$", demo.output(), re.MULTILINE)]
    assert b"<strong>b</strong>" in subprocess.check_output(show)
    subprocess.check_output(flush)
    assert "fwd=miss" in get(address, "/fragment/b").headers["cache-status"]

    assert demo.end(number) == 0, demo.output()
    wait_until(lambda: all(gone(pid) for pid in processes), "all processes to end")
    demo.check_nothing_left()


def check_sources(demo: Demo, absent: str) -> None:
    """What the page of any slow thing shows: each card says what has made it."""
    address = demo.address()
    assert b'<page-fragment name="moon"' in get(address, "/sources.html").body
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
    assert "books will fail: it needs apt-get install libpq-dev postgresql" in demo.output()


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
