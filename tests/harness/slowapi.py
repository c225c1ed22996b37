"""An HTTP API that answers when the test says so, and remembers its calls.

    with SlowApi(tmp) as api:
        api.answer("a", body="<b>x</b>", type="text/html")   # what GET /a gets
        api.hold("a")                                         # from now on calls of /a wait...
        api.wait_calls("a", 1)
        api.release("a")                                      # ...until here
        assert api.calls("a") == 1

A path that has no answer of its own gets api.text(NAME) as text/plain, after api.delay(), with the
header fields api.headers. It is `result for NAME` unless the test says otherwise.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Union
from urllib.parse import unquote

from .wait import DEADLINE, SLOWNESS, wait_until


@dataclass
class Answer:
    """What a path gets. `type` "" sends no Content-Type at all."""

    status: int = 200
    type: str = "text/plain; charset=utf-8"
    body: bytes = b""
    delay: float = 0.0  # seconds before the head
    headers: Dict[str, str] = field(default_factory=dict)
    chunked: bool = False  # no Content-Length
    cut: Optional[int] = None  # close the connection after so many bytes of the body
    stall: bool = False  # after the cut, keep the connection open until the release


@dataclass
class Call:
    """One request that came in."""

    method: str
    path: str  # as it was on the wire
    headers: Dict[str, str]  # names in lower case
    connection: int  # which of the API's connections it came on
    body: bytes = b""
    head: bytes = b""  # the request line and the headers, as they were on the wire


class Tls(NamedTuple):
    """An API that speaks TLS: files in PEM. ask: it refuses clients without a certificate of that
    CA."""

    certificate: Path
    key: Path
    ask: Optional[Path] = None

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if self.ask:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ask)
        return context


class SlowApi:
    """The API: threads in this process. Use as a context manager, or start() and stop().

    socket_path: it listens on a unix socket there, and not on a port.
    tls:         it speaks TLS."""

    name = "api"

    def __init__(self, tmp: Union[str, Path, None] = None,
                 delay: Callable[[], float] = lambda: 0.0, *,
                 socket_path: Union[str, Path] = "", tls: Optional[Tls] = None) -> None:
        self.delay = delay
        self.socket_path = str(socket_path)
        self._tls = tls
        self.text: Callable[[str], str] = "result for {}".format
        self.headers: Dict[str, str] = {}
        self.drops = ""  # "close" or "reset": ends a connection when it is used again
        self.dropped: List[str] = []  # the paths of requests that this has hit
        self.log_path = Path(tmp) / "api.log" if tmp else None
        self._lock = threading.Lock()
        self._answers: Dict[str, Answer] = {}
        self._turns: Dict[str, List[Answer]] = {}
        self._gates: Dict[str, threading.Event] = {}
        self._closed_gates: Dict[str, List[threading.Event]] = {}
        self._calls: List[Call] = []
        self._connections = 0
        self._server: Optional[_Server] = None
        self._thread: Optional[threading.Thread] = None

    # Start and stop.

    def start(self) -> "SlowApi":
        self._server = _UnixServer(self.socket_path, _Handler) if self.socket_path \
            else _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._server.tls = self._tls.context() if self._tls else None
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """May be called twice."""
        self.release_all()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server.close_all()
            self._thread.join(DEADLINE)
            self._server = None

    def __enter__(self) -> "SlowApi":
        return self if self._server else self.start()

    def __exit__(self, *_error) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    # What it answers. A path may be given with or without its first slash.

    def answer(self, path: str, status: int = 200, body: Union[str, bytes] = b"",
               **options) -> None:
        """Sets what the path gets; the options are Answer's fields."""
        if isinstance(body, str):
            body = body.encode()
        with self._lock:
            self._answers[_path(path)] = Answer(status=status, body=body, **options)

    def answer_in_turn(self, path: str, *statuses: int, **options) -> None:
        """Sets the statuses that the next calls of the path get; then it is answered as before."""
        with self._lock:
            self._turns[_path(path)] = [Answer(status=status, **options) for status in statuses]

    def hold(self, *paths: str) -> None:
        """From now on calls of the paths are counted but not answered."""
        with self._lock:
            for path in paths:
                self._gates[_path(path)] = threading.Event()

    def hold_no_more(self, *paths: str) -> None:
        """Answers calls to come at once; those that are held stay so until the release, and get
        the answer that was set when they came."""
        with self._lock:
            for path in paths:
                gate = self._gates.pop(_path(path), None)
                if gate:
                    self._closed_gates.setdefault(_path(path), []).append(gate)

    def release(self, *paths: str) -> None:
        """Answers the calls that are held, and those to come."""
        self.hold_no_more(*paths)
        with self._lock:
            for path in paths:
                for gate in self._closed_gates.pop(_path(path), []):
                    gate.set()

    def release_all(self) -> None:
        with self._lock:
            paths = [*self._gates, *self._closed_gates]
        self.release(*paths)

    # Its calls.

    def calls(self, path: Optional[str] = None) -> int:
        """How many calls of the path came in, held ones included; without a path, of all."""
        return len(self.requests(path))

    def requests(self, path: Optional[str] = None) -> List[Call]:
        with self._lock:
            return [call for call in self._calls if path is None or call.path == _path(path)]

    def wait_calls(self, path: Optional[str], count: int) -> None:
        wait_until(lambda: self.calls(path) >= count, f"{count} calls of {path} at the API")

    # For the handler.

    def make(self, call: Call) -> Answer:
        """The answer of a path that has none of its own."""
        name = unquote(call.path.partition("?")[0].lstrip("/"))
        return Answer(body=self.text(name).encode(), delay=self.delay(), headers=self.headers)

    def _note(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
        if self.log_path:
            with open(self.log_path, "a", encoding="utf-8") as log:
                log.write(f"{call.method} {call.path}\n")

    def _find(self, path: str):
        with self._lock:
            turns = self._turns.get(path)
            return turns.pop(0) if turns else self._answers.get(path), self._gates.get(path)

    def _number(self) -> int:
        with self._lock:
            self._connections += 1
            return self._connections


def _path(path: str) -> str:
    return path if path.startswith("/") else "/" + path


class _Lines:
    """A file that remembers the lines that are read from it."""

    def __init__(self, file) -> None:
        self._file, self._lines = file, []

    def readline(self, *limit) -> bytes:
        self._lines.append(self._file.readline(*limit))
        return self._lines[-1]

    def take(self) -> bytes:
        """The lines since the last time."""
        lines, self._lines = b"".join(self._lines), []
        return lines

    def __getattr__(self, name):
        return getattr(self._file, name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300  # of an idle connection; stop() ends it sooner
    api: SlowApi

    def setup(self) -> None:
        self.disable_nagle_algorithm = not self.server.api.socket_path
        if self.server.tls:
            self.request.settimeout(DEADLINE * SLOWNESS)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self.rfile = _Lines(self.rfile)
        self.api = self.server.api
        self.number = self.api._number()
        self.served = 0  # requests on this connection

    def finish(self) -> None:
        super().finish()
        if self.server.tls:
            self.request.close()

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        headers = {name.lower(): value for name, value in self.headers.items()}
        head = self.rfile.take()
        if self.api.drops and self.served:
            self._drop()
            return
        self.served += 1
        body = self.rfile.read(int(headers.get("content-length", 0)))
        answer, gate = self.api._find(self.path)  # first: a call that is noted has its answer
        call = Call(self.command, self.path, headers, self.number, body, head)
        self.api._note(call)
        if answer is None:
            answer = self.api.make(call)
        if answer.delay:
            time.sleep(answer.delay)
        if gate and not answer.stall:
            gate.wait(DEADLINE * 10 * SLOWNESS)
        try:
            self._send(answer, gate)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def _drop(self) -> None:
        """Ends the connection before the first byte of an answer."""
        with self.api._lock:
            self.api.dropped.append(self.path)
        if self.api.drops == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _send(self, answer: Answer, gate: Optional[threading.Event]) -> None:
        self.send_response(answer.status)
        if answer.type:
            self.send_header("Content-Type", answer.type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = answer.body if answer.cut is None else answer.body[:answer.cut]
        if answer.chunked:
            for at in range(0, len(body), 16384):
                piece = body[at:at + 16384]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if answer.cut is None:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        self.wfile.flush()
        if answer.cut is not None:
            if answer.stall and gate:
                gate.wait(DEADLINE * 10 * SLOWNESS)
            self.close_connection = True

    def log_message(self, format: str, *args) -> None:  # pylint: disable=redefined-builtin
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024
    api: SlowApi
    tls: Optional[ssl.SSLContext]

    def __init__(self, *arguments) -> None:
        self._open = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Ends idle keep-alive connections, and their threads with them."""
        for request in list(self._open):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request, client_address) -> None:
        pass  # a peer that went away; tests judge by what they see


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        Path(self.server_address).unlink(missing_ok=True)
        super().server_bind()
