"""A thousand visitors who all want the same fragment at the same time: plain HTTP clients in one
thread. `state` counts them while they wait."""

from __future__ import annotations

import errno
import resource
import selectors
import socket
import threading
import time
from typing import Dict, Optional, Tuple

COUNT = 1000
SECONDS = 20  # after that, those who still wait are counted as failed
AT_ONCE = 64  # connections that are being opened at the same time
SPARE = 200  # descriptors for everything else


def room() -> int:
    """How many visitors this process may have descriptors for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = COUNT + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(COUNT, wanted - SPARE)


class Visitors:
    """One run of visitors at a time."""

    def __init__(self, address: Tuple[str, int], path: str) -> None:
        self._address = address
        self._request = (f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
                         "Accept: text/html\r\nConnection: close\r\n\r\n").encode()
        self._count = room()
        self._thread: Optional[threading.Thread] = None
        self._stop = False
        self.state: Dict = {"count": self._count, "running": False, "asked": 0, "filled": 0,
                            "failed": 0, "first_ms": None, "last_ms": None}

    def start(self) -> bool:
        """False: the run before has not ended."""
        if self._thread and self._thread.is_alive():
            return False
        self.state = {**self.state, "running": True, "asked": 0, "filled": 0, "failed": 0,
                      "first_ms": None, "last_ms": None}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        self._stop = True
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        left = self._count  # to be sent
        with selectors.DefaultSelector() as selector:
            while not self._stop and (left or selector.get_map()):
                waiting = len(selector.get_map())
                opening = waiting - (self.state["asked"] - self._ended())
                for _ in range(min(left, AT_ONCE - opening)):
                    left -= 1
                    self._open(selector)
                if time.monotonic() - began > SECONDS:
                    break
                for key, _ in selector.select(0.05):
                    self._turn(selector, key, began)
            for key in list(selector.get_map().values()):
                self._end(selector, key.fileobj, False)
            self.state["failed"] += left
        self.state["running"] = False

    def _ended(self) -> int:
        return self.state["filled"] + self.state["failed"]

    def _open(self, selector) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        error = sock.connect_ex(self._address)
        selector.register(sock, selectors.EVENT_WRITE)
        if error not in (0, errno.EINPROGRESS):
            self.state["asked"] += 1
            self._end(selector, sock, False)

    def _turn(self, selector, key, began: float) -> None:
        """A visitor is connected, and asks; or has an answer, and leaves."""
        sock = key.fileobj
        try:
            if key.events == selectors.EVENT_WRITE:
                self.state["asked"] += 1
                sock.send(self._request)  # fits into any socket's buffer
                selector.modify(sock, selectors.EVENT_READ)
                return
            good = sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            good = False
        now = round((time.monotonic() - began) * 1000)
        if good:
            self.state["first_ms"] = self.state["first_ms"] or now
            self.state["last_ms"] = now
        self._end(selector, sock, good)

    def _end(self, selector, sock: socket.socket, good: bool) -> None:
        selector.unregister(sock)
        sock.close()
        self.state["filled" if good else "failed"] += 1
