"""A slow API for the hostile run, as a process of its own. Prints its port.

What it answers depends on the name: control/…, api/…, stale/… and uncached/… get
`result for NAME`, after some time or at once; big/… a large result; slow/… comes late; fail/… fails
in one of many ways; odd/… gets an unusual answer."""

from __future__ import annotations

import random
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.slowapi import Answer, Call, SlowApi  # noqa: E402

BIG = 256 * 1024


def fail() -> Answer:
    return random.choice([
        Answer(status=500), Answer(status=404), Answer(status=503, body=b"x" * 1000),
        Answer(body=b"cut short", cut=3), Answer(body=b"x" * 70000, chunked=True, cut=40000),
        Answer(status=204), Answer(status=999), Answer(body=b"x" * (2 << 20))])


def odd() -> Answer:
    where = random.choice(["/api/1", "/odd/1", "//127.0.0.1:1/", "http://127.0.0.1:1/x",
                           "file:///etc/hostname", "", "http://[", "/" + "x" * 9000])
    return random.choice([
        Answer(status=302, headers={"Location": where}), Answer(status=301),
        Answer(type="image/png", body=b"\x89PNG"), Answer(type="", body=b"plain"),
        Answer(type="text/html; charset=" + "x" * 300, body=b"<b>long type</b>"),
        Answer(type="text/html\x01", body=b"<b>bad type</b>"),
        Answer(body=bytes(range(256)) * 40), Answer(body=b"<&>\"" * 30000),
        Answer(body=b"not zipped", headers={"Content-Encoding": "gzip"}),
        Answer(body=b"x", headers={"X-Long": "y" * 30000}),
        Answer(type="text/html", body=b"<!-- \r\n" * 20000, chunked=True), Answer(body=b"")])


def result(name: str, delay: float = 0.0, more: bytes = b"") -> Answer:
    return Answer(body=f"result for {name}".encode() + more, delay=delay)


class Api(SlowApi):
    """Does not record its calls, since there are too many."""

    def _note(self, call: Call) -> None:
        pass

    def _find(self, path: str):
        name = path.lstrip("/")
        if name.startswith("big/"):
            return result(name, more=b"x" * BIG), None
        if name.startswith("slow/"):
            return result(name, random.uniform(0.2, 1.5)), None
        if name.startswith("fail/"):
            return fail(), None
        if name.startswith("odd/"):
            return odd(), None
        return result(name, random.choice([0, 0, random.uniform(0, 0.05)])), None


def main() -> None:
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    with Api() as api:
        print(f"port {api.port}", flush=True)
        end.wait()


if __name__ == "__main__":
    main()
