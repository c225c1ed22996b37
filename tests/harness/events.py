"""Reading streamed responses: server-sent events (HTML Standard 9.2), and the HTTP responses that
carry them.

    with HttpStream(front.address, "/fragments?name=a&name=b") as stream:
        assert stream.wait(1) == [("a", "<p>a</p>")]   # as soon as it is there
"""

from __future__ import annotations

import re
import select
import socket
import time
from typing import Dict, List, Sequence, Tuple, Union
from urllib.parse import quote

from .process import connect
from .wait import deadline

Event = Tuple[str, str]  # its name and its data


def query(names: Sequence[str]) -> str:
    """The path that requests these fragments."""
    return "&".join("name=" + quote(name, safe="") for name in names)


def parse(data: Union[bytes, bytearray]) -> List[Event]:
    """The complete events; an incomplete one at the end is left out."""
    found: List[Event] = []
    name, lines = "message", []
    for line in re.split(rb"\r\n|\r|\n", bytes(data))[:-1]:
        if line:
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            assert field in (b"", b"event", b"data", b"retry"), f"not a field of ours: {line[:80]!r}"
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                lines.append(value)
        else:
            if lines:
                found.append((name, b"\n".join(lines).decode()))
            name, lines = "message", []
    return found


def is_cut(data: Union[bytes, bytearray]) -> bool:
    """Whether it ends as a stream does whose client has to request the rest again."""
    return bytes(data).endswith(b"retry: 100\nevent: /again\n\n")


def beats(data: Union[bytes, bytearray]) -> int:
    """How many heartbeats have arrived: lines that are comments."""
    return len(re.findall(rb"^:", bytes(data), re.MULTILINE))


class HttpStream:
    """A GET whose response is read as it arrives. A context manager, or close()."""

    def __init__(self, address, path: str, accept: str = "text/event-stream") -> None:
        self.socket: socket.socket = connect(address)
        self.over = False  # the response is complete
        self.status = 0
        self.headers: Dict[str, str] = {}  # names in lower case
        self._in = bytearray()
        self._body = bytearray()
        self._events: List[Event] = []
        self._parsed = 0  # bytes of the body that these take
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
                            .encode())
        self._until(lambda: b"\r\n\r\n" in self._in, "the head")
        head, _, rest = bytes(self._in).partition(b"\r\n\r\n")
        self._in = bytearray(rest)
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self._dechunk()

    def __enter__(self) -> "HttpStream":
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    @property
    def body(self) -> bytes:
        """What has arrived so far."""
        return bytes(self._body)

    @property
    def events(self) -> List[Event]:
        end = self._body.rfind(b"\n\n", self._parsed)
        if end >= 0:
            self._events += parse(self._body[self._parsed:end + 2])
            self._parsed = end + 2
        return list(self._events)

    def wait(self, count: int) -> List[Event]:
        """Reads until so many events have arrived; returns them all."""
        self._until(lambda: len(self.events) >= count, f"event number {count}")
        return self.events

    def wait_body(self, text: bytes) -> None:
        self._until(lambda: text in self._body, f"{text!r}")

    def wait_over(self) -> None:
        self._until(lambda: self.over, "the end")

    def pump(self, seconds: float) -> bool:
        """Waits that long for bytes and reads them. False: none arrived."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        if self.over or not poll.poll(seconds * 1000):
            return False
        data = self.socket.recv(1 << 18)
        self._in += data
        if self.status:
            self._dechunk()
        if not data:
            assert self.headers.get("transfer-encoding") != "chunked", "cut off"
            self.over = True
        return True

    def _until(self, condition, what: str) -> None:
        end = deadline()
        while not condition():
            assert not self.over, f"the response ended before {what} came: {self.body[-400:]!r}"
            assert time.monotonic() < end, f"timed out waiting for {what}: {self.body[-400:]!r}"
            self.pump(0.05)

    def _dechunk(self) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            self._body += self._in
            self._in.clear()
            return
        at = 0  # of the next chunk
        while not self.over:
            start = self._in.find(b"\r\n", at, at + 20) + 2
            length = int(self._in[at:start - 2], 16) if start > 1 else 0
            if start == 1 or len(self._in) < start + length + 2:
                break
            at = start + length + 2
            assert self._in[at - 2:at] == b"\r\n"
            self._body += self._in[start:at - 2]
            self.over = length == 0
        del self._in[:at]
