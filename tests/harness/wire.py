"""A response as it arrives, by curl: compressed or not, over any version of HTTP.

    with Wire(front.url, *HTTP2, *GZIP) as wire:
        wire.wait("</h1>")          # as soon as it is there
        wire.wait_over()
        print(wire.table())         # what came when
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import Dict, List, NamedTuple

from .servers import need
from .wait import deadline

GZIP = ("--compressed",)
HTTP2 = ("--http2-prior-knowledge",)  # without TLS


class Piece(NamedTuple):
    seconds: float  # since the request
    data: bytes


class Wire:
    """A GET, unless the options of curl say otherwise. Use as a context manager."""

    def __init__(self, url: str, *options: str) -> None:
        self.pieces: List[Piece] = []
        self.over = False
        self._begin = time.monotonic()
        self._process = subprocess.Popen(
            [need("curl"), "-q", "--silent", "--no-buffer", "--include", "--noproxy", "*", *options,
             url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    def close(self) -> None:
        """Breaks the request off, unless it is over."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    @property
    def _text(self) -> str:
        return b"".join(piece.data for piece in self.pieces).decode(errors="ignore")

    @property
    def body(self) -> str:
        """What has arrived so far."""
        return self._text.partition("\r\n\r\n")[2]

    @property
    def status(self) -> int:
        return int(self._text.split()[1])

    @property
    def headers(self) -> Dict[str, str]:
        """Names in lower case. They are there when the first piece of the body is."""
        lines = self._text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return {name.lower(): value.strip() for name, _, value in pairs}

    def wait(self, text: str) -> None:
        """Reads until the body contains the text."""
        self._until(lambda: text in self.body, repr(text))

    def wait_end(self) -> int:
        """Reads until nothing more can come. Returns curl's status, which is 0 if the response is
        complete."""
        self._until(lambda: self.over, "the end")
        return self._process.wait()

    def wait_over(self) -> None:
        """Reads to the end, which must be a proper one."""
        status = self.wait_end()
        assert status == 0, f"curl ended with status {status}: {self.body[-400:]!r}"

    def when(self, text: str) -> float:
        """When the last byte of the text had arrived: seconds since the request."""
        data = b""
        for piece in self.pieces:
            data += piece.data
            if text.encode() in data:
                return piece.seconds
        raise AssertionError(f"{text!r} is not in the response")

    def table(self) -> str:
        """What came when."""
        return "\n".join(f"{seconds * 1000:8.1f} ms  {data.decode(errors='replace')!r}"
                         for seconds, data in self.pieces)

    def _until(self, condition, what: str) -> None:
        end = deadline()
        while not condition():
            assert not self.over, f"the response ended before {what} came: {self.body[-400:]!r}"
            assert time.monotonic() < end, f"timed out waiting for {what}: {self.body[-400:]!r}"
            if select.select([self._process.stdout], [], [], 0.05)[0]:
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if data:
                    self.pieces.append(Piece(time.monotonic() - self._begin, data))
                self.over = not data
