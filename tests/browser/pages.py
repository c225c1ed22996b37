"""Pages for the tests of <page-fragment>, served without a daemon, under the strictest policy that
the element promises to work with."""

from __future__ import annotations

import select
import socket
import threading
from pathlib import Path
from typing import List, Union
from urllib.parse import parse_qsl, quote, urlsplit

from harness import fronts
from harness.slowapi import Call, SlowApi, _Handler
from harness.wait import DEADLINE, SLOWNESS, wait_until

POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types page-fragment"
HTML = "text/html; charset=utf-8"

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>test</title>
<link rel="icon" href="favicon.svg"><script type="module" src="page-fragment.js"></script></head>
<body>{body}</body></html>
"""


def path_of(name: str) -> str:
    """The path of the fragment, escaped no more than it must be."""
    return "/fragment/" + quote(name, safe="/:@&=+$,;!~*'()")


class Stream:
    """A response that is sent in pieces, as the test says."""

    def __init__(self, names: List[str], sock: socket.socket) -> None:
        self.names = names
        self.over = threading.Event()
        self._socket = sock

    def raw(self, data: Union[str, bytes]) -> None:
        data = data.encode() if isinstance(data, str) else data
        self._socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def send(self, event: str, html: str = "") -> None:
        self.raw(f"event: {event}\n" + "".join(f"data: {line}\n" for line in html.split("\n")) +
                 "\n")

    def end(self) -> None:
        """Ends it like the server, when everything requested has been sent."""
        self.raw("event: end\ndata:\n\n")
        self.close()

    def close(self) -> None:
        """Ends it like a response that is complete."""
        self._socket.sendall(b"0\r\n\r\n")
        self.over.set()

    def cut(self) -> None:
        """Ends it like a network failure."""
        self.over.set()

    def left(self) -> bool:
        """Whether the browser has closed the connection."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        try:
            return bool(readable) and self._socket.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True

    def wait_left(self) -> None:
        wait_until(self.left, "the browser to close the stream")


class Site(SlowApi):
    """The API as a web site. Its `streams` are the requests of /fragments that have arrived, and
    its `pages` those of /pieces, a page that is sent as the test says."""

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp)
        self.streams: List[Stream] = []
        self.pages: List[Stream] = []
        self.stream_status = 200
        self.stream_type = "text/event-stream"
        for path in fronts.WWW.iterdir():
            kind = {".html": HTML, ".js": "text/javascript", ".css": "text/css",
                    ".svg": "image/svg+xml", ".json": "application/json",
                    ".ts": "text/plain"}[path.suffix]
            self.answer(path.name, body=path.read_bytes(), type=kind)

    def start(self) -> "Site":
        super().start()
        self._server.RequestHandlerClass = _SiteHandler
        return self

    def stop(self) -> None:
        for stream in self.streams + self.pages:
            stream.over.set()
        super().stop()

    def page(self, body: str, path: str = "", policy: str = POLICY) -> str:
        """Adds a page with the element's script; returns its URL."""
        self.answer(path, body=PAGE.format(body=body), type=HTML,
                    headers={"Content-Security-Policy": policy})
        return f"{self.url}/{path}"

    def fragment(self, name: str, body: str = "", status: int = 200, **options) -> None:
        """Sets what the fragment answers; `<p>NAME</p>` by default."""
        self.answer(path_of(name), status, body=body or f"<p>{name}</p>",
                    **{"type": HTML, **options})

    def asked(self, name: str) -> int:
        return self.calls(path_of(name))

    def wait_asked(self, name: str, count: int = 1) -> None:
        self.wait_calls(path_of(name), count)

    def hold_fragment(self, name: str) -> None:
        self.hold(path_of(name))

    def release_fragment(self, name: str) -> None:
        self.release(path_of(name))

    def stream(self, number: int = 0) -> Stream:
        """The request of that number, once it has arrived."""
        wait_until(lambda: len(self.streams) > number, f"request {number} of /fragments")
        return self.streams[number]


class _SiteHandler(_Handler):
    api: Site

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        path = urlsplit(self.path).path
        if path == "/pieces":
            self._send_pieces(self.api.pages, HTML)
        elif path == "/fragments" and self.api.stream_status == 200:
            self._send_pieces(self.api.streams, self.api.stream_type)
        else:
            super().do_GET()

    def _send_pieces(self, streams: List[Stream], kind: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.api._note(Call(self.command, self.path, headers, self.number))
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Cache-Control": "no-store",
                            "Content-Security-Policy": POLICY,
                            "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        stream = Stream([value for key, value in parse_qsl(urlsplit(self.path).query)
                         if key == "name"], self.connection)
        streams.append(stream)
        stream.over.wait(DEADLINE * 10 * SLOWNESS)
        self.close_connection = True
