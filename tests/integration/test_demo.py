"""`make demo`: it shows the page, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from harness.httpc import get, get_many
from harness.process import gone
from harness.servers import TOP, workerless_binary
from harness.wait import DEADLINE, SLOWNESS, wait_until


class Demo:
    """tests/demo/demo.py as a process. Its servers' files are all below `dir`."""

    def __init__(self, tmp: Path, **environment: str) -> None:
        self.dir = tmp
        self._output = tmp / "output"
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(TOP / "tests/demo/demo.py")], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "TMPDIR": str(tmp), "WORKERLESS": workerless_binary(),
                     "PYTHONDONTWRITEBYTECODE": "1", **environment})

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_error) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def output(self) -> str:
        return self._output.read_text("utf-8")

    def address(self):
        """Where the page is, once it is there."""
        def shown():
            assert self.process.poll() is None, self.output()
            return re.search(r"http://127\.0\.0\.1:(\d+)/", self.output())

        return "127.0.0.1", int(wait_until(shown, "the demo to name its URL").group(1))

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE * SLOWNESS)

    def processes(self) -> List[int]:
        """Everything that runs below its directory, whatever its parent is now."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and os.readlink(entry / "cwd").startswith(
                        f"{self.dir}/workerless-demo"):
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                pass
        return found

    def check_nothing_left(self) -> None:
        assert [path.name for path in self.dir.iterdir()] == ["output"]


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
    assert len(processes) >= 3  # redis, workerless, the front server
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
