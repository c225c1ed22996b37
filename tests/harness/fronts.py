"""The front servers with the example configs of conf/, and a relay that records their FastCGI
traffic.

The examples are used as they are; only paths and ports are substituted, and each of those must
really be in the file. Relay is put between a front server and the daemon to see what is said. The
check_ functions check what every front server has to get right.
"""

from __future__ import annotations

import re
import shutil
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from .events import HttpStream, query
from .fcgi import BEGIN_REQUEST, END_REQUEST, GET_VALUES, PARAMS
from .httpc import get
from .process import Address, connect
from .servers import (TOP, FrontServer, Haproxy, Lighttpd, Nginx, SlowApi, need,
                      workerless_binary, wrapper_command)
from .wait import wait_until

WWW = TOP / "www"

# What the examples are written for.
SOCKET = "/run/workerless/workerless.sock"
DOCUMENTS = "/usr/share/workerless/www"


def copy_www(tmp: Path, **pages: str) -> Path:
    """A copy of www/, in which NAME.html is conf/PAGE for each NAME=PAGE (with _ for -)."""
    place = tmp / "www"
    shutil.copytree(WWW, place)
    for name, page in pages.items():
        shutil.copy(TOP / "conf" / page, place / f"{name.replace('_', '-')}.html")
    return place


def example(name: str, substitutions: Dict[str, str]) -> str:
    """The text of conf/NAME with every key of `substitutions` replaced by its value. Fails if one
    is not there: then the example and its test have drifted apart."""
    text = (TOP / "conf" / name).read_text(encoding="utf-8")
    for old, new in substitutions.items():
        assert old in text, f"conf/{name} has no {old!r} any more"
        text = text.replace(old, new)
    return text


def uncommented(name: str, first: str, last: str) -> Dict[str, str]:
    """The substitution in conf/NAME that makes lines of comments, whose first one begins with
    `first`, and whose last one is `last`, take effect."""
    text = (TOP / "conf" / name).read_text(encoding="utf-8")
    found = re.search(rf"^ *#{re.escape(first)}(.*\n)*? *#{re.escape(last)}$", text, re.MULTILINE)
    assert found, f"conf/{name} has no lines from {first!r} to {last!r}"
    return {found.group(): re.sub(r"^( *)#", r"\1", found.group(), flags=re.MULTILINE)}


# --- the front servers. `socket_path` is where the daemon (or a Relay) listens. ---


def nginx(tmp: Union[str, Path], socket_path: str, *, port: int = 0, www: Path = WWW,
          whole: bool = False, streamed: Optional[Dict[str, str]] = None, page: bool = False,
          changes: Optional[Dict[str, str]] = None) -> Nginx:
    """conf/nginx.conf; with `whole` it includes conf/nginx-ssi.conf, and with `streamed` it includes
    conf/nginx-page.conf with these changes. With `page`, workerless sends the page at /. `changes`
    are made first."""
    temporary = "\n".join(f"    {kind}_temp_path @DIR@/{kind};"
                          for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    include = "# include /usr/share/workerless/conf/nginx-{}.conf;".format
    return Nginx(tmp, example("nginx.conf", {
        **(changes or {}),
        include("ssi"): example("nginx-ssi.conf", {}) if whole else "",
        include("page"): example("nginx-page.conf", streamed) if streamed is not None else "",
        **(uncommented("nginx.conf", "location = / {", "}") if page else {}),
        "user www-data;": "",
        "pid /run/nginx.pid;": "pid @DIR@/pid;",
        "error_log /var/log/nginx/error.log;": "error_log stderr info;",
        "access_log /var/log/nginx/access.log;":
            f"access_log @DIR@/access.log;\n    client_body_temp_path @DIR@/body;\n{temporary}",
        SOCKET: socket_path,
        DOCUMENTS: str(www),
        "listen 8080;": "listen 127.0.0.1:@PORT@;",
    }), port=port)


_LIGHTTPD = {
    '"/var/log/lighttpd/error.log"': '"/dev/stderr"',
    '"/var/cache/lighttpd/uploads"': '"@DIR@"',
    "server.port          = 8080": 'server.port = @PORT@\nserver.bind = "127.0.0.1"',
}


def _lighttpd_page(name: str) -> Dict[str, str]:
    """Takes the condition with the page at / instead of the other one, and the skeleton for it."""
    return {
        '\n$HTTP["url"] =~ "^/(fragments$|fragment/|workerless/)" {': "",
        '\n#$HTTP["url"] =~ "^/($|': '\n$HTTP["url"] =~ "^/($|',
        **uncommented(name, '$HTTP["url"] == "/" {', "}"),
    }


def lighttpd(tmp: Union[str, Path], socket_path: str, *, port: int = 0, www: Path = WWW,
             page: bool = False, changes: Optional[Dict[str, str]] = None) -> Lighttpd:
    """conf/lighttpd.conf: connects to a daemon that runs. With `page`, that sends the page at /.
    `changes` are made first."""
    return Lighttpd(tmp, example("lighttpd.conf", {
        **(changes or {}), **_LIGHTTPD, **(_lighttpd_page("lighttpd.conf") if page else {}), SOCKET: socket_path,
        DOCUMENTS: str(www)}), port=port)


def lighttpd_spawn(tmp: Union[str, Path], config: str, *, port: int = 0, www: Path = WWW,
                   page: bool = False) -> Lighttpd:
    """conf/lighttpd-spawn.conf: starts the daemon itself, with `config`. With `page`, that sends the
    page at /."""
    command = [*wrapper_command(), workerless_binary()]
    command[0] = need(command[0])  # lighttpd does not look along PATH
    return Lighttpd(tmp, example("lighttpd-spawn.conf", {
        **_LIGHTTPD,
        **(_lighttpd_page("lighttpd-spawn.conf") if page else {}),
        "/usr/bin/workerless -c /etc/workerless/workerless.conf":
            " ".join([*command, "-c", "@DIR@/workerless.conf"]),
        "/run/lighttpd/workerless.sock": "@SOCKET@",
        DOCUMENTS: str(www),
    }), port=port, files={"workerless.conf": config})


def haproxy(tmp: Union[str, Path], socket_path: str, *, port: int = 0,
            skeleton: Tuple[str, int] = ("127.0.0.1", 1), multiplexed: bool = False,
            page: bool = False) -> Haproxy:
    """conf/haproxy.cfg. `skeleton` is the web server that has the page. With `page`, workerless sends
    the one at /. With `multiplexed` the lines that are commented out are in: /fragment/menu/ shares
    connections."""
    line = "    #use_backend streams if { path / }"
    text = example("haproxy.cfg", {
        line: line.replace("#", "" if page else "# "),
        SOCKET: socket_path,
        DOCUMENTS: str(WWW),
        "bind :8080": "bind 127.0.0.1:@PORT@",
        "127.0.0.1:8081": "%s:%d" % skeleton,
    })
    if multiplexed:
        text, lines = re.subn(r"^( *)#(?=\S| {4})", r"\1", text, flags=re.MULTILINE)
        assert lines > 5, "conf/haproxy.cfg has no lines to uncomment"
    return Haproxy(tmp, text, port=port)


# --- the relay ---


@dataclass
class Heard:
    """One request on its way through the relay."""

    id: int
    params: bytes = b""
    ended: bool = False  # its END_REQUEST has arrived


@dataclass
class Line:
    """One connection of the front server, as the relay saw it."""

    requests: List[Heard] = field(default_factory=list)      # all, in the order in which they began
    in_flight: Dict[int, Heard] = field(default_factory=dict)
    most: int = 0                # the most that were in flight at the same time
    asked_values: bool = False   # GET_VALUES was sent
    closed_by_front: bool = False
    closed_by_daemon: bool = False


class Relay:
    """A unix socket whose connections are passed on to the daemon, record by record.

    Use as a context manager; `path` is where the front server should connect. `lines` are the
    connections, the first one first. Records are noted before they are passed on: once a reply was
    seen, its record is here."""

    def __init__(self, tmp: Union[str, Path], target: Address) -> None:
        self.path = str(Path(tmp) / "relay")
        self.lines: List[Line] = []
        self._target = target
        self._lock = threading.Lock()
        self._open: List[socket.socket] = []
        self._listener: Optional[socket.socket] = None

    def __enter__(self) -> "Relay":
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(512)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        with self._lock:
            everything = [self._listener, *self._open]
        for sock in everything:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        Path(self.path).unlink(missing_ok=True)

    # What it has seen.

    def begun(self, path: str = "") -> int:
        """How many requests were begun, of all or of those whose variables hold `path`."""
        with self._lock:
            return sum(path.encode() in heard.params
                       for line in self.lines for heard in line.requests)

    def in_flight(self) -> int:
        with self._lock:
            return sum(len(line.in_flight) for line in self.lines)

    def wait_begun(self, count: int, path: str = "") -> None:
        wait_until(lambda: self.begun(path) >= count, f"{count} requests of {path or 'anything'}")

    # How it works.

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                front, _ = listener.accept()
            except OSError:
                return
            line = Line()
            try:
                daemon = connect(self._target)
            except OSError:
                front.close()
                continue
            daemon.settimeout(None)
            with self._lock:
                self.lines.append(line)
                self._open += [front, daemon]
            for pair in ((front, daemon, line, True), (daemon, front, line, False)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, line: Line,
              from_front: bool) -> None:
        """Passes records on until one side closes, then closes the other. What comes together stays
        together: HAProxy may use a connection again between the response and its END_REQUEST."""
        data = b""
        front_left = from_front  # whose end this is, if the next step fails
        try:
            while True:
                front_left = from_front
                received = source.recv(1 << 16)
                if not received:
                    break
                data += received
                passed = self._note_records(line, from_front, data)
                front_left = not from_front
                sink.sendall(data[:passed])
                data = data[passed:]
        except OSError:
            pass
        with self._lock:
            if not (line.closed_by_front or line.closed_by_daemon):
                line.closed_by_front, line.closed_by_daemon = front_left, not front_left
                line.in_flight.clear()
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _note_records(self, line: Line, from_front: bool, data: bytes) -> int:
        """Notes the complete records that data begins with. Returns their length."""
        at = 0
        while len(data) - at >= 8:
            head = data[at:at + 8]
            length = int.from_bytes(head[4:6], "big")
            end = at + 8 + length + head[6]
            if len(data) < end:
                break
            self._note(line, from_front, head[1], int.from_bytes(head[2:4], "big"),
                       data[at + 8:at + 8 + length])
            at = end
        return at

    def _note(self, line: Line, from_front: bool, kind: int, number: int, content: bytes) -> None:
        with self._lock:
            if from_front and kind == BEGIN_REQUEST:
                heard = Heard(number)
                line.requests.append(heard)
                line.in_flight[number] = heard
                line.most = max(line.most, len(line.in_flight))
            elif from_front and kind == GET_VALUES:
                line.asked_values = True
            elif from_front and kind == PARAMS and number in line.in_flight:
                line.in_flight[number].params += content
            elif not from_front and kind == END_REQUEST and number in line.in_flight:
                line.in_flight.pop(number).ended = True


# --- what every front server has to get right. Fragments come from the API, at /NAME. ---


def check_page(front: FrontServer) -> None:
    """The skeleton and its files, as a browser needs them, with the policy under which they
    work."""
    for path, kind in (("/", "text/html"), ("/page-fragment.js", "javascript"),
                       ("/demo.js", "javascript"), ("/timeline.js", "javascript"),
                       ("/style.css", "text/css"), ("/favicon.svg", "image/svg+xml")):
        reply = get(front.address, path)
        assert reply.status == 200, path
        assert kind in reply.headers["content-type"], path
        assert reply.headers["content-security-policy"] == "default-src 'self'", path
    assert get(front.address, "/nothing").status == 404


def check_fragment(front: FrontServer, api: SlowApi) -> None:
    """Names, statuses and bodies arrive as they should."""
    assert get(front.address, "/workerless/health").status == 200

    reply = get(front.address, "/fragment/user/7%20%C3%A9?color=red")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"] == "default-src 'self'"
    assert reply.text == '<div id="user/7 \u00e9">result for user/7 \u00e9</div>'
    assert api.requests()[-1].path == "/user/7%20%C3%A9"
    assert "hit" in get(front.address, "/fragment/user/7%20%C3%A9").headers["cache-status"]

    api.answer("missing", 404)
    api.answer("broken", 500)
    assert get(front.address, "/fragment/missing").status == 404
    broken = get(front.address, "/fragment/broken")
    assert broken.status == 502 and "fragment-error" in broken.text
    assert get(front.address, "/fragment/").status == 400
    post = get(front.address, "/fragment/b", method="POST", body=b"x" * 1000)
    assert post.status == 405 and post.headers["allow"] == "GET, HEAD"


def check_conditional(front: FrontServer) -> None:
    """HEAD has the head of a GET, and a known entity tag gets a 304."""
    full = get(front.address, "/fragment/seen")
    assert full.status == 200 and full.body
    head = get(front.address, "/fragment/seen", method="HEAD")
    assert head.status == 200 and head.body == b""
    assert head.headers["etag"] == full.headers["etag"]
    same = get(front.address, "/fragment/seen", headers={"If-None-Match": full.headers["etag"]})
    assert same.status == 304 and same.body == b""
    assert same.headers["etag"] == full.headers["etag"]
    other = get(front.address, "/fragment/seen", headers={"If-None-Match": '"other"'})
    assert other.status == 200 and other.body == full.body


def check_large_body(front: FrontServer, api: SlowApi) -> None:
    """1 MiB, byte for byte, generated and from the cache."""
    body = bytes(range(32, 127)) * (1 << 20)
    api.answer("large", body=body[:1 << 20], type="text/html")
    for _ in range(2):
        reply = get(front.address, "/fragment/large")
        assert reply.status == 200
        assert reply.body == body[:1 << 20]
    assert api.calls("large") == 1


def ask_and_leave(front: FrontServer, api: SlowApi, name: str, *, reset: bool = False) -> None:
    """A client that goes away while its request is parked and the API's call is held. It leaves
    with a FIN, or with a RST, as a crashed client does."""
    api.hold(name)
    client = connect(front.address)
    client.sendall(f"GET /fragment/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    api.wait_calls(name, 1)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def check_place_is_free(front: FrontServer) -> None:
    """No request is parked any more: a daemon with `max_parked = 1` has room."""
    wait_until(lambda: get(front.address, "/fragment/probe").status == 200,
               "room after the client has left")


def check_flight_goes_on(front: FrontServer, api: SlowApi, name: str) -> None:
    """The held call, for which nobody waits any more, still brings a result that is cached."""
    api.release(name)
    wait_until(lambda: "hit" in get(front.address, f"/fragment/{name}").headers.get(
        "cache-status", ""), "the result of the flight that nobody waits for")
    assert api.calls(name) == 1


def check_stream(front: FrontServer, api: SlowApi) -> None:
    """What is ready reaches the client while others of the same stream are held: no buffer on the
    way holds it back, whatever its size. A failure is an event too, as is the end."""
    api.answer("large", type="text/html", body="<p>line</p>\n" * 50000)
    api.answer("broken", 500)
    api.hold("a", "b", "broken", "large")
    names = ["a", "b", "broken", "large", "cached"]
    assert get(front.address, "/fragment/cached").status == 200
    with HttpStream(front.address, "/fragments?" + query(names)) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["content-security-policy"] == "default-src 'self'"
        assert stream.wait(1)[0] == ("cached", '<div id="cached">result for cached</div>')
        for count, name in enumerate(("b", "large", "broken"), start=2):
            api.wait_calls(name, 1)
            api.release(name)
            assert stream.wait(count)[-1][0] == (name if name != "broken" else "broken:error")
        assert dict(stream.events)["large"] == "<p>line</p>\n" * 50000
        assert not stream.over
        api.release("a")
        assert stream.wait(6)[-2:] == [("a", '<div id="a">result for a</div>'), ("end", "")]
        stream.wait_over()

    api.hold("a2")
    with HttpStream(front.address, "/fragments?" + query(["a2", "b"]), "text/html") as stream:
        assert stream.headers["content-type"] == "text/html; charset=utf-8"
        stream.wait_body(b'<template for="b"><div id="b">result for b</div></template>')
        assert b"a2" not in stream.body
        api.release("a2")
        stream.wait_over()
        assert stream.body.endswith(b'<div id="a2">result for a2</div></template>\n')
    assert get(front.address, "/fragments").status == 400
    assert get(front.address, "/fragments?name=a", method="POST", body=b"x").status == 405
